package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// certificates is where the listener's certificate comes from: rotator or files.
type certificates interface {
	Current(ctx context.Context) *tls.Certificate
	Ready(ctx context.Context) error
	Run(ctx context.Context) error
}

// Server is the webhook, listening, not yet serving.
type Server struct {
	c        Config
	k        *kube.Cluster
	accounts *kube.Accounts
	certs    certificates
	inject   atomic.Pointer[admission.Config]
	version  atomic.Bool // the cluster's version is known
	draining atomic.Bool
	registry *prometheus.Registry

	admission, health, metrics net.Listener // health and metrics may be nil
}

// New checks the configuration and listens. The API server need not answer yet.
// The caller must call Run.
func New(ctx context.Context, c Config) (_ *Server, err error) {
	s := &Server{c: c.withDefaults(), registry: obs.NewRegistry()}
	inject, err := s.c.check()
	if err != nil {
		return nil, err
	}
	s.inject.Store(inject)
	if s.k, err = kube.Connect(s.c.Kube); err != nil {
		return nil, err
	}
	s.accounts = s.k.WatchAccounts(kube.AccountsConfig{Prefixes: []string{wi.Prefix, wi.OwnPrefix}})
	if s.certs, err = s.c.certificates(s.k); err != nil {
		return nil, err
	}
	s.registry.MustRegister(s.collectors()...)
	if err := s.listen(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (c Config) certificates(k *kube.Cluster) (certificates, error) {
	if c.CertDir == "" {
		return newRotator(c, k), nil
	}
	cert, key := c.certFiles()
	p, err := pki.NewCertificates(pki.Config{CertFile: cert, KeyFile: key, Log: c.Log, Now: c.Now})
	if err != nil {
		return nil, err
	}
	return files{p}, nil
}

// files is a certificate that somebody else keeps.
type files struct{ *pki.Certificates }

// Ready implements certificates: New has loaded them.
func (files) Ready(context.Context) error { return nil }

// Run implements certificates: without it, files are looked at only when a
// connection comes in, and an API server's may last for long.
func (f files) Run(ctx context.Context) error {
	for pause(ctx, lookEvery, nil) {
		f.Current(ctx)
	}
	return nil
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
	s.admission = open("listen", s.c.Listen)
	s.health = open("health-addr", s.c.Health)
	s.metrics = open("metrics-addr", s.c.Metrics)
	return err
}

// Addresses are where the listeners are; empty for one that is off.
func (s *Server) Addresses() (admission, health, metrics string) {
	addr := func(ln net.Listener) string {
		if ln == nil {
			return ""
		}
		return ln.Addr().String()
	}
	return addr(s.admission), addr(s.health), addr(s.metrics)
}

// Run serves until ctx ends and for DrainDelay longer, lets requests in flight
// finish, and closes everything.
func (s *Server) Run(ctx context.Context) error {
	// What requests need, and what says that we are leaving, outlives the listener.
	backCtx, stopBack := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBack()
	back, backCtx := errgroup.WithContext(backCtx)
	back.Go(func() error { return s.accounts.Run(backCtx) })
	back.Go(func() error { return s.certs.Run(backCtx) })
	back.Go(func() error { s.follow(backCtx); return nil })
	back.Go(func() error { s.settle(backCtx); return nil })
	for ln, handler := range map[net.Listener]http.Handler{s.health: s.healthHandler(), s.metrics: obs.Metrics(s.registry)} {
		if ln != nil {
			back.Go(func() error {
				return httpx.Serve(backCtx, ln, httpx.Server(httpx.ServerConfig{Handler: handler, Log: s.c.Log}))
			})
		}
	}

	frontCtx, stopFront := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFront()
	go func() {
		defer stopFront()
		select {
		case <-backCtx.Done(): // a part failed, or Run is over
		case <-ctx.Done():
			s.draining.Store(true)
			s.c.Log.InfoContext(ctx, "leaving", "after", s.c.DrainDelay)
			pause(backCtx, s.c.DrainDelay, nil)
		}
	}()
	err := httpx.Serve(frontCtx, s.admission, s.admissionServer())
	stopBack()
	return errors.Join(err, back.Wait(), s.close())
}

// readTimeout is how long a request may take to arrive: the API server sends
// it at once.
const readTimeout = 15 * time.Second

func (s *Server) admissionServer() *http.Server {
	metrics := admission.NewMetrics()
	s.registry.MustRegister(metrics.Collectors()...)
	handler := admission.New(admission.HandlerConfig{
		Current: s.inject.Load, Accounts: accounts{s.accounts}, Federated: s.c.Federated,
		Metrics: metrics, Log: s.c.Log, Now: s.c.Now,
	})
	srv := httpx.Server(httpx.ServerConfig{Handler: handler, Log: s.c.Log, TLS: &tls.Config{
		MinVersion: s.c.MinTLS,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if cert := s.certs.Current(hello.Context()); cert != nil {
				return cert, nil
			}
			return nil, errors.New("no certificate yet")
		},
	}})
	srv.ReadTimeout = readTimeout
	return srv
}

// settle gives back the memory that reading all service accounts took: several
// times what remains.
func (s *Server) settle(ctx context.Context) {
	if s.accounts.Wait(ctx) != nil {
		return
	}
	if s.c.Settled != nil {
		s.c.Settled()
	}
	debug.FreeOSMemory()
}

// accounts is admission's view of the service accounts.
type accounts struct{ all *kube.Accounts }

// Account implements admission.Accounts.
func (a accounts) Account(ctx context.Context, namespace, name string) (admission.Account, error) {
	got, err := a.all.Account(ctx, namespace, name)
	if errors.Is(err, kube.ErrNotFound) {
		return admission.Account{}, admission.ErrNoAccount
	}
	return admission.Account(got), err
}

// follow keeps up with the cluster's version and with the trust file.
func (s *Server) follow(ctx context.Context) {
	for wait := retryFirst; ; {
		err := s.refresh(ctx)
		next := lookEvery
		if err == nil {
			wait = retryFirst
		} else {
			if ctx.Err() == nil {
				s.c.Log.ErrorContext(ctx, "kept what is injected", "error", err)
			}
			next, wait = wait, min(2*wait, retryMost)
		}
		if !pause(ctx, next, nil) {
			return
		}
	}
}

// refresh decides anew what is injected. What cannot be read or does not hold
// leaves it as it is.
func (s *Server) refresh(ctx context.Context) error {
	v, err := s.k.Version(ctx)
	if err != nil {
		return err
	}
	next, err := s.c.withTrust()
	if err != nil {
		return err
	}
	next.Sidecar.Native = restartableInit(v)
	if err := next.Validate(); err != nil {
		return err
	}
	s.inject.Store(next)
	s.version.Store(true)
	return nil
}

// restartableInit says whether init containers may have a restartPolicy on every
// node that such an API server allows.
// https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
func restartableInit(v kube.Version) bool {
	number := func(s string) int {
		n, _ := strconv.Atoi(strings.TrimRight(s, "+")) // "32+" is a vendor's
		return n
	}
	return number(v.Major) > 1 || number(v.Minor) >= 32
}

func (s *Server) close() error {
	s.k.Close()
	var faults []error
	for _, ln := range []net.Listener{s.admission, s.health, s.metrics} {
		if ln != nil {
			if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				faults = append(faults, err)
			}
		}
	}
	return errors.Join(faults...)
}
