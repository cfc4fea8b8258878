package kube_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
)

// TestOnAPIServer shares one API server, which takes seconds to start.
func TestOnAPIServer(t *testing.T) {
	s := kubetest.Start(t)
	k := connect(t, s.Kubeconfig)
	t.Run("version", func(t *testing.T) {
		v, err := k.Version(t.Context())
		if err != nil || !strings.HasPrefix(v.GitVersion, "v1.") {
			t.Errorf("Version = %+v, %v", v, err)
		}
	})
	t.Run("apply-and-delete", func(t *testing.T) { testApply(t, k) })
	t.Run("objects", func(t *testing.T) { testObjects(t, k) })
	t.Run("tokens-and-permissions", func(t *testing.T) { testTokens(t, s, k) })
	t.Run("dry-run-pod", func(t *testing.T) { testDryRun(t, k) })
	t.Run("watch-one", func(t *testing.T) { testWatch(t, k) })
	t.Run("credentials", func(t *testing.T) { testCredentials(t, s) })
	t.Run("service-accounts", func(t *testing.T) { testAccounts(t, k) })
	t.Run("service-accounts-by-pages", func(t *testing.T) { testPages(t, s) })
	t.Run("outage", func(t *testing.T) { testOutage(t, s, k) })
}

func connect(t *testing.T, kubeconfig []byte) *kube.Cluster {
	t.Helper()
	k, err := kube.Connect(kube.Config{Kubeconfig: kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

const manifests = `
apiVersion: v1
kind: Namespace
metadata: {name: apply}
---
# nothing but a comment
---
{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "one", "namespace": "apply"}},
  {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "apply-test"}, "rules": []}
]}
`

func testApply(t *testing.T, k *kube.Cluster) {
	ctx := t.Context()
	var versions [2]string
	for i := range versions {
		done, err := k.Apply(ctx, []byte(manifests), "test")
		if err != nil || len(done) != 3 {
			t.Fatalf("Apply = %v, %v", done, err)
		}
		versions[i] = resourceVersion(t, k, done[2])
	}
	if versions[0] != versions[1] {
		t.Errorf("applying again made version %s of %s", versions[1], versions[0])
	}
	account := kube.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: "apply", Name: "one"}
	if _, err := k.Get(ctx, account); err != nil {
		t.Error(err)
	}
	if _, err := k.DryApply(ctx, []byte(strings.ReplaceAll(manifests, "apply-test", "dry-test")), "test"); err != nil {
		t.Errorf("DryApply: %v", err)
	}
	if _, err := k.Get(ctx, kube.Ref{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: "dry-test"}); !errors.Is(err, kube.ErrNotFound) {
		t.Errorf("after DryApply: %v", err)
	}
	if _, err := k.Apply(ctx, []byte("apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: x}"), "test"); !errors.Is(err, kube.ErrNotFound) ||
		!strings.Contains(err.Error(), "no API example.org/v1") {
		t.Errorf("applying an unknown kind: %v", err)
	}
	gone, err := k.Delete(ctx, []byte(manifests))
	if err != nil || len(gone) != 3 {
		t.Errorf("Delete = %v, %v", gone, err)
	}
	// Without controllers the namespace stays, terminating.
	if gone, err = k.Delete(ctx, []byte(manifests)); err != nil || len(gone) > 1 {
		t.Errorf("Delete again = %v, %v", gone, err)
	}
	if gone, err = k.Delete(ctx, []byte("apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: x}")); err != nil || len(gone) != 0 {
		t.Errorf("deleting an unknown kind = %v, %v", gone, err)
	}
}

func resourceVersion(t *testing.T, k *kube.Cluster, ref kube.Ref) string {
	t.Helper()
	b, err := k.Get(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	return o.Metadata.ResourceVersion
}

func testObjects(t *testing.T, k *kube.Cluster) {
	ctx := t.Context()
	object := func(value, version string) []byte {
		return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","namespace":"default","labels":{"a":"b"},"resourceVersion":%q},"data":{"k":%q}}`, version, value)
	}
	ref := kube.Ref{APIVersion: "v1", Kind: "ConfigMap", Namespace: "default", Name: "m"}
	if _, err := k.Create(ctx, object("1", "")); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Create(ctx, object("1", "")); !errors.Is(err, kube.ErrConflict) {
		t.Errorf("creating twice: %v", err)
	}
	version := resourceVersion(t, k, ref)
	if _, err := k.Update(ctx, object("2", version)); err != nil {
		t.Error(err)
	}
	if _, err := k.Update(ctx, object("3", version)); !errors.Is(err, kube.ErrConflict) {
		t.Errorf("updating an old version: %v", err)
	}
	b, err := k.Patch(ctx, ref, kube.MergePatch, []byte(`{"data":{"k":"4"}}`))
	if err != nil || !strings.Contains(string(b), `"k":"4"`) {
		t.Errorf("Patch = %s, %v", b, err)
	}
	all, err := k.List(ctx, kube.Ref{APIVersion: "v1", Kind: "ConfigMap"}, kube.ListOptions{LabelSelector: "a=b"})
	if err != nil || len(all) != 1 {
		t.Errorf("List = %d, %v", len(all), err)
	}
	if _, err := k.Get(ctx, kube.Ref{APIVersion: "v1", Kind: "ConfigMap", Name: "m"}); err == nil || !strings.Contains(err.Error(), "lives in a namespace") {
		t.Errorf("without a namespace: %v", err)
	}
}

func testTokens(t *testing.T, s *kubetest.Server, k *kube.Cluster) {
	ctx := t.Context()
	apply(t, k, `
apiVersion: v1
kind: ServiceAccount
metadata: {name: orders, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: use-identity}
rules: [{apiGroups: [cid.wi.aks.azure.com], resources: [the-client], verbs: [use-managed-identity]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: use-identity}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: use-identity}
subjects: [{kind: ServiceAccount, name: orders, namespace: default}]
`)
	token, err := k.CreateToken(ctx, kube.TokenRequest{Namespace: "default", Account: "orders", Audiences: []string{"api://one"}, Seconds: 600})
	if err != nil {
		t.Fatal(err)
	}
	if until := time.Until(token.Expires); until < 5*time.Minute {
		t.Errorf("the token lives %s", until)
	}
	user, err := k.ReviewToken(ctx, token.Token, []string{"api://one", "api://two"})
	if err != nil || user.Name != "system:serviceaccount:default:orders" {
		t.Errorf("ReviewToken = %+v, %v", user, err)
	}
	if _, err := k.ReviewToken(ctx, token.Token, []string{"api://two"}); !errors.Is(err, kube.ErrToken) {
		t.Errorf("for another audience: %v", err)
	}
	if _, err := k.ReviewToken(ctx, "garbage", []string{"api://two"}); !errors.Is(err, kube.ErrToken) {
		t.Errorf("garbage: %v", err)
	}
	for client, want := range map[string]bool{"the-client": true, "another": false} {
		got, err := k.Allowed(ctx, user, kube.Attributes{Verb: "use-managed-identity", Group: "cid.wi.aks.azure.com", Resource: client})
		if err != nil || got != want {
			t.Errorf("Allowed(%s) = %v, %v, want %v", client, got, err, want)
		}
	}
	if may, err := k.MayI(ctx, kube.Attributes{Verb: "delete", Resource: "nodes"}); err != nil || !may {
		t.Errorf("MayI = %v, %v", may, err)
	}
	if _, err := k.CreateToken(ctx, kube.TokenRequest{Namespace: "default", Account: "nobody"}); !errors.Is(err, kube.ErrNotFound) {
		t.Errorf("a token of nobody: %v", err)
	}
	other := connect(t, s.KubeconfigWithToken(t, "not-a-token"))
	if _, err := other.CreateToken(ctx, kube.TokenRequest{Namespace: "default", Account: "orders"}); !errors.Is(err, kube.ErrUnauthorized) ||
		strings.Contains(err.Error(), "not-a-token") {
		t.Errorf("with a bad token: %v", err)
	}
}

func testDryRun(t *testing.T, k *kube.Cluster) {
	apply(t, k, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, namespace: default}")
	pod := []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"p-","namespace":"default"},
		"spec":{"containers":[{"name":"c","image":"i","env":[{"name":"A","value":"1"},{"name":"A","value":"2"}]}]}}`)
	made, warnings, err := k.DryRun(t.Context(), pod)
	if err != nil || !strings.Contains(string(made), `"serviceAccountName":"default"`) {
		t.Errorf("DryRun = %s, %v", made, err)
	}
	if len(warnings) == 0 || !strings.Contains(warnings[0], "hides previous definition") {
		t.Errorf("warnings = %q, want one of a duplicate variable", warnings)
	}
	all, err := k.List(t.Context(), kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: "default"}, kube.ListOptions{})
	if err != nil || len(all) != 0 {
		t.Errorf("after a dry run there are %d pods, %v", len(all), err)
	}
	if _, _, err := k.DryRun(t.Context(), []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"default"},"spec":{}}`)); !errors.Is(err, kube.ErrInvalid) {
		t.Errorf("an invalid pod: %v", err)
	}
}

