package arm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// writeIssuers is what one must be allowed in the tenant to attach a cluster: its
// API server's word decides from then on which keys its issuer has.
const writeIssuers = "Lanyard.Trust/issuers/write"

// attachCluster fills in a cluster from a kubeconfig, after asking its API
// server. It returns the keys of the cluster's issuer.
func (c *call) attachCluster(next, old *model.Cluster, raw []byte) (keys []byte, err error) {
	if err := c.s.c.Gate.Check(c.r.Context(), c.view, c.caller, writeIssuers, "/"); err != nil {
		return nil, err
	}
	k, err := readKubeconfig(raw)
	if err != nil {
		return nil, fail(badRequest, "The kubeconfig cannot be used: %s.", err)
	}
	server, err := k.dial()
	if err != nil {
		return nil, fail(badRequest, "The kubeconfig cannot be used: %s.", err)
	}
	defer server.close()
	version, err := server.version(c.r.Context())
	if err != nil {
		return nil, unreachable(server.url, err)
	}
	issuer, keys, err := server.issuer(c.r.Context())
	if err != nil {
		return nil, unreachable(server.url, err)
	}
	if c.s.c.Names.Issues(issuer) {
		return nil, fail(badRequest, "The cluster names the issuer '%s', which is this server's own.", issuer)
	}
	if old != nil && old.Published && old.Issuer != issuer {
		return nil, fail(conflict, "The cluster's issuer is now '%s', and was '%s' when it was enabled. Detach the cluster, and attach it again.", issuer, old.Issuer)
	}
	next.Server, next.Version, next.Issuer = server.url, version, issuer
	next.Kubeconfig, err = c.s.sealKubeconfig(next, k)
	return keys, err
}

func unreachable(server string, err error) error {
	return fail(badRequest, "The cluster's API server %s did not give what is needed: %s.", server, err)
}

func (s *Server) sealKubeconfig(cluster *model.Cluster, k *kubeconfig) ([]byte, error) {
	b, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return s.c.Sealer.Seal(b, cluster.Key())
}

func (s *Server) openKubeconfig(cluster *model.Cluster) (*kubeconfig, error) {
	b, err := s.c.Sealer.Open(cluster.Kubeconfig, cluster.Key())
	if err != nil {
		return nil, fmt.Errorf("opening the kubeconfig of %s: %w", cluster.Key(), err)
	}
	return readKubeconfig(b)
}

// clusterKeys reads the keys of the cluster's issuer. An API server that names
// another issuer than when it was attached is not believed.
func (s *Server) clusterKeys(ctx context.Context, cluster *model.Cluster) ([]byte, error) {
	k, err := s.openKubeconfig(cluster)
	if err != nil {
		return nil, err
	}
	server, err := k.dial()
	if err != nil {
		return nil, err
	}
	defer server.close()
	issuer, keys, err := server.issuer(ctx)
	if err != nil {
		return nil, err
	}
	if issuer != cluster.Issuer {
		return nil, fmt.Errorf("it names the issuer %q, and named %q when it was attached: attach it again", issuer, cluster.Issuer)
	}
	return keys, nil
}

const (
	// clusterPoll is how soon a rotated key of an attached cluster is known.
	clusterPoll = time.Minute
	// clusterStamp is how often unchanged keys are written again, as a sign that
	// they are current.
	clusterStamp = 5 * time.Minute
	// clusterStale is how long keys are used while no replica reaches the
	// cluster: the time within which a withdrawn key stops working.
	clusterStale = 10 * time.Minute
)

// Run keeps the keys of attached clusters fresh, and what is in them as it is
// wanted, until ctx ends. Every replica may run it.
func (s *Server) Run(ctx context.Context) error {
	if s.c.Sealer == nil {
		<-ctx.Done()
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.followKeys(ctx) })
	if s.c.Webhooks != nil {
		g.Go(func() error { return s.runWorks(ctx) })
	}
	return g.Wait()
}

func (s *Server) followKeys(ctx context.Context) error {
	tick := time.NewTicker(clusterPoll)
	defer tick.Stop()
	for {
		s.RefreshClusters(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// RefreshClusters reads every published cluster's keys once, of several at a
// time: one that is slow keeps no other's withdrawn key alive. What fails is
// logged, and tried again at the next call.
func (s *Server) RefreshClusters(ctx context.Context) {
	view, err := s.c.Store.View()
	if err != nil {
		return // nothing can be written either
	}
	s.warnOfEnds(ctx, view)
	var g errgroup.Group
	g.SetLimit(maxWorks)
	defer g.Wait()
	for e := range view.Lookup(model.PublishedClusters) {
		cluster, ok := e.Value.(*model.Cluster)
		if !ok || ctx.Err() != nil {
			continue
		}
		g.Go(func() error {
			if err := s.refreshCluster(ctx, view, cluster, e.Rev); err != nil && ctx.Err() == nil {
				s.c.Log.WarnContext(ctx, "could not refresh a cluster's keys", "cluster", cluster.ID, "error", err)
			}
			return nil
		})
	}
}

func (s *Server) refreshCluster(ctx context.Context, view *store.View, cluster *model.Cluster, clusterRev int64) error {
	held, rev, _ := store.Get[*model.Issuer](view, model.IssuerKey(cluster.Issuer))
	now := s.c.Now().UTC()
	keys, err := s.clusterKeys(ctx, cluster)
	fault := ""
	switch {
	case err != nil && (held == nil || bytes.Equal(held.Keys, noKeys) || now.Sub(held.Updated) < clusterStale):
		return err
	case err != nil:
		keys, now, fault = noKeys, held.Updated, brief(err.Error())
		s.c.Log.WarnContext(ctx, "stopped trusting a cluster's keys, which are too old", "cluster", cluster.ID)
	case held != nil && bytes.Equal(held.Keys, keys) && now.Sub(held.Updated) < clusterStamp:
		return nil
	}
	_, putErr := s.c.Store.Commit(ctx,
		store.Op{Value: &model.Issuer{URL: cluster.Issuer, Keys: keys, Updated: now, Fault: fault}, Rev: rev},
		store.Op{Key: cluster.Key(), Rev: clusterRev, Check: true}) // a detached cluster leaves no keys
	if !errors.Is(putErr, store.ErrConflict) {
		return errors.Join(err, putErr)
	}
	return err // another replica was first, or the cluster was changed
}

// noKeys verifies nothing, and is not an absence of keys, which would mean to
// discover them.
var noKeys = []byte(`{"keys":[]}`)
