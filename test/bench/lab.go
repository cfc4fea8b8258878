package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/devissuer"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/manage/asadmin"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/embedded"
	"github.com/lanyard-io/lanyard/internal/textfile"
	"github.com/lanyard-io/lanyard/internal/wi"
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
	names  *names.Hosts
	http   *http.Client
	form   []byte // of a federated token request for the vault
	tenant string
	token  string // for the vault
	admin  string // a token for the vault that may write
	login  []byte // form of the admin's sign-in with its secret
	arm    string // a token for Resource Manager
	manage *manage.Client
}

const (
	group        = "bench"
	manyGroup    = "bench-many"
	identityName = "bench"
	vaultName    = "kv-bench"
	value        = "LevelUp Lab Secret of forty characters.."
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
	s, stop, err := runServer(ctx, l.config(name, rs256))
	if err != nil {
		return nil, err
	}
	l.cleanup = append(l.cleanup, stop)
	return l.furnish(ctx, s, server.Dir(filepath.Join(l.dir, name)))
}

func (l *lab) config(name string, rs256 bool) server.Config {
	return server.Config{
		DataDir: filepath.Join(l.dir, name), Listen: "127.0.0.1:0", Proxy: "off", Debug: "off", RS256: rs256,
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), // formatted, as in production, then dropped
	}
}

func runServer(ctx context.Context, c server.Config) (s *server.Server, stop func() error, err error) {
	if s, err = server.New(ctx, c); err != nil {
		return nil, nil, err
	}
	runCtx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(runCtx) }()
	return s, func() error { cancel(); return <-done }, nil
}

func (l *lab) furnish(ctx context.Context, s *server.Server, dir server.Dir) (*subject, error) {
	roots, err := textfile.Roots(dir.CA())
	if err != nil {
		return nil, err
	}
	adm, err := server.ReadAdmin(dir.AdminFile())
	if err != nil {
		return nil, err
	}
	set, listen := s.Names().Own(), s.State().Listen
	c, err := client.New(asadmin.Config(adm, set, roots, listen))
	if err != nil {
		return nil, err
	}
	sub := &subject{names: set, tenant: adm.TenantID, http: httpClient(roots, listen), manage: manage.New(c)}
	id, err := l.makeThings(ctx, sub.manage, adm.PrincipalID)
	if err != nil {
		return nil, err
	}
	sub.login = []byte(url.Values{
		"grant_type": {"client_credentials"}, "client_id": {adm.ClientID}, "client_secret": {adm.ClientSecret},
		"scope": {set.ManagementURL() + "/.default"},
	}.Encode())
	return sub, l.signIn(ctx, sub, id.Properties.ClientID)
}

// signIn gets the tokens that are measured with: the admin's, and the identity's.
func (l *lab) signIn(ctx context.Context, sub *subject, clientID string) (err error) {
	if sub.admin, err = sub.manage.Token(ctx, sub.names.VaultResource()); err != nil {
		return err
	}
	if sub.arm, err = sub.manage.Token(ctx, sub.names.ManagementURL()); err != nil {
		return err
	}
	assertion, err := l.issuer.Token("default", "bench", wi.Audience, time.Now())
	if err != nil {
		return err
	}
	sub.form = []byte(url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion}, "scope": {sub.names.VaultResource() + "/.default"}, "client_info": {"1"},
	}.Encode())
	b, err := sub.tokenRequest(sub.form).send(ctx, sub.http)
	if err != nil {
		return err
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err = json.Unmarshal(b, &answer)
	sub.token = answer.AccessToken
	return err
}

// makeThings makes what is measured: an identity that a token of the issuer may stand
// for, and a vault with a secret that it may read.
func (l *lab) makeThings(ctx context.Context, m *manage.Client, admin string) (id manage.Identity, err error) {
	if _, err := m.Groups().Put(ctx, group, manage.Group{Location: manage.DefaultLocation}); err != nil {
		return id, err
	}
	made, err := m.Identities(group).Put(ctx, identityName, manage.Identity{Location: manage.DefaultLocation})
	if err != nil {
		return id, err
	}
	id = made.Is
	if _, err := m.Vaults(group).Put(ctx, vaultName, m.NewVault(manage.DefaultLocation, manage.VaultProperties{
		Policies: []manage.Policy{m.SecretPolicy(admin, "all"), m.SecretPolicy(id.Properties.PrincipalID, "get")},
	})); err != nil {
		return id, err
	}
	if err := m.TrustIssuer(ctx, manage.IssuerProperties{URL: l.issuer.URL, Roots: string(l.issuer.CA)}); err != nil {
		return id, err
	}
	if _, err := m.Credentials(group, identityName).Put(ctx, "bench", manage.Credential{Properties: manage.CredentialProperties{
		Issuer: l.issuer.URL, Subject: "system:serviceaccount:default:bench", Audiences: []string{wi.Audience},
	}}); err != nil {
		return id, err
	}
	vault, err := m.SecretVault(vaultName)
	if err != nil {
		return id, err
	}
	_, err = vault.Set(ctx, "read", value, "")
	return id, err
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

func (s *subject) tokenRequest(form []byte) request {
	return request{method: "POST", url: s.names.LoginURL() + "/" + s.tenant + "/oauth2/v2.0/token", body: form}
}
