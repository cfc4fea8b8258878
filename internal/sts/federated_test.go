package sts_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
	"github.com/lanyard-io/lanyard/internal/sts"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

const subject = "system:serviceaccount:lab:workload"

func TestFederatedExchange(t *testing.T) {
	w := newWorld(t, nil)
	issuer := trusttest.New(t)
	w.trusts(issuer)
	id := w.identity("id", model.FederatedCredential{Issuer: issuer.URL, Subject: subject})

	assertion := issuer.KubernetesToken("lab", "workload", audience, time.Hour)
	before := time.Now()
	p := w.post(tokenURL, assert(strings.ToUpper(id.ClientID), " "+assertion+"\n",
		"scope", vault+"/.default openid offline_access profile", "client_info", "1",
		"claims", `{"access_token":{"xms_cc":{"values":["CP1"]}}}`),
		"client-request-id", "abc-123", "return-client-request-id", "true")
	c := w.issued(p)

	want := access.Claims{
		Audience: vault, Issuer: login + "/" + tenantID + "/", IDP: login + "/" + tenantID + "/",
		IssuedAt: c.IssuedAt, NotBefore: c.IssuedAt, Expires: c.IssuedAt + 86400 + 300,
		AppID: id.ClientID, AppIDACR: "2", Type: "app", ObjectID: id.PrincipalID, Subject: id.PrincipalID,
		TenantID: tenantID, TokenID: c.TokenID, Version: "1.0",
		IdentityID: strings.Replace(id.ID, "resourceGroups", "resourcegroups", 1),
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if late := before.Unix() - 300 - c.IssuedAt; late > 0 || late < -60 {
		t.Errorf("iat is %d s off", late)
	}
	if b, err := base64.RawURLEncoding.DecodeString(c.TokenID); err != nil || len(b) != 16 {
		t.Errorf("uti %q is not 16 bytes", c.TokenID)
	}
	if p.Type != "Bearer" || p.Expires != 86399.0 || p.ExtExpires != 86399.0 || p.Refresh != 43200 {
		t.Errorf("answer %s", p.raw)
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store, no-cache", "Pragma": "no-cache", "Content-Type": "application/json; charset=utf-8",
		"Client-Request-Id": "abc-123", "X-Content-Type-Options": "nosniff",
		"Strict-Transport-Security": "max-age=31536000; includeSubDomains",
	} {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}

	w.acceptedBySurfaces(p.Token, id)
	records, err := w.Gate.Find(t.Context(), "abc-123")
	check(t, err)
	if len(records) != 1 || !records[0].Granted || records[0].Exchange.TokenID != c.TokenID || records[0].Caller.ObjectID != id.PrincipalID {
		t.Errorf("records %+v do not show the exchange", records)
	}
	if text, _ := json.Marshal(records); strings.Contains(string(text), assertion[len(assertion)-40:]) {
		t.Error("the record holds the assertion's signature")
	}
}

// acceptedBySurfaces checks the token as the vault would.
func (w *world) acceptedBySurfaces(token string, id *model.Identity) {
	w.t.Helper()
	a := access.Authenticator{Verify: w.keys.Verify, Names: w.Names, TenantID: tenantID, Now: w.Now}
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "https://kv.vault.lanyard.test", nil)
	check(w.t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	caller, err := a.Authenticate(r, names.Vault)
	if err != nil || caller.ObjectID != id.PrincipalID {
		w.t.Errorf("the vault sees %+v, %v", caller, err)
	}
	if _, err := a.Authenticate(r, names.Management); err == nil {
		w.t.Error("a vault token passes at Resource Manager")
	}
}

func TestFederatedRefusals(t *testing.T) {
	w := newWorld(t, nil)
	issuer, stranger := trusttest.New(t), trusttest.New(t)
	w.trusts(issuer)
	w.trusts(stranger)
	id := w.identity("id", model.FederatedCredential{Issuer: issuer.URL, Subject: subject},
		model.FederatedCredential{Issuer: "https://slash.example/", Subject: subject})
	bare := w.identity("bare")
	other := w.identity("other", model.FederatedCredential{Issuer: issuer.URL, Subject: "system:serviceaccount:other:workload"})

	sign := func(claims map[string]any) string {
		all := map[string]any{"sub": subject, "aud": []string{audience}}
		for k, v := range claims {
			all[k] = v
		}
		return issuer.Sign(all, trusttest.Options{})
	}
	now := time.Now().Unix()
	tests := []struct {
		name      string
		client    string
		assertion string
		status    int
		oauth     string
		code      int
		differed  []string
		mention   []string // in the answer
		hint      string   // in the record
	}{
		{"no credentials at all", bare.ClientID, sign(nil), 401, "invalid_client", 700211, []string{"issuer", "subject", "audience"}, []string{issuer.URL, "no federated credentials"}, "id"},
		{"another issuer", id.ClientID, stranger.Sign(map[string]any{"sub": subject, "aud": audience}, trusttest.Options{}), 401, "invalid_client", 700211, []string{"issuer"}, []string{stranger.URL, issuer.URL}, ""},
		{"issuer without its slash", id.ClientID, sign(map[string]any{"iss": "https://slash.example"}), 401, "invalid_client", 700211, []string{"issuer"}, []string{"'https://slash.example/'"}, "slash"},
		{"issuer with a slash too many", id.ClientID, sign(map[string]any{"iss": issuer.URL + "/"}), 401, "invalid_client", 700211, []string{"issuer"}, []string{"slash"}, "slash"},
		{"issuer in other letter case", id.ClientID, sign(map[string]any{"iss": "https://SLASH.example/"}), 401, "invalid_client", 700211, []string{"issuer"}, nil, "letter case"},
		{"issuer smuggled into the index", id.ClientID, sign(map[string]any{"iss": issuer.URL + "\x00" + subject, "sub": ""}), 401, "invalid_client", 700211, []string{"issuer", "subject"}, nil, ""},
		{"no issuer", id.ClientID, sign(map[string]any{"iss": nil}), 401, "invalid_client", 700211, []string{"issuer"}, nil, ""},
		{"another subject", id.ClientID, sign(map[string]any{"sub": "system:serviceaccount:lab:else"}), 401, "invalid_client", 700213, []string{"subject"}, []string{"lab:else", subject}, "service account is 'else', not 'workload'"},
		{"another namespace", id.ClientID, sign(map[string]any{"sub": "system:serviceaccount:prod:workload"}), 401, "invalid_client", 700213, []string{"subject"}, []string{"namespace"}, "namespace 'prod', not 'lab'"},
		{"another client's subject", id.ClientID, sign(map[string]any{"sub": "system:serviceaccount:other:workload"}), 401, "invalid_client", 700213, []string{"subject"}, nil, other.Key()},
		{"subject in other letter case", id.ClientID, sign(map[string]any{"sub": strings.ToUpper(subject)}), 401, "invalid_client", 7002138, []string{"subject"}, []string{"case-insensitive"}, "letter case"},
		{"templated subject", id.ClientID, sign(map[string]any{"sub": "/eid1/c/pub/t/x/a/y/z"}), 401, "invalid_client", 7002137, []string{"subject"}, nil, ""},
		{"no subject", id.ClientID, sign(map[string]any{"sub": nil}), 401, "invalid_client", 700213, []string{"subject"}, nil, ""},
		{"another audience", id.ClientID, sign(map[string]any{"aud": "api://else"}), 401, "invalid_client", 700212, []string{"audience"}, []string{"api://else", audience}, "projected volume"},
		{"audience in other letter case", id.ClientID, sign(map[string]any{"aud": strings.ToLower(audience)}), 401, "invalid_client", 700212, []string{"audience"}, nil, "letter case"},
		{"no audience", id.ClientID, sign(map[string]any{"aud": nil}), 401, "invalid_client", 700212, []string{"audience"}, nil, ""},
		{"subject and audience and time", id.ClientID, sign(map[string]any{"sub": "x", "aud": "y", "exp": now - 9}), 401, "invalid_client", 700213, []string{"subject", "audience", "time"}, []string{"subject, audience, time"}, ""},
		{"expired", id.ClientID, sign(map[string]any{"exp": now - 1}), 401, "invalid_client", 700024, []string{"time"}, []string{"Current time"}, "again"},
		{"no exp", id.ClientID, sign(map[string]any{"exp": nil}), 401, "invalid_client", 700024, []string{"time"}, nil, "exp"},
		{"absurd exp", id.ClientID, sign(map[string]any{"exp": now + 1e9}), 401, "invalid_client", 700024, []string{"time"}, nil, "exp"},
		{"exp of text", id.ClientID, sign(map[string]any{"exp": "soon"}), 401, "invalid_client", 700024, []string{"time"}, nil, "exp"},
		{"not yet valid", id.ClientID, sign(map[string]any{"nbf": now + 3600, "exp": now + 7200}), 401, "invalid_client", 700024, []string{"time"}, nil, "clocks"},
		{"not a JWT", id.ClientID, "not.a-jwt", 400, "invalid_request", 50027, nil, nil, ""},
		{"algorithm none", id.ClientID, unsigned(issuer.URL), 400, "invalid_request", 5002730, []string{"key"}, nil, ""},
		{"HS256", id.ClientID, issuer.Sign(nil, trusttest.Options{Header: map[string]any{"alg": "HS256"}}), 400, "invalid_request", 5002730, []string{"key"}, nil, ""},
		{"crit header", id.ClientID, issuer.Sign(nil, trusttest.Options{Header: map[string]any{"crit": []string{"exp"}}}), 400, "invalid_request", 50027, []string{"key"}, nil, ""},
		{"unknown client", model.NewUUID(), sign(nil), 400, "unauthorized_client", 700016, nil, []string{"was not found"}, ""},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			p := w.post(tokenURL, assert(tt.client, tt.assertion))
			r := w.refused(p, tt.status, tt.oauth, tt.code)
			if !slices.Equal(r.Exchange.Differed, tt.differed) {
				t.Errorf("differed %v, want %v", r.Exchange.Differed, tt.differed)
			}
			for _, m := range tt.mention {
				if !strings.Contains(p.Description, m) {
					t.Errorf("%q does not mention %q", p.Description, m)
				}
			}
			if !strings.Contains(r.Exchange.Hint, tt.hint) {
				t.Errorf("hint %q does not mention %q", r.Exchange.Hint, tt.hint)
			}
		})
	}
	for _, i := range []*trusttest.Issuer{issuer, stranger} {
		if n := i.Fetches(); n != (trusttest.Counts{}) {
			t.Errorf("refusals made %+v requests to %s", n, i.URL)
		}
	}
}

