package cluster_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/cluster"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/store"
)

// accountServer is as much of an API server as a review needs: it knows every
// service account.
func accountServer(t testing.TB) (kubeconfig []byte) {
	t.Helper()
	return apiServer(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"name":"one","namespace":"default"}}`)
	})
}

func (f *fixture) hooks() *cluster.Hooks {
	f.t.Helper()
	ca, err := pki.NewPrivateCA(time.Now())
	f.check(err)
	h, err := cluster.NewHooks(cluster.HooksConfig{
		Store: f.st, Sealer: f.sealer, Installer: installer(f.t, nil), CA: ca, Names: []string{"192.0.2.1"},
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	f.check(err)
	return h
}

// endpointed attaches a cluster whose webhook has the endpoint.
func (f *fixture) endpointed(kubeconfig []byte, w model.Webhook, version string) {
	f.t.Helper()
	k := f.attached(kubeconfig, func(k *model.Cluster) { k.Webhook, k.WorkloadIdentity, k.Version = w, true, version })
	_, err := f.st.Put(f.t.Context(), &model.ClusterState{Cluster: k.Key(), Endpoint: endpoint}, store.Any)
	f.check(err)
}

// reviewed is the patch that a pod with the proxy gets, encoded.
func reviewed(t testing.TB, h http.Handler) string {
	t.Helper()
	const review = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","kind":{"kind":"Pod"},
		"namespace":"default","object":{"metadata":{"labels":{"azure.workload.identity/use":"true"},"annotations":{"azure.workload.identity/inject-proxy-sidecar":"true"}},
		"spec":{"serviceAccountName":"one","containers":[{"name":"app"}]}}}}`
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/clusters/"+endpoint+"/mutate-v1-pod", strings.NewReader(review))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var answer struct {
		Response struct{ Patch []byte }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response.Patch == nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return string(answer.Response.Patch)
}

func TestChangedSettingsReachTheNextPod(t *testing.T) {
	f, api := newFixture(t), accountServer(t)
	h := f.hooks()
	f.endpointed(api, model.Webhook{Image: "registry.test/one:1"}, "1.30.0")
	if got := reviewed(t, h); !strings.Contains(got, `"registry.test/one:1"`) || strings.Contains(got, `"restartPolicy"`) {
		t.Fatal(got)
	}
	f.endpointed(api, model.Webhook{Image: "registry.test/two:2", PullPolicy: "Always"}, "1.37.0")
	if got := reviewed(t, h); !strings.Contains(got, `"registry.test/two:2"`) || !strings.Contains(got, `"imagePullPolicy":"Always"`) || !strings.Contains(got, `"restartPolicy"`) {
		t.Errorf("a pod still gets the old settings: %s", got)
	}
}

// One cluster's setting must not take the listener away from all others.
func TestNameThatNoCertificateCanHold(t *testing.T) {
	f, api := newFixture(t), accountServer(t)
	h := f.hooks()
	f.endpointed(api, model.Webhook{URL: "https://bücher.test:7444"}, "1.37.0")
	cert, err := h.TLS().GetCertificate(&tls.ClientHelloInfo{})
	if err != nil || cert.Leaf.VerifyHostname("192.0.2.1") != nil {
		t.Errorf("GetCertificate: %v", err)
	}
}
