package imds_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/imds"
)

const (
	resource = "https://vault.lanyard.test"
	client   = "aaaaaaaa-0000-0000-0000-000000000001"
	base     = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource="
)

// answered is an answer, whatever it says.
type answered struct {
	status int
	header http.Header
	body   map[string]any
}

func get(t *testing.T, h http.Handler, method, target string, header ...string) answered {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://169.254.169.254"+target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answered{status: w.Code, header: w.Result().Header}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
	}
	return a
}

func newServer(t *testing.T, c imds.Config) *imds.Server {
	t.Helper()
	s, err := imds.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var at = time.Unix(1_700_000_000, 0)

// fixed gives a token and notes what was asked.
func fixed(asked *imds.Request) func(context.Context, imds.Request) (imds.Token, error) {
	return func(_ context.Context, q imds.Request) (imds.Token, error) {
		*asked = q
		return imds.Token{Value: "the-token", ClientID: client, NotBefore: at, Expires: at.Add(24 * time.Hour)}, nil
	}
}

func TestTokenHasTheMetadataServicesShape(t *testing.T) {
	var asked imds.Request
	s := newServer(t, imds.Config{Tokens: fixed(&asked), Now: func() time.Time { return at }})
	for _, path := range []string{"/metadata/identity/oauth2/token", "/Metadata/Identity/OAuth2/Token/"} {
		a := get(t, s, "GET", path+"?api-version=2018-02-01&resource="+url.QueryEscape(resource+"/"), "Metadata", "TRUE")
		want := map[string]any{
			"access_token": "the-token", "client_id": client, "expires_in": "86400", "ext_expires_in": "86400",
			"expires_on": strconv.FormatInt(at.Unix()+86400, 10), "not_before": strconv.FormatInt(at.Unix(), 10),
			"resource": resource + "/", "token_type": "Bearer",
		}
		if diff := cmp.Diff(want, a.body); diff != "" || a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d (-want +got)\n%s", path, a.status, diff)
		}
	}
	for selector, want := range map[string]imds.Selector{
		"":                     {},
		"&client_id=c":         {ClientID: "c"},
		"&object_id=o":         {ObjectID: "o"},
		"&msi_res_id=%2Fa%2Fb": {ResourceID: "/a/b"},
		"&mi_res_id=/a":        {ResourceID: "/a"},
	} {
		if a := get(t, s, "GET", base+resource+selector, "Metadata", "true"); a.status != 200 || asked.Selector != want {
			t.Errorf("%q: %d, asked for %+v", selector, a.status, asked.Selector)
		}
	}
}

