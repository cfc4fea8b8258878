package arm_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/trust"
)

const (
	clusters        = labGroup + "/providers/Microsoft.ContainerService/managedClusters"
	contributorRole = "b24988ac-6180-42a0-ab88-20f7382dd24c"
)

var (
	issuerOn   = map[string]any{"oidcIssuerProfile": map[string]any{"enabled": true}}
	identityOn = map[string]any{"securityProfile": map[string]any{"workloadIdentity": map[string]any{"enabled": true}}}
)

// trusts says whether the stored keys verify a token that the cluster makes now.
func (l *lab) trusts(k *kube) bool {
	l.t.Helper()
	token, err := k.issuer.Token("default", "sa", "api://AzureADTokenExchange", l.now)
	l.check(err)
	a, err := trust.Parse(token)
	l.check(err)
	i, _, ok := store.Get[*model.Issuer](l.view(), model.IssuerKey(k.issuer.URL))
	if !ok {
		return false
	}
	v := trust.New(trust.Config{Now: func() time.Time { return l.now }})
	return v.Verify(l.t.Context(), a, trust.Source{Issuer: i.URL, Keys: i.Keys}, "api://AzureADTokenExchange") == nil
}

func TestAttachedClusterIsNotTrustedUntilItsIssuerIsEnabled(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	l.must(201, "PUT", clusters+"/aks", attachment(k.config(nil), nil))
	if l.trusts(k) {
		t.Error("the keys of a cluster whose issuer is not enabled are stored")
	}

	l.must(200, "PUT", clusters+"/aks", `{"location":"eastus","properties":{"oidcIssuerProfile":{"enabled":true}}}`)
	if !l.trusts(k) {
		t.Error("a token of an enabled cluster is not verified")
	}
	l.must(202, "DELETE", clusters+"/aks", "")
	if l.trusts(k) {
		t.Error("a token of a detached cluster is verified")
	}
}

func TestDeletingTheGroupDetachesItsClusters(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	l.must(201, "PUT", clusters+"/aks", attachment(k.config(nil), issuerOn))
	l.must(202, "DELETE", labGroup, "")
	if l.trusts(k) {
		t.Error("a token of a cluster in a deleted group is verified")
	}
}

func TestClusterKeysFollowTheCluster(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	l.must(201, "PUT", clusters+"/aks", attachment(k.config(nil), issuerOn))

	l.check(k.issuer.Rotate())
	if l.trusts(k) {
		t.Fatal("a new key is trusted before it was read")
	}
	l.clusters.Refresh(t.Context())
	if !l.trusts(k) {
		t.Error("a rotated key is not trusted after a refresh")
	}

	// Out of reach: the keys are used for a while, and no longer.
	k.set(func(k *kube) { k.status = http.StatusServiceUnavailable })
	l.now = l.now.Add(9 * time.Minute)
	l.clusters.Refresh(t.Context())
	if !l.trusts(k) {
		t.Error("keys are dropped as soon as the cluster is out of reach")
	}
	l.now = l.now.Add(time.Minute)
	l.clusters.Refresh(t.Context())
	if l.trusts(k) {
		t.Error("keys are trusted ten minutes after they were last read")
	}
	rev := l.rev()
	l.clusters.Refresh(t.Context())
	if got := l.rev(); got != rev {
		t.Error("keys that were dropped are written again")
	}

	k.set(func(k *kube) { k.status = 0 })
	l.clusters.Refresh(t.Context())
	if !l.trusts(k) {
		t.Error("keys are not trusted again once the cluster is back")
	}
}

func TestSlowClusterDelaysNoOther(t *testing.T) {
	l, slow, other := newLab(t, withClusters(t)).withGroup(), newKube(t), newKube(t)
	l.must(201, "PUT", clusters+"/a-slow", attachment(slow.config(nil), issuerOn))
	l.must(201, "PUT", clusters+"/b-other", attachment(other.config(nil), issuerOn))
	reached := make(chan struct{})
	var once sync.Once
	other.set(func(k *kube) { k.asked = func(*http.Request) { once.Do(func() { close(reached) }) } })
	slow.set(func(k *kube) {
		k.asked = func(r *http.Request) {
			select {
			case <-reached:
			case <-r.Context().Done():
				t.Error("the other cluster is asked only when this one has been given up")
			}
		}
	})
	l.clusters.Refresh(t.Context())
}

func TestClusterThatNamesAnotherIssuerIsNotBelieved(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	l.must(201, "PUT", clusters+"/aks", attachment(k.config(nil), nil))
	k.set(func(k *kube) { k.named = "https://token.elsewhere.example" })
	a := l.as("admin", "PUT", clusters+"/aks", `{"location":"eastus","properties":{"oidcIssuerProfile":{"enabled":true}}}`)
	if a.status != 400 || l.trusts(k) {
		t.Errorf("enabling the issuer of a cluster that now names another: status %d, %v", a.status, a.body)
	}
	if l.view().Get(model.IssuerKey("https://token.elsewhere.example")) != nil {
		t.Error("the other issuer has keys now")
	}

	k.set(func(k *kube) { k.named = "" })
	l.must(200, "PUT", clusters+"/aks", `{"location":"eastus","properties":{"oidcIssuerProfile":{"enabled":true}}}`)
	k.set(func(k *kube) { k.named = "https://token.elsewhere.example" })
	if a := l.as("admin", "PUT", clusters+"/aks", attachment(k.config(nil), nil)); a.status != 409 {
		t.Errorf("attaching again with another issuer: status %d, want 409", a.status)
	}
}

