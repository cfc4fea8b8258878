package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/proxy"
)

const loginHost = "login.lanyard.test"

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func dialer(addr string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
}

// running is a proxy that serves.
type running struct {
	addr string
	stop context.CancelFunc
	done chan error
}

// start runs a proxy in front of a backend until the test ends.
func start(t testing.TB, c proxy.Config, ln net.Listener) *running {
	t.Helper()
	n, err := names.New(names.Config{Address: "lanyard.test:8443", Azure: true})
	if err != nil {
		t.Fatal(err)
	}
	c.Names, c.Log, c.Now = n, slog.New(slog.DiscardHandler), time.Now
	p, err := proxy.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := &running{addr: ln.Addr().String(), stop: stop, done: make(chan error, 1)}
	go func() { r.done <- p.Serve(ctx, ln); close(r.done) }()
	t.Cleanup(func() {
		stop()
		if err := <-r.done; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	return r
}

// backend is a TLS server with our names; it answers with the host it was asked for.
func backend(t testing.TB) (addr string, roots *x509.CertPool) {
	t.Helper()
	ca, err := pki.NewCA([]string{"lanyard.test", "vault.azure.net"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certs, err := pki.NewCertificates(pki.Config{
		CA: ca, Names: []string{loginHost, "*.vault.lanyard.test", "*.vault.azure.net"}, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Host, body)
	}))
	srv.TLS, srv.EnableHTTP2 = certs.TLS(), true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	return srv.Listener.Addr().String(), roots
}

func client(t testing.TB, proxyAddr string, roots *x509.CertPool) *http.Client {
	t.Helper()
	tr := &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: proxyAddr}),
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestClientsReachOurNames(t *testing.T) {
	addr, roots := backend(t)
	p := start(t, proxy.Config{Dial: dialer(addr)}, listen(t))
	c := client(t, p.addr, roots)
	for _, host := range []string{loginHost, loginHost + ":8443", "kv1.vault.lanyard.test", "kv1.vault.azure.net"} {
		big := strings.Repeat("x", 1<<20)
		resp, err := c.Post("https://"+host+"/", "text/plain", strings.NewReader(big))
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := host + " " + big; err != nil || string(b) != want {
			t.Errorf("%s: got %d bytes, error %v; want %d", host, len(b), err, len(want))
		}
	}
}

// ask sends one raw request to the proxy.
func ask(t *testing.T, addr, request string) (*http.Response, string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp, string(b)
}

func TestEverythingElseIsRefused(t *testing.T) {
	p := start(t, proxy.Config{Dial: func(context.Context) (net.Conn, error) {
		t.Error("the proxy dialled")
		return nil, errors.New("no")
	}}, listen(t))
	for _, c := range []struct {
		request string
		status  int
	}{
		{"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n", 403},
		{"CONNECT example.org:443 HTTP/1.1\r\nHost: login.lanyard.test:443\r\n\r\n", 403},
		{"CONNECT login.lanyard.test:22 HTTP/1.1\r\nHost: x\r\n\r\n", 403},
		{"CONNECT login.lanyard.test:0443 HTTP/1.1\r\nHost: x\r\n\r\n", 403},
		{"CONNECT kv1.vault.azure.net:8443 HTTP/1.1\r\nHost: x\r\n\r\n", 403},
		{"CONNECT login.lanyard.test HTTP/1.1\r\nHost: x\r\n\r\n", 403},
		{"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n", 403},
		{"CONNECT vault.lanyard.test:443 HTTP/1.1\r\nHost: x\r\n\r\n", 403},
		{"GET http://login.lanyard.test/ HTTP/1.1\r\nHost: login.lanyard.test\r\n\r\n", 405},
		{"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405},
		{"CONNECT login.lanyard.test:443 HTTP/1.1\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 431},
		{"nonsense\r\n\r\n", 400},
	} {
		resp, body := ask(t, p.addr, c.request)
		if resp.StatusCode != c.status {
			t.Errorf("%.60q: got %s, want %d", c.request, resp.Status, c.status)
		}
		if c.status == 403 || c.status == 405 {
			if strings.Count(body, "\n") != 1 || !strings.Contains(body, "*.vault.lanyard.test") {
				t.Errorf("%.60q: body %q does not name the hosts in one line", c.request, body)
			}
		}
		if c.status == 405 && resp.Header.Get("Allow") != "CONNECT" {
			t.Errorf("%.60q: Allow = %q", c.request, resp.Header.Get("Allow"))
		}
	}
}

// elsewhere is a listener whose peers come from another machine.
type elsewhere struct{ net.Listener }

func (l elsewhere) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return remoteConn{c}, err
}

type remoteConn struct{ net.Conn }

func (remoteConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
}

func TestPeersFromElsewhereAreRefused(t *testing.T) {
	addr, _ := backend(t)
	p := start(t, proxy.Config{Dial: dialer(addr)}, elsewhere{listen(t)})
	if resp, _ := ask(t, p.addr, connect); resp.StatusCode != 403 {
		t.Errorf("got %s, want 403", resp.Status)
	}
}

const connect = "CONNECT login.lanyard.test:443 HTTP/1.1\r\nHost: login.lanyard.test:443\r\n\r\n"

func TestServerThatDoesNotAnswer(t *testing.T) {
	ln := listen(t)
	ln.Close()
	p := start(t, proxy.Config{Dial: dialer(ln.Addr().String())}, listen(t))
	if resp, _ := ask(t, p.addr, connect); resp.StatusCode != 502 {
		t.Errorf("got %s, want 502", resp.Status)
	}
}

// open makes a tunnel to a plain TCP backend, which it gives too.
func open(t *testing.T, p *running, ln net.Listener, early string) (near, far *net.TCPConn) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, connect+early); err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	const want = "HTTP/1.1 200 Connection established\r\n\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v", got, err)
	}
	return c.(*net.TCPConn), b.(*net.TCPConn)
}

