package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Attach implements arm.Clusters.
func (a *Attached) Attach(ctx context.Context, c *model.Cluster, kubeconfig []byte) (keys []byte, err error) {
	k, err := kube.ParseKubeconfig(kubeconfig)
	if err != nil {
		return nil, apierr.New(apierr.Invalid, "The kubeconfig cannot be used: %s.", err)
	}
	c.Server = k.Server()
	b, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("writing the kubeconfig: %w", err)
	}
	if c.Version, c.Issuer, keys, err = a.ask(ctx, b); err != nil {
		return nil, unreachable(c, err)
	}
	end := k.Ends()
	c.CredentialEnds = &end
	c.Kubeconfig, err = a.c.Sealer.Seal(b, c.Key())
	return keys, err
}

func unreachable(c *model.Cluster, err error) error {
	return apierr.New(apierr.Invalid, "The cluster's API server %s did not give what is needed: %s.", c.Server, err)
}

// Kubeconfig implements arm.Clusters.
func (a *Attached) Kubeconfig(c *model.Cluster, user string) ([]byte, error) {
	k, err := a.kubeconfig(c)
	if err != nil {
		return nil, err
	}
	return k.Named(c.Name, user)
}

// CredentialEnds implements arm.Clusters. The kubeconfig is read for it only if an older
// program stored the cluster.
func (a *Attached) CredentialEnds(c *model.Cluster) time.Time {
	if c.CredentialEnds != nil {
		return *c.CredentialEnds
	}
	k, err := a.kubeconfig(c)
	if err != nil {
		return time.Time{}
	}
	return k.Ends()
}

// noteEnds writes down when the credentials of clusters end that an older program
// stored. A cluster whose kubeconfig cannot be read, or that is being changed, is left to
// the next call.
func (a *Attached) noteEnds(ctx context.Context) {
	view, err := a.c.Store.View()
	if err != nil {
		return
	}
	for e := range view.Lookup(model.AllClusters) {
		c, ok := e.Value.(*model.Cluster)
		if !ok || c.CredentialEnds != nil {
			continue
		}
		k, err := a.kubeconfig(c)
		if err != nil {
			continue
		}
		next, end := *c, k.Ends()
		next.CredentialEnds = &end
		if _, err := a.c.Store.Put(ctx, &next, e.Rev); err != nil && !errors.Is(err, store.ErrConflict) {
			a.c.Log.WarnContext(ctx, "could not note when a cluster's credential ends", "cluster", c.ID, "error", err)
		}
	}
}

func (a *Attached) kubeconfig(c *model.Cluster) (*kube.Kubeconfig, error) {
	b, err := openKubeconfig(a.c.Sealer, c)
	if err != nil {
		return nil, err
	}
	return kube.ParseKubeconfig(b)
}

func openKubeconfig(s *seal.Sealer, c *model.Cluster) ([]byte, error) {
	b, err := s.Open(c.Kubeconfig, c.Key())
	if err != nil {
		return nil, fmt.Errorf("opening the kubeconfig of %s: %w", c.Key(), err)
	}
	return b, nil
}