func unsigned(iss string) string {
	enc := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return enc(map[string]any{"alg": "none"}) + "." + enc(map[string]any{"iss": iss, "sub": subject, "aud": audience, "exp": 9e9}) + "."
}

func TestKeyRefusals(t *testing.T) {
	w := newWorld(t, nil)
	issuer := trusttest.New(t)
	w.trusts(issuer)
	id := w.identity("id", model.FederatedCredential{Issuer: issuer.URL, Subject: subject},
		model.FederatedCredential{Issuer: "https://127.0.0.1:9", Subject: subject})
	claims := map[string]any{"sub": subject, "aud": audience}
	w.issued(w.post(tokenURL, assert(id.ClientID, issuer.Sign(claims, trusttest.Options{}))))

	t.Run("unknown-key", func(t *testing.T) {
		before := issuer.Fetches()
		for range 20 {
			bad := issuer.Sign(claims, trusttest.Options{Header: map[string]any{"kid": model.NewUUID()}})
			r := w.refused(w.post(tokenURL, assert(id.ClientID, bad)), 401, "invalid_client", 7000272)
			if !slices.Equal(r.Exchange.Differed, []string{"key"}) {
				t.Errorf("differed %v", r.Exchange.Differed)
			}
		}
		if n := issuer.Fetches(); n.Keys > before.Keys+1 {
			t.Errorf("20 unknown keys made %d fetches", n.Keys-before.Keys)
		}
	})
	t.Run("key-that-is-not-used", func(t *testing.T) {
		weak := trusttest.New(t)
		w.trusts(weak)
		var set struct {
			Keys []map[string]any `json:"keys"`
		}
		check(t, json.Unmarshal(weak.JWKS(), &set))
		set.Keys[0]["n"] = base64.RawURLEncoding.EncodeToString(weak.PublicKey("").(*rsa.PublicKey).N.Bytes()[:128])
		document, err := json.Marshal(set)
		check(t, err)
		weak.HandleKeys(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(document) })
		id := w.identity("weak", model.FederatedCredential{Issuer: weak.URL, Subject: subject})
		p := w.post(tokenURL, assert(id.ClientID, weak.Sign(claims, trusttest.Options{})))
		r := w.refused(p, 401, "invalid_client", 7000272)
		if !slices.Equal(r.Exchange.Differed, []string{"key"}) || !strings.Contains(r.Exchange.Hint, "publishes the key") || strings.Contains(r.Exchange.Hint, "withdrawn") {
			t.Errorf("differed %v, hint %q", r.Exchange.Differed, r.Exchange.Hint)
		}
		if !strings.Contains(p.Description, "is published") || !strings.Contains(p.Description, "1024 bits, 2048 to 8192") || strings.Contains(p.Description, "could not be found") {
			t.Errorf("refusal %q", p.Description)
		}
	})
	t.Run("changed-after-signing", func(t *testing.T) {
		good := issuer.Sign(claims, trusttest.Options{})
		head, rest, _ := strings.Cut(good, ".")
		_, sig, _ := strings.Cut(rest, ".")
		_, other, _ := strings.Cut(issuer.Sign(map[string]any{"sub": subject, "aud": audience, "more": 1}, trusttest.Options{}), ".")
		payload, _, _ := strings.Cut(other, ".")
		r := w.refused(w.post(tokenURL, assert(id.ClientID, head+"."+payload+"."+sig)), 401, "invalid_client", 700027)
		if !slices.Equal(r.Exchange.Differed, []string{"signature"}) {
			t.Errorf("differed %v", r.Exchange.Differed)
		}
	})
	t.Run("unreachable", func(t *testing.T) {
		lost := issuer.Sign(map[string]any{"iss": "https://127.0.0.1:9", "sub": subject, "aud": audience}, trusttest.Options{})
		r := w.refused(w.post(tokenURL, assert(id.ClientID, lost)), 400, "invalid_request", 50166)
		if !strings.Contains(r.Exchange.Hint, "upload") {
			t.Errorf("hint %q", r.Exchange.Hint)
		}
	})
	t.Run("withdrawn-key", func(t *testing.T) {
		sign := issuer.Withdraw(issuer.KeyID())
		issuer.AddKey("", "RS256")
		w.Ahead.Store(int64(20 * time.Minute))
		defer w.Ahead.Store(0)
		w.refused(w.post(tokenURL, assert(id.ClientID, sign(claims))), 401, "invalid_client", 7000272)
	})
}

