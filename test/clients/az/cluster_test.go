package az_test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"crypto/x509"

	"github.com/lanyard-io/lanyard/internal/devissuer"
)

// cluster plays the part of a kube-apiserver that Lanyard asks: its version and
// its issuer's documents, for who holds its token. The issuer is a real one, at
// another address, as in a managed cluster.
type cluster struct {
	issuer *devissuer.Issuer
	api    *httptest.Server
}

const clusterToken = "the-service-account-token"

func newCluster(t *testing.T) *cluster {
	t.Helper()
	issuer, err := devissuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { issuer.Close() })
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(issuer.CA)
	documents := &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"major":"1","minor":"37","gitVersion":"v1.37.2"}`)
	})
	pass := func(w http.ResponseWriter, r *http.Request) {
		resp, err := documents.Get(issuer.URL + r.URL.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		io.Copy(w, resp.Body)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", pass)
	mux.HandleFunc("GET /openid/v1/jwks", pass)
	c := &cluster{issuer: issuer}
	c.api = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+clusterToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(c.api.Close)
	return c
}

// kubeconfig writes the file that kubectl would use.
func (c *cluster) kubeconfig(t *testing.T) string {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.api.Certificate().Raw})
	text := `apiVersion: v1
kind: Config
current-context: admin@dev
clusters:
- name: dev
  cluster:
    server: ` + c.api.URL + `
    certificate-authority-data: ` + base64.StdEncoding.EncodeToString(ca) + `
users:
- name: admin
  user:
    token: ` + clusterToken + `
contexts:
- name: admin@dev
  context: {cluster: dev, user: admin}
`
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serviceAccountToken writes what the kubelet projects into a pod.
func (c *cluster) serviceAccountToken(t *testing.T, account string) string {
	t.Helper()
	token, err := c.issuer.Token("default", account, "api://AzureADTokenExchange", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "azure-identity-token")
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
