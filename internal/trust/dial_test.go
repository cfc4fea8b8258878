package trust_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

// elsewhere is a server at another loopback address that counts connections.
func elsewhere(t *testing.T) (base string, connections *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("this system has one loopback address: %v", err)
	}
	connections = new(atomic.Int64)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Listener.Close()
	server.Listener = listener
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, connections
}

func steer(issuer *trusttest.Issuer, keys string) {
	issuer.HandleDiscovery(answer(fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, issuer.URL, keys)))
}

func TestPublicIssuerCannotSteerToPrivateAddress(t *testing.T) {
	issuer := trusttest.New(t)
	inside, connections := elsewhere(t)
	steer(issuer, inside+"/keys")
	token := issuer.Sign(claims(nil), trusttest.Options{})

	b := newBench(t, issuer, trust.Config{})
	b.SetScope(func(a netip.Addr) string {
		return map[string]string{"127.0.0.1": "public", "127.0.0.2": "private"}[a.String()]
	})
	b.want(token, trust.Unreachable)
	wantOutcome(t, b, "address")
	if got := connections.Load(); got != 0 {
		t.Errorf("%d connections to the private address, want none", got)
	}

	// The same document of an issuer that is private itself is followed.
	b = newBench(t, issuer, trust.Config{})
	b.want(token, trust.Unreachable)
	if got := connections.Load(); got != 1 {
		t.Errorf("%d connections from the on-premises issuer's document, want 1", got)
	}
}

func TestPrivateIssuerMayKeepKeysElsewhere(t *testing.T) {
	issuer, other := trusttest.New(t), trusttest.New(t)
	steer(issuer, other.URL+trusttest.KeysPath)
	other.HandleKeys(answer(string(issuer.JWKS())))
	b := newBench(t, issuer, trust.Config{})
	b.want(issuer.Sign(claims(nil), trusttest.Options{}), "")
}

func TestAddressThatTurnsPrivateIsRefused(t *testing.T) {
	issuer := trusttest.New(t)
	issuer.HandleDiscovery(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = w.Write(issuer.Discovery())
	})
	b := newBench(t, issuer, trust.Config{})
	var asked atomic.Int64
	var mu sync.Mutex
	b.SetScope(func(netip.Addr) string {
		mu.Lock()
		defer mu.Unlock()
		if issuer.Fetches().Discovery == 0 {
			asked.Add(1)
			return "public"
		}
		return "private"
	})
	b.want(issuer.Sign(claims(nil), trusttest.Options{}), trust.Unreachable)
	wantOutcome(t, b, "address")
	if got := issuer.Fetches(); got != (trusttest.Counts{Discovery: 1}) || asked.Load() == 0 {
		t.Errorf("fetches = %+v, want discovery alone", got)
	}
}

func TestForbiddenIssuerAddress(t *testing.T) {
	issuer := trusttest.New(t)
	for _, iss := range []string{"https://169.254.169.254", "https://0.0.0.0", "https://224.0.0.1", "https://[::ffff:169.254.169.254]"} {
		b := newBench(t, issuer, trust.Config{})
		token := issuer.Sign(claims(map[string]any{"iss": iss}), trusttest.Options{})
		wantReason(t, b.verifyFrom(token, trust.Source{Issuer: iss}), trust.Unreachable)
		wantOutcome(t, b, "address")
	}
}

// tunnel is an HTTP proxy that connects every target to the issuer.
func tunnel(t *testing.T, issuer string) (proxy *url.URL, targets func() []string) {
	t.Helper()
	var mu sync.Mutex
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Method+" "+r.Host)
		mu.Unlock()
		upstream, err := new(net.Dialer).DialContext(r.Context(), "tcp", strings.TrimPrefix(issuer, "https://"))
		if err != nil {
			http.Error(w, "", http.StatusBadGateway)
			return
		}
		defer upstream.Close()
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer client.Close()
		_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(upstream, client) }()
		_, _ = io.Copy(client, upstream)
	}))
	t.Cleanup(server.Close)
	proxy, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return proxy, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

func TestProxy(t *testing.T) {
	issuer := trusttest.New(t)
	proxy, targets := tunnel(t, issuer.URL)
	issuer.URL = "https://example.com" // a name in the server's certificate
	token := issuer.Sign(claims(nil), trusttest.Options{})

	b := newBench(t, issuer, trust.Config{Proxy: http.ProxyURL(proxy)})
	b.want(token, "")
	if got := fmt.Sprint(targets()); got != "[CONNECT example.com:443]" {
		t.Errorf("the proxy saw %s, want one tunnel", got)
	}

	for _, inside := range []string{"https://169.254.169.254/keys", "https://10.0.0.1/keys", "https://127.0.0.1/keys"} {
		steer(issuer, inside)
		b := newBench(t, issuer, trust.Config{Proxy: http.ProxyURL(proxy)})
		before := len(targets())
		b.want(token, trust.Unreachable)
		wantOutcome(t, b, "address")
		if got := targets()[before:]; len(got) != 1 {
			t.Errorf("the proxy saw %v, want discovery alone", got)
		}
	}
}
