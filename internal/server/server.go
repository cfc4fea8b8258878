package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/arm"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/cluster"
	"github.com/lanyard-io/lanyard/internal/clusterdns"
	"github.com/lanyard-io/lanyard/internal/graph"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/peers"
	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/proxy"
	"github.com/lanyard-io/lanyard/internal/signing"
	"github.com/lanyard-io/lanyard/internal/sts"
	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/vault"
)

// Server is everything, opened and listening, not yet serving.
type Server struct {
	c        Config
	names    *names.Names
	instance *model.Instance
	served   *served // nil when the data directory has served no store
	newStore bool    // it has no identity card yet
	backend  *Backend
	audit    *audit.Log
	keys     *signing.Keys
	trust    *trust.Verifier
	gate     *access.Gate
	peers    *peers.Peers // nil with an etcd of our own, which no other server shares
	arm      *arm.Server
	vault    *vault.Server
	metrics  *prometheus.Registry
	tls      *tls.Config

	certificates *pki.Certificates
	disk         disk
	ownCA        bool
	podCA        []byte // PEM that pods need to trust us; nil with the operator's certificate

	installer *cluster.Installer
	clusters  *cluster.Attached
	hooks     *cluster.Hooks // nil without a webhook listener

	dns *clusterdns.Controller // nil outside a cluster

	draining atomic.Bool // it is to stop, and serves on for a while

	edge                            http.Handler
	listener, proxy, debug, webhook net.Listener // all but the first may be nil
	health, scrape                  net.Listener // may be nil
}

