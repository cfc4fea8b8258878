package webhook_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
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

// TestOnAPIServer shares one API server, which takes seconds to start.
func TestOnAPIServer(t *testing.T) {
	f := &fixture{api: kubetest.Start(t)}
	var err error
	if f.admin, err = kube.Connect(kube.Config{Kubeconfig: f.api.Kubeconfig}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.admin.Close)
	f.apply(t, objects)
	token, err := f.admin.CreateToken(t.Context(), kube.TokenRequest{Namespace: namespace, Account: "azure-wi-webhook-admin"})
	if err != nil {
		t.Fatal(err)
	}
	f.kubeconfig = f.api.KubeconfigWithToken(t, token.Token)

	t.Run("two-replicas-start-at-once", f.testTwoReplicas)
	t.Run("bundle-is-repaired", f.testRepair)
	t.Run("rotation-fails-no-request", f.testRotation)
	t.Run("drain", f.testDrain)
	t.Run("missing-rights-are-said", f.testRights)
	t.Run("secret-is-made", f.testMakesSecret)
	t.Run("ready-after-the-api-server", f.testOutage)
}

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
	log               *syncBuffer
}

func (f *fixture) start(t *testing.T, change func(*webhook.Config)) *replica {
	t.Helper()
	r := &replica{done: make(chan struct{}), log: &syncBuffer{}}
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

// syncBuffer is a log that can be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
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

func (f *fixture) testTwoReplicas(t *testing.T) {
	replicas := []*replica{f.start(t, nil), f.start(t, nil)}
	serials := map[string]bool{}
	for _, r := range replicas {
		r.awaitReady(t)
		got, serial, err := r.review(t.Context(), f.bundle(t), time.Now(), "orders")
		if err != nil || !got.Response.Allowed || !bytes.Contains(got.Response.Patch, []byte("11111111-2222-3333-4444-555555555555")) {
			t.Errorf("review = %+v, %v", got, err)
		}
		serials[serial] = true
		if got, _, err = r.review(t.Context(), f.bundle(t), time.Now(), "nobody"); err != nil || got.Response.Allowed {
			t.Errorf("of an unknown service account: %+v, %v", got, err)
		}
	}
	if len(serials) != 1 {
		t.Errorf("the replicas serve %d certificates", len(serials))
	}
	b, err := f.admin.Get(t.Context(), f.secretRef())
	if err != nil || !strings.Contains(string(b), `"keep":"me"`) {
		t.Errorf("the Secret lost its label: %v", err)
	}
}

func (f *fixture) testRepair(t *testing.T) {
	r := f.start(t, nil)
	r.awaitReady(t)
	want := f.bundle(t)
	patch := fmt.Appendf(nil, `[{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":%q}]`,
		base64.StdEncoding.EncodeToString(f.otherCA(t)))
	if _, err := f.admin.Patch(t.Context(), f.hooksRef(), kube.JSONPatch, patch); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bundle is repaired", func() bool { return bytes.Equal(f.bundle(t), want) })
	// As a fresh installation of the manifests would leave it.
	if _, err := f.admin.DeleteOne(t.Context(), f.hooksRef()); err != nil {
		t.Fatal(err)
	}
	f.apply(t, objects)
	eventually(t, "the bundle is set again", func() bool { return bytes.Equal(f.bundle(t), want) })
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

// testRotation moves two replicas through the years by a clock of their own, and
// asks all the while.
func (f *fixture) testRotation(t *testing.T) {
	var ahead atomic.Int64
	t.Cleanup(func() { // back to the present
		if _, err := f.admin.DeleteOne(context.WithoutCancel(t.Context()), f.secretRef()); err != nil {
			t.Error(err)
		}
	})
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	clock := func(c *webhook.Config) { c.Now = now }
	replicas := []*replica{f.start(t, clock), f.start(t, clock)}
	for _, r := range replicas {
		r.awaitReady(t)
	}
	serial, bundle := f.agreed(t, replicas, now()), f.bundle(t)
	for i, step := range []struct {
		what                 string
		jump                 time.Duration
		ended                bool // what was served has ended: nobody was there to renew it
		certificate, renewed bool // is new; the authority is new
	}{
		{what: "renewed in time", jump: 61 * day, certificate: true},
		{what: "nothing to do", jump: day},
		{what: "long gone", jump: 3200 * day, ended: true, certificate: true},
		{what: "the authority's last year", jump: 25 * day, renewed: true},
		{what: "too early", jump: 5 * time.Minute},
		{what: "the new authority signs", jump: 6 * time.Minute, certificate: true},
	} {
		ahead.Add(int64(step.jump))
		// Touching the Secret wakes both replicas, as a change by a third would.
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"look":"%d"}}}`, i)
		if _, err := f.admin.Patch(t.Context(), f.secretRef(), kube.MergePatch, patch); err != nil {
			t.Fatal(err)
		}
		before, was := bundle, serial
		eventually(t, step.what, func() bool {
			if !step.ended { // an API server that lags behind
				f.ask(t, replicas, before, now())
			}
			serial, bundle = f.agreed(t, replicas, now()), f.bundle(t)
			return t.Failed() || (serial != was) == step.certificate && !bytes.Equal(bundle, before) == step.renewed
		})
	}
}

// ask reviews a pod with each replica, as an API server that trusts this bundle.
func (f *fixture) ask(t *testing.T, replicas []*replica, bundle []byte, now time.Time) {
	t.Helper()
	for _, r := range replicas {
		if _, _, err := r.review(t.Context(), bundle, now, "orders"); err != nil {
			t.Errorf("a request failed: %v", err)
		}
	}
}

// agreed waits until all replicas serve one certificate that the API server trusts.
func (f *fixture) agreed(t *testing.T, replicas []*replica, now time.Time) (serial string) {
	t.Helper()
	eventually(t, "all replicas serve the same", func() bool {
		serials := map[string]bool{}
		for _, r := range replicas {
			_, got, err := r.review(t.Context(), f.bundle(t), now, "orders")
			if err != nil {
				return false
			}
			serial, serials[got] = got, true
		}
		return len(serials) == 1
	})
	return serial
}

func (f *fixture) testDrain(t *testing.T) {
	f.apply(t, objects)
	r := f.start(t, func(c *webhook.Config) { c.DrainDelay = 500 * time.Millisecond })
	r.awaitReady(t)
	bundle := f.bundle(t)
	r.stop()
	eventually(t, "not ready", func() bool { code, _ := r.readyz(t); return code == 503 })
	if _, _, err := r.review(t.Context(), bundle, time.Now(), "orders"); err != nil {
		t.Errorf("while leaving: %v", err)
	}
	<-r.done
	if _, _, err := r.review(t.Context(), bundle, time.Now(), "orders"); err == nil {
		t.Error("it still answers after it ended")
	}
}

func (f *fixture) testRights(t *testing.T) {
	nobody := f.api.KubeconfigFor(t, time.Now().Add(time.Hour), "nobody")
	r := f.start(t, func(c *webhook.Config) { c.Kube.Kubeconfig = nobody })
	eventually(t, "words about the rights", func() bool {
		log := r.log.String()
		return strings.Contains(log, `\"nobody\" cannot get resource \"secrets\"`) && strings.Contains(log, `cannot list resource \"serviceaccounts\"`) ||
			strings.Contains(log, `\"nobody\" cannot get resource \"secrets\"`) && strings.Contains(log, `cannot watch resource \"serviceaccounts\"`)
	})
	if code, body := r.readyz(t); code != 503 || !strings.Contains(body, "certificate") || !strings.Contains(body, "service accounts") {
		t.Errorf("readyz = %d %s", code, body)
	}
}

