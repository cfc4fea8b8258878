package arm_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/arm"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/cluster"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/surfacetest"
	"github.com/lanyard-io/lanyard/internal/wiretest"
)

const (
	tenant = "11111111-1111-4111-8111-111111111111"
	sub    = "22222222-2222-4222-8222-222222222222"
	subID  = "/subscriptions/" + sub
	admin  = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa" // Owner of everything
	reader = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb" // Reader of the group "lab"
	nobody = "cccccccc-cccc-4ccc-8ccc-cccccccccccc" // no role at all
	ended  = "dddddddd-dddd-4ddd-8ddd-dddddddddddd" // had a role once
	host   = "management.lanyard.localhost"

	ownerRole  = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
	readerRole = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
)

// lab is the surface behind a real edge over TLS, with a real store, gate and
// audit log. Only who calls is played: the bearer token is the caller's name.
type lab struct {
	*surfacetest.Base
	t      *testing.T
	arm    *arm.Server
	client *http.Client
	now    time.Time

	clusters *cluster.Attached // nil without withClusters
}

func newLab(t *testing.T, change ...func(*arm.Config)) *lab {
	t.Helper()
	l := &lab{t: t, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	l.Base = surfacetest.New(t, names.Config{Azure: true}, func() time.Time { return l.now })
	c := arm.Config{
		Store: l.Store, Sealer: l.Sealer, Gate: l.Gate, Names: l.Names, TenantID: tenant, SubscriptionID: sub,
		Authenticate: authenticate, MaxCredentials: 20, Now: l.Now,
		Decisions: func(ctx context.Context, q audit.Query, _ string) (audit.Answer, error) {
			return l.Gate.Decisions(ctx, "here", q)
		},
	}
	for _, f := range change {
		f(&c)
	}
	l.clusters, _ = c.Clusters.(*cluster.Attached)
	var err error
	l.arm, err = arm.New(c)
	l.check(err)
	_, l.client = l.Serve(t, map[names.Surface]httpx.Surface{names.Management: l.arm.Surface()})
	l.grant("/", ownerRole, admin)
	return l
}

// authenticate knows the callers by name, and tokens that are no good.
var authenticate = surfacetest.Callers{
	Surface: names.Management,
	Good:    map[string]model.Caller{"admin": caller(admin), "reader": caller(reader), "nobody": caller(nobody), "ended": caller(ended)},
	Bad: map[string]*access.TokenError{
		"":         {Reason: access.TokenMissing},
		"expired":  {Reason: access.TokenExpired, Presented: "2026-01-01T00:00:00Z"},
		"audience": {Reason: access.TokenAudience, Presented: "https://vault.lanyard.localhost\"\r\nX: y"},
		"tenant":   {Reason: access.TokenForeign, Presented: "https://login.elsewhere/", Expected: "https://sts.example/"},
		"unsigned": {Reason: access.TokenSignature},
	},
}.Authenticate

func caller(id string) model.Caller {
	return model.Caller{ObjectID: id, AppID: id, TenantID: tenant, Type: "app"}
}

func (l *lab) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// grant stores a principal and gives it a role, past the surface.
func (l *lab) grant(scope, role, principal string) {
	l.t.Helper()
	l.principal(principal)
	l.Assign(l.t, principal, role, scope)
}

func (l *lab) principal(id string) {
	l.t.Helper()
	l.Put(l.t, &model.Application{AppID: id, ObjectID: id, PrincipalID: id, Name: id})
}

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a *answer) code() string {
	e, _ := a.body["error"].(map[string]any)
	s, _ := e["code"].(string)
	return s
}

func (a *answer) values() []any {
	v, _ := a.body["value"].([]any)
	return v
}

func (a *answer) properties() map[string]any {
	p, _ := a.body["properties"].(map[string]any)
	return p
}

// as sends a request as somebody. path may be a whole URL; without an
// api-version it gets one. headers are "Name: value".
func (l *lab) as(who, method, path, body string, headers ...string) *answer {
	l.t.Helper()
	a, err := l.try(who, method, path, body, headers...)
	l.check(err)
	return a
}

// try is as for goroutines other than the test's own.
func (l *lab) try(who, method, path, body string, headers ...string) (*answer, error) {
	if !strings.Contains(path, "api-version=") {
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		path += sep + "api-version=2024-11-30"
	}
	if strings.HasPrefix(path, "/") {
		path = "https://" + host + path
	}
	req, err := http.NewRequest(method, path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if len(bytes.TrimSpace(b)) > 0 && b[0] == '{' {
		err = json.Unmarshal(b, &a.body)
	}
	return a, err
}

// must is as admin, and wants a status.
func (l *lab) must(status int, method, path, body string, headers ...string) *answer {
	l.t.Helper()
	a := l.as("admin", method, path, body, headers...)
	if a.status != status {
		l.t.Fatalf("%s %s: status %d, want %d; %v", method, path, a.status, status, a.body)
	}
	return a
}

func (l *lab) rev() int64 { return l.view().Rev() }

func (l *lab) view() *store.View {
	l.t.Helper()
	return l.View(l.t)
}

const (
	labGroup   = subID + "/resourceGroups/lab"
	identities = labGroup + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
	vaults     = labGroup + "/providers/Microsoft.KeyVault/vaults"
	east       = `{"location":"eastus"}`
	plainVault = `{"location":"eastus","properties":{"tenantId":"` + tenant + `","sku":{"family":"A","name":"standard"},"accessPolicies":[]}}`
)

func credential(issuer, subject string) string {
	b, _ := json.Marshal(map[string]any{"properties": map[string]any{
		"issuer": issuer, "subject": subject, "audiences": []string{"api://AzureADTokenExchange"},
	}})
	return string(b)
}

// withGroup makes the group "lab".
func (l *lab) withGroup() *lab {
	l.t.Helper()
	l.must(201, "PUT", labGroup, east)
	return l
}

func TestScripts(t *testing.T) {
	l, k := newLab(t, withClusters(t)), newKube(t)
	l.grant(subID, readerRole, reader)
	l.principal(nobody)
	wiretest.Run(t, l.client, "testdata/*.wire", map[string]string{
		"tenant": tenant, "sub": sub, "admin": admin, "reader": reader, "nobody": nobody,
		"kubeconfig": base64.StdEncoding.EncodeToString(k.config(nil)), "server": k.srv.URL, "kubeissuer": k.issuer.URL,
		"issuer": strings.TrimPrefix(model.IssuerKey("https://oidc.example/"), "/issuers/"),
	})
}

func toText(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
