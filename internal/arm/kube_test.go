package arm_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/lanyard-io/lanyard/internal/arm"
	"github.com/lanyard-io/lanyard/internal/cluster"
	"github.com/lanyard-io/lanyard/internal/devissuer"
	"github.com/lanyard-io/lanyard/internal/surfacetest"
)

const kubeToken = "a-service-account-token-that-nobody-may-see"

// kube answers as a kube-apiserver does where Lanyard asks: the issuer's
// documents, for who holds the token. The issuer is a real one.
type kube struct {
	issuer *devissuer.Issuer
	srv    *httptest.Server

	mu     sync.Mutex
	accept string // guarded by mu; another token that is good
	status int    // guarded by mu; answered in place of everything, unless it is 0
	named  string // guarded by mu; the issuer's name, if it is not the issuer's own
	keys   string // guarded by mu; the keys, if they are not the issuer's own

	asked   func(*http.Request)                      // guarded by mu; hears of every request first
	instead func(http.ResponseWriter, *http.Request) // guarded by mu; answers everything, if it is there
}

func newKube(t *testing.T) *kube {
	t.Helper()
	issuer, err := devissuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { issuer.Close() })
	k := &kube{issuer: issuer}
	k.srv = httptest.NewUnstartedServer(k)
	k.srv.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes
	k.srv.StartTLS()
	t.Cleanup(k.srv.Close)
	return k
}

func (k *kube) set(change func(*kube)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(k)
}

func (k *kube) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	asked := k.asked
	k.mu.Unlock()
	if asked != nil {
		asked(r)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.instead != nil:
		k.instead(w, r)
	case k.status != 0:
		http.Redirect(w, r, "/version", k.status)
	case r.Header.Get("Authorization") != "Bearer "+kubeToken && (k.accept == "" || r.Header.Get("Authorization") != "Bearer "+k.accept):
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == "/version":
		io.WriteString(w, `{"gitVersion":"v1.37.2+distribution"}`)
	case r.URL.Path == "/.well-known/openid-configuration":
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"https://elsewhere.invalid/"}`, k.name())
	case r.URL.Path == "/openid/v1/jwks" && k.keys != "":
		io.WriteString(w, k.keys)
	case r.URL.Path == "/openid/v1/jwks":
		k.pass(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (k *kube) name() string {
	if k.named != "" {
		return k.named
	}
	return k.issuer.URL
}

func (k *kube) pass(w http.ResponseWriter, r *http.Request) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(k.issuer.CA)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs, transport.Proxy = roots, nil
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(k.issuer.URL + r.URL.Path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	io.Copy(w, resp.Body)
}

// config is a kubeconfig in JSON; change, if any, is made to its cluster and user.
func (k *kube) config(change func(cluster, user map[string]any)) []byte {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.srv.Certificate().Raw})
	cluster := map[string]any{"server": k.srv.URL, "certificate-authority-data": base64.StdEncoding.EncodeToString(ca)}
	user := map[string]any{"token": kubeToken}
	if change != nil {
		change(cluster, user)
	}
	b, _ := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "dev-admin",
		"clusters": []any{map[string]any{"name": "other", "cluster": map[string]any{}}, map[string]any{"name": "dev", "cluster": cluster}},
		"users":    []any{map[string]any{"name": "admin", "user": user}},
		"contexts": []any{map[string]any{"name": "dev-admin", "context": map[string]any{"cluster": "dev", "user": "admin"}}},
	})
	return b
}

// attachment is the body that attaches, with more properties.
func attachment(config []byte, more map[string]any) string {
	properties := map[string]any{"attachment": map[string]any{"kubeconfig": config}}
	for name, value := range more {
		properties[name] = value
	}
	b, _ := json.Marshal(map[string]any{"location": "eastus", "properties": properties})
	return string(b)
}

// withClusters gives the lab what attached clusters need.
func withClusters(t *testing.T) func(*arm.Config) {
	t.Helper()
	return func(c *arm.Config) {
		attached, err := cluster.New(cluster.Config{Store: c.Store, Sealer: c.Sealer, Log: surfacetest.Quiet(), Now: c.Now})
		surfacetest.Must(t, err)
		c.Clusters = attached
	}
}
