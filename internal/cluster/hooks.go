package cluster

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// HooksConfig for NewHooks. All of it is needed unless it says otherwise.
type HooksConfig struct {
	Store     *store.Store
	Sealer    *seal.Sealer
	Installer *Installer
	// CA signs the listener's certificate, for the names by which clusters reach
	// it. Names are those that the server's own settings give; they may be none.
	CA    *pki.CA
	Names []string

	Metrics *admission.Metrics // nil counts nothing
	Log     *slog.Logger
	Now     func() time.Time
}

// Hooks serves the webhook to the API servers of clusters in mode url, each at a
// path of its own that nobody can guess. A cluster's service accounts are
// followed with the attached credentials.
type Hooks struct {
	c      HooksConfig
	mux    *http.ServeMux
	busy   chan struct{}
	memory *semaphore.Weighted // of all clusters' large reviews

	mu      sync.Mutex
	running context.Context  // guarded by mu; nil until Run
	wg      sync.WaitGroup   // what follows service accounts; added to under mu
	open    map[string]*hook // guarded by mu; by endpoint
	certs   *pki.Certificates
	certFor string // guarded by mu: the names that certs is for
}

// hook is one cluster's webhook.
type hook struct {
	print    [sha256.Size]byte // of what it was made from
	handler  http.Handler
	accounts *kube.Accounts
	api      *kube.Cluster
	stop     context.CancelFunc
}

const (
	// maxReviews is how many reviews are done at a time.
	maxReviews = 256
	// reviewTimeout is what our configuration grants a review.
	reviewTimeout = 5 * time.Second
	// hooksPoll is how often the open hooks are compared with the clusters.
	hooksPoll = 5 * time.Second
)

