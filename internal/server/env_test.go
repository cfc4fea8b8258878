package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/manage/asadmin"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// local is a server of its own on free ports of loopback, in dir.
func local(dir string) server.Config {
	return server.Config{DataDir: dir, Listen: "127.0.0.1:0", Proxy: "127.0.0.1:0", Debug: "off"}
}

// running is a server and a client that is signed in as its admin.
type running struct {
	*server.Server
	t      testing.TB
	c      server.Config
	admin  *server.Admin
	client *client.Client
	once   sync.Once
	cancel context.CancelFunc
	done   chan error
}

// start runs a server until stop or the end of the test.
func start(t testing.TB, c server.Config) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, c)
	if err != nil {
		cancel()
		t.Fatalf("starting: %v", err)
	}
	r := &running{Server: s, t: t, c: c, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- s.Run(ctx) }()
	t.Cleanup(r.stop)
	_, noAdmin := os.Stat(server.Dir(c.DataDir).AdminFile())
	if noAdmin == nil && c.TLSCert == "" {
		r.signIn(server.Dir(c.DataDir).AdminFile())
	}
	return r
}

// stop ends the server, which must end well.
func (r *running) stop() {
	r.t.Helper()
	r.once.Do(func() {
		r.cancel()
		if err := <-r.done; err != nil {
			r.t.Errorf("stopping: %v", err)
		}
	})
}

// signIn makes the client, with the admin's credentials of this or another server.
func (r *running) signIn(adminFile string) {
	r.t.Helper()
	var err error
	if r.admin, err = server.ReadAdmin(adminFile); err != nil {
		r.t.Fatal(err)
	}
	hosts := r.Names().Own()
	if r.c.AzureNames {
		hosts = r.Names().Azure()
	}
	if r.client, err = client.New(asadmin.Config(r.admin, hosts, roots(r.t, r.c.DataDir), r.State().Listen)); err != nil {
		r.t.Fatal(err)
	}
}

func roots(t testing.TB, dataDir string) *x509.CertPool {
	t.Helper()
	pool, err := textfile.Roots(server.Dir(dataDir).CA())
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func (r *running) arm(method, path, version string, body, answer any) {
	r.t.Helper()
	if _, err := r.client.ResourceManager(version).Call(r.t.Context(), method, path, nil, body, answer); err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
}

func (r *running) group() string {
	return "/subscriptions/" + r.admin.SubscriptionID + "/resourceGroups/test"
}

// vault makes a vault in which the admin may do everything.
func (r *running) vault(name string) *azsecrets.Client {
	r.t.Helper()
	r.arm("PUT", r.group(), "2021-04-01", map[string]string{"location": "local"}, nil)
	r.arm("PUT", r.group()+"/providers/Microsoft.KeyVault/vaults/"+name, "2023-07-01", map[string]any{
		"location": "local", "properties": map[string]any{
			"tenantId": r.admin.TenantID, "sku": map[string]string{"family": "A", "name": "standard"},
			"accessPolicies": []any{map[string]any{
				"tenantId": r.admin.TenantID, "objectId": r.admin.PrincipalID,
				"permissions": map[string]any{"secrets": []string{"all"}},
			}},
		},
	}, nil)
	return r.secrets(name)
}

func (r *running) secrets(vault string) *azsecrets.Client {
	r.t.Helper()
	c, err := r.client.Secrets(vault)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func set(t testing.TB, vault *azsecrets.Client, name, value string) {
	t.Helper()
	if _, err := vault.SetSecret(t.Context(), name, azsecrets.SetSecretParameters{Value: &value}, nil); err != nil {
		t.Fatalf("setting %s: %v", name, err)
	}
}

func get(t testing.TB, vault *azsecrets.Client, name string) string {
	t.Helper()
	s, err := vault.GetSecret(t.Context(), name, "", nil)
	if err != nil {
		t.Fatalf("getting %s: %v", name, err)
	}
	return *s.Value
}

// identity is a managed identity with one federated credential.
type identity struct {
	id       string
	ClientID string `json:"clientId"`
}

// federate makes an identity that trusts the service account default/sa of an issuer.
func (r *running) federate(name, issuerURL string, issuerCA []byte) identity {
	r.t.Helper()
	r.arm("PUT", r.group(), "2021-04-01", map[string]string{"location": "local"}, nil)
	r.arm("PUT", "/providers/Lanyard.Trust"+model.IssuerKey(issuerURL), "2026-11-01",
		map[string]any{"properties": map[string]any{"url": issuerURL, "roots": string(issuerCA)}}, nil)
	id := r.group() + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name
	var made struct{ Properties identity }
	r.arm("PUT", id, "2023-01-31", map[string]string{"location": "local"}, &made)
	r.arm("PUT", id+"/federatedIdentityCredentials/pod", "2023-01-31", map[string]any{"properties": map[string]any{
		"issuer": issuerURL, "subject": "system:serviceaccount:default:sa", "audiences": []string{audience},
	}}, nil)
	made.Properties.id = id
	return made.Properties
}

const audience = "api://AzureADTokenExchange"

func read(t testing.TB, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantMode(t testing.TB, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %04o, want %04o", path, got, want)
	}
}

// exchange asks for a vault token with an assertion, as a workload does. The
// code is the refusal's, such as AADSTS700016.
func (r *running) exchange(clientID, assertion string) (token, code string) {
	r.t.Helper()
	res, err := r.http().PostForm(r.Names().Own().LoginURL()+"/"+r.admin.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "scope": {r.Names().Own().VaultResource() + "/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		r.t.Fatal(err)
	}
	code, _, _ = strings.Cut(answer.Description, ":")
	return answer.AccessToken, code
}

// http reaches the server under all of its names.
func (r *running) http() *http.Client {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots(r.t, r.c.DataDir), MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, r.State().Listen)
		},
		DisableKeepAlives: true,
	}
	return &http.Client{Transport: transport}
}

// fetch gives the status and body of a GET with a token, which may be empty.
func (r *running) fetch(u, token string) (int, http.Header, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), "GET", u, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := r.http().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}
