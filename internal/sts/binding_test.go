package sts_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/sts"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

// answers is what a cluster would say; a real one is asked in package server.
type answers struct {
	user   string
	may    bool
	broken bool
	asked  int
	client string
	during func() // what happens while it is asked
}

func (a *answers) Review(_ context.Context, _ *model.Cluster, token, audience string) (model.ClusterUser, error) {
	a.asked++
	if a.during != nil {
		a.during()
	}
	switch {
	case a.broken:
		return model.ClusterUser{}, errors.New("dial tcp: refused")
	case a.user == "" || audience != model.BindingAudience || strings.Count(token, ".") != 2:
		return model.ClusterUser{}, model.ErrClusterToken
	}
	return model.ClusterUser{Name: a.user}, nil
}

func (a *answers) MayUse(_ context.Context, _ *model.Cluster, _ model.ClusterUser, clientID string) (bool, error) {
	a.client = clientID
	return a.may, nil
}

// bound is a cluster with a binding to an identity.
type bound struct {
	*world
	cluster *answers
	issuer  *trusttest.Issuer
	id      *model.Identity
	url     string // of the endpoint, without a slash at its end
	good    string // a token that is accepted
}

func newBound(t *testing.T, change func(*names.Config, *sts.Config)) *bound {
	t.Helper()
	b := &bound{cluster: &answers{user: subject, may: true}, issuer: trusttest.New(t)}
	b.world = newWorld(t, func(nc *names.Config, c *sts.Config) {
		c.Clusters = b.cluster
		if change != nil {
			change(nc, c)
		}
	})
	k := &model.Cluster{Resource: model.Resource{ID: "/subscriptions/s/resourceGroups/lab/providers/Microsoft.ContainerService/managedClusters/aks", Name: "aks"}, Issuer: b.issuer.URL}
	b.id = b.identity("bound")
	b.put(k, b.credential(b.id), b.binding(k, b.id))
	b.url = login + model.BindingPath(k.Key())
	b.good = b.issuer.KubernetesToken("lab", "workload", model.BindingAudience, time.Hour)
	return b
}

func (b *bound) credential(id *model.Identity) *model.FederatedCredential {
	return &model.FederatedCredential{
		Resource:  model.Resource{ID: id.ID + "/federatedIdentityCredentials/" + model.BindingCredential, Name: model.BindingCredential},
		ParentKey: id.Key(), Issuer: model.BindingIssuer(login, tenantID, id.ClientID), Subject: id.ClientID, Audiences: []string{model.BindingAudience},
	}
}

func (b *bound) binding(k *model.Cluster, id *model.Identity) *model.IdentityBinding {
	return &model.IdentityBinding{
		Resource: model.Resource{ID: k.ID + "/identityBindings/" + id.Name, Name: id.Name}, ClusterKey: k.Key(),
		IdentityID: id.ID, ClientID: id.ClientID, PrincipalID: id.PrincipalID,
	}
}

func TestIdentityBinding(t *testing.T) {
	b := newBound(t, nil)
	for name, send := range map[string]func() *reply{
		"as-sdks-do": func() *reply {
			return b.post(b.url+"/"+tenantID+"/oauth2/v2.0/token?client-request-id=x", assert(b.id.ClientID, b.good))
		},
		"bare-form":             func() *reply { return b.post(b.url, assert(b.id.ClientID, b.good)) },
		"bare-form-with-slash":  func() *reply { return b.post(b.url+"/", assert(b.id.ClientID, b.good)) },
		"bare-query":            func() *reply { return b.postQuery(b.url, assert(b.id.ClientID, b.good+"\n")) },
		"bare-query-with-slash": func() *reply { return b.postQuery(b.url+"/", assert(b.id.ClientID, b.good)) },
	} {
		p := send()
		c := b.issued(p)
		if c.ObjectID != b.id.PrincipalID || c.Audience != vault || p.Expires != 86399.0 {
			t.Errorf("%s: %s", name, p.raw)
		}
		b.acceptedBySurfaces(p.Token, b.id)
		records, err := b.Gate.Find(t.Context(), p.header.Get("X-Ms-Request-Id"))
		check(t, err)
		if len(records) != 1 || !records[0].Granted || records[0].Exchange.Method != "binding" || records[0].Exchange.Subject != subject {
			t.Errorf("%s: records %+v", name, records)
		}
		if b.cluster.client != b.id.ClientID {
			t.Errorf("%s: the cluster was asked about %q", name, b.cluster.client)
		}
	}
}

