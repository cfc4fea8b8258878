package httpx_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/surfacetest"
)

// serve runs the product's own server, with its own certificates, until the
// test ends or stop is called.
func serve(t *testing.T, h http.Handler, log *slog.Logger) (addr string, c *http.Client, stop context.CancelFunc, served chan error) {
	t.Helper()
	ca, err := pki.NewCA([]string{"lanyard.test"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certs, err := pki.NewCertificates(pki.Config{CA: ca, Names: []string{"*.vault.lanyard.test"}, Log: log, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	served = make(chan error, 1)
	srv := httpx.Server(httpx.ServerConfig{Handler: h, TLS: certs.TLS(), Log: log})
	go func() { served <- httpx.Serve(ctx, ln, srv) }()

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", ln.Addr().String())
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return ln.Addr().String(), &http.Client{Transport: tr}, stop, served
}

func fetch(c *http.Client, path string, header ...string) (*http.Response, string, error) {
	req, err := http.NewRequest("GET", "https://"+vaultHost+path, nil)
	if err != nil {
		return nil, "", err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func TestServeDrainsAndStops(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	log := slog.New(slog.DiscardHandler)
	e := newEdge(t, httpx.Config{Log: log}, get("GET /slow", "slow", func(w http.ResponseWriter, _ *http.Request) error {
		close(entered)
		<-leave
		return reply("done")(w, nil)
	}))
	_, c, stop, served := serve(t, e, log)
	got := make(chan string, 1)
	go func() {
		resp, body, err := fetch(c, "/slow")
		if err != nil {
			got <- err.Error()
			return
		}
		got <- resp.Proto + " " + body
	}()
	<-entered
	stop()
	close(leave)
	if s := <-got; s != "HTTP/2.0 done" {
		t.Errorf("the request in flight got %q, want HTTP/2.0 done", s)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestServerLimitsHeaders(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	_, c, _, _ := serve(t, newEdge(t, httpx.Config{Log: log}, secretRoutes()...), log)
	if resp, _, err := fetch(c, "/secrets/n", "X-Large", strings.Repeat("x", 128<<10)); err == nil && resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 128 KiB: got %s", resp.Status)
	}
	if resp, body, err := fetch(c, "/secrets/n", "X-Large", strings.Repeat("x", 32<<10)); err != nil || resp.StatusCode != 200 {
		t.Errorf("a header of 32 KiB: got %v %q %v", resp, body, err)
	}
}

func TestServerComplaintsGoToTheLog(t *testing.T) {
	var b surfacetest.Log
	log := slog.New(slog.NewTextHandler(&b, nil))
	addr, _, stop, served := serve(t, newEdge(t, httpx.Config{Log: log}), log)
	if conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: vaultHost}); err == nil {
		conn.Close()
		t.Fatal("a client without our authority trusts us")
	}
	stop()
	<-served
	if s := b.String(); !strings.Contains(s, "level=INFO") || !strings.Contains(s, "TLS handshake error") {
		t.Errorf("log = %q", s)
	}
}

func TestServeReportsADeadListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	log := slog.New(slog.DiscardHandler)
	if err := httpx.Serve(t.Context(), ln, httpx.Server(httpx.ServerConfig{Handler: http.NotFoundHandler(), Log: log})); err == nil {
		t.Error("Serve = nil")
	}
}

var errDial = errors.New("connecting")

// keeper is a client that keeps one connection, and repeats no request by itself.
func keeper(t *testing.T, c *http.Client, addr string, protocol string) *http.Client {
	t.Helper()
	conf := c.Transport.(*http.Transport).TLSClientConfig.Clone()
	conf.ServerName, conf.NextProtos = vaultHost, []string{protocol}
	tr := &http.Transport{
		MaxConnsPerHost: 1, ForceAttemptHTTP2: protocol == "h2",
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", addr)
			if err != nil {
				return nil, errors.Join(errDial, err)
			}
			return conn, nil
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// No request is lost when the server stops under clients that keep their
// connections: they are told before a connection goes.
func TestStopBreaksNoRequest(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	var answered atomic.Int64
	e := newEdge(t, httpx.Config{Log: log}, httpx.Route{
		Pattern: "POST /x", Op: "x", MaxBody: 1 << 10, Timeout: time.Minute,
		Handle: func(w http.ResponseWriter, r *http.Request) error {
			answered.Add(1)
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return err
			}
			return reply("done")(w, r)
		},
	})
	for _, protocol := range []string{"http/1.1", "h2"} {
		for round := range 3 {
			t.Run(fmt.Sprintf("%s-%d", protocol, round), func(t *testing.T) {
				addr, c, stop, served := serve(t, e, log)
				begin := answered.Load()
				var clients sync.WaitGroup
				for range 16 {
					k := keeper(t, c, addr, protocol)
					clients.Go(func() {
						for {
							req, err := http.NewRequest("POST", "https://"+vaultHost+"/x", strings.NewReader("{}"))
							if err != nil {
								t.Error(err)
								return
							}
							if protocol != "h2" {
								req.GetBody = nil // it cannot be sent again
							}
							resp, err := k.Do(req)
							if errors.Is(err, errDial) {
								return // the listener is gone
							}
							if err != nil {
								t.Errorf("a request was lost: %v", err)
								return
							}
							if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
								t.Errorf("an answer was lost: %d, %v", resp.StatusCode, err)
							}
							resp.Body.Close()
						}
					})
				}
				for answered.Load() < begin+2000 {
					runtime.Gosched()
				}
				stop()
				if err := <-served; err != nil {
					t.Error(err)
				}
				clients.Wait()
			})
		}
	}
}

// Without a connection that is kept, a stop waits for nobody.
func TestStopWithoutConnections(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	_, c, stop, served := serve(t, newEdge(t, httpx.Config{Log: log}, get("GET /x", "x", reply("x"))), log)
	if _, _, err := fetch(c, "/x"); err != nil {
		t.Fatal(err)
	}
	c.CloseIdleConnections()
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