func TestRefusals(t *testing.T) {
	tokens := func(_ context.Context, q imds.Request) (imds.Token, error) {
		if q.ClientID == "boom" {
			return imds.Token{}, errors.New("a secret of ours")
		}
		return imds.Token{}, imds.NotFound("")
	}
	s := newServer(t, imds.Config{Tokens: tokens, Secret: "the-secret"})
	only := newServer(t, imds.Config{Tokens: tokens, Secret: "the-secret", SecretOnly: true})
	meta := []string{"Metadata", "true"}
	for name, test := range map[string]struct {
		server  *imds.Server
		target  string
		method  string
		header  []string
		status  int
		mention string
	}{
		"probe-without-header":    {target: base + resource, status: 400, mention: "Required metadata header not specified"},
		"header-is-false":         {target: base + resource, header: []string{"Metadata", "false"}, status: 400, mention: "Required metadata header"},
		"forwarded":               {target: base + resource, header: append([]string{"X-Forwarded-For", "10.0.0.1"}, meta...), status: 400, mention: "X-Forwarded-For"},
		"forwarded-for-nobody":    {target: base + resource, header: append([]string{"X-Forwarded-For", ""}, meta...), status: 400, mention: "X-Forwarded-For"},
		"rebound-name":            {target: base + resource, header: append([]string{"Host", "evil.example:8000"}, meta...), status: 400, mention: "Host"},
		"post":                    {target: base + resource, method: "POST", header: meta, status: 405, mention: "POST"},
		"no-version":              {target: "/metadata/identity/oauth2/token?resource=r", header: meta, status: 400, mention: "'api-version' is missing"},
		"old-version":             {target: "/metadata/identity/oauth2/token?api-version=2017-01-01&resource=r", header: meta, status: 400, mention: "not supported"},
		"no-date":                 {target: "/metadata/identity/oauth2/token?api-version=latest&resource=r", header: meta, status: 400, mention: "not supported"},
		"no-resource":             {target: "/metadata/identity/oauth2/token?api-version=2018-02-01", header: meta, status: 400, mention: "'resource' is missing"},
		"two-resources":           {target: base + "a&resource=b", header: meta, status: 400, mention: "'resource' is invalid"},
		"huge-resource":           {target: base + strings.Repeat("a", 4000), header: meta, status: 400, mention: "'resource' is invalid"},
		"two-selectors":           {target: base + "a&client_id=a&object_id=b", header: meta, status: 400, mention: "Only one of"},
		"selector-empty-and-not":  {target: base + "a&client_id=&client_id=b", header: meta, status: 400, mention: "Only one of"},
		"selector-twice":          {target: base + "a&client_id=a&client_id=b", header: meta, status: 400, mention: "Only one of"},
		"huge-selector":           {target: base + "a&client_id=" + strings.Repeat("a", 2000), header: meta, status: 400, mention: "too long"},
		"broken-query":            {target: base + "a&x=%zz", header: meta, status: 400, mention: "malformed"},
		"unknown-identity":        {target: base + "a", header: meta, status: 400, mention: "Identity not found"},
		"inner-error":             {target: base + "a&client_id=boom", header: meta, status: 500, mention: "see the log"},
		"other-metadata":          {target: "/metadata/instance?api-version=2021-02-01", header: meta, status: 404, mention: "Only /metadata/identity"},
		"app-service-no-secret":   {target: "/msi/token?api-version=2019-08-01&resource=a", status: 401, mention: "X-IDENTITY-HEADER"},
		"app-service-wrong":       {target: "/msi/token?api-version=2019-08-01&resource=a", header: []string{"X-Identity-Header", "the-secre"}, status: 401, mention: "X-IDENTITY-HEADER"},
		"app-service-version":     {target: "/msi/token?api-version=2017-09-01&resource=a", header: []string{"X-Identity-Header", "the-secret"}, status: 400, mention: "not supported"},
		"app-service-not-found":   {target: "/msi/token?api-version=2019-08-01&resource=a", header: []string{"X-Identity-Header", "the-secret"}, status: 400, mention: "Identity not found"},
		"secret-only-no-metadata": {server: only, target: base + resource, header: meta, status: 404, mention: "Only"},
	} {
		t.Run(name, func(t *testing.T) {
			method, server := "GET", s
			if test.method != "" {
				method = test.method
			}
			if test.server != nil {
				server = test.server
			}
			a := get(t, server, method, test.target, test.header...)
			detail, _ := a.body["error_description"].(string)
			code, _ := a.body["error"].(string)
			if a.status != test.status || !strings.Contains(detail, test.mention) || code == "" || strings.Contains(detail, "secret of ours") {
				t.Errorf("got %d %v, want %d … %q", a.status, a.body, test.status, test.mention)
			}
			if strings.HasPrefix(name, "app-service") && a.body["message"] != detail {
				t.Errorf("App Service's members are missing: %v", a.body)
			}
		})
	}
}

func TestAppServiceShape(t *testing.T) {
	var asked imds.Request
	s := newServer(t, imds.Config{Tokens: fixed(&asked), Secret: "the-secret", SecretOnly: true})
	a := get(t, s, "GET", imds.AppServicePath+"?api-version=2019-08-01&resource="+resource+"&principal_id=p", "X-IDENTITY-HEADER", "the-secret")
	want := map[string]any{
		"access_token": "the-token", "client_id": client, "resource": resource, "token_type": "Bearer",
		"expires_on": strconv.FormatInt(at.Unix()+86400, 10),
	}
	if diff := cmp.Diff(want, a.body); diff != "" || a.status != 200 || asked.ObjectID != "p" {
		t.Errorf("%d %+v (-want +got)\n%s", a.status, asked, diff)
	}
}

func TestForwardOnlySoundRequests(t *testing.T) {
	var asked imds.Request
	s := newServer(t, imds.Config{Tokens: fixed(&asked), Forward: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })})
	if a := get(t, s, "GET", "/metadata/instance", "Metadata", "true"); a.status != http.StatusTeapot {
		t.Errorf("not forwarded: %d", a.status)
	}
	if a := get(t, s, "GET", "/metadata/instance"); a.status != 400 {
		t.Errorf("forwarded without the header: %d", a.status)
	}
	if a := get(t, s, "GET", "/elsewhere", "Metadata", "true"); a.status != 404 {
		t.Errorf("outside of /metadata/: %d", a.status)
	}
}

