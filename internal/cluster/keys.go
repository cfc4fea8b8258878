package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/egress"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/strictjson"
	"github.com/lanyard-io/lanyard/internal/trust"
)

const (
	// stamp is how often unchanged keys are written again, as a sign that they are
	// current.
	stamp = 5 * time.Minute
	// stale is how long keys are used while no replica reaches the cluster: the time
	// within which a withdrawn key stops working.
	stale = 10 * time.Minute
)

// Keys implements arm.Clusters.
func (a *Attached) Keys(ctx context.Context, c *model.Cluster) ([]byte, error) {
	keys, err := a.keys(ctx, c)
	if err != nil {
		return nil, unreachable(c, err)
	}
	return keys, nil
}

// keys is Keys for the log. An API server that names another issuer than when it was
// attached is not believed.
func (a *Attached) keys(ctx context.Context, c *model.Cluster) ([]byte, error) {
	kubeconfig, err := openKubeconfig(a.c.Sealer, c)
	if err != nil {
		return nil, err
	}
	api, err := a.dial(kubeconfig)
	if err != nil {
		return nil, err
	}
	defer api.Close()
	issuer, keys, err := askIssuer(ctx, api)
	if err != nil {
		return nil, err
	}
	if issuer != c.Issuer {
		return nil, fmt.Errorf("it names the issuer %q, and named %q when it was attached: attach it again", issuer, c.Issuer)
	}
	return keys, nil
}

// dial prepares to ask for documents. The API server says whether a credential has
// ended: its keys are wanted for as long as it gives them.
func (a *Attached) dial(kubeconfig []byte) (*kube.Cluster, error) {
	return kube.Connect(kube.Config{Kubeconfig: kubeconfig, Log: a.c.Log, Now: a.c.Now, TryExpired: true})
}

// ask asks an API server for all that is kept of it.
func (a *Attached) ask(ctx context.Context, kubeconfig []byte) (version, issuer string, keys []byte, err error) {
	api, err := a.dial(kubeconfig)
	if err != nil {
		return "", "", nil, err
	}
	defer api.Close()
	if version, err = askVersion(ctx, api); err != nil {
		return "", "", nil, err
	}
	issuer, keys, err = askIssuer(ctx, api)
	return version, issuer, keys, err
}

// askVersion gives Kubernetes' version, such as 1.37.2.
func askVersion(ctx context.Context, api *kube.Cluster) (string, error) {
	b, err := api.Document(ctx, "/version")
	if err != nil {
		return "", err
	}
	var doc kube.Version
	if err := errors.Join(strictjson.Check(b), json.Unmarshal(b, &doc)); err != nil || !kube.IsVersion(doc.GitVersion) {
		return "", errors.New("/version does not answer like Kubernetes")
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(doc.GitVersion, "v"), "+")
	return version, nil
}

// askIssuer gives who signs the service accounts' tokens, and the keys to check them
// with. The keys come from the API server itself, whatever jwks_uri says: that is how
// a cluster works whose issuer nobody else can reach.
// https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery
func askIssuer(ctx context.Context, api *kube.Cluster) (issuer string, keys []byte, err error) {
	b, err := api.Document(ctx, "/.well-known/openid-configuration")
	if err != nil {
		return "", nil, err
	}
	var doc struct {
		Issuer string `json:"issuer"`
	}
	if err := errors.Join(strictjson.Check(b), json.Unmarshal(b, &doc)); err != nil {
		return "", nil, errors.New("/.well-known/openid-configuration is not JSON, or has a member twice")
	}
	if err := model.CheckIssuer(doc.Issuer); err != nil {
		return "", nil, fmt.Errorf("the cluster's issuer is of no use: %w (kube-apiserver's --service-account-issuer)", err)
	}
	if keys, err = api.Document(ctx, "/openid/v1/jwks"); err != nil {
		return "", nil, err
	}
	n, err := trust.ParseKeys(keys, model.MaxIssuerKeys)
	if err != nil {
		return "", nil, fmt.Errorf("/openid/v1/jwks: %s", egress.Printable(err.Error(), 200))
	}
	if n == 0 {
		return "", nil, errors.New("/openid/v1/jwks has no key that can verify a token")
	}
	return doc.Issuer, keys, nil
}

func (a *Attached) followKeys(ctx context.Context) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		a.Refresh(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Refresh reads every published cluster's keys once, of several at a time: a slow
// cluster keeps no other's withdrawn key alive. A failure is logged; the next call tries
// again.
func (a *Attached) Refresh(ctx context.Context) {
	a.noteEnds(ctx)
	view, err := a.c.Store.Fresh(ctx)
	if err != nil {
		return // nothing can be written either
	}
	a.forget(view)
	a.warnOfEnds(ctx, view)
	var g errgroup.Group
	g.SetLimit(maxParallel)
	defer g.Wait()
	for e := range view.Lookup(model.PublishedClusters) {
		cluster, ok := e.Value.(*model.Cluster)
		if !ok || ctx.Err() != nil {
			continue
		}
		g.Go(func() error {
			if err := a.refresh(ctx, view, cluster, e.Rev); err != nil && ctx.Err() == nil {
				a.c.Log.WarnContext(ctx, "could not refresh a cluster's keys", "cluster", cluster.ID, "error", err)
			}
			return nil
		})
	}
}

func (a *Attached) refresh(ctx context.Context, view *store.View, cluster *model.Cluster, clusterRev int64) error {
	held, rev, _ := store.Get[*model.Issuer](view, model.IssuerKey(cluster.Issuer))
	now := a.c.Now().UTC()
	keys, err := a.keys(ctx, cluster)
	fault := ""
	switch {
	case err != nil && (held == nil || held.KeysGone() || now.Sub(held.Updated) < stale):
		return err
	case err != nil:
		keys, now, fault = []byte(model.NoKeys), held.Updated, shorten(err.Error())
		a.c.Log.WarnContext(ctx, "stopped trusting a cluster's keys, which are too old", "cluster", cluster.ID)
	case held != nil && bytes.Equal(held.Keys, keys) && now.Sub(held.Updated) < stamp:
		return nil
	}
	_, putErr := a.c.Store.Commit(ctx,
		store.Op{Value: &model.Issuer{URL: cluster.Issuer, Keys: keys, Updated: now, Fault: fault}, Rev: rev},
		store.Op{Key: cluster.Key(), Rev: clusterRev, Check: true}) // a detached cluster leaves no keys
	if !errors.Is(putErr, store.ErrConflict) {
		return errors.Join(err, putErr)
	}
	return err // another replica was first, or the cluster was changed
}