// postQuery sends all in the query, as samples of the Kubernetes side do.
func (w *world) postQuery(to, query string) *reply {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, to+"?"+query, nil)
	check(w.t, err)
	return w.do(r)
}

func TestIdentityBindingRefusals(t *testing.T) {
	b := newBound(t, nil)
	app := b.app("the-secret", time.Now().Add(time.Hour))
	unbound, stale := b.identity("unbound"), b.identity("stale")
	k := &model.Cluster{Resource: model.Resource{ID: "/subscriptions/s/resourceGroups/lab/providers/Microsoft.ContainerService/managedClusters/aks"}}
	b.put(b.binding(k, stale)) // and no credential
	ordinary := b.issuer.KubernetesToken("lab", "workload", audience, time.Hour)
	elsewhere := trusttest.New(t).KubernetesToken("lab", "workload", model.BindingAudience, time.Hour)
	expired := b.issuer.KubernetesToken("lab", "workload", model.BindingAudience, -time.Minute)
	for _, test := range []struct {
		name, to, client, token string
		cluster                 answers
		status                  int
		oauth                   string
		code                    int
		mention                 string
		asked                   int // times the cluster
	}{
		{"ordinary-token", "", b.id.ClientID, ordinary, answers{user: subject, may: true}, 401, "invalid_client", 700212, model.BindingAudience, 0},
		{"another-issuer", "", b.id.ClientID, elsewhere, answers{user: subject, may: true}, 401, "invalid_client", 700211, b.issuer.URL, 0},
		{"expired", "", b.id.ClientID, expired, answers{user: subject, may: true}, 401, "invalid_client", 700024, "Current time", 0},
		{"no-binding", "", unbound.ClientID, b.good, answers{user: subject, may: true}, 401, "invalid_client", 700211, "no identity binding", 0},
		{"application", "", app.AppID, b.good, answers{user: subject, may: true}, 401, "invalid_client", 700211, "no identity binding", 0},
		{"credential-deleted", "", stale.ClientID, b.good, answers{user: subject, may: true}, 401, "invalid_client", 700211, "was deleted", 0},
		{"another-cluster", login + "/identitybinding/elsewhere/", b.id.ClientID, b.good, answers{user: subject, may: true}, 401, "invalid_client", 700211, "no identity binding", 0},
		{"unknown-client", "", model.NewUUID(), b.good, answers{user: subject, may: true}, 400, "unauthorized_client", 700016, "not found", 0},
		{"cluster-says-no", "", b.id.ClientID, b.good, answers{}, 401, "invalid_client", 700027, "does not accept", 1},
		{"another-name", "", b.id.ClientID, b.good, answers{user: "system:serviceaccount:lab:other", may: true}, 401, "invalid_client", 700213, "another name", 1},
		{"no-role", "", b.id.ClientID, b.good, answers{user: subject}, 401, "invalid_client", 700213, "use-managed-identity", 1},
		{"not-a-token", "", b.id.ClientID, "hello", answers{user: subject, may: true}, 400, "invalid_request", 50027, "JWT", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			*b.cluster = test.cluster
			to := test.to
			if to == "" {
				to = b.url + "/"
			}
			p := b.post(to, assert(test.client, test.token))
			b.refused(p, test.status, test.oauth, test.code)
			if !strings.Contains(p.Description, test.mention) || b.cluster.asked != test.asked {
				t.Errorf("%q lacks %q, or asked the cluster %d times, want %d", p.Description, test.mention, b.cluster.asked, test.asked)
			}
		})
	}

	*b.cluster = answers{broken: true}
	if p := b.post(b.url+"/", assert(b.id.ClientID, b.good)); p.status != 503 || p.header.Get("Retry-After") == "" || strings.Contains(p.raw, "dial tcp") {
		t.Errorf("a cluster that is away: %d %s", p.status, p.raw)
	}
	for name, body := range map[string]string{
		"secret":   form("client_id", app.AppID, "client_secret", "the-secret"),
		"nothing":  form("client_id", b.id.ClientID),
		"password": form("client_id", b.id.ClientID, "grant_type", "password", "username", "u", "password", "p"),
	} {
		if p := b.post(b.url+"/", body); p.status < 400 || p.Token != "" {
			t.Errorf("%s: %d %s", name, p.status, p.raw)
		}
	}
}

