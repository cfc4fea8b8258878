package cluster_test

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
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
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

// accountServer is as much of an API server as a review needs: it knows every
// service account.
func accountServer(t testing.TB) (kubeconfig []byte) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"name":"one","namespace":"default"}}`)
	}))
	t.Cleanup(s.Close)
	b, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"contexts": []any{map[string]any{"name": "c", "context": map[string]string{"cluster": "c", "user": "u"}}},
		"clusters": []any{map[string]any{"name": "c", "cluster": map[string]any{
			"server":                     s.URL,
			"certificate-authority-data": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
		}}},
		"users": []any{map[string]any{"name": "u", "user": map[string]string{"token": "t"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newHooks(t testing.TB, st *store.Store, kubeconfig []byte) *cluster.Hooks {
	t.Helper()
	ca, err := pki.NewPrivateCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	h, err := cluster.NewHooks(cluster.HooksConfig{
		Store: st, Installer: installer(t, nil), CA: ca, Names: []string{"192.0.2.1"},
		Kubeconfig: func(*model.Cluster) ([]byte, error) { return kubeconfig, nil },
		Log:        slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func attached(t testing.TB, st *store.Store, w model.Webhook, version string) {
	t.Helper()
	k := &model.Cluster{Resource: model.Resource{ID: "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c", Name: "c"}, Webhook: w, WorkloadIdentity: true, Version: version}
	state := &model.ClusterState{Cluster: k.Key(), Endpoint: endpoint}
	if _, err := st.Commit(t.Context(), store.Op{Value: k, Rev: store.Any}, store.Op{Value: state, Rev: store.Any}); err != nil {
		t.Fatal(err)
	}
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
	st := storetest.New(t)
	h := newHooks(t, st, accountServer(t))
	attached(t, st, model.Webhook{Image: "registry.test/one:1"}, "1.30.0")
	if got := reviewed(t, h); !strings.Contains(got, `"registry.test/one:1"`) || strings.Contains(got, `"restartPolicy"`) {
		t.Fatal(got)
	}
	attached(t, st, model.Webhook{Image: "registry.test/two:2", PullPolicy: "Always"}, "1.37.0")
	if got := reviewed(t, h); !strings.Contains(got, `"registry.test/two:2"`) || !strings.Contains(got, `"imagePullPolicy":"Always"`) || !strings.Contains(got, `"restartPolicy"`) {
		t.Errorf("a pod still gets the old settings: %s", got)
	}
}

// One cluster's setting must not take the listener away from all others.
func TestNameThatNoCertificateCanHold(t *testing.T) {
	st := storetest.New(t)
	h := newHooks(t, st, accountServer(t))
	attached(t, st, model.Webhook{URL: "https://bücher.test:7444"}, "1.37.0")
	cert, err := h.TLS().GetCertificate(&tls.ClientHelloInfo{})
	if err != nil || cert.Leaf.VerifyHostname("192.0.2.1") != nil {
		t.Errorf("GetCertificate: %v", err)
	}
}