func TestUploadedKeysNeedNoIssuer(t *testing.T) {
	w := newWorld(t, nil)
	issuer := trusttest.New(t)
	w.put(&model.Issuer{URL: issuer.URL, Keys: issuer.JWKS()})
	id := w.identity("id", model.FederatedCredential{Issuer: issuer.URL, Subject: subject})
	w.issued(w.post(tokenURL, assert(id.ClientID, issuer.KubernetesToken("lab", "workload", audience, time.Hour))))
	if n := issuer.Fetches(); n != (trusttest.Counts{}) {
		t.Errorf("uploaded keys, yet %+v requests", n)
	}
}

func TestFlexibleCredentials(t *testing.T) {
	w := newWorld(t, nil)
	issuer := trusttest.New(t)
	w.trusts(issuer)
	flexible := func(text string, version int) model.FederatedCredential {
		return model.FederatedCredential{Issuer: issuer.URL, Matching: &model.Expression{Value: text, LanguageVersion: version}}
	}
	id := w.identity("id",
		flexible(`claims['sub'] matches 'system:serviceaccount:team-*:build'`, 1),
		flexible(`claims['sub'] matches '*'`, 2),
		flexible(`nonsense`, 1))
	for account, want := range map[string]bool{"team-a:build": true, "team-:build": true, "team-a:test": false, "prod:build": false} {
		namespace, name, _ := strings.Cut(account, ":")
		p := w.post(tokenURL, assert(id.ClientID, issuer.KubernetesToken(namespace, name, audience, time.Hour)))
		if want {
			w.issued(p)
			continue
		}
		w.refused(p, 401, "invalid_client", 700213)
		if !strings.Contains(p.Description, "team-*") {
			t.Errorf("%q does not show the expression", p.Description)
		}
	}
	p := w.post(tokenURL, assert(id.ClientID, issuer.KubernetesToken("team-a", "build", "api://else", time.Hour)))
	w.refused(p, 401, "invalid_client", 700212)
}

