package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/surfacetest"
	"github.com/lanyard-io/lanyard/internal/vault"
)

const (
	tenant      = "11111111-1111-4111-8111-111111111111"
	kv1         = "https://kv1.vault.lanyard.test"
	kv2         = "https://kv2.vault.lanyard.test"
	rbac        = "https://rbac.vault.lanyard.test"
	api         = "api-version=7.4"
	group       = "/subscriptions/22222222-2222-4222-8222-222222222222/resourceGroups/rg"
	secretsUser = "4633458b-17de-408a-b874-0445c86b69e6"
)

// callers are who the bearer tokens of these tests stand for.
var callers = map[string]model.Caller{
	"alice":  caller("aaaaaaaa-0000-4000-8000-000000000001"), // may do everything by policy
	"reader": caller("aaaaaaaa-0000-4000-8000-000000000002"), // get and list by policy
	"roland": caller("aaaaaaaa-0000-4000-8000-000000000003"), // Key Vault Secrets User of rbac
	"nobody": caller("aaaaaaaa-0000-4000-8000-000000000004"),
}

func caller(oid string) model.Caller {
	return model.Caller{
		ObjectID: oid, AppID: "bbbb" + oid[4:], TenantID: tenant, Type: "app",
		Issuer: "https://login.lanyard.test/" + tenant + "/", TokenID: "uti",
	}
}

// authenticate knows the callers by name, and tokens that are no good.
var authenticate = surfacetest.Callers{Surface: names.Vault, Good: callers, Bad: map[string]*access.TokenError{
	"":         {Reason: access.TokenMissing},
	"arm":      {Reason: access.TokenAudience, Presented: "https://management.lanyard.test"},
	"foreign":  {Reason: access.TokenForeign, Presented: "https://evil.test/", Expected: "https://login.lanyard.test/" + tenant + "/"},
	"old":      {Reason: access.TokenExpired, Presented: "2026-01-01T00:00:00Z"},
	"early":    {Reason: access.TokenNotYet, Presented: "2036-01-01T00:00:00Z"},
	"unsigned": {Reason: access.TokenSignature},
}}.Authenticate

// env is a whole server: edge, vault, gate, audit log, etcd.
type env struct {
	*surfacetest.Base
	client *http.Client
	edge   http.Handler
	server *vault.Server
}

func newEnv(t testing.TB, change ...func(*vault.Config)) *env {
	t.Helper()
	e := &env{Base: surfacetest.New(t, names.Config{Address: "lanyard.test", Azure: true}, nil)}
	c := vault.Config{
		Store: e.Store, Sealer: e.Sealer, Gate: e.Gate,
		Authenticate: authenticate, TenantID: tenant, Region: "test", Now: e.Now, Log: surfacetest.Quiet(),
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	e.server, err = vault.New(c)
	must(t, err)
	e.serve(t)
	e.vaults(t)
	return e
}

// serve puts the server behind an edge.
func (e *env) serve(t testing.TB) {
	t.Helper()
	e.edge, e.client = e.Serve(t, map[names.Surface]httpx.Surface{names.Vault: e.server.Surface()})
}

// vaults makes the callers, the vaults and the role assignment that the tests know.
func (e *env) vaults(t testing.TB) {
	t.Helper()
	for name, c := range callers {
		e.Put(t, &model.Application{AppID: c.AppID, ObjectID: "cccc" + c.ObjectID[4:], PrincipalID: c.ObjectID, Name: name})
	}
	policies := []model.AccessPolicy{
		{TenantID: tenant, ObjectID: callers["alice"].ObjectID, Secrets: []string{"all", "purge"}},
		{TenantID: tenant, ObjectID: callers["reader"].ObjectID, Secrets: []string{"get", "list"}},
	}
	for _, v := range []*model.Vault{
		{Resource: resource("kv1"), RetentionDays: 90, Policies: policies},
		{Resource: resource("kv2"), RetentionDays: 7, Policies: policies, PurgeProtected: true},
		{Resource: resource("rbac"), RetentionDays: 30, Roles: true},
		{Resource: resource("near"), RetentionDays: 90, Policies: policies, Network: &model.VaultNetwork{Deny: true, Addresses: []string{"192.0.2.0/24", "127.0.0.0/8"}}},
		{Resource: resource("far"), RetentionDays: 90, Policies: policies, Network: &model.VaultNetwork{Deny: true, Addresses: []string{"192.0.2.0/24"}}},
		{Resource: resource("closed"), RetentionDays: 90, Policies: policies, Closed: true},
		{Resource: resource("gone"), RetentionDays: 90, Policies: policies, Deleted: &model.Deletion{At: e.Now(), Purge: e.Now().Add(time.Hour)}},
	} {
		v.SKU, v.TenantID = "standard", tenant
		e.Put(t, v)
	}
	e.Assign(t, callers["roland"].ObjectID, secretsUser, resource("rbac").ID)
}

func resource(name string) model.Resource {
	return model.Resource{ID: group + "/providers/Microsoft.KeyVault/vaults/" + name, Name: name, Location: "eastus"}
}

var must = surfacetest.Must

// answer is what the tests look at of any answer.
type answer struct {
	Status     int    `json:"-"`
	Value      any    `json:"value"`
	ID         string `json:"id"`
	NextLink   string `json:"nextLink"`
	Attributes struct {
		Created int64 `json:"created"`
		Updated int64 `json:"updated"`
	} `json:"attributes"`
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Inner   struct {
			Code string `json:"code"`
		} `json:"innererror"`
	} `json:"error"`
}

// version is the last part of the id.
func (a answer) version() string { return a.ID[strings.LastIndexByte(a.ID, '/')+1:] }

// do sends a request as alice.
func (e *env) do(t testing.TB, method, url, body string) answer {
	t.Helper()
	a, err := e.try(t.Context(), method, url, body)
	must(t, err)
	return a
}

func (e *env) try(ctx context.Context, method, url, body string) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	req.Header.Set("Authorization", "Bearer alice")
	req.Header.Set("Content-Type", "application/json")
	resp, err := e.client.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, err
	}
	a.Status = resp.StatusCode
	if len(bytes.TrimSpace(b)) > 0 {
		err = json.Unmarshal(b, &a)
	}
	return a, err
}

// set stores a value and gives the version's id.
func (e *env) set(t testing.TB, vault, name, value string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"value": value})
	must(t, err)
	a := e.do(t, "PUT", vault+"/secrets/"+name+"?"+api, string(body))
	if a.Status != http.StatusOK {
		t.Fatalf("set %s: %d %+v", name, a.Status, a.Error)
	}
	return a.version()
}

// items are the ids of a page.
func (a answer) items(t testing.TB) []string {
	t.Helper()
	list, ok := a.Value.([]any)
	if a.Status != http.StatusOK || !ok {
		t.Fatalf("not a page: %d %+v", a.Status, a.Error)
	}
	var ids []string
	for _, v := range list {
		ids = append(ids, v.(map[string]any)["id"].(string))
	}
	return ids
}

// all follows a listing to its end.
func (e *env) all(t testing.TB, url string) (ids []string, pages int) {
	t.Helper()
	for url != "" {
		a := e.do(t, "GET", url, "")
		ids = append(ids, a.items(t)...)
		pages++
		url = a.NextLink
	}
	return ids, pages
}
