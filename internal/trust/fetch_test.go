package trust_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

func answer(document string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(document)) }
}

// endless writes until nobody reads.
func endless(w http.ResponseWriter, _ *http.Request) {
	spaces := bytes.Repeat([]byte(" "), 32<<10)
	for {
		if _, err := w.Write(spaces); err != nil {
			return
		}
	}
}

// drip sends a byte now and then, so that no single read takes long.
func drip(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		_, _ = w.Write([]byte(" "))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 64<<20))
	_ = z.Close()
}

func TestMisbehavingIssuers(t *testing.T) {
	issuer := trusttest.New(t)
	token := issuer.Sign(claims(nil), trusttest.Options{})
	discovery := func(name, keys string) string { return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, name, keys) }
	keysURL := issuer.URL + trusttest.KeysPath
	manyKeys := `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"kty":"RSA"},`, 10_000), ",") + `]}`
	tests := []struct {
		name            string
		discovery, keys http.HandlerFunc
		outcome         string
		detail          string
	}{
		{"discovery-other-issuer", answer(discovery("https://other.example", keysURL)), nil, "mismatch", "names another issuer"},
		{"discovery-issuer-with-slash", answer(discovery(issuer.URL+"/", keysURL)), nil, "mismatch", "names another issuer"},
		{"discovery-without-issuer", answer(`{"jwks_uri":"https://a.example"}`), nil, "mismatch", "names another issuer"},
		{"discovery-issuer-array", answer(fmt.Sprintf(`{"issuer":[%q]}`, issuer.URL)), nil, "invalid", "not a valid discovery document"},
		{"discovery-twins", answer(fmt.Sprintf(`{"issuer":"x","issuer":%q,"jwks_uri":%q}`, issuer.URL, keysURL)), nil, "invalid", "not a valid"},
		{"discovery-html", answer("<html>"), nil, "invalid", "not a valid"},
		{"discovery-404", http.NotFound, nil, "status", "status 200"},
		{"discovery-endless", endless, nil, "too_large", "too large"},
		{"discovery-slow", drip, nil, "timeout", "did not answer in time"},
		{"discovery-gzip-bomb", bomb, nil, "invalid", "not a valid"},
		{"keys-at-http", answer(discovery(issuer.URL, strings.Replace(keysURL, "https", "http", 1))), nil, "invalid", "not a valid"},
		{"keys-at-file", answer(discovery(issuer.URL, "file:///etc/passwd")), nil, "invalid", "not a valid"},
		{"keys-with-user", answer(discovery(issuer.URL, strings.Replace(keysURL, "//", "//user:pw@", 1))), nil, "invalid", "not a valid"},
		{"keys-nowhere", answer(discovery(issuer.URL, "")), nil, "invalid", "not a valid"},
		{"keys-at-metadata-service", answer(discovery(issuer.URL, "https://169.254.169.254/keys")), nil, "address", "not allowed"},
		{"keys-10-MB", nil, answer(`{"keys":[],"x":"` + strings.Repeat("x", 10<<20) + `"}`), "too_large", "too large"},
		{"keys-10000", nil, answer(manyKeys), "invalid", "too many keys"},
		{"keys-endless", nil, endless, "too_large", "too large"},
		{"keys-slow", nil, drip, "timeout", "did not answer in time"},
		{"keys-gzip-bomb", nil, bomb, "invalid", "not a valid"},
		{"keys-null", nil, answer(`null`), "invalid", "not a valid"},
		{"keys-missing", nil, answer(`{}`), "invalid", "not a valid"},
		{"keys-not-objects", nil, answer(`{"keys":["x"]}`), "invalid", "not a valid"},
		{"keys-cut-off", nil, answer(string(issuer.JWKS()[:100])), "invalid", "not a valid"},
		{"keys-redirect-loop", nil, http.RedirectHandler(trusttest.KeysPath, http.StatusFound).ServeHTTP, "redirect", "redirects"},
		{"keys-redirect-to-http", nil, http.RedirectHandler(strings.Replace(keysURL, "https", "http", 1), http.StatusFound).ServeHTTP, "redirect", "redirects"},
		{"keys-redirect-to-metadata-service", nil, http.RedirectHandler("https://169.254.169.254/keys", http.StatusFound).ServeHTTP, "redirect", "redirects"},
		{"long-headers", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		}, nil, "network", "connection failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			issuer.HandleDiscovery(tt.discovery)
			issuer.HandleKeys(tt.keys)
			timeout := 5 * time.Second
			if tt.outcome == "timeout" {
				timeout = 100 * time.Millisecond
			}
			b := newBench(t, issuer, trust.Config{Timeout: timeout, MaxDocument: 300_000})
			before := issuer.Fetches()
			err := b.verify(token)
			wantReason(t, err, trust.Unreachable)
			if err == nil || !strings.Contains(err.Error(), tt.detail) {
				t.Errorf("error %v does not contain %q", err, tt.detail)
			}
			wantOutcome(t, b, tt.outcome)
			b.want(token, trust.Unreachable)
			wantFetches(t, issuer, before, 1)
		})
	}
}

