package manage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/fault"
)

// Attachment is what a cluster is attached with.
type Attachment struct {
	Server     string // its API server's address
	Kubeconfig []byte
	Location   string // of a new one; empty for its group's
	Replace    bool   // another API server may take the place of the one under this name
	// OIDC and Identity are switched on; what is false stays as it is.
	OIDC, Identity bool
	TakeOver       bool // its keys decide even where others trust what its issuer publishes
	// Webhook has the settings that are to change, by their names in Webhook's JSON.
	Webhook map[string]string
}

// Attach makes a cluster known, or changes the credentials of one that is attached:
// its location, tags and all that is not named stay. The server may not be done with it.
func (c *Client) Attach(ctx context.Context, group, name string, want Attachment) (Whole[Cluster], error) {
	properties := map[string]any{"attachment": map[string]any{
		"kubeconfig": want.Kubeconfig, "takeOverIssuer": want.TakeOver, "webhook": want.Webhook,
	}}
	if want.OIDC {
		properties["oidcIssuerProfile"] = map[string]any{"enabled": true}
	}
	if want.Identity {
		properties["securityProfile"] = map[string]any{"workloadIdentity": map[string]any{"enabled": true}}
	}
	return c.Clusters(group).Change(ctx, name, func(old *Cluster) (any, error) {
		location, tags := want.Location, map[string]string(nil)
		if old != nil {
			was := old.Properties.Attachment.Server
			if was != "" && !sameServer(was, want.Server) && !want.Replace {
				return nil, fault.WithHint(fmt.Errorf("the cluster %s exists already, with the API server %s, not %s; nothing was changed", name, was, want.Server),
					"choose another name; or, when the same cluster has moved, add --replace-server")
			}
			location, tags = old.Location, old.Tags
		}
		if location == "" {
			in, _, err := c.Groups().Lookup(ctx, group)
			if err != nil {
				return nil, err
			}
			location = in.Is.Location
		}
		return map[string]any{"location": location, "tags": tags, "properties": properties}, nil
	})
}

// sameServer compares two addresses of API servers.
func sameServer(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(a, "/"), strings.TrimRight(b, "/"))
}

// waitEvery is how often a cluster is looked at.
const waitEvery = time.Second

// AwaitCluster reads a cluster until the server is done with it. It is an error when
// the webhook could not be put into it.
func (c *Client) AwaitCluster(ctx context.Context, group string, got Whole[Cluster]) (_ Whole[Cluster], err error) {
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	for got.Is.Busy() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return got, ctx.Err()
		}
		if got, err = c.Clusters(group).Get(ctx, got.Is.Name); err != nil {
			return got, err
		}
	}
	if w := got.Is.Properties.Attachment.Webhook; w != nil && w.State != nil && got.Is.Properties.State == "Failed" {
		err = fault.WithHint(errors.New("the webhook is not ready: "+w.State.Error), "the server tries again every minute: lanyard cluster show "+got.Is.Name)
	}
	return got, err
}

// Detach forgets a cluster, after taking the webhook out of it. With force it is
// forgotten even when that cannot be done.
func (c *Client) Detach(ctx context.Context, group, name string, force bool) error {
	clusters := c.Clusters(group)
	if force {
		id := clusters.id
		clusters.id = func(name string) string { return id(name) + "?force=true" }
	}
	return clusters.Delete(ctx, name)
}