func TestOneIssuerOneCluster(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	l.must(201, "PUT", clusters+"/first", attachment(k.config(nil), issuerOn))
	if a := l.as("admin", "PUT", clusters+"/second", attachment(k.config(nil), issuerOn)); a.status != 409 || l.view().Get(strings.ToLower(clusters+"/second")) != nil {
		t.Errorf("a second cluster with the same issuer: status %d, %v", a.status, a.body)
	}
	own := "/providers/Lanyard.Trust" + model.IssuerKey(k.issuer.URL) + "?api-version=2026-11-01"
	if a := l.as("admin", "DELETE", own, ""); a.status != 409 {
		t.Errorf("deleting the settings that a cluster keeps: status %d, want 409", a.status)
	}

	l.must(202, "DELETE", clusters+"/first", "")
	_, err := l.Store.Put(t.Context(), &model.Issuer{URL: k.issuer.URL, Keys: []byte(`{"keys":[]}`)}, 0)
	l.check(err)
	if a := l.as("admin", "PUT", clusters+"/second", attachment(k.config(nil), issuerOn)); a.status != 409 {
		t.Errorf("a cluster whose issuer has settings of an operator: status %d, want 409", a.status)
	}
}

// Whoever attaches a cluster decides which keys an issuer has, so a right in the
// subscription is not enough.
func TestAttachingNeedsTheRightToWriteIssuers(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	l.grant(subID, contributorRole, nobody)
	rev := l.rev()
	a := l.as("nobody", "PUT", clusters+"/aks", attachment(k.config(nil), nil))
	if a.status != 403 || l.rev() != rev {
		t.Errorf("a contributor attaches a cluster: status %d, %v", a.status, a.body)
	}
	l.must(201, "PUT", clusters+"/aks", attachment(k.config(nil), nil))
	if a := l.as("nobody", "PUT", clusters+"/aks", `{"location":"eastus","properties":{"oidcIssuerProfile":{"enabled":true}}}`); a.status != 200 {
		t.Errorf("a contributor enables the issuer of an attached cluster: status %d, %v", a.status, a.body)
	}
}

func TestKubeconfigIsSealedAndNeverShown(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	l.must(201, "PUT", clusters+"/aks", attachment(k.config(nil), nil))
	stored, err := model.Encode(l.view().Get(strings.ToLower(clusters + "/aks")).Value)
	l.check(err)
	if bytes.Contains(stored, []byte(kubeToken)) || bytes.Contains(stored, []byte(base64.StdEncoding.EncodeToString([]byte(kubeToken))[:20])) {
		t.Error("the stored cluster holds the token in the clear")
	}
	if a := l.must(200, "GET", clusters+"/aks", ""); strings.Contains(strings.Join(strings.Fields(toText(a.body)), ""), kubeToken) {
		t.Error("GET shows the token")
	}
}

func TestBadKubeconfigs(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	with := func(where, field string, value any) []byte {
		return k.config(func(cluster, user map[string]any) {
			part := cluster
			if where == "user" {
				part = user
			}
			part[field] = value
		})
	}
	for name, config := range map[string][]byte{
		"not-json":         []byte("apiVersion: v1"),
		"empty":            []byte("{}"),
		"too-large":        bytes.Repeat([]byte(" "), 300<<10),
		"http":             with("cluster", "server", "http://127.0.0.1:6443"),
		"no-host":          with("cluster", "server", "https://"),
		"user-in-url":      with("cluster", "server", "https://a:b@127.0.0.1/"),
		"query-in-url":     with("cluster", "server", k.srv.URL+"/?x="),
		"two-servers":      with("cluster", "Server", "https://127.0.0.1:1"),
		"two-tokens":       with("user", "to\u212aen", "guess"),
		"insecure":         with("cluster", "insecure-skip-tls-verify", true),
		"proxy":            with("cluster", "proxy-url", "http://127.0.0.1:1"),
		"ca-file":          with("cluster", "certificate-authority", "/etc/passwd"),
		"ca-not-base64":    with("cluster", "certificate-authority-data", "%"),
		"ca-not-pem":       with("cluster", "certificate-authority-data", "AAAA"),
		"another-ca":       with("cluster", "certificate-authority-data", base64.StdEncoding.EncodeToString(k.issuer.CA)),
		"token-file":       with("user", "tokenFile", "/etc/passwd"),
		"exec":             with("user", "exec", map[string]any{"command": "id"}),
		"auth-provider":    with("user", "auth-provider", map[string]any{"name": "gcp"}),
		"password":         with("user", "username", "root"),
		"impersonates":     with("user", "as", "root"),
		"no-credential":    with("user", "token", ""),
		"wrong-token":      with("user", "token", "guess"),
		"half-certificate": k.config(func(_, user map[string]any) { delete(user, "token"); user["client-certificate-data"] = "AAAA" }),
		"broken-key-pair": k.config(func(_, user map[string]any) {
			user["client-certificate-data"], user["client-key-data"] = "AAAA", "AAAA"
		}),
		"nobody-answers":    with("cluster", "server", "https://127.0.0.1:1"),
		"not-its-own-paths": with("cluster", "server", k.srv.URL+"/else"),
	} {
		t.Run(name, func(t *testing.T) {
			rev := l.rev()
			a := l.as("admin", "PUT", clusters+"/aks", attachment(config, nil))
			if a.status != 400 || l.rev() != rev {
				t.Errorf("status %d, %v", a.status, a.body)
			}
			if strings.Contains(toText(a.body), kubeToken) {
				t.Errorf("the answer quotes the token: %v", a.body)
			}
		})
	}
}