func wantOutcome(t *testing.T, b *bench, outcome string) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(b.Collectors()...)
	want := fmt.Sprintf("# HELP lanyard_trust_fetches_total Fetches of a foreign issuer's keys, by outcome.\n"+
		"# TYPE lanyard_trust_fetches_total counter\nlanyard_trust_fetches_total{outcome=%q} 1\n", outcome)
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "lanyard_trust_fetches_total"); err != nil {
		t.Error(err)
	}
}

func TestRedirectsWithinTheHostAreFollowed(t *testing.T) {
	issuer := trusttest.New(t)
	issuer.HandleKeys(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "" {
			http.Redirect(w, r, trusttest.KeysPath+"?again", http.StatusFound)
			return
		}
		_, _ = w.Write(issuer.JWKS())
	})
	b := newBench(t, issuer, trust.Config{})
	b.want(issuer.Sign(claims(nil), trusttest.Options{}), "")
}

func TestRedirectElsewhereIsNotFollowed(t *testing.T) {
	issuer, other := trusttest.New(t), trusttest.New(t)
	issuer.HandleKeys(http.RedirectHandler(other.URL+trusttest.KeysPath, http.StatusFound).ServeHTTP)
	b := newBench(t, issuer, trust.Config{})
	b.want(issuer.Sign(claims(nil), trusttest.Options{}), trust.Unreachable)
	if got := other.Fetches(); got != (trusttest.Counts{}) {
		t.Errorf("the redirect's target saw %+v, want nothing", got)
	}
}

func TestIssuerWithTrailingSlash(t *testing.T) {
	issuer := trusttest.New(t)
	issuer.URL += "/"
	issuer.HandleDiscovery(answer(fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, issuer.URL, issuer.URL+trusttest.KeysPath[1:])))
	b := newBench(t, issuer, trust.Config{})
	b.want(issuer.Sign(claims(nil), trusttest.Options{}), "")
	b.want(issuer.Sign(claims(map[string]any{"iss": strings.TrimSuffix(issuer.URL, "/")}), trusttest.Options{}), trust.Issuer)
}

func TestUnfitIssuersAreNotFetched(t *testing.T) {
	var requests atomic.Int64
	transport := roundTripper(func(*http.Request) (*http.Response, error) {
		requests.Add(1)
		return nil, fmt.Errorf("no network here")
	})
	issuer := trusttest.New(t)
	for _, iss := range []string{
		"http://issuer.example", "HTTP://issuer.example", "issuer.example", "file:///etc", "https://", "https:///path", "https:issuer.example",
		"https://user@issuer.example", "https://issuer.example?q", "https://issuer.example/?", "https://issuer.example/#f", "https://[::1", "https://a b", "https://\x00",
	} {
		b := newBench(t, issuer, trust.Config{Transport: transport})
		token := issuer.Sign(claims(map[string]any{"iss": iss}), trusttest.Options{})
		wantReason(t, b.verifyFrom(token, trust.Source{Issuer: iss}), trust.Unreachable)
	}
	if got := requests.Load(); got != 0 {
		t.Errorf("%d requests were sent, want none", got)
	}
}

func TestUnreachableSaysHow(t *testing.T) {
	issuer := trusttest.New(t)
	gone := httptest.NewTLSServer(nil)
	gone.Close()
	token := func(iss string) string {
		return issuer.Sign(claims(map[string]any{"iss": iss}), trusttest.Options{})
	}
	for name, tt := range map[string]struct {
		src    trust.Source
		detail string
	}{
		"certificate-not-trusted": {trust.Source{Issuer: issuer.URL}, "register the issuer's CA, or upload its keys"},
		"certificate-other-name":  {trust.Source{Issuer: strings.Replace(issuer.URL, "127.0.0.1", "127.0.0.2", 1), Roots: issuer.CA}, "connection failed"},
		"roots-not-pem":           {trust.Source{Issuer: issuer.URL, Roots: []byte("x")}, "register the issuer's CA"},
		"connection-refused":      {trust.Source{Issuer: gone.URL}, "connection failed"},
		"no-such-host":            {trust.Source{Issuer: "https://lanyard.invalid"}, "lanyard.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, issuer, trust.Config{})
			err := b.verifyFrom(token(tt.src.Issuer), tt.src)
			wantReason(t, err, trust.Unreachable)
			if err == nil || !strings.Contains(err.Error(), tt.detail) {
				t.Errorf("error %v does not contain %q", err, tt.detail)
			}
		})
	}
}
