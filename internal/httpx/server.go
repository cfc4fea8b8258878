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
	// writeTimeout bounds answers that net/http gives by itself (a bad header);
	// routes set their own, shorter or longer.
	writeTimeout = time.Minute
)

// Server makes the HTTP server of a listener, with limits on all that comes
// before a route is known. HTTP/2 is on where TLS is.
func Server(c ServerConfig) *http.Server {
	return &http.Server{
		Handler:           c.Handler,
		TLSConfig:         c.TLS,
		ReadHeaderTimeout: readHeaderTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(&errorLog{c.Log}, "", 0),
	}
}

// Serve answers on the listener until ctx ends, then lets requests in flight
// finish for up to ten seconds. It closes the listener.
func Serve(ctx context.Context, ln net.Listener, srv *http.Server) error {
	done := make(chan error, 1)
	go func() {
		if srv.TLSConfig != nil {
			done <- srv.ServeTLS(ln, "", "")
		} else {
			done <- srv.Serve(ln)
		}
	}()
	select {
	case err := <-done:
		return fmt.Errorf("serving %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := srv.Shutdown(drain)
	if err != nil {
		err = fmt.Errorf("draining %s: %w", ln.Addr(), errors.Join(err, srv.Close()))
	}
	<-done
	return err
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