// New opens the store, makes what a first start needs, and listens. It fails,
// with the way out in words, when a state would be dangerous to guess. The
// caller must call Run, or Close.
func New(ctx context.Context, c Config) (_ *Server, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Server{c: c.withDefaults()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, open := range []func(context.Context) error{
		// What may be refused comes first: a refused start changes nothing.
		s.openStore, s.listen, s.openServed, s.openInstance, s.openTLS, s.openWebhooks, s.openKeys, s.openSurfaces, s.openClusterDNS, s.writeFiles,
	} {
		if err := open(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// openInstance opens what is sealed, and learns who we are.
func (s *Server) openInstance(ctx context.Context) (err error) {
	if s.backend.Sealer, err = s.c.sealer(ctx, s.backend.Store); err != nil {
		return err
	}
	if s.instance, err = s.c.instance(ctx, s.backend.Store); err != nil {
		return err
	}
	return s.setAside()
}

// openKeys opens the audit log, the admin and the signing keys.
func (s *Server) openKeys(ctx context.Context) (err error) {
	c, st := s.c, s.backend.Store
	s.audit, err = audit.Open(audit.Config{
		Dir: c.path(auditDirName), Log: c.Log, Now: c.Now, Sync: c.AuditSync,
		Keep: c.AuditKeep, KeepRefused: c.AuditKeepRefused, MaxAge: time.Duration(c.AuditDays) * 24 * time.Hour,
	})
	if err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	if _, err := c.ensureAdmin(ctx, st, s.instance); err != nil {
		return err
	}
	s.keys, err = signing.New(ctx, signing.Config{Store: st, Sealer: s.backend.Sealer, Log: c.Log, Now: c.Now})
	return err
}

func (s *Server) openSurfaces(context.Context) (err error) {
	c, st := s.c, s.backend.Store
	s.gate = access.New(access.Config{Audit: s.audit, Log: c.Log, Now: c.Now})
	if s.trust, err = c.trust(); err != nil {
		return err
	}
	if err := s.openPeers(); err != nil {
		return err
	}
	s.clusters, err = cluster.New(cluster.Config{Store: st, Sealer: s.backend.Sealer, Installer: s.installer, Log: c.Log, Now: c.Now})
	if err != nil {
		return err
	}
	authenticator := &access.Authenticator{Verify: s.keys.Verify, Names: s.names, TenantID: s.instance.TenantID, Now: c.Now, Gate: s.gate}

	tokens, err := sts.New(sts.Config{
		Store: st, Keys: s.keys, Trust: s.trust, Gate: s.gate, Names: s.names, TenantID: s.instance.TenantID,
		Sealer: s.backend.Sealer, NoPasswordGrant: c.NoPasswordGrant, Clusters: s.clusters,
		Limits: sts.Limits{Refusals: c.LimitRefusals, DeviceCodes: c.LimitDeviceCodes, SignIns: c.LimitSignIns},
		RS256:  c.RS256, AppLifetime: c.AppLifetime, IdentityLifetime: c.IdentityLifetime, Audiences: c.Audiences,
		Now: c.Now, Log: c.Log,
	})
	if err != nil {
		return err
	}
	s.arm, err = arm.New(arm.Config{
		Store: st, Gate: s.gate, Names: s.names, TenantID: s.instance.TenantID, SubscriptionID: s.instance.SubscriptionID,
		Authenticate: authenticator.Authenticate, MaxCredentials: c.MaxCredentials, Decisions: s.decisions,
		Keys: s.keys, Sealer: s.backend.Sealer, Clusters: s.clusters, Now: c.Now, Log: c.Log,
	})
	if err != nil {
		return err
	}
	challenge := ""
	if c.ADFS {
		challenge = "adfs"
	}
	s.vault, err = vault.New(vault.Config{
		Store: st, Sealer: s.backend.Sealer, Gate: s.gate, Authenticate: authenticator.Authenticate,
		TenantID: s.instance.TenantID, ChallengeTenant: challenge, Now: c.Now, Log: c.Log,
	})
	if err != nil {
		return err
	}

	directory, err := graph.New(graph.Config{
		Store: st, Gate: s.gate, Authenticate: authenticator.Authenticate, TenantID: s.instance.TenantID,
		Sealer: s.backend.Sealer, MaxCredentials: c.MaxCredentials, Now: c.Now,
	})
	if err != nil {
		return err
	}

	s.edge, err = httpx.New(httpx.Config{
		Names: s.names,
		Surfaces: map[names.Surface]httpx.Surface{
			names.Login: tokens.Surface(), names.Discovery: tokens.DiscoverySurface(),
			names.Management: s.arm.Surface(), names.Vault: s.vault.Surface(),
			names.Graph: directory.Surface(),
		},
		Log: c.Log, Metrics: s.metrics, Now: c.Now, Finish: s.gate.Finish,
	})
	if err != nil {
		return err
	}
	s.metrics.MustRegister(s.trust.Collectors()...)
	s.registerLimits(tokens.Limited())
	s.metrics.MustRegister(s.backend.Store.Collectors()...)
	s.metrics.MustRegister(s.gauges()...)
	s.metrics.MustRegister(newClusterGauges(s.clusters.Health))
	return nil
}

func (c Config) trust() (*trust.Verifier, error) {
	tc := trust.Config{Log: c.Log, Now: c.Now, MaxAge: c.IssuerMaxAge, MinRefetch: c.IssuerMinRefetch}
	if c.IssuerRoots != "" {
		roots := &rootsFile{path: c.IssuerRoots, log: c.Log}
		if err := roots.read(); err != nil {
			return nil, err
		}
		tc.Roots = roots.Current
	}
	return trust.New(tc), nil
}

func (s *Server) listen(ctx context.Context) (err error) {
	var lc net.ListenConfig
	open := func(name, addr string) net.Listener {
		if addr == off || err != nil {
			return nil
		}
		var ln net.Listener
		if ln, err = lc.Listen(ctx, "tcp", addr); err != nil {
			err = fmt.Errorf("%w: choose another address with --%s", err, name)
			return nil
		}
		return ln
	}
	s.listener = open("listen", s.c.Listen)
	s.proxy = open("proxy", s.c.Proxy)
	s.debug = open("debug", s.c.Debug)
	s.webhook = open("webhook", s.c.Webhook)
	s.health = open("health", s.c.Health)
	s.scrape = open("metrics", s.c.Metrics)
	return err
}

// State is where the server listens and what it is called.
func (s *Server) State() State {
	addr := func(ln net.Listener) string {
		if ln == nil {
			return ""
		}
		return ln.Addr().String()
	}
	return State{
		Address: s.c.Address, Listen: addr(s.listener), Proxy: addr(s.proxy), Debug: addr(s.debug), Webhook: addr(s.webhook),
		Health: addr(s.health), Metrics: addr(s.scrape),
		AzureNames: s.c.AzureNames, Aliases: s.c.Aliases, ADFS: s.c.ADFS, OwnCA: s.ownCA,
		TenantID: s.instance.TenantID, SubscriptionID: s.instance.SubscriptionID, Started: s.c.Now().UTC(),
	}
}

// Names are the names that the server answers to.
func (s *Server) Names() *names.Names { return s.names }

func (s *Server) writeFiles(ctx context.Context) error {
	state, err := json.MarshalIndent(s.State(), "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(s.c.path(stateFileName), append(state, '\n'), 0o600); err != nil {
		return err
	}
	return s.noteServed(ctx)
}

// Run serves until ctx ends or a part fails, lets requests in flight finish,
// and closes everything.
func (s *Server) Run(ctx context.Context) error {
	// The parts that requests need outlive the listeners.
	backCtx, stopBack := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBack()
	back, backCtx := errgroup.WithContext(backCtx)
	back.Go(func() error { return s.backend.Run(backCtx) })
	back.Go(func() error { return s.keys.Run(backCtx) })
	back.Go(func() error { return s.vault.Run(backCtx) })
	back.Go(func() error { return s.purgeVaults(backCtx) })
	back.Go(func() error { return s.audit.Run(backCtx) })
	if s.peers != nil {
		back.Go(func() error { return s.peers.Run(backCtx) })
	}
	back.Go(func() error { return s.clusters.Run(backCtx) })

	if s.dns != nil {
		back.Go(func() error { return s.dns.Run(backCtx) })
	}

	front, frontCtx := errgroup.WithContext(s.drained(ctx))
	front.Go(func() error { // a failed part stops the listeners
		select {
		case <-backCtx.Done():
			return context.Cause(backCtx)
		case <-frontCtx.Done():
			return nil
		}
	})
	// What leads to the listener, and tells how it is, outlives it.
	asideCtx, stopAside := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAside()
	front.Go(func() error {
		defer stopAside()
		return httpx.Serve(frontCtx, s.listener, s.httpServer(s.edge, s.tls))
	})
	if s.proxy != nil {
		front.Go(func() error { return s.serveProxy(asideCtx) })
	}
	for _, l := range s.observers() {
		front.Go(func() error { return httpx.Serve(asideCtx, l.listener, s.httpServer(l.handler, nil)) })
	}
	if s.hooks != nil {
		front.Go(func() error { return s.hooks.Run(asideCtx) })
		front.Go(func() error { return httpx.Serve(frontCtx, s.webhook, s.httpServer(s.hooks, s.hooks.TLS())) })
	}
	s.c.Log.InfoContext(ctx, "ready", "listen", s.State().Listen, "address", s.c.Address)

	err := front.Wait()
	if err := s.noteServed(ctx); err != nil { // a copy that is made now is complete
		s.c.Log.WarnContext(ctx, "cannot note how far the store is", "error", err)
	}
	stopBack()
	backErr := back.Wait()
	if errors.Is(backErr, context.Canceled) {
		backErr = nil
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, backErr, s.Close())
}

func (s *Server) httpServer(h http.Handler, t *tls.Config) *http.Server {
	return httpx.Server(httpx.ServerConfig{Handler: h, TLS: t, Log: s.c.Log})
}

func (s *Server) serveProxy(ctx context.Context) error {
	p, err := proxy.New(proxy.Config{
		Names: s.names, Log: s.c.Log, Now: s.c.Now,
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", reachable(s.listener.Addr().String()))
		},
	})
	if err != nil {
		return err
	}
	return p.Serve(ctx, s.proxy)
}

// reachable turns a listener on all addresses into one that can be dialled.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return addr
}

// Close gives back what New opened; Run calls it.
func (s *Server) Close() error {
	var faults []error
	for _, ln := range []net.Listener{s.listener, s.proxy, s.debug, s.webhook, s.health, s.scrape} {
		if ln != nil {
			if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				faults = append(faults, err)
			}
		}
	}
	if s.audit != nil {
		faults = append(faults, s.audit.Close())
	}
	if s.backend != nil {
		faults = append(faults, s.backend.Close())
	}
	s.audit, s.backend = nil, nil
	return errors.Join(faults...)
}
