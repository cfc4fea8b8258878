package httpx

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// ServerConfig for Server.
type ServerConfig struct {
	Handler http.Handler
	TLS     *tls.Config // with a certificate; nil serves plain HTTP
	Log     *slog.Logger
}

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	drainTimeout      = 10 * time.Second
	// linger is the time for clients that keep a connection: they are answered, and told
	// that it ends, before it is closed.
	linger, lingerLook = 500 * time.Millisecond, 5 * time.Millisecond
	// lastCallTime is the time for connections that wait when the listener closes.
	lastCallTime = 5 * time.Millisecond
	// writeTimeout bounds answers that net/http gives by itself (a bad header);
	// routes set their own, shorter or longer.
	writeTimeout = time.Minute
)

// Server makes the HTTP server of a listener, with limits on all that comes
// before a route is known. HTTP/2 is on where TLS is.
func Server(c ServerConfig) *http.Server {
	d := &departure{next: c.Handler}
	return &http.Server{
		Handler:           d,
		ConnState:         d.count,
		TLSConfig:         c.TLS,
		ReadHeaderTimeout: readHeaderTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(&errorLog{c.Log}, "", 0),
	}
}

// departure lets clients go that keep connections. Once net/http's Shutdown has begun,
// idle connections are closed, and a request that is read then is dropped; a client
// that was told with its last answer sends none.
type departure struct {
	next    http.Handler
	leaving atomic.Bool
	open    atomic.Int64 // connections
}

// ServeHTTP implements http.Handler.
func (d *departure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.leaving.Load() {
		w.Header().Set("Connection", "close") // with HTTP/2 a GOAWAY
	}
	d.next.ServeHTTP(w, r)
}

func (d *departure) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		d.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		d.open.Add(-1)
	}
}

// wait returns when no connection is open, or after linger. New ones are not taken
// any more.
func (d *departure) wait() {
	d.leaving.Store(true)
	end := time.After(linger)
	look := time.NewTicker(lingerLook)
	defer look.Stop()
	for d.open.Load() > 0 {
		select {
		case <-end:
			return
		case <-look.C:
		}
	}
}

// lastCall is a listener that takes the waiting connections before it closes: the
// kernel would reset them, and drop the requests in them.
type lastCall struct {
	net.Listener
	closing atomic.Bool
}

// Accept implements net.Listener.
func (l *lastCall) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil && l.closing.Load() {
		l.Listener.Close()
		return nil, net.ErrClosed
	}
	return c, err
}

func (l *lastCall) close() {
	l.closing.Store(true)
	d, ok := l.Listener.(interface{ SetDeadline(time.Time) error })
	if !ok || d.SetDeadline(time.Now().Add(lastCallTime)) != nil {
		l.Listener.Close()
	}
}

// Serve answers on the listener until ctx ends, and closes it. It then answers on for
// as long as clients keep connections, half a second at most, and lets requests in
// flight finish for up to ten seconds.
func Serve(ctx context.Context, ln net.Listener, srv *http.Server) error {
	done := make(chan error, 1)
	taking := &lastCall{Listener: ln}
	go func() {
		if srv.TLSConfig != nil {
			done <- srv.ServeTLS(taking, "", "")
		} else {
			done <- srv.Serve(taking)
		}
	}()
	select {
	case err := <-done:
		return fmt.Errorf("serving %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	taking.close()
	<-done // every connection that was taken counts now
	if d, ok := srv.Handler.(*departure); ok {
		d.wait()
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("draining %s: %w", ln.Addr(), errors.Join(err, srv.Close()))
	}
	return nil
}

// errorLog writes net/http's own complaints to slog.
type errorLog struct{ log *slog.Logger }

// Write implements io.Writer.
func (l *errorLog) Write(b []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.Contains(b, []byte("TLS handshake error")) {
		level = slog.LevelInfo // a peer's fault, or a port scan
	}
	l.log.Log(context.Background(), level, "http server complained", "error", string(bytes.TrimSpace(b)))
	return len(b), nil
}
