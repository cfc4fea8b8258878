package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/names"
)

// Config for New.
type Config struct {
	Names *names.Names
	// Dial connects to the server's own listener.
	Dial func(ctx context.Context) (net.Conn, error)
	Log  *slog.Logger
	Now  func() time.Time
	// MaxConns is how many connections may be open at once; default 512. More
	// are told so and closed.
	MaxConns int
	// Idle ends a tunnel in which nothing moves; default 10 minutes.
	Idle time.Duration
	// Drain is how long open tunnels may go on when Serve is told to end, so that
	// the server's own shutdown can end them first; default 5 seconds.
	Drain time.Duration
}

const (
	defaultMaxConns = 512
	defaultIdle     = 10 * time.Minute
	defaultDrain    = 5 * time.Second
	requestTimeout  = 10 * time.Second // for all but the tunnel itself
	dialTimeout     = 5 * time.Second
	maxHeaderBytes  = 16 << 10
)

// Proxy serves CONNECT to the server's own names.
type Proxy struct {
	c      Config
	served string // the hosts, in words
}

// New checks the configuration.
func New(c Config) (*Proxy, error) {
	if c.Names == nil || c.Dial == nil || c.Log == nil || c.Now == nil {
		return nil, errors.New("proxy: Names, Dial, Log and Now must be set")
	}
	if c.MaxConns <= 0 {
		c.MaxConns = defaultMaxConns
	}
	if c.Idle <= 0 {
		c.Idle = defaultIdle
	}
	if c.Drain <= 0 {
		c.Drain = defaultDrain
	}
	return &Proxy{c: c, served: strings.Join(c.Names.Certificate(), ", ")}, nil
}

// Serve answers on the listener until ctx ends, then waits for open tunnels for
// as long as Drain, cuts the rest, and returns when every connection is closed.
// It closes the listener.
func (p *Proxy) Serve(ctx context.Context, ln net.Listener) error {
	limited := newLimitListener(ln, p.c.MaxConns)
	tunnels, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	srv := &http.Server{
		Handler:           http.HandlerFunc(p.serve),
		BaseContext:       func(net.Listener) context.Context { return tunnels },
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       requestTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(&errorLog{p.c.Log}, "", 0),
	}
	srv.SetKeepAlivesEnabled(false)

	served := make(chan error, 1)
	go func() { served <- srv.Serve(limited) }()
	var err error
	select {
	case err = <-served:
		err = fmt.Errorf("serving the proxy on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
		drain, cancel := context.WithTimeout(tunnels, p.c.Drain)
		defer cancel()
		_ = srv.Shutdown(drain) // what is left is cut below
		<-served
		limited.wait(drain)
	}
	cut()
	_ = srv.Close()
	limited.wait(context.WithoutCancel(ctx))
	return err
}

// serve answers one request: a tunnel, or a sentence that says what is served.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case !loopback(r.RemoteAddr):
		http.Error(w, "This proxy serves its own machine only.", http.StatusForbidden)
	case r.Method != http.MethodConnect:
		w.Header().Set("Allow", http.MethodConnect)
		http.Error(w, "This is Lanyard's proxy. It takes CONNECT only: set HTTPS_PROXY to its address. It serves "+p.served+".",
			http.StatusMethodNotAllowed)
	case !p.serves(r.Host):
		p.c.Log.DebugContext(r.Context(), "refused a tunnel", "host", r.Host)
		http.Error(w, "This proxy serves "+p.served+" only.", http.StatusForbidden)
	default:
		p.connect(w, r)
	}
}

// serves says whether a CONNECT target is one of ours, on the port that our
// URLs have.
func (p *Proxy) serves(target string) bool {
	_, port, err := net.SplitHostPort(target)
	if err != nil {
		return false
	}
	surface, set, _ := p.c.Names.Route(target)
	return surface != names.None && (port == "443" || port == strconv.Itoa(set.Port))
}

func loopback(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}

func (p *Proxy) connect(w http.ResponseWriter, r *http.Request) {
	start := p.c.Now()
	ctx, cancel := context.WithTimeout(r.Context(), dialTimeout)
	defer cancel()
	backend, err := p.c.Dial(ctx)
	if err != nil {
		p.c.Log.WarnContext(r.Context(), "no connection to the server", "error", err)
		http.Error(w, "The server behind this proxy does not answer.", http.StatusBadGateway)
		return
	}
	defer backend.Close()

	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.c.Log.ErrorContext(r.Context(), "cannot take over a connection", "error", err)
		return
	}
	// Closed last: Serve waits for it.
	defer client.Close()
	early := make([]byte, buffered.Reader.Buffered()) // a client may send before it is told to
	_, _ = buffered.Read(early)
	t := &tunnel{client: client, backend: backend, idle: p.c.Idle}
	err = t.run(r.Context(), early)
	p.c.Log.DebugContext(r.Context(), "closed a tunnel", "host", r.Host, "duration", p.c.Now().Sub(start),
		"sent", t.sent.Load(), "received", t.received.Load(), "error", err)
}

// errorLog writes net/http's own complaints to slog.
type errorLog struct{ log *slog.Logger }

// Write implements io.Writer.
func (l *errorLog) Write(b []byte) (int, error) {
	l.log.Warn("proxy complained", "error", string(bytes.TrimSpace(b)))
	return len(b), nil
}
