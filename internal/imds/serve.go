package imds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/httpx"
)

// ListenLoopback listens on both loopback addresses: a redirected connection
// comes to the one of its own family. A machine may have no IPv6.
func ListenLoopback(ctx context.Context, port int) ([]net.Listener, error) {
	var lc net.ListenConfig
	four, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("%w: choose another with --proxy-port", err)
	}
	port = four.Addr().(*net.TCPAddr).Port
	six, err := lc.Listen(ctx, "tcp", net.JoinHostPort("::1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		return []net.Listener{four}, nil
	}
	if err != nil {
		return nil, errors.Join(err, four.Close())
	}
	return []net.Listener{four, six}, nil
}

// Serve serves one handler on every listener until ctx ends.
func Serve(ctx context.Context, listeners []net.Listener, handler http.Handler, log *slog.Logger) error {
	work, ctx := errgroup.WithContext(ctx)
	for _, ln := range listeners {
		work.Go(func() error {
			return httpx.Serve(ctx, ln, httpx.Server(httpx.ServerConfig{Handler: handler, Log: log}))
		})
	}
	return work.Wait()
}
