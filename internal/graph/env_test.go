package graph_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/graph"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/signing"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
	"github.com/lanyard-io/lanyard/internal/sts"
	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/wiretest"
)

const (
	tenant   = "11111111-1111-4111-8111-111111111111"
	sub      = "/subscriptions/22222222-2222-4222-8222-222222222222"
	base     = "https://graph.lanyard.test/v1.0"
	tokenURL = "https://login.lanyard.test/" + tenant + "/oauth2/v2.0/token"

	owner       = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
	contributor = "b24988ac-6180-42a0-ab88-20f7382dd24c"
	reader      = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	userAdmin   = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
	vaults      = "f25e0fa2-a7c8-4377-a976-54943a77a395" // Key Vault Contributor
	secretsUser = "4633458b-17de-408a-b874-0445c86b69e6"
)

// people are who the bearer tokens of these tests stand for, and their one role.
var people = map[string]struct{ id, role, scope string }{
	"alice":       {"aaaaaaaa-0000-4000-8000-000000000001", owner, "/"},
	"contributor": {"aaaaaaaa-0000-4000-8000-000000000002", contributor, "/"},
	"reader":      {"aaaaaaaa-0000-4000-8000-000000000003", reader, "/"},
	"useradmin":   {"aaaaaaaa-0000-4000-8000-000000000004", userAdmin, "/"},
	"subowner":    {"aaaaaaaa-0000-4000-8000-000000000005", owner, sub},
	"vaults":      {"aaaaaaaa-0000-4000-8000-000000000006", vaults, sub + "/resourceGroups/rg"},
	"workload":    {"aaaaaaaa-0000-4000-8000-000000000007", secretsUser, sub},
	"nobody":      {"aaaaaaaa-0000-4000-8000-000000000008", "", ""},
}

// refused are tokens that are no good.
var refused = map[string]*access.TokenError{
	"":         {Reason: access.TokenMissing},
	"arm":      {Reason: access.TokenAudience, Presented: "https://management.lanyard.test"},
	"foreign":  {Reason: access.TokenForeign},
	"old":      {Reason: access.TokenExpired},
	"early":    {Reason: access.TokenNotYet},
	"unsigned": {Reason: access.TokenSignature},
	"broken":   {Reason: access.TokenMalformed},
}

// env is a whole server: edge, directory, token service, gate, audit log, etcd.
type env struct {
	client *http.Client
	edge   http.Handler
	gate   *access.Gate
	store  *store.Store
	verify *access.Authenticator
	ahead  atomic.Int64 // of the real clock, in nanoseconds
}

func (e *env) now() time.Time { return time.Now().Add(time.Duration(e.ahead.Load())) }

// authenticate knows the people by name, and real tokens by their signature.
func (e *env) authenticate(r *http.Request, surface names.Surface) (model.Caller, error) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if strings.Contains(token, ".") {
		return e.verify.Authenticate(r, surface)
	}
	if p, ok := people[token]; ok && surface == names.Graph {
		return model.Caller{ObjectID: p.id, AppID: "bbbb" + p.id[4:], TenantID: tenant, Type: "app", TokenID: "uti"}, nil
	}
	bad, ok := refused[token]
	if !ok {
		bad = &access.TokenError{Reason: access.TokenMalformed}
	}
	return model.Caller{}, apierr.Wrap(bad, apierr.Unauthenticated, "the access token was not accepted")
}

func newEnv(t testing.TB) *env {
	t.Helper()
	e := &env{store: storetest.New(t)}
	log := slog.New(slog.DiscardHandler)
	kek, err := seal.CreateKeyFile(filepath.Join(t.TempDir(), "seal.key"))
	must(t, err)
	sealer, err := seal.New(kek)
	must(t, err)
	keys, err := signing.New(t.Context(), signing.Config{Store: e.store, Sealer: sealer, Log: log, Now: e.now})
	must(t, err)
	records, err := audit.Open(audit.Config{Dir: filepath.Join(t.TempDir(), "audit"), Log: log, Now: e.now})
	must(t, err)
	t.Cleanup(func() { records.Close() })
	n, err := names.New(names.Config{Address: "lanyard.test"})
	must(t, err)
	e.gate = access.New(access.Config{Audit: records, Log: log, Now: e.now})
	e.verify = &access.Authenticator{Verify: keys.Verify, Names: n, TenantID: tenant, Now: e.now}

	directory, err := graph.New(graph.Config{
		Store: e.store, Gate: e.gate, Sealer: sealer, Authenticate: e.authenticate, TenantID: tenant, MaxCredentials: 3, Now: e.now, Log: log,
	})
	must(t, err)
	tokens, err := sts.New(sts.Config{
		Store: e.store, Keys: keys, Trust: trust.New(trust.Config{Log: log, Now: e.now}), Gate: e.gate, Names: n, TenantID: tenant, Sealer: sealer, Now: e.now,
	})
	must(t, err)
	e.edge, err = httpx.New(httpx.Config{
		Names: n, Surfaces: map[names.Surface]httpx.Surface{names.Graph: directory.Surface(), names.Login: tokens.Surface()},
		Log: log, Metrics: prometheus.NewRegistry(), Now: e.now,
	})
	must(t, err)
	e.roles(t)
	e.client = wiretest.Serve(t, e.edge)
	return e
}

