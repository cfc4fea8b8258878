package doctor_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/doctor"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/lanyardtest"
)

// world is a real API server, a real webhook and a real Lanyard, which the rows
// of a test share, and one row's own namespace, pod and identity.
type world struct {
	t       *testing.T
	k       *kube.Cluster
	s       *lanyardtest.Server
	c       *manage.Client
	hook    *httptest.Server
	inject  atomic.Pointer[admission.Config]
	own     *names.Hosts // the server's own; it answers for Azure's too
	issuer  string
	jwks    []byte
	rootPEM []byte

	kubeconfig, viewer []byte // of the cluster's admin, and of a user named viewer
}

// accounts are read live: nothing is cached that a row changes.
type accounts struct{ k *kube.Cluster }

func (a accounts) Account(ctx context.Context, namespace, name string) (admission.Account, error) {
	b, err := a.k.Get(ctx, kube.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: namespace, Name: name})
	if errors.Is(err, kube.ErrNotFound) {
		return admission.Account{}, admission.ErrNoAccount
	}
	var sa struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err == nil {
		err = json.Unmarshal(b, &sa)
	}
	return admission.Account{Namespace: namespace, Name: name, Annotations: sa.Metadata.Annotations}, err
}

func newWorld(t *testing.T) *world {
	t.Helper()
	api := kubetest.Start(t)
	k, err := kube.Connect(kube.Config{Kubeconfig: api.Kubeconfig})
	check(t, err)
	t.Cleanup(k.Close)
	w := &world{t: t, k: k, kubeconfig: api.Kubeconfig, viewer: api.KubeconfigFor(t, time.Now().Add(time.Hour), "viewer")}

	dir := t.TempDir() + "/lanyard"
	w.s = lanyardtest.New(t, lanyardtest.Config{Dir: dir, AzureNames: true})
	state, err := server.Dir(dir).State()
	check(t, err)
	n, err := names.New(names.Config{Address: state.Address})
	check(t, err)
	w.own = n.Own()
	w.rootPEM, err = os.ReadFile(w.s.CAFile())
	check(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.rootPEM)
	signedIn, err := client.New(client.Config{
		Names: n.Own(), Roots: roots, Dial: state.Listen, TenantID: w.s.TenantID, SubscriptionID: w.s.SubscriptionID,
		ClientID: w.s.Admin.ClientID, ClientSecret: w.s.Admin.ClientSecret,
	})
	check(t, err)
	w.c = manage.New(signedIn)

	w.resetInjection()
	w.hook = httptest.NewTLSServer(admission.New(admission.HandlerConfig{Current: w.inject.Load, Accounts: accounts{k}}))
	t.Cleanup(w.hook.Close)

	var d struct {
		Issuer string `json:"issuer"`
	}
	b, err := k.Raw(t.Context(), "/.well-known/openid-configuration")
	check(t, err)
	check(t, json.Unmarshal(b, &d))
	w.issuer = d.Issuer
	w.jwks, err = k.Raw(t.Context(), "/openid/v1/jwks")
	check(t, err)
	w.s.Vault("kv-orders")
	w.s.Vault("kv-empty")
	w.s.SetSecret("kv-orders", "db-password", "correct horse")
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) resetInjection() {
	w.inject.Store(&admission.Config{
		Authority: w.own.LoginURL(), TenantID: w.s.TenantID, Trust: &admission.Trust{PEM: w.rootPEM},
	})
}

func (w *world) put(id, version string, body any) {
	w.t.Helper()
	_, err := w.c.ResourceManager(version).Call(w.t.Context(), "PUT", id, nil, body, nil)
	check(w.t, err)
}

func (w *world) apply(object any) {
	w.t.Helper()
	b, err := json.Marshal(object)
	check(w.t, err)
	_, err = w.k.Apply(w.t.Context(), b, "test")
	check(w.t, err)
}

func (w *world) delete(apiVersion, kind, namespace, name string) {
	w.t.Helper()
	_, err := w.k.DeleteOne(w.t.Context(), kube.Ref{APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name})
	check(w.t, err)
}

const configurationName = "azure-wi-webhook-mutating-webhook-configuration"