func TestHalvesCloseByThemselves(t *testing.T) {
	ln := listen(t)
	defer ln.Close()
	p := start(t, proxy.Config{Dial: dialer(ln.Addr().String())}, listen(t))
	near, far := open(t, p, ln, "early ")
	_, _ = io.WriteString(near, "question")
	if err := near.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(far); err != nil || string(b) != "early question" {
		t.Errorf("the server read %q, %v", b, err)
	}
	_, _ = io.WriteString(far, "answer")
	far.Close()
	if b, err := io.ReadAll(near); err != nil || string(b) != "answer" {
		t.Errorf("the client read %q, %v", b, err)
	}
}

func TestIdleTunnelEnds(t *testing.T) {
	ln := listen(t)
	defer ln.Close()
	p := start(t, proxy.Config{Dial: dialer(ln.Addr().String()), Idle: 200 * time.Millisecond}, listen(t))
	near, far := open(t, p, ln, "")
	for _, c := range []net.Conn{near, far} {
		if b, _ := io.ReadAll(c); len(b) > 0 {
			t.Errorf("read %q", b)
		}
	}
}

func TestMoreConnectionsThanTheLimit(t *testing.T) {
	ln := listen(t)
	defer ln.Close()
	p := start(t, proxy.Config{Dial: dialer(ln.Addr().String()), MaxConns: 1}, listen(t))
	near, far := open(t, p, ln, "")
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 {
		t.Errorf("got %s, want 503", resp.Status)
	}
	_, _ = io.WriteString(near, "still there")
	_ = near.CloseWrite()
	if b, _ := io.ReadAll(far); string(b) != "still there" {
		t.Errorf("the first tunnel carried %q", b)
	}
}

func TestServeCutsWhatDoesNotEnd(t *testing.T) {
	before := runtime.NumGoroutine()
	ln := listen(t)
	defer ln.Close()
	p := start(t, proxy.Config{Dial: dialer(ln.Addr().String()), Drain: 20 * time.Millisecond}, listen(t))
	near, _ := open(t, p, ln, "")
	silent, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	p.stop()
	if err := <-p.done; err != nil {
		t.Errorf("Serve = %v", err)
	}
	if _, err := io.ReadAll(near); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the tunnel's end: %v", err)
	}
	if after := runtime.NumGoroutine(); after > before+1 { // one may be returning from its last line
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after\n%s", before, after, buf[:runtime.Stack(buf, true)])
	}
}

func TestServeLetsTunnelsFinish(t *testing.T) {
	ln := listen(t)
	defer ln.Close()
	p := start(t, proxy.Config{Dial: dialer(ln.Addr().String()), Drain: time.Minute}, listen(t))
	near, far := open(t, p, ln, "")
	p.stop()
	_, _ = io.WriteString(far, "the rest")
	far.Close()
	b, err := io.ReadAll(near)
	if err != nil || string(b) != "the rest" {
		t.Errorf("read %q, %v", b, err)
	}
	near.Close()
	if err := <-p.done; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestManyTunnelsAtOnce(t *testing.T) {
	addr, roots := backend(t)
	p := start(t, proxy.Config{Dial: dialer(addr)}, listen(t))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			c := client(t, p.addr, roots)
			resp, err := c.Get("https://" + loginHost + "/")
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			c.CloseIdleConnections()
		})
	}
	wg.Wait()
}