func (f *fixture) testMakesSecret(t *testing.T) {
	if _, err := f.admin.DeleteOne(t.Context(), f.secretRef()); err != nil {
		t.Fatal(err)
	}
	r := f.start(t, func(c *webhook.Config) { c.Kube.Kubeconfig = f.api.Kubeconfig })
	r.awaitReady(t)
	if _, _, err := r.review(t.Context(), f.bundle(t), time.Now(), "orders"); err != nil {
		t.Error(err)
	}
}

// testOutage comes last: it stops the API server.
func (f *fixture) testOutage(t *testing.T) {
	dir, bundle := t.TempDir(), f.bundle(t)
	f.saveCertificate(t, dir)
	f.api.Down()
	r := f.start(t, func(c *webhook.Config) { c.CertDir = dir })
	code, body := r.readyz(t)
	if code != 503 || !strings.Contains(body, "service accounts") || strings.Contains(body, "certificate") {
		t.Errorf("readyz = %d %s", code, body)
	}
	got, _, err := r.review(t.Context(), bundle, time.Now(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	if status := got.Response.Status; got.Response.Allowed || status.Code < 500 || !strings.Contains(r.log.String(), "cannot reach the API server") {
		t.Errorf("review = %+v, want a refusal of the server's; the log:\n%s", got, r.log)
	}

	f.api.Up(t)
	r.awaitReady(t)
	f.api.Down()
	if got, _, err = r.review(t.Context(), bundle, time.Now(), "orders"); err != nil || !got.Response.Allowed {
		t.Errorf("from memory: %+v, %v", got, err)
	}
	if code, body := r.readyz(t); code != 200 {
		t.Errorf("readyz during a later outage = %d %s", code, body)
	}
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
