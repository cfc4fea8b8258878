package sts_test

import (
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/signing"
	"github.com/lanyard-io/lanyard/internal/sts"
	"github.com/lanyard-io/lanyard/internal/surfacetest"
	"github.com/lanyard-io/lanyard/internal/trust"
	"github.com/lanyard-io/lanyard/internal/trust/trusttest"
)

const (
	tenantID = "11111111-2222-3333-4444-55555555aaaa"
	audience = "api://AzureADTokenExchange"
	login    = "https://login.lanyard.test:8443"
	vault    = "https://vault.lanyard.test:8443"
	tokenURL = login + "/" + tenantID + "/oauth2/v2.0/token"

	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// world is a whole token service behind the real edge, over TLS on loopback.
type world struct {
	*surfacetest.Base
	t      testing.TB
	keys   *signing.Keys
	edge   *httpx.Edge
	client *http.Client
}

func newWorld(t testing.TB, change func(*names.Config, *sts.Config)) *world {
	t.Helper()
	nc, c := names.Config{Address: "lanyard.test:8443"}, sts.Config{TenantID: tenantID}
	if change != nil {
		change(&nc, &c)
	}
	w := &world{t: t, Base: surfacetest.New(t, nc, nil)}
	w.keys = w.Keys(t)
	c.Store, c.Keys, c.Gate, c.Names, c.Sealer, c.Now = w.Store, w.keys, w.Gate, w.Names, w.Sealer, w.Now
	c.Trust = trust.New(trust.Config{Log: surfacetest.Quiet(), Now: w.Now})
	server, err := sts.New(c)
	check(t, err)
	w.edge, w.client = w.Serve(t, map[names.Surface]httpx.Surface{names.Login: server.Surface(), names.Discovery: server.DiscoverySurface()})
	return w
}

var check = surfacetest.Must

func (w *world) put(objects ...model.Object) {
	w.t.Helper()
	w.Put(w.t, objects...)
}

// identity makes a managed identity with credentials for issuer and subject.
func (w *world) identity(name string, credentials ...model.FederatedCredential) *model.Identity {
	w.t.Helper()
	i := &model.Identity{
		Resource: model.Resource{
			ID:   "/subscriptions/s/resourceGroups/Lab/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name,
			Name: name,
		},
		TenantID: tenantID, ClientID: model.NewUUID(), PrincipalID: model.NewUUID(),
	}
	w.put(i)
	for n, f := range credentials {
		f.Name = "credential-" + string(rune('a'+n))
		f.ID = i.ID + "/federatedIdentityCredentials/" + f.Name
		f.ParentKey = i.Key()
		if f.Audiences == nil {
			f.Audiences = []string{audience}
		}
		w.put(&f)
	}
	return i
}

// app makes an application with a client secret.
func (w *world) app(secret string, expires time.Time) *model.Application {
	w.t.Helper()
	sum := sha256.Sum256([]byte(secret))
	a := &model.Application{
		AppID: model.NewUUID(), ObjectID: model.NewUUID(), PrincipalID: model.NewUUID(), Name: "app",
		Secrets: []model.AppSecret{
			{KeyID: model.NewUUID(), SHA256: make([]byte, sha256.Size), Expires: expires},
			{KeyID: model.NewUUID(), SHA256: sum[:], Hint: "abc", Expires: expires},
		},
	}
	w.put(a)
	return a
}

// trusts stores an issuer's CA, as an operator would.
func (w *world) trusts(i *trusttest.Issuer) {
	w.t.Helper()
	w.put(&model.Issuer{URL: i.URL, Roots: i.CA})
}

// reply is an answer, whatever its form.
type reply struct {
	status int
	header http.Header
	raw    string

	Token       string `json:"access_token"`
	Type        string `json:"token_type"`
	Expires     any    `json:"expires_in"`
	ExtExpires  any    `json:"ext_expires_in"`
	Refresh     int    `json:"refresh_in"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
	Timestamp   string `json:"timestamp"`
	TraceID     string `json:"trace_id"`
	Correlation string `json:"correlation_id"`
}

func (w *world) do(r *http.Request) *reply {
	w.t.Helper()
	resp, err := w.client.Do(r)
	check(w.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(w.t, err)
	p := &reply{status: resp.StatusCode, header: resp.Header, raw: string(body)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(body, p); err != nil {
			w.t.Fatalf("answer %q: %v", body, err)
		}
	}
	return p
}

func (w *world) post(to, body string, header ...string) *reply {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, to, strings.NewReader(body))
	check(w.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return w.do(r)
}

// form is a client-credentials request; pairs change it, an empty value takes away.
func form(pairs ...string) string {
	v := url.Values{"grant_type": {"client_credentials"}, "scope": {vault + "/.default"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return v.Encode()
}

func assert(clientID, assertion string, pairs ...string) string {
	return form(append([]string{"client_id", clientID, "client_assertion_type", assertionType, "client_assertion", assertion}, pairs...)...)
}

// issued checks that a reply is a token of ours, and gives its claims.
func (w *world) issued(p *reply) access.Claims {
	w.t.Helper()
	var c access.Claims
	if p.status != http.StatusOK {
		w.t.Fatalf("got %d %s, want a token", p.status, p.raw)
	}
	payload, err := w.keys.Verify(p.Token)
	check(w.t, err)
	check(w.t, json.Unmarshal([]byte(payload), &c))
	return c
}

// refused checks a refusal's form, and that its record can be found.
func (w *world) refused(p *reply, status int, oauth string, code int) audit.Record {
	w.t.Helper()
	if p.status != status || p.Error != oauth || len(p.Codes) != 1 || p.Codes[0] != code {
		w.t.Fatalf("got %d %s, want %d %s with code %d", p.status, p.raw, status, oauth, code)
	}
	want := "AADSTS" + itoa(code) + ": "
	end := " Trace ID: " + p.TraceID + " Correlation ID: " + p.Correlation + " Timestamp: " + p.Timestamp
	if !strings.HasPrefix(p.Description, want) || !strings.HasSuffix(p.Description, end) {
		w.t.Errorf("description %q, want %q … %q", p.Description, want, end)
	}
	if p.TraceID != p.header.Get("X-Ms-Request-Id") || !strings.Contains(p.header.Get("Cache-Control"), "no-store") {
		w.t.Errorf("headers %v do not fit trace id %s", p.header, p.TraceID)
	}
	if _, err := time.Parse("2006-01-02 15:04:05Z", p.Timestamp); err != nil {
		w.t.Error(err)
	}
	records, err := w.Gate.Find(w.t.Context(), p.TraceID)
	check(w.t, err)
	if len(records) != 1 {
		w.t.Fatalf("%d records for %s, want 1", len(records), p.TraceID)
	}
	if r := records[0]; r.Granted || r.Code != "AADSTS"+itoa(code) || r.Exchange == nil || r.Reason == "" {
		w.t.Errorf("record %+v does not fit AADSTS%d", r, code)
	}
	return records[0]
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}