func testCredentials(t *testing.T, s *kubetest.Server) {
	day := 24 * time.Hour
	_, err := kube.Connect(kube.Config{Kubeconfig: s.KubeconfigFor(t, time.Now().Add(-day), "late")})
	if err == nil || !strings.Contains(err.Error(), "client certificate expired on") {
		t.Errorf("an expired certificate: %v", err)
	}
	// The server says it too, to whoever's clock is slow.
	slow := func() time.Time { return time.Now().Add(-2 * day) }
	k, err := kube.Connect(kube.Config{Kubeconfig: s.KubeconfigFor(t, time.Now().Add(-day), "late"), Now: slow})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Get(t.Context(), kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: "default"}); !errors.Is(err, kube.ErrUnauthorized) {
		t.Errorf("an expired certificate at the server: %v", err)
	}
	k = connect(t, s.KubeconfigFor(t, time.Now().Add(day), "nobody"))
	if _, err := k.Get(t.Context(), kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: "default"}); !errors.Is(err, kube.ErrForbidden) ||
		!strings.Contains(err.Error(), "nobody") {
		t.Errorf("without permission: %v", err)
	}
	other := kubetest.Stranger(t, s)
	if _, err := connect(t, other).Version(t.Context()); !errors.Is(err, kube.ErrUnreachable) || !strings.Contains(err.Error(), "not signed by the CA that was given") {
		t.Errorf("another cluster's CA: %v", err)
	}
}

func apply(t *testing.T, k *kube.Cluster, manifests string) {
	t.Helper()
	if _, err := k.Apply(t.Context(), []byte(manifests), "test"); err != nil {
		t.Fatal(err)
	}
}