func TestFederatedApplication(t *testing.T) {
	w := newWorld(t, nil)
	issuer := trusttest.New(t)
	w.trusts(issuer)
	app := w.app("secret", time.Now().Add(time.Hour))
	w.put(&model.FederatedCredential{
		Resource: model.Resource{ID: app.Key() + model.FederatedCredentialSegment + "ci", Name: "ci"},
		Issuer:   issuer.URL, Subject: "repo:org/x", Audiences: []string{audience}, ParentKey: app.Key(),
	})
	p := w.post(tokenURL, assert(app.AppID, issuer.Sign(map[string]any{"sub": "repo:org/x", "aud": audience}, trusttest.Options{})))
	c := w.issued(p)
	if c.AppIDACR != "2" || c.IdentityID != "" || c.ObjectID != app.PrincipalID || p.Expires != 3599.0 || p.Refresh != 0 {
		t.Errorf("claims %+v, answer %s", c, p.raw)
	}
}

// A credential works when its PUT has returned, and no more after its DELETE.
func TestCredentialsWorkAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	issuer := trusttest.New(t)
	w.trusts(issuer)
	assertion := issuer.KubernetesToken("lab", "workload", audience, time.Hour)
	id := w.identity("id")
	w.refused(w.post(tokenURL, assert(id.ClientID, assertion)), 401, "invalid_client", 700211)
	w.identityCredential(id, issuer.URL)
	w.issued(w.post(tokenURL, assert(id.ClientID, assertion)))
	check(t, w.Store.Delete(t.Context(), id.Key()+model.FederatedCredentialSegment+"fic", -1))
	w.refused(w.post(tokenURL, assert(id.ClientID, assertion)), 401, "invalid_client", 700211)
}

