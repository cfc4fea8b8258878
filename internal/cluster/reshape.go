package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lanyard-io/lanyard/internal/kube"
)

// reshape prepares a webhook configuration that is there already for being
// applied. A webhook has either a URL or a service; applying the one leaves the
// other to whoever set it, and the API server refuses both. So the one place is
// replaced first, in one step: at no time are pods let through.
func reshape(ctx context.Context, api *kube.Cluster, want object) error {
	b, err := api.Get(ctx, want.ref())
	if errors.Is(err, kube.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", want.ref(), err)
	}
	there, err := clients(b)
	if err != nil {
		return fmt.Errorf("reading %s: %w", want.ref(), err)
	}
	if b, err = json.Marshal(want); err != nil {
		return err
	}
	wanted, err := clients(b)
	if err != nil {
		return err
	}
	type op struct {
		Op    string          `json:"op"`
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value"`
	}
	var patch []op
	for i, was := range there {
		for _, is := range wanted {
			if was.Name != is.Name || (was.URL != nil) == (is.URL != nil) {
				continue
			}
			at := fmt.Sprintf("/webhooks/%d/", i)
			name, err := json.Marshal(was.Name)
			if err != nil {
				return err
			}
			patch = append(patch, op{"test", at + "name", name}, op{"replace", at + "clientConfig", is.raw})
		}
	}
	if patch == nil {
		return nil
	}
	if b, err = json.Marshal(patch); err != nil {
		return err
	}
	if _, err := api.Patch(ctx, want.ref(), kube.JSONPatch, b); err != nil {
		return fmt.Errorf("pointing %s elsewhere: %w", want.ref(), err)
	}
	return nil
}

// hookClient is where a webhook of a configuration is.
type hookClient struct {
	Name string
	URL  *string
	raw  json.RawMessage
}

func clients(configuration []byte) ([]hookClient, error) {
	var c struct {
		Webhooks []struct {
			Name   string          `json:"name"`
			Client json.RawMessage `json:"clientConfig"`
		} `json:"webhooks"`
	}
	if err := json.Unmarshal(configuration, &c); err != nil {
		return nil, err
	}
	var all []hookClient
	for _, w := range c.Webhooks {
		h := hookClient{Name: w.Name, raw: w.Client}
		if err := json.Unmarshal(w.Client, &h); err != nil {
			return nil, err
		}
		h.Name = w.Name
		all = append(all, h)
	}
	return all, nil
}
