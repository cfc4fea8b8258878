package doctor_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/doctor"
	"github.com/lanyard-io/lanyard/internal/kube"
)

// Each row breaks one thing; exactly that is named.
func TestEachBrokenLinkIsNamed(t *testing.T) {
	w := newWorld(t)
	nobody := "11111111-2222-3333-4444-555555555555"
	tests := []struct {
		name  string
		first func(*row) // before the pod is made
		then  func(*row) // after
		want  string     // the broken link; empty for none
		words string     // of its detail
		fix   string     // of its fix
	}{
		{name: "healthy"},
		{name: "identity-binding", first: func(r *row) {
			r.podNotes = map[string]string{"azure.workload.identity/use-identity-binding": "true"}
			c := *r.inject.Load()
			c.TokenProxy = &admission.TokenProxy{Suffix: "identity-binding", Audience: "api://AKSIdentityBinding", URL: "https://proxy.example.test/"}
			r.inject.Store(&c)
		}},
		{name: "adfs", first: func(r *row) {
			c := *r.inject.Load()
			c.TenantID = "adfs"
			r.inject.Store(&c)
		}},
		{name: "names-mode", first: func(r *row) {
			c := *r.inject.Load()
			c.Authority = "https://login.microsoftonline.com/"
			r.inject.Store(&c)
			r.env["KEYVAULT_URL"] = "https://kv-orders.vault.azure.net/"
		}},
		{name: "two-layouts", first: func(r *row) {
			c := *r.inject.Load()
			c.Layout = admission.LayoutBoth
			r.inject.Store(&c)
		}},
		{name: "no-pod", then: func(r *row) { r.delete("v1", "Pod", r.ns, "app") }, want: "pod", words: `no pod "app"`},
		{name: "no-label", first: func(r *row) { r.labels = map[string]string{"app": "orders"} }, want: "label", words: "lacks the label", fix: "not to the service account"},
		{name: "label-of-another-value", first: func(r *row) { r.labels["azure.workload.identity/use"] = "True" }, want: "label", words: `"True"`},
		{name: "no-account", then: func(r *row) { r.delete("v1", "ServiceAccount", r.ns, "orders") }, want: "service-account", words: `no service account "orders"`, fix: "kubectl create serviceaccount orders"},
		{name: "no-client-id", first: func(r *row) { r.notes = nil }, want: "client-id", words: "lacks the annotation", fix: "kubectl annotate serviceaccount orders"},
		{name: "client-id-is-no-guid", then: func(r *row) { r.annotate(map[string]string{"azure.workload.identity/client-id": "orders"}) }, want: "client-id", words: `"orders" is not a GUID`},
		{name: "client-id-with-blanks", then: func(r *row) { r.annotate(map[string]string{"azure.workload.identity/client-id": nobody + " "}) }, want: "client-id", words: "blanks"},
		{name: "default-account", first: func(r *row) { r.account, r.notes = "default", nil }, want: "client-id", words: `"default"`, fix: "serviceAccountName"},
		{name: "no-webhook", then: func(r *row) {
			r.delete("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", configurationName)
		}, want: "webhook", words: "no webhook"},
		{name: "namespace-not-selected", then: func(r *row) {
			c := r.configuration()
			r.hookOf(c)["namespaceSelector"] = map[string]any{"matchLabels": map[string]string{"identity": "on"}}
			r.install(c)
		}, want: "webhook", words: "does not take pods of namespace"},
		{name: "another-ca", then: func(r *row) {
			c := r.configuration()
			r.hookOf(c)["clientConfig"].(map[string]any)["caBundle"] = r.rootPEM
			r.install(c)
		}, want: "webhook-certificate", words: "certificate"},
		{name: "webhook-service-missing", then: func(r *row) {
			c := r.configuration()
			r.hookOf(c)["clientConfig"] = map[string]any{"service": map[string]any{"namespace": r.ns, "name": "hook", "path": admission.Path}}
			r.install(c)
		}, want: "webhook-certificate", words: "not there"},
		{name: "webhook-without-pods", then: func(r *row) {
			r.apply(map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "hook", "namespace": r.ns},
				"spec": map[string]any{"ports": []any{map[string]any{"port": 443}}}})
			c := r.configuration()
			r.hookOf(c)["clientConfig"] = map[string]any{"service": map[string]any{"namespace": r.ns, "name": "hook", "path": admission.Path}}
			r.install(c)
		}, want: "webhook-certificate", words: "no pod behind"},
		{name: "webhook-that-refuses", then: func(r *row) {
			r.annotate(map[string]string{"azure.workload.identity/service-account-token-expiration": "5"})
		}, want: "webhook-answer", words: "expiration"},
		{name: "older-than-the-webhook", first: func(r *row) {
			r.before = func() {
				r.delete("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", configurationName)
			}
		}, then: func(r *row) { r.install(r.configuration()) }, want: "injection", words: "older than the webhook", fix: "kubectl delete pod app"},
		{name: "older-than-the-annotation", then: func(r *row) {
			other := r.s.Identity("other")
			r.identity = other
			r.credentialWith("issuer", r.issuer)
			r.s.Allow("kv-orders", other.PrincipalID, "get")
			r.annotate(map[string]string{"azure.workload.identity/client-id": other.ClientID})
		}, want: "injection", words: "AZURE_CLIENT_ID", fix: "kubectl delete pod app"},
		{name: "another-authority", first: func(r *row) {
			r.inject.Store(&admission.Config{Authority: "https://login.example.test/", TenantID: r.s.TenantID, Trust: &admission.Trust{PEM: r.rootPEM}})
		}, want: "authority", words: "https://login.example.test/"},
		{name: "another-tenant", first: func(r *row) { r.notes["azure.workload.identity/tenant-id"] = nobody }, want: "authority", words: "tenant is " + nobody},
		{name: "no-ca", first: func(r *row) {
			r.inject.Store(&admission.Config{Authority: r.own.LoginURL(), TenantID: r.s.TenantID})
		}, want: "trust", words: "cannot trust"},
		{name: "unknown-issuer", first: func(r *row) { check(r.t, r.c.Issuers().Delete(r.t.Context(), r.issuer)) }, want: "issuer", words: "nobody is known to vouch", fix: "lanyard cluster attach"},
		{name: "old-keys", first: func(r *row) {
			r.trust([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"old","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`))
		}, want: "issuer", words: "signed this token", fix: "--jwks"},
		{name: "unknown-identity", first: func(r *row) { r.notes["azure.workload.identity/client-id"] = nobody }, want: "identity", words: nobody},
		{name: "principal-id-for-client-id", first: func(r *row) { r.notes["azure.workload.identity/client-id"] = r.identity.PrincipalID }, want: "identity", words: "is the principal id of identity"},
		{name: "slash", first: func(r *row) { r.credentialWith("issuer", r.issuer+"/") }, want: "federated-credential", words: "slash at its end", fix: "az identity federated-credential create"},
		{name: "subject-of-another-case", first: func(r *row) { r.credentialWith("subject", "system:serviceaccount:"+r.ns+":Orders") }, want: "federated-credential", words: "upper and lower case"},
		{name: "subject-of-another-namespace", first: func(r *row) { r.credentialWith("subject", "system:serviceaccount:default:orders") }, want: "federated-credential", words: "names the namespace default"},
		{name: "subject-of-another-account", first: func(r *row) { r.credentialWith("subject", "system:serviceaccount:"+r.ns+":other") }, want: "federated-credential", words: "names the service account other"},
		{name: "another-audience", first: func(r *row) { r.credentialWith("audiences", []string{"api://other"}) }, want: "federated-credential", words: "audience is api://other"},
		{name: "expression-that-misses", first: func(r *row) {
			r.credentialWith("claimsMatchingExpression", map[string]any{"value": "claims['sub'] eq 'other'", "languageVersion": 1})
		}, want: "exchange", words: "AADSTS"},
		{name: "no-policy", first: func(r *row) { r.env["KEYVAULT_URL"] = r.own.VaultURL("kv-empty") }, want: "vault", words: "goes by access policies", fix: "az keyvault set-policy --name kv-empty"},
		{name: "no-vault", first: func(r *row) { r.env["KEYVAULT_URL"] = r.own.VaultURL("kv-nowhere") }, want: "vault", words: "kv-nowhere"},
		{name: "vault-of-others", first: func(r *row) { r.env["KEYVAULT_URL"] = "https://kv.vault.example.test/" }, want: "vault", words: "is no vault of"},
		{name: "no-secret", first: func(r *row) { r.env["SECRET_NAME"] = "other" }, want: "vault", words: "has no secret other", fix: "az keyvault secret set"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := w.row(t)
			if tt.first != nil {
				tt.first(r)
			}
			r.makePod()
			if tt.then != nil {
				tt.then(r)
			}
			got := r.look()
			b, err := json.MarshalIndent(got, "", "  ")
			check(t, err)
			if got.Broken != tt.want || got.Healthy != (tt.want == "") {
				t.Fatalf("broken = %q, want %q\n%s", got.Broken, tt.want, b)
			}
			for _, l := range got.Links {
				if l.Status == doctor.Problem && l.Name != tt.want {
					t.Errorf("%s is a problem too: %s", l.Name, l.Detail)
				}
				if l.Name == tt.want && (!strings.Contains(l.Detail, tt.words) || !strings.Contains(l.Fix, tt.fix) || l.Fix == "") {
					t.Errorf("got %+v, want words %q and fix %q", l, tt.words, tt.fix)
				}
			}
			if strings.Contains(string(b), "eyJ") {
				t.Errorf("a token is in the report:\n%s", b)
			}
		})
	}
	t.Run("attached-not-enabled", func(t *testing.T) { testAttached(t, w) })
	t.Run("without-a-server", func(t *testing.T) { testWithoutServer(t, w) })
	t.Run("least-rights", func(t *testing.T) { testLeastRights(t, w) })
	t.Run("server", func(t *testing.T) { testServer(t, w) })
}