func (e *env) roles(t testing.TB) {
	t.Helper()
	for name, p := range people {
		if p.role != "" {
			e.put(t, &model.Application{AppID: "bbbb" + p.id[4:], ObjectID: "cccc" + p.id[4:], PrincipalID: p.id, Name: name})
			e.assign(t, p.id, p.role, p.scope)
		}
	}
}

// assign gives a principal a role, as Resource Manager would.
func (e *env) assign(t testing.TB, principal, role, scope string) *model.RoleAssignment {
	t.Helper()
	name := model.NewUUID()
	a := &model.RoleAssignment{
		Resource: model.Resource{ID: strings.TrimSuffix(scope, "/") + "/providers/Microsoft.Authorization/roleAssignments/" + name, Name: name},
		Scope:    scope, RoleID: role, PrincipalID: principal, PrincipalType: "ServicePrincipal",
	}
	e.put(t, a)
	return a
}

func (e *env) put(t testing.TB, o model.Object) {
	t.Helper()
	_, err := e.store.Put(t.Context(), o, 0)
	must(t, err)
}

// identity makes a managed identity, as Resource Manager would.
func (e *env) identity(t testing.TB, name string) *model.Identity {
	t.Helper()
	i := &model.Identity{
		Resource: model.Resource{ID: sub + "/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name, Name: name},
		TenantID: tenant, ClientID: model.NewUUID(), PrincipalID: model.NewUUID(),
	}
	e.put(t, i)
	return i
}

// listen serves the edge over TLS on loopback; every host leads there.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is what the tests look at of any answer.
type answer struct {
	Status      int
	Header      http.Header
	Raw         string
	ID          string `json:"id"`
	AppID       string `json:"appId"`
	DisplayName string `json:"displayName"`
	KeyID       string `json:"keyId"`
	SecretText  string `json:"secretText"`
	Token       string `json:"access_token"`
	NextLink    string `json:"@odata.nextLink"`
	Value       []struct {
		ID          string `json:"id"`
		DisplayName string `json:"displayName"`
	} `json:"value"`
	Passwords []struct {
		KeyID string `json:"keyId"`
	} `json:"passwordCredentials"`
	// Error is an object here and a word at the token endpoint.
	Error json.RawMessage `json:"error"`
}

// do sends a request as alice.
func (e *env) do(t testing.TB, method, path, body string, header ...string) answer {
	t.Helper()
	return e.as(t, "alice", method, path, body, header...)
}

func (e *env) as(t testing.TB, who, method, path, body string, header ...string) answer {
	t.Helper()
	if !strings.HasPrefix(path, "https://") {
		path = base + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+who)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	req.Header.Set("Content-Type", "application/json")
	return e.send(t, req)
}

func (e *env) send(t testing.TB, req *http.Request) (a answer) {
	t.Helper()
	resp, err := e.client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	if len(b) > 0 {
		must(t, json.Unmarshal(b, &a))
	}
	a.Status, a.Header, a.Raw = resp.StatusCode, resp.Header, string(b)
	return a
}

// want fails unless the answer has a status.
func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.Status != status {
		t.Fatalf("got %d %s, want %d", a.Status, a.Raw, status)
	}
	return a
}

// signIn asks the token service for a token by a client secret.
func (e *env) signIn(t testing.TB, appID, secret, resource string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {appID}, "client_secret": {secret}, "scope": {resource + "/.default"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tokenURL, strings.NewReader(form.Encode()))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return e.send(t, req)
}

// app makes an application with its service principal.
func (e *env) app(t testing.TB, name string) (app, principal answer) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"displayName": name})
	must(t, err)
	app = e.do(t, "POST", "/applications", string(body)).want(t, 201)
	principal = e.do(t, "POST", "/servicePrincipals", `{"appId":"`+app.AppID+`","accountEnabled":true}`).want(t, 201)
	return app, principal
}

func (e *env) rev(t testing.TB) int64 {
	t.Helper()
	v, err := e.store.Fresh(t.Context())
	must(t, err)
	return v.Rev()
}
