package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lanyard-io/lanyard/internal/kube"
)

// secret is the Secret with the certificate. All of the object is kept, so that
// writing it changes our keys alone.
type secret struct {
	object map[string]any // nil when there is none
	data   keys
}

func (r *rotator) secretRef() kube.Ref {
	return kube.Ref{APIVersion: "v1", Kind: "Secret", Namespace: r.c.Namespace, Name: r.c.Secret}
}

func (r *rotator) readSecret(ctx context.Context) (s secret, err error) {
	b, err := r.k.Get(ctx, r.secretRef())
	if errors.Is(err, kube.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("reading the Secret %s: %w", r.c.Secret, err)
	}
	var typed struct {
		Data keys `json:"data"`
	}
	if err := errors.Join(json.Unmarshal(b, &typed), json.Unmarshal(b, &s.object)); err != nil {
		return s, fmt.Errorf("reading the Secret %s: it is not one", r.c.Secret)
	}
	s.data = typed.Data
	return s, nil
}

// writeSecret is a compare-and-swap: kube.ErrConflict when another replica was
// faster.
func (r *rotator) writeSecret(ctx context.Context, s secret, next keys) error {
	if s.object == nil {
		b, err := json.Marshal(map[string]any{
			"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": next,
			"metadata": map[string]any{
				"name": r.c.Secret, "namespace": r.c.Namespace,
				"labels": map[string]string{"azure-workload-identity.io/system": "true"},
			},
		})
		if err == nil {
			_, err = r.k.Create(ctx, b)
		}
		if err != nil {
			return fmt.Errorf("making the Secret %s: %w", r.c.Secret, err)
		}
		return nil
	}
	data, _ := s.object["data"].(map[string]any)
	if data == nil {
		data = map[string]any{}
	}
	for name, value := range next {
		data[name] = value
	}
	s.object["data"] = data
	b, err := json.Marshal(s.object)
	if err == nil {
		_, err = r.k.Update(ctx, b)
	}
	if err != nil {
		return fmt.Errorf("writing the Secret %s: %w", r.c.Secret, err)
	}
	return nil
}

// hooks is the MutatingWebhookConfiguration.
type hooks struct {
	object  map[string]any // nil when there is none
	bundles [][]byte       // the caBundle of each of our webhooks
}

func (r *rotator) hooksRef() kube.Ref {
	return kube.Ref{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration", Name: r.c.Configuration}
}

func (r *rotator) readHooks(ctx context.Context) (h hooks, err error) {
	b, err := r.k.Get(ctx, r.hooksRef())
	if errors.Is(err, kube.ErrNotFound) {
		return h, nil
	}
	if err != nil {
		return h, fmt.Errorf("reading the MutatingWebhookConfiguration %s: %w", r.c.Configuration, err)
	}
	var typed struct {
		Webhooks []struct {
			ClientConfig struct {
				CABundle []byte    `json:"caBundle"`
				Service  *struct{} `json:"service"`
			} `json:"clientConfig"`
		} `json:"webhooks"`
	}
	if err := errors.Join(json.Unmarshal(b, &typed), json.Unmarshal(b, &h.object)); err != nil {
		return h, fmt.Errorf("reading the MutatingWebhookConfiguration %s: it is not one", r.c.Configuration)
	}
	for _, w := range typed.Webhooks {
		if w.ClientConfig.Service != nil { // one by URL is somebody else's
			h.bundles = append(h.bundles, w.ClientConfig.CABundle)
		}
	}
	return h, nil
}

// published says whether every one of the webhooks trusts an authority (DER).
// Without webhooks nobody is left behind.
func (h hooks) published(der []byte) bool {
	for _, bundle := range h.bundles {
		if !contains(bundle, der) {
			return false
		}
	}
	return true
}

// writeHooks sets the bundle, unless it is there already.
func (r *rotator) writeHooks(ctx context.Context, h hooks, bundle []byte) (changed bool, err error) {
	for _, had := range h.bundles {
		changed = changed || string(had) != string(bundle)
	}
	if !changed {
		return false, nil
	}
	webhooks, _ := h.object["webhooks"].([]any)
	for _, w := range webhooks {
		config, _ := w.(map[string]any)["clientConfig"].(map[string]any)
		if config != nil && config["service"] != nil {
			config["caBundle"] = bundle
		}
	}
	b, err := json.Marshal(h.object)
	if err == nil {
		_, err = r.k.Update(ctx, b)
	}
	if err != nil {
		return false, fmt.Errorf("setting the MutatingWebhookConfiguration's caBundle: %w", err)
	}
	return true, nil
}