// A credential holds on every replica as soon as its write has returned on one, even if
// the View here does not show it yet.
func TestCredentialsOfAnotherReplica(t *testing.T) {
	w := newWorld(t, nil)
	issuer := trusttest.New(t)
	w.trusts(issuer)
	assertion := issuer.KubernetesToken("lab", "workload", audience, time.Hour)
	w.Store = storetest.On(t, w.Etcd) // what w.put writes to from now on
	for n := range 5 {
		id := w.identity("id-"+string(rune('a'+n)), model.FederatedCredential{Issuer: issuer.URL, Subject: subject})
		w.issued(w.post(tokenURL, assert(id.ClientID, assertion)))
	}
}

func (w *world) identityCredential(id *model.Identity, issuer string) {
	w.put(&model.FederatedCredential{
		Resource: model.Resource{ID: id.ID + "/federatedIdentityCredentials/fic", Name: "fic"},
		Issuer:   issuer, Subject: subject, Audiences: []string{audience}, ParentKey: id.Key(),
	})
}

func TestSigningAlgorithms(t *testing.T) {
	issuer := trusttest.New(t)
	for name, rs256 := range map[string]bool{"default": false, "rs256": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(_ *names.Config, c *sts.Config) {
				c.RS256, c.Audiences = rs256, []string{"api://my-app"}
			})
			w.trusts(issuer)
			id := w.identity("id", model.FederatedCredential{Issuer: issuer.URL, Subject: subject})
			assertion := issuer.KubernetesToken("lab", "workload", audience, time.Hour)
			ours := "ES256"
			if rs256 {
				ours = "RS256"
			}
			for scope, alg := range map[string]string{vault: ours, "https://management.lanyard.test:8443/": ours, "api://my-app": "RS256"} {
				p := w.post(tokenURL, assert(id.ClientID, assertion, "scope", scope+"/.default"))
				if c := w.issued(p); c.Audience != scope {
					t.Errorf("aud %q, want %q", c.Audience, scope)
				}
				head, _, _ := strings.Cut(p.Token, ".")
				b, _ := base64.RawURLEncoding.DecodeString(head)
				if !strings.Contains(string(b), `"alg":"`+alg+`"`) {
					t.Errorf("header %s for %s, want %s", b, scope, alg)
				}
			}
		})
	}
}