func TestClustersWithoutUsableKeys(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	for name, change := range map[string]func(*kube){
		"redirect":     func(k *kube) { k.status = http.StatusFound },
		"forbidden":    func(k *kube) { k.status = http.StatusForbidden },
		"no-keys":      func(k *kube) { k.keys = `{"keys":[]}` },
		"html":         func(k *kube) { k.keys = "<html>" },
		"endless-keys": func(k *kube) { k.keys = strings.Repeat(" ", 300<<10) },
		"http-issuer":  func(k *kube) { k.named = "http://kubernetes.default.svc" },
		"empty-issuer": func(k *kube) { k.named = " " },
	} {
		t.Run(name, func(t *testing.T) {
			k.set(change)
			defer k.set(func(k *kube) { k.status, k.keys, k.named = 0, "", "" })
			rev := l.rev()
			if a := l.as("admin", "PUT", clusters+"/aks", attachment(k.config(nil), issuerOn)); a.status != 400 || l.rev() != rev {
				t.Errorf("status %d, %v", a.status, a.body)
			}
		})
	}
	l.must(400, "PUT", clusters+"/aks", attachment(k.config(nil), identityOn)) // needs the issuer too
}

func TestNoClustersWithoutASealer(t *testing.T) {
	l := newLab(t).withGroup()
	if a := l.as("admin", "GET", clusters, ""); a.status != 404 {
		t.Errorf("listing clusters without a sealer: status %d, want 404", a.status)
	}
}

func TestWebhookSettings(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	l.grant(subID, contributorRole, nobody)
	l.must(201, "PUT", clusters+"/aks", attachment(k.config(nil), nil))
	set := func(who, settings string) *answer {
		return l.as(who, "PUT", clusters+"/aks", `{"location":"eastus","properties":{"attachment":{"webhook":`+settings+`}}}`)
	}
	for _, bad := range []string{
		`{"mode":"sidecar"}`, `{"imagePullPolicy":"Sometimes"}`, `{"hostAlias":"example.org"}`,
		`{"image":"a b"}`, `{"image":"a\nb"}`, `{"image":"` + strings.Repeat("a", 600) + `"}`,
		`{"url":"http://192.0.2.1"}`, `{"url":"https://"}`, `{"url":"https://u:p@h/"}`, `{"url":"https://h/path"}`, `{"url":"https://h/?q"}`, `{"url":"https://h/#f"}`, `{"url":"https://bücher.test:7444"}`,
	} {
		if a := set("admin", bad); a.status != 400 {
			t.Errorf("settings %s: status %d, %v", bad, a.status, a.body)
		}
	}
	const good = `{"mode":"url","url":"https://192.0.2.1:7444","image":"localhost/l:1","imagePullPolicy":"Never","hostAlias":"192.0.2.1"}`
	if a := set("nobody", good); a.status != 403 {
		t.Errorf("a contributor chooses what runs in a cluster: status %d, %v", a.status, a.body)
	}
	if a := set("admin", good); a.status != 200 {
		t.Errorf("good settings: status %d, %v", a.status, a.body)
	}
	if a := set("nobody", `{"url":"https://192.0.2.1:7444"}`); a.status != 200 {
		t.Errorf("a contributor who sends back what is set: status %d, %v", a.status, a.body)
	}
	stored, _, _ := store.Get[*model.Cluster](l.view(), strings.ToLower(clusters+"/aks"))
	if want := (model.Webhook{Mode: "url", URL: "https://192.0.2.1:7444", Image: "localhost/l:1", PullPolicy: "Never", HostAlias: "192.0.2.1"}); stored.Webhook != want {
		t.Errorf("stored %+v, want %+v", stored.Webhook, want)
	}
	if a := set("admin", `{"hostAlias":""}`); a.status != 200 {
		t.Errorf("clearing a setting: status %d, %v", a.status, a.body)
	}
}
