package webhook_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
	"github.com/lanyard-io/lanyard/internal/surfacetest"
	"github.com/lanyard-io/lanyard/internal/webhook"
)

const (
	namespace     = "azure-workload-identity-system"
	serviceName   = "azure-wi-webhook-webhook-service." + namespace + ".svc"
	configuration = "azure-wi-webhook-mutating-webhook-configuration"
	secretName    = "azure-wi-webhook-server-cert"
	day           = 24 * time.Hour
)

// objects are what an installation has before the webhook's first start, with
// no more rights than it needs.
const objects = `
apiVersion: v1
kind: Namespace
metadata: {name: azure-workload-identity-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: azure-wi-webhook-admin, namespace: azure-workload-identity-system}
---
apiVersion: v1
kind: Secret
metadata: {name: azure-wi-webhook-server-cert, namespace: azure-workload-identity-system, labels: {keep: me}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: webhook, namespace: azure-workload-identity-system}
rules:
- {apiGroups: [""], resources: [secrets], resourceNames: [azure-wi-webhook-server-cert], verbs: [get, list, watch, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: webhook}
rules:
- {apiGroups: [""], resources: [serviceaccounts], verbs: [get, list, watch]}
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingwebhookconfigurations]
  resourceNames: [azure-wi-webhook-mutating-webhook-configuration]
  verbs: [get, list, watch, update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: webhook, namespace: azure-workload-identity-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: webhook}
subjects: [{kind: ServiceAccount, name: azure-wi-webhook-admin, namespace: azure-workload-identity-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: webhook}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: webhook}
subjects: [{kind: ServiceAccount, name: azure-wi-webhook-admin, namespace: azure-workload-identity-system}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: azure-wi-webhook-mutating-webhook-configuration}
webhooks:
- name: mutation.azure-workload-identity.io
  clientConfig: {service: {name: azure-wi-webhook-webhook-service, namespace: azure-workload-identity-system, path: /mutate-v1-pod}}
  admissionReviewVersions: [v1]
  sideEffects: None
  objectSelector: {matchLabels: {azure.workload.identity/use: "true"}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: orders, namespace: default, annotations: {azure.workload.identity/client-id: 11111111-2222-3333-4444-555555555555}}
`

type fixture struct {
	api        *kubetest.Server
	admin      *kube.Cluster
	kubeconfig []byte // of the webhook
}

func (f *fixture) apply(t *testing.T, manifests string) {
	t.Helper()
	if _, err := f.admin.Apply(t.Context(), []byte(manifests), "test"); err != nil {
		t.Fatal(err)
	}
}

// replica is a webhook that runs until the test ends, or stop.
type replica struct {
	*webhook.Server
	admission, health string
	stop              context.CancelFunc
	done              chan struct{}
	log               *surfacetest.Log
}

func (f *fixture) start(t *testing.T, change func(*webhook.Config)) *replica {
	t.Helper()
	r := &replica{done: make(chan struct{}), log: &surfacetest.Log{}}
	c := webhook.Config{
		Admission: admission.Config{Authority: "https://login.example.test/", TenantID: "adfs"},
		Listen:    "127.0.0.1:0", Health: "127.0.0.1:0", Metrics: "off",
		Kube: kube.Config{Kubeconfig: f.kubeconfig}, Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if change != nil {
		change(&c)
	}
	s, err := webhook.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	r.Server = s
	r.admission, r.health, _ = s.Addresses()
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() {
		defer close(r.done)
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
		if t.Failed() {
			t.Logf("the replica's log:\n%s", r.log)
		}
	})
	return r
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (r *replica) readyz(t *testing.T) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + r.health + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (r *replica) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, "ready", func() bool { code, _ := r.readyz(t); return code == 200 })
}

// bundle is what the API server trusts.
func (f *fixture) bundle(t *testing.T) []byte {
	t.Helper()
	b, err := f.admin.Get(t.Context(), f.hooksRef())
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Webhooks []struct {
			ClientConfig struct{ CABundle []byte }
		}
	}
	if err := json.Unmarshal(b, &o); err != nil || len(o.Webhooks) != 1 {
		t.Fatalf("%s: %v", b, err)
	}
	return o.Webhooks[0].ClientConfig.CABundle
}

func (f *fixture) hooksRef() kube.Ref {
	return kube.Ref{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration", Name: configuration}
}

func (f *fixture) secretRef() kube.Ref {
	return kube.Ref{APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: secretName}
}

const pod = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"CREATE",
"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"namespace":"default",
"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"azure.workload.identity/use":"true"}},
"spec":{"serviceAccountName":%q,"containers":[{"name":"c","image":"i"}]}}}}`

type answer struct {
	Response struct {
		Allowed bool
		Patch   []byte
		Status  struct {
			Code    int
			Message string
		}
	}
}

// review asks as the API server does, with this bundle and at this time.
func (r *replica) review(ctx context.Context, bundle []byte, now time.Time, account string) (a answer, serial string, err error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		RootCAs: roots, ServerName: serviceName, Time: func() time.Time { return now },
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, "POST", "https://"+r.admission+admission.Path, strings.NewReader(fmt.Sprintf(pod, account)))
	if err != nil {
		return a, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return a, "", err
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.TLS.Version != tls.VersionTLS13 {
		return a, "", fmt.Errorf("%s over %#x, want HTTP/2 over TLS 1.3", resp.Proto, resp.TLS.Version)
	}
	return a, resp.TLS.PeerCertificates[0].SerialNumber.String(), json.NewDecoder(resp.Body).Decode(&a)
}

// otherCA is some other certificate.
func (f *fixture) otherCA(t *testing.T) []byte {
	t.Helper()
	var k struct {
		Clusters []struct {
			Cluster struct {
				CA []byte `json:"certificate-authority-data"`
			}
		}
	}
	if err := json.Unmarshal(f.api.Kubeconfig, &k); err != nil {
		t.Fatal(err)
	}
	return k.Clusters[0].Cluster.CA
}

// saveCertificate writes the Secret's certificate to files, as a volume would.
func (f *fixture) saveCertificate(t *testing.T, dir string) {
	t.Helper()
	b, err := f.admin.Get(t.Context(), f.secretRef())
	if err != nil {
		t.Fatal(err)
	}
	var o struct{ Data map[string][]byte }
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.WriteFile(filepath.Join(dir, name), o.Data[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