func TestAuditFailureFailsTheRequest(t *testing.T) {
	w := newWorld(t, nil)
	app := w.app("secret", time.Now().Add(time.Hour))
	check(t, w.Records.Close())
	for _, secret := range []string{"secret", "wrong"} {
		p := w.post(tokenURL, form("client_id", app.AppID, "client_secret", secret))
		if p.status != http.StatusServiceUnavailable || p.Error != "temporarily_unavailable" || p.header.Get("Retry-After") == "" || p.Token != "" {
			t.Errorf("got %d %s %v", p.status, p.raw, p.header)
		}
	}
}

// A cluster speaks for service accounts, whatever issuer it claims and whatever
// the credentials of that issuer say.
func TestKeysOfAClusterVerifyServiceAccountsOnly(t *testing.T) {
	w := newWorld(t, nil)
	issuer := trusttest.New(t)
	w.put(&model.Issuer{URL: issuer.URL, Keys: issuer.JWKS()})
	subjects := []string{"repo:octo/app:ref:refs/heads/main", "system:serviceaccount", "System:serviceaccount:lab:workload", "system:node:a", ""}
	var credentials []model.FederatedCredential
	for _, s := range append(subjects, subject) {
		if s != "" {
			credentials = append(credentials, model.FederatedCredential{Issuer: issuer.URL, Subject: s})
		}
	}
	credentials = append(credentials, model.FederatedCredential{
		Issuer: issuer.URL, Matching: &model.Expression{Value: `claims['repository'] matches 'octo/*'`, LanguageVersion: 1},
	})
	id := w.identity("id", credentials...)
	token := func(subject string) string {
		claims := map[string]any{"aud": audience, "repository": "octo/app", "sub": subject}
		return issuer.Sign(claims, trusttest.Options{})
	}
	for _, s := range subjects {
		if s != "" {
			w.issued(w.post(tokenURL, assert(id.ClientID, token(s))))
		}
	}

	cluster := &model.Cluster{
		Resource: model.Resource{ID: "/subscriptions/s/resourceGroups/Lab/providers/Microsoft.ContainerService/managedClusters/aks", Name: "aks"},
		Issuer:   issuer.URL, Published: true,
	}
	w.put(cluster)
	for _, s := range subjects {
		p := w.post(tokenURL, assert(id.ClientID, token(s)))
		w.refused(p, 401, "invalid_client", 700213)
		if s != "" && !strings.Contains(p.Description, "system:serviceaccount:") {
			t.Errorf("subject %q: %q does not say whom a cluster speaks for", s, p.Description)
		}
	}
	w.issued(w.post(tokenURL, assert(id.ClientID, token(subject))))
}