// credentialWith makes the row's credential with one property changed.
func (r *row) credentialWith(name string, value any) {
	p := map[string]any{"issuer": r.issuer, "subject": "system:serviceaccount:" + r.ns + ":orders", "audiences": []string{"api://AzureADTokenExchange"}}
	if name == "claimsMatchingExpression" {
		delete(p, "subject")
	}
	p[name] = value
	r.credential(p)
}

func testAttached(t *testing.T, w *world) {
	r := w.row(t)
	r.makePod()
	check(t, r.c.Issuers().Delete(t.Context(), r.issuer))
	id := "/subscriptions/" + r.s.SubscriptionID + "/resourceGroups/lanyardtest/providers/Microsoft.ContainerService/managedClusters/lab"
	r.put(id, "2026-07-01", map[string]any{"location": "local", "properties": map[string]any{"attachment": map[string]any{"kubeconfig": r.kubeconfig}}})
	defer func() {
		_, err := r.c.ResourceManager("2026-07-01").Call(t.Context(), "DELETE", id, nil, nil, nil)
		check(t, err)
	}()
	if got := r.look(); got.Broken != "issuer" {
		t.Errorf("broken = %q, want issuer: %+v", got.Broken, got.Links)
	}
	r.put(id, "2026-07-01", map[string]any{"location": "local", "properties": map[string]any{
		"attachment": map[string]any{"kubeconfig": r.kubeconfig, "takeOverIssuer": true}, "oidcIssuerProfile": map[string]any{"enabled": true},
	}})
	if got := r.look(); !got.Healthy {
		t.Errorf("broken = %q, want none: %+v", got.Broken, got.Links)
	}
	if got := doctor.Server(t.Context(), r.c); !got.Healthy {
		t.Errorf("the server's report: %+v", got)
	}
}

