package arm_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// taking is the body that attaches a cluster whose keys may take over its issuer.
func taking(k *kube) string {
	return strings.Replace(attachment(k.config(nil), issuerOn), `"attachment":{`, `"attachment":{"takeOverIssuer":true,`, 1)
}

func TestClusterTakesOverNoIssuer(t *testing.T) {
	const github = "https://token.actions.example"
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	l.must(201, "PUT", identities+"/web", east)
	l.must(201, "PUT", identities+"/web/federatedIdentityCredentials/main", credential(github, "repo:octo/app:ref:refs/heads/main"))
	k.set(func(k *kube) { k.named = github })

	refused := func(what, who, path, body string) {
		t.Helper()
		rev := l.rev()
		a := l.as(who, "PUT", path, body)
		if a.status != 409 || l.rev() != rev || !strings.Contains(toText(a.body), "--take-over-issuer") {
			t.Errorf("%s: %d %v", what, a.status, a.body)
		}
		if named := strings.Contains(toText(a.body), "/web/federatedIdentityCredentials/main"); named != (who == "admin") {
			t.Errorf("%s: the credential is named: %v, to %s", what, named, who)
		}
	}
	enable := `{"location":"eastus","properties":{"oidcIssuerProfile":{"enabled":true}}}`
	refused("attached and enabled", "admin", clusters+"/aks", attachment(k.config(nil), issuerOn))
	l.must(201, "PUT", clusters+"/aks", attachment(k.config(nil), nil))
	refused("enabled later", "admin", clusters+"/aks", enable)
	l.grant(clusters+"/aks", contributorRole, reader) // who may not read the credential
	refused("enabled by another", "reader", clusters+"/aks", enable)
	if a := l.as("reader", "PUT", clusters+"/aks", strings.Replace(enable, `"oidc`, `"attachment":{"takeOverIssuer":true},"oidc`, 1)); a.status != 403 {
		t.Errorf("taken over without the right to write issuers: %d", a.status)
	}

	// A flag for one issuer is none for the next.
	k.set(func(k *kube) { k.named = "" })
	l.must(200, "PUT", clusters+"/aks", strings.Replace(taking(k), `"enabled":true`, `"enabled":false`, 1))
	k.set(func(k *kube) { k.named = github })
	l.must(200, "PUT", clusters+"/aks", attachment(k.config(nil), nil))
	refused("attached again with another issuer", "admin", clusters+"/aks", enable)

	if p := l.must(200, "PUT", clusters+"/aks", taking(k)).properties()["attachment"].(map[string]any); p["takeOverIssuer"] != true {
		t.Errorf("attachment %v", p)
	}
	if l.view().Get(model.IssuerKey(github)) == nil {
		t.Error("the issuer has no keys of the cluster's")
	}
	l.must(200, "PUT", clusters+"/aks", attachment(k.config(nil), issuerOn)) // new credentials: its own issuer by now
}

func TestOwnIssuerIsNeverAttachedOrStored(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	for _, issuer := range []string{
		"https://login.lanyard.localhost/" + tenant + "/", "https://LOGIN.lanyard.localhost./x", "https://login.lanyard.localhost:8443/" + tenant + "/v2.0",
		"https://login.microsoftonline.com/" + tenant + "/v2.0", "https://sts.windows.net/" + tenant + "/",
	} {
		k.set(func(k *kube) { k.named = issuer })
		rev := l.rev()
		if a := l.as("admin", "PUT", clusters+"/aks", attachment(k.config(nil), nil)); a.status != 400 || l.rev() != rev {
			t.Errorf("attached with the issuer %s: %d %v", issuer, a.status, a.body)
		}
		body := `{"properties":{"url":"` + issuer + `","roots":"` + strings.ReplaceAll(string(k.issuer.CA), "\n", `\n`) + `"}}`
		if a := l.as("admin", "PUT", "/providers/Lanyard.Trust"+model.IssuerKey(issuer)+"?api-version=2026-11-01", body); a.status != 400 || l.rev() != rev {
			t.Errorf("stored settings of the issuer %s: %d %v", issuer, a.status, a.body)
		}
	}
}

// Contributor at the root may write issuers, and managed identities' credentials,
// but no applications: so it must not get there through an issuer's keys.
func TestIssuersOfApplicationsNeedTheRightToWriteThem(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	l.grant("/", contributorRole, nobody)
	issuer := k.issuer.URL
	path := "/providers/Lanyard.Trust" + model.IssuerKey(issuer) + "?api-version=2026-11-01"
	body := `{"properties":{"url":"` + issuer + `","roots":"` + strings.ReplaceAll(string(k.issuer.CA), "\n", `\n`) + `"}}`
	if a := l.as("nobody", "PUT", path, body); a.status != 201 {
		t.Fatalf("settings that no application rests on: %d %v", a.status, a.body)
	}

	app := model.ApplicationKey(admin)
	f := &model.FederatedCredential{
		Resource:  model.Resource{ID: app + model.FederatedCredentialSegment + "ci", Name: "ci"},
		ParentKey: app, Issuer: issuer, Subject: "system:serviceaccount:ci:deploy", Audiences: []string{"api://AzureADTokenExchange"},
	}
	_, err := l.Store.Put(t.Context(), f, store.Any)
	l.check(err)
	for _, method := range []string{"PUT", "DELETE"} {
		if a := l.as("nobody", method, path, body); a.status != 403 {
			t.Errorf("%s of settings that an application rests on: %d %v", method, a.status, a.body)
		}
	}
	l.must(200, "DELETE", path, "")
	if a := l.as("nobody", "PUT", clusters+"/aks", taking(k)); a.status != 403 {
		t.Errorf("taken over by a cluster: %d %v", a.status, a.body)
	}
	l.must(201, "PUT", clusters+"/aks", taking(k))
}

// The keys of a cluster go with it, even when they are read at that moment.
func TestDetachedClusterLeavesNoKeys(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	l.must(201, "PUT", clusters+"/aks", attachment(k.config(nil), issuerOn))
	l.check(l.Store.Delete(t.Context(), model.IssuerKey(k.issuer.URL), store.Any)) // as half way through a detachment
	detached := false
	k.set(func(k *kube) {
		k.asked = func(r *http.Request) {
			if r.URL.Path == "/openid/v1/jwks" && !detached {
				detached = true
				if err := l.Store.Delete(t.Context(), strings.ToLower(clusters+"/aks"), store.Any); err != nil {
					t.Error(err)
				}
			}
		}
	})
	l.clusters.Refresh(t.Context())
	if !detached || l.view().Get(model.IssuerKey(k.issuer.URL)) != nil {
		t.Errorf("detached %v; the keys are there", detached)
	}
}