// configuration is the webhook's, as the cluster has it.
func (w *world) configuration() map[string]any {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.hook.Certificate().Raw})
	return map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
		"metadata": map[string]any{"name": configurationName},
		"webhooks": []any{map[string]any{
			"name": "mutation.azure-workload-identity.io", "sideEffects": "None", "failurePolicy": "Fail",
			"admissionReviewVersions": []string{"v1"}, "timeoutSeconds": 5,
			"clientConfig":   map[string]any{"url": w.hook.URL + admission.Path, "caBundle": ca},
			"objectSelector": map[string]any{"matchLabels": map[string]string{"azure.workload.identity/use": "true"}},
			"rules":          []any{map[string]any{"apiGroups": []string{""}, "apiVersions": []string{"v1"}, "operations": []string{"CREATE"}, "resources": []string{"pods"}}},
		}},
	}
}

// install puts a configuration in place of the one that is there.
func (w *world) install(configuration map[string]any) {
	w.t.Helper()
	w.delete("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", configurationName)
	w.apply(configuration)
}

func (w *world) hookOf(configuration map[string]any) map[string]any {
	return configuration["webhooks"].([]any)[0].(map[string]any)
}

func (w *world) trustID() string { return "/providers/Lanyard.Trust" + model.IssuerKey(w.issuer) }

func (w *world) trust(jwks []byte) {
	w.put(w.trustID(), "2026-11-01", map[string]any{"properties": map[string]any{"url": w.issuer, "keys": json.RawMessage(jwks)}})
}

// row is one pod and all that it rests on. A test changes its fields before the
// pod is made, and the world after.
type row struct {
	*world
	ns       string
	identity lanyardtest.Identity
	labels   map[string]string
	podNotes map[string]string // annotations of the pod
	account  string
	notes    map[string]string // annotations of the service account
	env      map[string]string
	before   func() // just before the pod is made
	without  *doctor.Config
}

func (w *world) row(t *testing.T) *row {
	t.Helper()
	w.t = t
	w.resetInjection()
	w.install(w.configuration())
	w.trust(w.jwks)
	ns := "row-" + strings.ToLower(strings.ReplaceAll(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:], "_", "-"))
	id := w.s.Identity(ns)
	w.s.Allow("kv-orders", id.PrincipalID, "get")
	w.apply(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns}})
	r := &row{
		world: w, ns: ns, identity: id, account: "orders",
		labels: map[string]string{"azure.workload.identity/use": "true"},
		notes:  map[string]string{"azure.workload.identity/client-id": id.ClientID},
		env:    map[string]string{"KEYVAULT_URL": w.own.VaultURL("kv-orders"), "SECRET_NAME": "db-password"},
	}
	r.credential(map[string]any{"issuer": w.issuer, "subject": "system:serviceaccount:" + ns + ":orders", "audiences": []string{"api://AzureADTokenExchange"}})
	return r
}

func (r *row) credential(properties map[string]any) {
	r.t.Helper()
	r.put("/subscriptions/"+r.s.SubscriptionID+"/resourceGroups/"+lanyardtest.Group+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/"+
		r.identity.Name+"/federatedIdentityCredentials/only", "2023-01-31", map[string]any{"properties": properties})
}

func (r *row) annotate(annotations map[string]string) {
	r.t.Helper()
	b, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	check(r.t, err)
	_, err = r.k.Patch(r.t.Context(), kube.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: r.ns, Name: r.account}, kube.MergePatch, b)
	check(r.t, err)
}

func (r *row) makePod() {
	r.t.Helper()
	r.apply(map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": r.account, "namespace": r.ns, "annotations": r.notes}})
	if r.before != nil {
		r.before()
	}
	env := []any{}
	for name, value := range r.env {
		env = append(env, map[string]string{"name": name, "value": value})
	}
	b, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "app", "namespace": r.ns, "labels": r.labels, "annotations": r.podNotes},
		"spec": map[string]any{
			"serviceAccountName": r.account,
			"containers":         []any{map[string]any{"name": "app", "image": "localhost/none", "env": env}},
		},
	})
	check(r.t, err)
	_, err = r.k.Create(r.t.Context(), b)
	check(r.t, err)
}

func (r *row) look() *doctor.Report {
	r.t.Helper()
	c := doctor.Config{Cluster: r.k, Server: r.c, TenantID: r.s.TenantID, PrivateCA: true, AzureNames: true}
	if r.without != nil {
		c = *r.without
	}
	report, err := doctor.Pod(r.t.Context(), c, r.ns, "app")
	check(r.t, err)
	return report
}
