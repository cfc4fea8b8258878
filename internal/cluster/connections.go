package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/sts"
)

// clusters asks attached clusters about the tokens of their service accounts,
// with the credentials that they were attached with.
type clusters struct {
	sealer *seal.Sealer
	log    *slog.Logger

	mu   sync.Mutex
	open map[string]connection // by cluster key; guarded by mu
}

// connection is kept until its cluster gets new credentials.
type connection struct {
	sum     [sha256.Size]byte // of the sealed kubeconfig
	cluster *kube.Cluster
}

func newClusters(sealer *seal.Sealer, log *slog.Logger) *clusters {
	return &clusters{sealer: sealer, log: log, open: map[string]connection{}}
}

// Review implements sts.Clusters.
func (c *clusters) Review(ctx context.Context, k *model.Cluster, token, audience string) (sts.ClusterUser, error) {
	conn, err := c.connect(k)
	if err != nil {
		return sts.ClusterUser{}, err
	}
	user, err := conn.ReviewToken(ctx, token, []string{audience})
	if errors.Is(err, kube.ErrToken) {
		err = errors.Join(sts.ErrClusterToken, err)
	}
	return sts.ClusterUser{Name: user.Name, UID: user.UID, Groups: user.Groups, Extra: user.Extra}, err
}

// MayUse implements sts.Clusters.
func (c *clusters) MayUse(ctx context.Context, k *model.Cluster, user sts.ClusterUser, clientID string) (bool, error) {
	conn, err := c.connect(k)
	if err != nil {
		return false, err
	}
	return conn.Allowed(ctx, kube.User{Name: user.Name, UID: user.UID, Groups: user.Groups, Extra: user.Extra},
		kube.Attributes{Verb: sts.BindingVerb, Group: sts.BindingGroup, Resource: clientID})
}

func (c *clusters) connect(k *model.Cluster) (*kube.Cluster, error) {
	sum := sha256.Sum256(k.Kubeconfig)
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn, ok := c.open[k.Key()]; ok {
		if conn.sum == sum {
			return conn.cluster, nil
		}
		conn.cluster.Close()
		delete(c.open, k.Key())
	}
	kubeconfig, err := c.sealer.Open(k.Kubeconfig, k.Key())
	if err != nil {
		return nil, fmt.Errorf("opening the kubeconfig of %s: %w", k.Key(), err)
	}
	conn, err := kube.Connect(kube.Config{Kubeconfig: kubeconfig, Log: c.log})
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", k.Key(), err)
	}
	c.open[k.Key()] = connection{sum, conn}
	return conn, nil
}