// NewHooks prepares to serve. Run follows the clusters.
func NewHooks(c HooksConfig) (*Hooks, error) {
	if c.Store == nil || c.Installer == nil || c.Sealer == nil || c.CA == nil || c.Log == nil || c.Now == nil {
		return nil, errors.New("cluster: Store, Sealer, Installer, CA, Log and Now are needed")
	}
	h := &Hooks{
		c: c, mux: http.NewServeMux(), open: map[string]*hook{},
		busy: make(chan struct{}, maxReviews), memory: semaphore.NewWeighted(4 * admission.MaxMemory),
	}
	h.mux.HandleFunc("POST "+hookPath("{endpoint}"), h.review)
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *Hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func (h *Hooks) review(w http.ResponseWriter, r *http.Request) {
	select {
	case h.busy <- struct{}{}:
		defer func() { <-h.busy }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many reviews at a time", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), reviewTimeout)
	defer cancel()
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(reviewTimeout)) // a connection that cannot is none of net/http's
	hook, err := h.find(r.PathValue("endpoint"))
	switch {
	case err != nil:
		h.c.Log.WarnContext(ctx, "could not serve a cluster's webhook", "error", err)
		http.Error(w, "the cluster cannot be served now", http.StatusServiceUnavailable)
	case hook == nil:
		http.NotFound(w, r)
	default:
		r = r.WithContext(ctx)
		u := *r.URL
		u.Path, u.RawPath = admission.Path, ""
		r.URL = &u
		hook.handler.ServeHTTP(w, r)
	}
}

// find is the hook of an endpoint; nil when no cluster has it and wants it.
func (h *Hooks) find(endpoint string) (*hook, error) {
	view, err := h.c.Store.View()
	if err != nil {
		return nil, err
	}
	e := view.First(model.ClusterEndpointIndex(endpoint))
	if e == nil {
		return nil, nil
	}
	state, ok := e.Value.(*model.ClusterState)
	if !ok {
		return nil, nil
	}
	cluster, ok := h.serves(view, state.Cluster)
	if !ok {
		return nil, nil
	}
	return h.hook(cluster, endpoint)
}

// serves says whether a cluster is to call us. It still is while its
// configuration is being taken away.
func (h *Hooks) serves(view *store.View, key string) (*model.Cluster, bool) {
	cluster, _, ok := store.Get[*model.Cluster](view, key)
	if !ok {
		return nil, false
	}
	state, _, ok := store.Get[*model.ClusterState](view, model.ClusterStateKey(key))
	if !ok {
		return nil, false
	}
	wanted := cluster.WorkloadIdentity && h.c.Installer.mode(cluster) == model.WebhookURL
	return cluster, wanted || slices.Contains(state.Modes, model.WebhookURL)
}

// hook is a cluster's, made when it is not there or the cluster changed.
func (h *Hooks) hook(cluster *model.Cluster, endpoint string) (*hook, error) {
	print := sha256.Sum256(fmt.Appendf(nil, "%q", []string{
		cluster.Key(), cluster.Issuer, cluster.Version, cluster.Webhook.Image, cluster.Webhook.PullPolicy, cluster.Webhook.HostAlias, string(cluster.Kubeconfig),
	}))

	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.open[endpoint]; k != nil && k.print == print {
		return k, nil
	}
	kubeconfig, err := openKubeconfig(h.c.Sealer, cluster)
	if err != nil {
		return nil, err
	}
	api, err := h.c.Installer.connect(kubeconfig)
	if err != nil {
		return nil, err
	}
	k := &hook{print: print, api: api}
	k.accounts = api.WatchAccounts(kube.AccountsConfig{Prefixes: []string{wi.Prefix, wi.OwnPrefix}})
	k.handler = admission.New(admission.HandlerConfig{
		Current:   func() *admission.Config { return h.c.Installer.admission(cluster) },
		Accounts:  accounts{k.accounts},
		Federated: federated{h.c.Store, cluster.Issuer}.known,
		Memory:    h.memory, Metrics: h.c.Metrics, Log: h.c.Log, Timeout: reviewTimeout, Now: h.c.Now,
	})
	h.closeLocked(endpoint)
	h.open[endpoint] = k
	h.followLocked(k)
	return k, nil
}

func (h *Hooks) followLocked(k *hook) {
	if h.running == nil || k.stop != nil {
		return // Run begins with those that wait
	}
	ctx, stop := context.WithCancel(h.running)
	k.stop = stop
	h.wg.Go(func() {
		if err := k.accounts.Run(ctx); err != nil && ctx.Err() == nil {
			h.c.Log.WarnContext(ctx, "stopped following a cluster's service accounts", "server", k.api.Server(), "error", err)
		}
		k.api.Close()
	})
}

func (h *Hooks) closeLocked(endpoint string) {
	if k := h.open[endpoint]; k != nil && k.stop != nil {
		k.stop()
	}
	delete(h.open, endpoint)
}

// Run follows the clusters that call us, until ctx ends.
func (h *Hooks) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	h.mu.Lock()
	h.running = ctx
	for _, k := range h.open {
		h.followLocked(k)
	}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.running = nil
		h.mu.Unlock()
		cancel()
		h.wg.Wait()
	}()
	tick := time.NewTicker(hooksPoll)
	defer tick.Stop()
	for {
		h.refresh(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// refresh opens the hooks of clusters that are to call us before they do, and
// closes those of others.
func (h *Hooks) refresh(ctx context.Context) {
	view, err := h.c.Store.View()
	if err != nil {
		return // out of touch with etcd: the store says so
	}
	wanted := map[string]bool{}
	for e := range view.Lookup(model.AllClusters) {
		cluster, ok := h.serves(view, e.Key)
		if !ok {
			continue
		}
		state, _, _ := store.Get[*model.ClusterState](view, model.ClusterStateKey(e.Key))
		wanted[state.Endpoint] = true
		if _, err := h.hook(cluster, state.Endpoint); err != nil {
			h.c.Log.WarnContext(ctx, "could not prepare a cluster's webhook", "cluster", cluster.ID, "error", err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for endpoint := range h.open {
		if !wanted[endpoint] {
			h.closeLocked(endpoint)
		}
	}
}

// TLS is the listener's configuration. Its certificate is for the names by which
// clusters reach it, and follows them.
func (h *Hooks) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			certs, err := h.certificates()
			if err != nil {
				return nil, err
			}
			return certs.Get(hello)
		},
	}
}

func (h *Hooks) certificates() (*pki.Certificates, error) {
	all := append([]string{"127.0.0.1"}, h.c.Names...)
	if view, err := h.c.Store.View(); err == nil {
		for e := range view.Lookup(model.AllClusters) {
			if k, ok := e.Value.(*model.Cluster); ok && k.Webhook.URL != "" {
				if u, err := url.Parse(k.Webhook.URL); err == nil && certifiable(u.Hostname()) {
					all = append(all, strings.ToLower(u.Hostname()))
				}
			}
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	key := strings.Join(all, " ")

	h.mu.Lock()
	defer h.mu.Unlock()
	if h.certs != nil && h.certFor == key {
		return h.certs, nil
	}
	certs, err := pki.NewCertificates(pki.Config{CA: h.c.CA, Names: all, Log: h.c.Log, Now: h.c.Now})
	if err != nil {
		return nil, err
	}
	h.certs, h.certFor = certs, key
	return certs, nil
}

// certifiable says whether a certificate can be for a host: one name that cannot
// be in it would cost all clusters theirs.
func certifiable(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' })
}
