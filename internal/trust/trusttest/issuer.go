package trusttest

import (
	"crypto"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// The paths that an Issuer serves, as kube-apiserver names them.
const (
	DiscoveryPath = "/.well-known/openid-configuration"
	KeysPath      = "/openid/v1/jwks"
)

// Issuer is an OpenID issuer. It is safe for concurrent use.
type Issuer struct {
	URL string // as in iss; no trailing slash
	CA  []byte // PEM of the certificate that its HTTPS server shows

	t testing.TB

	// guarded by mu
	mu        sync.Mutex
	keys      []key
	counts    Counts
	discovery http.HandlerFunc
	jwks      http.HandlerFunc
}

// Counts says how often each document was asked for.
type Counts struct{ Discovery, Keys int }

type key struct {
	id      string
	alg     string
	private crypto.Signer
}

// New starts an issuer that has one RS256 key; the test's end stops it.
func New(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{t: t}
	server := httptest.NewUnstartedServer(http.HandlerFunc(i.serve))
	// Clients that refuse its certificate are part of many tests.
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	i.URL = server.URL
	i.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	i.AddKey("", "RS256")
	return i
}

// AddKey makes a key for the algorithm, publishes it last and gives its id. An
// empty id becomes the one that kube-apiserver would choose; an id that is
// already published is then there twice.
func (i *Issuer) AddKey(id, alg string) string {
	i.t.Helper()
	private := newKey(i.t, alg)
	if id == "" {
		id = thumbprint(i.t, private.Public())
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys, key{id: id, alg: alg, private: private})
	return id
}

// Withdraw stops publishing every key with this id, and gives a function that
// still signs with it.
func (i *Issuer) Withdraw(id string) (sign func(claims map[string]any) string) {
	i.t.Helper()
	k := i.key(id)
	i.Remove(id)
	return func(claims map[string]any) string {
		i.t.Helper()
		return i.sign(k, i.fill(claims), nil)
	}
}

// Remove stops publishing every key with this id.
func (i *Issuer) Remove(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = slices.DeleteFunc(i.keys, func(k key) bool { return k.id == id })
}

// KeyID is the id of the key that was published first.
func (i *Issuer) KeyID() string {
	i.t.Helper()
	return i.key("").id
}

// PublicKey is the public half of the first key with this id; "" is the first key.
func (i *Issuer) PublicKey(id string) crypto.PublicKey {
	i.t.Helper()
	return i.key(id).private.Public()
}

// JWKS is the key set as published.
func (i *Issuer) JWKS() []byte {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	jwks := make([]map[string]string, 0, len(i.keys))
	for _, k := range i.keys {
		jwks = append(jwks, publicJWK(i.t, k))
	}
	return encode(i.t, map[string]any{"keys": jwks})
}

// Discovery is the discovery document as published.
func (i *Issuer) Discovery() []byte {
	i.t.Helper()
	return encode(i.t, map[string]any{
		"issuer":                                i.URL,
		"jwks_uri":                              i.URL + KeysPath,
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

// HandleDiscovery serves the discovery document with h from now on; nil ends that.
func (i *Issuer) HandleDiscovery(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.discovery = h
}

// HandleKeys serves the key set with h from now on; nil ends that.
func (i *Issuer) HandleKeys(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.jwks = h
}

// Fetches counts the requests so far, misbehaving answers included.
func (i *Issuer) Fetches() Counts {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.counts
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case DiscoveryPath:
		i.answer(w, r, &i.counts.Discovery, &i.discovery, i.Discovery)
	case KeysPath:
		i.answer(w, r, &i.counts.Keys, &i.jwks, i.JWKS)
	default:
		http.NotFound(w, r)
	}
}

func (i *Issuer) answer(w http.ResponseWriter, r *http.Request, count *int, hook *http.HandlerFunc, document func() []byte) {
	i.mu.Lock()
	*count++
	h := *hook
	i.mu.Unlock()
	if h != nil {
		h(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document())
}

// key is the first key with this id; "" is the first key of all.
func (i *Issuer) key(id string) key {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	n := slices.IndexFunc(i.keys, func(k key) bool { return id == "" || k.id == id })
	if n < 0 {
		i.t.Fatalf("issuer has no key %q", id)
	}
	return i.keys[n]
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("encoding: %v", err)
	}
	return b
}
