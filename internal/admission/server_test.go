package admission

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// server speaks to a real API server.
type server struct {
	url    string
	client *http.Client
}

func newServer(t *testing.T, s *kubetest.Server) *server {
	t.Helper()
	var file struct {
		Clusters []struct {
			Cluster struct {
				CA []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Cert []byte `json:"client-certificate-data"`
				Key  []byte `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := json.Unmarshal(s.Kubeconfig, &file); err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(file.Users[0].User.Cert, file.Users[0].User.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(file.Clusters[0].Cluster.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}}
	t.Cleanup(transport.CloseIdleConnections)
	return &server{url: s.URL, client: &http.Client{Transport: transport}}
}

// create posts an object and gives what the server made of it, and its warnings.
func (s *server) create(t *testing.T, path, doc string) (object, []string) {
	t.Helper()
	resp, err := s.client.Post(s.url+path, "application/json", bytes.NewReader([]byte(doc)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var made object
	if err := json.Unmarshal(body, &made); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("creating %s: %v", doc, made["message"])
		return nil, nil
	}
	return made, resp.Header.Values("Warning")
}

// TestOnAPIServer: a real API server calls the webhook, takes its patches, and
// finds their results valid; again when they are sent as new pods.
func TestOnAPIServer(t *testing.T) {
	s := newServer(t, kubetest.Start(t))
	var current atomic.Pointer[Config]
	current.Store(config())
	hook := httptest.NewUnstartedServer(New(HandlerConfig{
		Current: current.Load, Accounts: directory{"default/web": account(wi.ClientIDAnnotation, clientID)},
	}))
	hook.EnableHTTP2 = true
	hook.StartTLS()
	defer hook.Close()
	s.install(t, hook)

	trusting := withProxy(SidecarRedirect, true)
	trusting.Layout, trusting.Trust = LayoutBoth, &Trust{PEM: testCA(t)}
	trusting.HostAliases = []HostAlias{{IP: "10.0.0.1", Hostnames: []string{"login.lanyard.example"}}}
	bundles := binding()
	bundles.TokenProxy.CAConfigMap, bundles.TokenProxy.CASigner = "", "example.com/ca"
	bundles.TokenProxy.CASelector = []byte(`{"matchLabels":{"a":"b"}}`)
	bundles.Trust = &Trust{Bundle: "lanyard"}
	app := `"containers":[{"name":"app","image":"a","env":[{"name":"A","value":"1"}]}]`
	tests := []struct {
		name   string
		config *Config
		notes  string
		spec   string
	}{
		{"plain", config(), `"a":"b"`, app},
		{"proxy-trust-both-layouts", trusting, proxyAsked, app + `,"initContainers":[{"name":"setup","image":"a"}],"resources":{"limits":{"cpu":"1"}}`},
		{"proxy-older-cluster", withProxy("", false), proxyAsked, app},
		{"proxy-without-privilege", withProxy(SidecarEnv, true), proxyAsked, app},
		{"binding-bundles", bundles, bindingNote, app},
		{"binding-config-map", binding(), bindingNote, app},
		{"windows", config(), `"a":"b"`, app + `,"os":{"name":"windows"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.config.Validate(); err != nil {
				t.Fatal(err)
			}
			current.Store(tt.config)
			doc := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s","labels":{"azure.workload.identity/use":"true"},"annotations":{%s}},
				"spec":{"serviceAccountName":"web","automountServiceAccountToken":false,%s}}`, tt.name, tt.notes, tt.spec)
			const pods = "/api/v1/namespaces/default/pods?dryRun=All"
			once, warnings := s.create(t, pods, doc)
			if once == nil {
				return
			}
			if len(warnings) != 0 {
				t.Errorf("warnings = %q", warnings)
			}
			copied := maps.Clone(once)
			meta := once["metadata"].(object)
			if meta["annotations"].(object)[injectedNote] == nil {
				t.Fatalf("the webhook was not asked: %v", meta)
			}
			copied["metadata"] = object{"name": "restored-" + tt.name, "labels": meta["labels"], "annotations": meta["annotations"]}
			b, err := json.Marshal(copied)
			if err != nil {
				t.Fatal(err)
			}
			twice, _ := s.create(t, pods, string(b))
			if diff := cmp.Diff(once["spec"], twice["spec"]); diff != "" {
				t.Errorf("spec of the restored pod (-first +restored):\n%s", diff)
			}
		})
	}
}

func (s *server) install(t *testing.T, hook *httptest.Server) {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw})
	s.create(t, "/api/v1/namespaces/default/serviceaccounts", `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"web"}}`)
	s.create(t, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", fmt.Sprintf(`{"apiVersion":"admissionregistration.k8s.io/v1",
		"kind":"MutatingWebhookConfiguration","metadata":{"name":"test"},"webhooks":[{"name":"mutation.azure-workload-identity.io",
		"admissionReviewVersions":["v1","v1beta1"],"sideEffects":"None","failurePolicy":"Fail","reinvocationPolicy":"IfNeeded",
		"clientConfig":{"url":%q,"caBundle":%q},"objectSelector":{"matchLabels":{"azure.workload.identity/use":"true"}},
		"rules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["pods"]}]}]}`,
		hook.URL+Path, base64.StdEncoding.EncodeToString(ca)))
	const probe = `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"probe-","labels":{"azure.workload.identity/use":"true"},
		"annotations":{"azure.workload.identity/service-account-token-expiration":"never"}},"spec":{"serviceAccountName":"web","containers":[{"name":"a","image":"a"}]}}`
	limit := time.Now().Add(time.Minute)
	for { // until the API server has noticed the configuration
		if time.Now().After(limit) {
			t.Fatal("the API server does not ask the webhook")
		}
		resp, err := s.client.Post(s.url+"/api/v1/namespaces/default/pods?dryRun=All", "application/json", bytes.NewReader([]byte(probe)))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if bytes.Contains(body, []byte("write whole seconds")) {
			return
		}
	}
}