// Without a server the cluster's half is judged, and the rest is skipped with words.
func testWithoutServer(t *testing.T, w *world) {
	r := w.row(t)
	r.makePod()
	r.without = &doctor.Config{Cluster: r.k}
	got := r.look()
	status := map[string]doctor.Status{}
	for _, l := range got.Links {
		status[l.Name] = l.Status
		if l.Status == doctor.Skipped && l.Detail == "" {
			t.Errorf("%s is skipped without a word", l.Name)
		}
	}
	// Its issuer is on no network, which Azure could not ask either.
	if got.Broken != "issuer" || status["injection"] != doctor.OK || status["token"] != doctor.OK {
		t.Errorf("broken = %q, links %+v", got.Broken, got.Links)
	}
	for _, name := range []string{"identity", "authority", "trust"} {
		if status[name] != doctor.Skipped {
			t.Errorf("%s is %s, want skipped", name, status[name])
		}
	}
}

// Somebody who may read pods and service accounts only still learns what they can.
func testLeastRights(t *testing.T, w *world) {
	r := w.row(t)
	r.makePod()
	r.apply(map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": "viewer"},
		"rules": []any{map[string]any{"apiGroups": []string{""}, "resources": []string{"pods", "serviceaccounts"}, "verbs": []string{"get"}}}})
	r.apply(map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": "viewer"},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "viewer"},
		"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "viewer"}}})
	k, err := kube.Connect(kube.Config{Kubeconfig: r.viewer})
	check(t, err)
	defer k.Close()
	r.without = &doctor.Config{Cluster: k, Server: r.c, TenantID: r.s.TenantID, PrivateCA: true}
	got := r.look()
	if !got.Healthy {
		t.Errorf("broken = %q, want none: %+v", got.Broken, got.Links)
	}
	for _, l := range got.Links {
		if (l.Name == "webhook" || l.Name == "token" || l.Name == "webhook-answer") && l.Status != doctor.Skipped {
			t.Errorf("%s is %s, want skipped", l.Name, l.Status)
		}
	}
}

func testServer(t *testing.T, w *world) {
	if got := doctor.Server(t.Context(), w.c); !got.Healthy || got.Links[len(got.Links)-1].Name != "clusters" {
		t.Errorf("report = %+v", got)
	}
}
