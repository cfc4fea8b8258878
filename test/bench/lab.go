package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/devissuer"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/embedded"
)

// lab is two servers, one for each signature setting, a bare handler and a bare etcd.
type lab struct {
	dir     string
	cleanup []func() error
	issuer  *devissuer.Issuer
	es, rs  *subject
	bare    *bare
	etcd    *store.Client // of an etcd of its own, over its socket
	seq     atomic.Int64
}

// subject is a running server with an identity, a vault and a secret.
type subject struct {
	names  *names.Set
	http   *http.Client
	form   []byte // of a federated token request for the vault
	tenant string
	token  string // for the vault
	admin  string // a token for the vault that may write
}

const (
	vaultName = "kv-bench"
	value     = "LevelUp Lab Secret of forty characters.."
)

func newLab(ctx context.Context) (l *lab, err error) {
	l = &lab{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.dir, err = os.MkdirTemp("", "lanyard-bench-"); err != nil {
		return nil, err
	}
	l.cleanup = append(l.cleanup, func() error { return os.RemoveAll(l.dir) })
	if l.issuer, err = devissuer.Start(); err != nil {
		return nil, err
	}
	l.cleanup = append(l.cleanup, l.issuer.Close)
	if l.es, err = l.startServer(ctx, "es256", false); err != nil {
		return nil, err
	}
	if l.rs, err = l.startServer(ctx, "rs256", true); err != nil {
		return nil, err
	}
	if l.bare, err = startBare(); err != nil {
		return nil, err
	}
	l.cleanup = append(l.cleanup, l.bare.srv.Close)
	return l, l.startEtcd(ctx)
}

// startEtcd runs etcd and dials it as its users do: it, too, is asked over a connection.
func (l *lab) startEtcd(ctx context.Context) error {
	dir := filepath.Join(l.dir, "bare-etcd")
	etcd, err := embedded.Start(ctx, embedded.Config{Dir: dir})
	if err != nil {
		return err
	}
	l.cleanup = append(l.cleanup, etcd.Close)
	endpoint, _, err := embedded.Endpoint(dir)
	if err != nil {
		return err
	}
	l.etcd, err = store.Dial(store.DialConfig{Endpoints: []string{endpoint}})
	if err != nil {
		return err
	}
	l.cleanup = append(l.cleanup, l.etcd.Close)
	return nil
}

func (l *lab) close() {
	for i := len(l.cleanup) - 1; i >= 0; i-- {
		if err := l.cleanup[i](); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
}

func (l *lab) startServer(ctx context.Context, name string, rs256 bool) (*subject, error) {
	dir := filepath.Join(l.dir, name)
	s, err := server.New(ctx, server.Config{
		DataDir: dir, Listen: "127.0.0.1:0", Proxy: "off", Debug: "off", RS256: rs256,
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), // formatted, as in production, then dropped
	})
	if err != nil {
		return nil, err
	}
	runCtx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(runCtx) }()
	l.cleanup = append(l.cleanup, func() error { cancel(); return <-done })
	return l.furnish(ctx, s, server.Dir(dir))
}

func (l *lab) furnish(ctx context.Context, s *server.Server, dir server.Dir) (*subject, error) {
	ca, err := os.ReadFile(dir.CA())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	adm, err := server.ReadAdmin(dir.AdminFile())
	if err != nil {
		return nil, err
	}
	set, listen := s.Names().Own(), s.State().Listen
	c, err := client.New(client.Config{
		Names: set, Roots: roots, Dial: listen, TenantID: adm.TenantID, SubscriptionID: adm.SubscriptionID,
		ClientID: adm.ClientID, ClientSecret: adm.ClientSecret,
	})
	if err != nil {
		return nil, err
	}
	group := "/subscriptions/" + adm.SubscriptionID + "/resourceGroups/bench"
	var id struct {
		Properties struct{ ClientID, PrincipalID string }
	}
	identity := group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/bench"
	vault := group + "/providers/Microsoft.KeyVault/vaults/" + vaultName
	location := map[string]any{"location": "local"}
	for _, put := range []struct {
		path, version string
		body          func() any
		answer        any
	}{
		{group, "2021-04-01", func() any { return location }, nil},
		{identity, "2023-01-31", func() any { return location }, &id},
		{vault, "2023-07-01", func() any {
			return map[string]any{"location": "local", "properties": map[string]any{
				"tenantId": adm.TenantID, "sku": map[string]string{"family": "A", "name": "standard"}, "enableRbacAuthorization": false,
				"accessPolicies": []any{policy(adm.TenantID, adm.PrincipalID, "all"), policy(adm.TenantID, id.Properties.PrincipalID, "get")},
			}}
		}, nil},
		{"/providers/Lanyard.Trust" + model.IssuerKey(l.issuer.URL), "2026-11-01", func() any {
			return map[string]any{"properties": map[string]any{"url": l.issuer.URL, "roots": string(l.issuer.CA)}}
		}, nil},
		{identity + "/federatedIdentityCredentials/bench", "2023-01-31", func() any {
			return map[string]any{"properties": map[string]any{
				"issuer": l.issuer.URL, "subject": "system:serviceaccount:default:bench", "audiences": []string{"api://AzureADTokenExchange"},
			}}
		}, nil},
	} {
		if err := c.ARM(ctx, "PUT", put.path, put.version, put.body(), put.answer); err != nil {
			return nil, err
		}
	}
	secrets, err := c.Secrets(vaultName)
	if err != nil {
		return nil, err
	}
	v := value
	if _, err := secrets.SetSecret(ctx, "read", azsecrets.SetSecretParameters{Value: &v}, nil); err != nil {
		return nil, err
	}
	sub := &subject{names: set, tenant: adm.TenantID, http: httpClient(roots, listen)}
	if sub.admin, err = c.Token(ctx, set.VaultResource()); err != nil {
		return nil, err
	}
	assertion, err := l.issuer.Token("default", "bench", "api://AzureADTokenExchange", time.Now())
	if err != nil {
		return nil, err
	}
	sub.form = []byte(url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id.Properties.ClientID},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion}, "scope": {set.VaultResource() + "/.default"}, "client_info": {"1"},
	}.Encode())
	sub.token, err = sub.exchange(ctx)
	return sub, err
}

