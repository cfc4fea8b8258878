package cluster

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// connection is kept for the questions about service accounts, which come with every
// exchange, until its cluster gets new credentials or is detached.
type connection struct {
	sum [sha256.Size]byte // of the sealed kubeconfig
	api *kube.Cluster
}

// Review implements sts.Clusters.
func (a *Attached) Review(ctx context.Context, c *model.Cluster, token, audience string) (model.ClusterUser, error) {
	api, err := a.connect(c)
	if err != nil {
		return model.ClusterUser{}, err
	}
	user, err := api.ReviewToken(ctx, token, []string{audience})
	if errors.Is(err, kube.ErrToken) {
		err = errors.Join(model.ErrClusterToken, err)
	}
	return model.ClusterUser(user), err
}

// MayUse implements sts.Clusters.
func (a *Attached) MayUse(ctx context.Context, c *model.Cluster, user model.ClusterUser, clientID string) (bool, error) {
	api, err := a.connect(c)
	if err != nil {
		return false, err
	}
	return api.Allowed(ctx, kube.User(user), kube.Attributes{Verb: model.BindingVerb, Group: model.BindingGroup, Resource: clientID})
}

func (a *Attached) connect(c *model.Cluster) (*kube.Cluster, error) {
	sum := sha256.Sum256(c.Kubeconfig)
	a.mu.Lock()
	defer a.mu.Unlock()
	if conn, ok := a.open[c.Key()]; ok {
		if conn.sum == sum {
			return conn.api, nil
		}
		conn.api.Close()
		delete(a.open, c.Key())
	}
	kubeconfig, err := openKubeconfig(a.c.Sealer, c)
	if err != nil {
		return nil, err
	}
	api, err := kube.Connect(kube.Config{Kubeconfig: kubeconfig, Log: a.c.Log})
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", c.Key(), err)
	}
	a.open[c.Key()] = connection{sum, api}
	return api, nil
}

// forget closes the connections to clusters that are attached no more, so that no
// credential is kept open for them.
func (a *Attached) forget(view *store.View) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, conn := range a.open {
		if view.Get(key) == nil {
			conn.api.Close()
			delete(a.open, key)
		}
	}
}