// The real service may take each of these for its token endpoint, which would
// give out the node's own identity.
func TestTokenPathIsNeverForwarded(t *testing.T) {
	var asked imds.Request
	s := newServer(t, imds.Config{Tokens: fixed(&asked), Forward: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })})
	for _, path := range []string{
		"/metadata/identity/oauth2/token//", "/metadata//identity/oauth2/token", "/metadata/./identity/oauth2/token",
		"/metadata/instance/../identity/oauth2/token", "/metadata/instance/%2e%2e/identity/oauth2/token", "/metadata/identity%2Foauth2/token",
		"/metadata/instance/..%5Cidentity/oauth2/token", "/metadata/%2569dentity/oauth2/token", "/metadata/Identity/OAuth2/Token;a",
		"/metadata/identity/oauth2/token%00", "/metadata/identity/oauth2/token%20", "/metadata/identity/info",
	} {
		if a := get(t, s, "GET", path+"?api-version=2018-02-01&resource=r", "Metadata", "true"); a.status == http.StatusTeapot {
			t.Errorf("%s is forwarded", path)
		}
	}
	for _, path := range []string{"/metadata/instance/compute", "/metadata/attested/document", "/metadata/scheduledevents/", "/metadata/versions"} {
		if a := get(t, s, "GET", path, "Metadata", "true"); a.status != http.StatusTeapot {
			t.Errorf("%s is not forwarded: %d", path, a.status)
		}
	}
}

// The sidecar's secret is no secret, so it does not tell a page whose name was
// pointed here after it was loaded from the workload.
func TestAppServiceShapeIsForAddresses(t *testing.T) {
	var asked imds.Request
	s := newServer(t, imds.Config{Tokens: fixed(&asked), Secret: "s"})
	target := "/msi/token?api-version=2019-08-01&resource=r"
	if a := get(t, s, "GET", target, "X-Identity-Header", "s", "Host", "rebound.example"); a.status != 400 {
		t.Errorf("for another host: %d", a.status)
	}
	if a := get(t, s, "GET", target, "X-Identity-Header", "s", "Host", "localhost:8000"); a.status != 200 {
		t.Errorf("for localhost: %d", a.status)
	}
}

func TestReady(t *testing.T) {
	var why error
	var asked imds.Request
	s := newServer(t, imds.Config{Tokens: fixed(&asked), Ready: func(context.Context) error { return why }})
	if a := get(t, s, "GET", "/readyz"); a.status != 200 {
		t.Errorf("ready: %d", a.status)
	}
	why = errors.New("no token")
	if a := get(t, s, "GET", "/readyz"); a.status != 503 {
		t.Errorf("not ready: %d", a.status)
	}
	if a := get(t, s, "GET", "/healthz"); a.status != 200 {
		t.Errorf("healthy: %d", a.status)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]imds.Config{
		"no-tokens": {}, "secret-only-without-one": {Tokens: fixed(new(imds.Request)), SecretOnly: true},
	} {
		if _, err := imds.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Whatever is asked, the answer is one JSON object, and a token only for who
// asked properly.
func FuzzRequests(f *testing.F) {
	for _, q := range []string{base + resource, "/metadata/x", "/msi/token?api-version=2019-08-01&resource=a", base + "a&client_id=%00"} {
		f.Add(q, "true", "127.0.0.1:8000")
	}
	f.Fuzz(func(t *testing.T, target, metadata, host string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Path == "" {
			return
		}
		tokens := func(_ context.Context, q imds.Request) (imds.Token, error) {
			if q.Resource == "" {
				t.Error("asked for no resource")
			}
			return imds.Token{Value: "the-token", Expires: at}, nil
		}
		s := newServer(t, imds.Config{Tokens: tokens, Secret: "s"})
		r := &http.Request{Method: "GET", URL: u, Host: host, Header: http.Header{"Metadata": {metadata}}}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r.WithContext(t.Context()))
		if strings.Contains(w.Body.String(), "the-token") && !strings.EqualFold(metadata, "true") {
			t.Errorf("a token without the header: %s", target)
		}
		if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s", w.Body)
		}
	})
}

func TestParseIdentity(t *testing.T) {
	got, err := imds.ParseIdentity("client-id=c, object-id=o,resource-id=/a/b=c")
	if want := (imds.Identity{ClientID: "c", ObjectID: "o", ResourceID: "/a/b=c"}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	bad := map[string]bool{"": true, "object-id=o": true, "client-id=": true, "client-id=a,client-id=b": true, "client-id=a,name=x": true}
	for s := range maps.Keys(bad) {
		if i, err := imds.ParseIdentity(s); err == nil {
			t.Errorf("ParseIdentity(%q) = %+v", s, i)
		}
	}
}
