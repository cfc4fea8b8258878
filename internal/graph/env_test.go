package graph_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/graph"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/sts"
	"github.com/lanyard-io/lanyard/internal/surfacetest"
	"github.com/lanyard-io/lanyard/internal/trust"
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

// env is a whole server: edge, directory, token service, gate, audit log, etcd.
type env struct {
	*surfacetest.Base
	client *http.Client
	edge   http.Handler
}

// authenticate knows the people by name, and real tokens by their signature.
func authenticate(real *access.Authenticator) func(*http.Request, names.Surface) (model.Caller, error) {
	played := surfacetest.Callers{Surface: names.Graph, Good: map[string]model.Caller{}, Bad: map[string]*access.TokenError{
		"":         {Reason: access.TokenMissing},
		"arm":      {Reason: access.TokenAudience, Presented: "https://management.lanyard.test"},
		"foreign":  {Reason: access.TokenForeign},
		"old":      {Reason: access.TokenExpired},
		"early":    {Reason: access.TokenNotYet},
		"unsigned": {Reason: access.TokenSignature},
	}}
	for name, p := range people {
		played.Good[name] = model.Caller{ObjectID: p.id, AppID: "bbbb" + p.id[4:], TenantID: tenant, Type: "app", TokenID: "uti"}
	}
	return func(r *http.Request, surface names.Surface) (model.Caller, error) {
		if strings.Contains(r.Header.Get("Authorization"), ".") {
			return real.Authenticate(r, surface)
		}
		return played.Authenticate(r, surface)
	}
}

func newEnv(t testing.TB) *env {
	t.Helper()
	e := &env{Base: surfacetest.New(t, names.Config{Address: "lanyard.test"}, nil)}
	log, keys := surfacetest.Quiet(), e.Keys(t)
	directory, err := graph.New(graph.Config{
		Store: e.Store, Gate: e.Gate, Sealer: e.Sealer, TenantID: tenant, MaxCredentials: 3, Now: e.Now,
		Authenticate: authenticate(&access.Authenticator{Verify: keys.Verify, Names: e.Names, TenantID: tenant, Now: e.Now}),
	})
	must(t, err)
	tokens, err := sts.New(sts.Config{
		Store: e.Store, Keys: keys, Trust: trust.New(trust.Config{Log: log, Now: e.Now}), Gate: e.Gate, Names: e.Names, TenantID: tenant, Sealer: e.Sealer, Now: e.Now,
	})
	must(t, err)
	for name, p := range people {
		if p.role != "" {
			e.Put(t, &model.Application{AppID: "bbbb" + p.id[4:], ObjectID: "cccc" + p.id[4:], PrincipalID: p.id, Name: name})
			e.Assign(t, p.id, p.role, p.scope)
		}
	}
	e.edge, e.client = e.Serve(t, map[names.Surface]httpx.Surface{names.Graph: directory.Surface(), names.Login: tokens.Surface()})
	return e
}

// identity makes a managed identity, as Resource Manager would.
func (e *env) identity(t testing.TB, name string) *model.Identity {
	t.Helper()
	i := &model.Identity{
		Resource: model.Resource{ID: sub + "/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name, Name: name},
		TenantID: tenant, ClientID: model.NewUUID(), PrincipalID: model.NewUUID(),
	}
	e.Put(t, i)
	return i
}

var must = surfacetest.Must

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