// A token that is subject to a cluster's roles passes nowhere else, whatever is
// registered.
func TestBindingTokensAreForTheEndpointOnly(t *testing.T) {
	b := newBound(t, nil)
	b.trusts(b.issuer)
	id := b.identity("careless", model.FederatedCredential{Issuer: b.issuer.URL, Subject: subject, Audiences: []string{model.BindingAudience}},
		model.FederatedCredential{Issuer: b.issuer.URL, Subject: subject})
	both := b.issuer.Sign(map[string]any{"sub": subject, "aud": []string{audience, model.BindingAudience}}, trusttest.Options{})
	for name, test := range map[string]struct{ client, token string }{
		"registered-all-the-same": {id.ClientID, b.good}, "bound": {b.id.ClientID, b.good}, "for-both-audiences": {id.ClientID, both},
	} {
		record := b.refused(b.post(tokenURL, assert(test.client, test.token)), 401, "invalid_client", 700212)
		if !slices.Equal(record.Exchange.Differed, []string{"audience"}) {
			t.Errorf("%s: %+v", name, record)
		}
	}
	if p := b.post(tokenURL, assert(id.ClientID, b.issuer.KubernetesToken("lab", "workload", audience, time.Hour))); p.status != 200 {
		t.Errorf("an ordinary token: %s", p.raw)
	}
}

// A workload that was told of no authority believes to talk to Microsoft's.
func TestBindingEndpointUnderTheDefaultAuthority(t *testing.T) {
	b := newBound(t, func(nc *names.Config, _ *sts.Config) { nc.Discovery = true })
	public := "https://login.microsoftonline.com"
	base := strings.Replace(b.url, login, public+":8443", 1)
	p := b.get(base + "/common/discovery/instance?api-version=1.1&authorization_endpoint=" + url.QueryEscape(public+"/"+tenantID+"/oauth2/v2.0/authorize"))
	if p.status != 200 || !strings.Contains(p.raw, public+"/"+tenantID+"/v2.0/.well-known/openid-configuration") {
		t.Errorf("instance discovery: %d %s", p.status, p.raw)
	}
	p = b.get(base + "/" + tenantID + "/v2.0/.well-known/openid-configuration")
	if p.status != 200 || !strings.Contains(p.raw, `"issuer":"`+public+"/"+tenantID+`/v2.0"`) {
		t.Errorf("openid-configuration: %d %s", p.status, p.raw)
	}
	if c := b.issued(b.post(base+"/"+tenantID+"/oauth2/v2.0/token", assert(b.id.ClientID, b.good))); c.ObjectID != b.id.PrincipalID {
		t.Errorf("claims %+v", c)
	}
	if p := b.get(public + ":8443/" + tenantID + "/v2.0/.well-known/openid-configuration"); p.status != 404 {
		t.Errorf("outside of the endpoint: %d", p.status)
	}
	for _, asked := range []string{"https://login.example/x", public + "/nonsense/", ""} {
		if p := b.get(base + "/common/discovery/instance?authorization_endpoint=" + url.QueryEscape(asked)); p.status != 400 {
			t.Errorf("instance discovery of %q: %d", asked, p.status)
		}
	}
}

func TestNoBindingEndpointWithoutClusters(t *testing.T) {
	w := newWorld(t, nil)
	if p := w.post(login+"/identitybinding/x/", form()); p.status != 404 {
		t.Errorf("status %d", p.status)
	}
}

func (w *world) get(from string) *reply {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, from, nil)
	check(w.t, err)
	return w.do(r)
}