func policy(tenant, object string, secrets ...string) map[string]any {
	return map[string]any{"tenantId": tenant, "objectId": object, "permissions": map[string]any{"secrets": secrets}}
}

// httpClient keeps one HTTP/1.1 connection for each worker, as most SDKs do.
func httpClient(roots *x509.CertPool, listen string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 1024,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, listen)
		},
	}}
}

func do(c *http.Client, req *http.Request) ([]byte, error) {
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", res.StatusCode, b)
	}
	return b, err
}

func (s *subject) exchange(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", s.names.LoginURL()+"/"+s.tenant+"/oauth2/v2.0/token", bytes.NewReader(s.form))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b, err := do(s.http, req)
	if err != nil {
		return "", err
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return "", err
	}
	return answer.AccessToken, nil
}

func (s *subject) secret(ctx context.Context, method, name, token string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.names.VaultURL(vaultName)+"/secrets/"+name+"?api-version=7.4", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	return do(s.http, req)
}

func (l *lab) pairs() []pair {
	ctx := context.Background()
	if err := l.bare.copyAnswer(ctx, l.es); err != nil {
		panic(err) // newLab has stored it
	}
	set := []byte(`{"value":"` + value + `"}`)
	exchange := func(s *subject) op {
		return func(ctx context.Context, _ int) error { _, err := s.exchange(ctx); return err }
	}
	post := func(path string, form []byte, size int) op {
		return func(ctx context.Context, _ int) error { return l.bare.post(ctx, path, form, size) }
	}
	return []pair{
		{"exchange, RS256 in, ES256 out", "bare POST: RSA verify, P-256 sign", 0.7,
			exchange(l.es), post("/es", l.es.form, len(l.es.token))},
		{"exchange, RS256 in, RS256 out", "bare POST: RSA verify, RSA sign", 0.85,
			exchange(l.rs), post("/rs", l.rs.form, len(l.rs.token))},
		{"secret read", "bare GET of the same size", 0.6,
			func(ctx context.Context, _ int) error {
				_, err := l.es.secret(ctx, "GET", "read/", l.es.token, nil)
				return err
			},
			func(ctx context.Context, _ int) error { return l.bare.get(ctx, l.es.token) }},
		{"secret write, durable", "raw etcd put, durable", 0.5,
			func(ctx context.Context, w int) error {
				_, err := l.es.secret(ctx, "PUT", fmt.Sprintf("write-%d-%d", w, l.seq.Add(1)%50), l.es.admin, set)
				return err
			},
			func(ctx context.Context, _ int) error {
				_, err := l.etcd.Put(ctx, fmt.Sprintf("bench/%d", l.seq.Add(1)), value)
				return err
			}},
	}
}

// bare is an HTTPS server that does the crypto of an exchange and nothing else.
type bare struct {
	srv       *http.Server
	http      *http.Client
	url       string
	getAnswer []byte
	getHeader http.Header
}

// copyAnswer makes GET /get answer as a vault does, headers included: the same
// bytes travel, and only what the vault does for them differs.
func (b *bare) copyAnswer(ctx context.Context, s *subject) error {
	req, err := http.NewRequestWithContext(ctx, "GET", s.names.VaultURL(vaultName)+"/secrets/read/?api-version=7.4", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	res, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b.getHeader = res.Header
	b.getAnswer, err = io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", res.StatusCode, b.getAnswer)
	}
	return err
}

func startBare() (*bare, error) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte("assertion"))
	signature, err := rsa.SignPKCS1v15(nil, rsaKey, crypto.SHA256, digest[:])
	if err != nil {
		return nil, err
	}
	b := &bare{}
	handler := func(sign func() error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				err = rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, digest[:], signature)
			}
			if err == nil {
				err = sign()
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			var size int
			fmt.Sscan(r.Header.Get("X-Size"), &size)
			w.Write(body[:min(size+120, len(body))]) // as long as the real answer
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /es", handler(func() error { _, err := ecdsa.SignASN1(rand.Reader, ecKey, digest[:]); return err }))
	mux.HandleFunc("POST /rs", handler(func() error { _, err := rsa.SignPKCS1v15(nil, rsaKey, crypto.SHA256, digest[:]); return err }))
	mux.HandleFunc("GET /get", func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), b.getHeader)
		w.Write(b.getAnswer)
	})
	return b, b.listen(mux)
}

func (b *bare) post(ctx context.Context, path string, form []byte, size int) error {
	req, err := http.NewRequestWithContext(ctx, "POST", b.url+path, bytes.NewReader(form))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Size", fmt.Sprint(size))
	_, err = do(b.http, req)
	return err
}

func (b *bare) get(ctx context.Context, token string) error {
	req, err := http.NewRequestWithContext(ctx, "GET", b.url+"/get", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	got, err := do(b.http, req)
	if err == nil && len(got) != len(b.getAnswer) {
		err = errors.New("short answer")
	}
	return err
}
