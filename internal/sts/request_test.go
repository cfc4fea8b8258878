package sts_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/sts"
	"github.com/lanyard-io/lanyard/internal/wiretest"
)

func TestWire(t *testing.T) {
	w := newWorld(t, func(n *names.Config, _ *sts.Config) {
		n.Azure, n.Aliases = true, []string{"login=sts.example.org"}
	})
	app := w.app("secret", time.Now().Add(time.Hour))
	wiretest.Run(t, w.client, "testdata/*.wire", map[string]string{"tenant": tenantID, "app": app.AppID})
}

// Without names mode, Microsoft's login host answers instance discovery alone.
func TestWireDiscoveryOnly(t *testing.T) {
	w := newWorld(t, func(n *names.Config, _ *sts.Config) { n.Discovery = true })
	wiretest.Run(t, w.client, "testdata/discovery-only/*.wire", map[string]string{"tenant": tenantID})
}

func TestScopes(t *testing.T) {
	w := newWorld(t, func(_ *names.Config, c *sts.Config) { c.Audiences = []string{"api://my-app/"} })
	app := w.app("secret", time.Now().Add(time.Hour))
	const arm, graph = "https://management.lanyard.test:8443", "https://graph.lanyard.test:8443"
	tests := []struct {
		scope, aud string
		oauth      string
		code       int
	}{
		{scope: vault + "/.default", aud: vault},
		{scope: vault + "//.default", aud: vault + "/"},
		{scope: arm + "//.default", aud: arm + "/"},
		{scope: graph + "/.default", aud: graph},
		{scope: "openid " + vault + "/.default  offline_access profile email", aud: vault},
		{scope: vault + "/.default " + vault + "/.default", aud: vault},
		{scope: "api://my-app/.default", aud: "api://my-app"},
		{scope: "api://my-app//.default", aud: "api://my-app/"},
		{scope: app.AppID + "/.default", aud: app.AppID},
		{scope: "https://vault.azure.net/.default", aud: "https://vault.azure.net"},
		{scope: "cfa8b339-82a2-471a-a3c9-0fc0be7a4093/.default", aud: "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"},
		{scope: "https://management.azure.com/.default", aud: "https://management.azure.com"},
		{scope: "https://management.core.windows.net//.default", aud: "https://management.core.windows.net/"},
		{scope: "https://graph.microsoft.com/.default", aud: "https://graph.microsoft.com"},
		{scope: "00000003-0000-0000-c000-000000000000/.default", aud: "00000003-0000-0000-c000-000000000000"},
		{scope: "api://" + app.AppID + "/.default", aud: "api://" + app.AppID},
		{scope: vault + "/.default " + arm + "/.default", oauth: "invalid_scope", code: 70011},
		{scope: "/.default", oauth: "invalid_scope", code: 70011},
		{scope: "//.default", oauth: "invalid_scope", code: 70011},
		{scope: "a\"b/.default", oauth: "invalid_scope", code: 70011},
		{scope: "a\tb/.default", oauth: "invalid_scope", code: 70011},
		{scope: "é/.default", oauth: "invalid_scope", code: 70011},
		{scope: strings.Repeat("x", 3000) + "/.default", oauth: "invalid_scope", code: 70011},
		{scope: ".default", oauth: "invalid_scope", code: 1002012},
		{scope: vault + "/user_impersonation", oauth: "invalid_scope", code: 1002012},
		{scope: "openid profile", oauth: "invalid_scope", code: 1002012},
		{scope: " ", oauth: "invalid_scope", code: 1002012},
		{scope: "https://vault.lanyard.test/.default", oauth: "invalid_resource", code: 500011},
		{scope: vault + "///.default", oauth: "invalid_resource", code: 500011},
		{scope: model.NewUUID() + "/.default", oauth: "invalid_resource", code: 500011},
	}
	for _, tt := range tests {
		p := w.post(tokenURL, form("client_id", app.AppID, "client_secret", "secret", "scope", tt.scope))
		if tt.code != 0 {
			w.refused(p, 400, tt.oauth, tt.code)
			continue
		}
		if c := w.issued(p); c.Audience != tt.aud {
			t.Errorf("scope %q: aud %q, want %q", tt.scope, c.Audience, tt.aud)
		}
	}
}

func TestResources(t *testing.T) {
	w := newWorld(t, nil)
	app := w.app("secret", time.Now().Add(time.Hour))
	v1 := login + "/" + tenantID + "/oauth2/token"
	p := w.post(v1, form("client_id", app.AppID, "client_secret", "secret", "scope", "", "resource", vault+"/"))
	if c := w.issued(p); c.Audience != vault+"/" || p.Expires != "3599" {
		t.Errorf("aud %q, answer %s", c.Audience, p.raw)
	}
	var body map[string]string
	check(t, json.Unmarshal([]byte(p.raw), &body))
	if body["resource"] != vault+"/" || body["expires_on"] == "" || body["not_before"] == "" {
		t.Errorf("answer %s", p.raw)
	}
	adfs := w.post(login+"/adfs/oauth2/token", form("client_id", app.AppID, "client_secret", "secret"))
	if c := w.issued(adfs); c.Audience != vault || adfs.Expires != 3599.0 {
		t.Errorf("aud %q, answer %s", c.Audience, adfs.raw)
	}
	w.issued(w.post(login+"/adfs/oauth2/v2.0/token", form("client_id", app.AppID, "client_secret", "secret")))
	w.refused(w.post(v1, form("client_id", app.AppID, "client_secret", "secret", "scope", "")), 400, "invalid_request", 900144)
	w.refused(w.post(v1, form("client_id", app.AppID, "client_secret", "secret", "resource", "https://else")), 400, "invalid_resource", 500011)
	w.refused(w.post(tokenURL, form("client_id", app.AppID, "client_secret", "secret", "scope", "", "resource", vault)), 400, "invalid_request", 900144)
}

func TestIssuerStaysWithinTheNamesAsked(t *testing.T) {
	w := newWorld(t, func(n *names.Config, _ *sts.Config) {
		n.Azure, n.Aliases = true, []string{"login=sts.example.org"}
	})
	app := w.app("secret", time.Now().Add(time.Hour))
	for host, iss := range map[string]string{
		login:                               login + "/" + tenantID + "/",
		"https://sts.example.org:8443":      "https://sts.example.org:8443/" + tenantID + "/",
		"https://login.microsoftonline.com": "https://sts.windows.net/" + tenantID + "/",
		"https://login.windows.net":         "https://sts.windows.net/" + tenantID + "/",
	} {
		for _, scope := range []string{vault, "https://vault.azure.net", "https://management.core.windows.net/"} {
			p := w.post(host+"/"+tenantID+"/oauth2/v2.0/token", form("client_id", app.AppID, "client_secret", "secret", "scope", scope+"/.default"))
			if c := w.issued(p); c.Issuer != iss || c.IDP != iss || c.Audience != scope {
				t.Errorf("%s: iss %q, aud %q", host, c.Issuer, c.Audience)
			}
		}
	}
}

func TestMalformedRequests(t *testing.T) {
	w := newWorld(t, nil)
	app := w.app("secret", time.Now().Add(time.Hour))
	good := []string{"client_id", app.AppID, "client_secret", "secret"}
	with := func(pairs ...string) string { return form(append(good, pairs...)...) }
	tests := []struct {
		name, path, body string
		oauth            string
		code             int
	}{
		{"unknown tenant", "/" + model.NewUUID() + "/oauth2/v2.0/token", with(), "invalid_request", 90002},
		{"unknown domain", "/else.example/oauth2/v2.0/token", with(), "invalid_request", 90002},
		{"consumers", "/consumers/oauth2/v2.0/token", with(), "invalid_request", 900023},
		{"malformed tenant", "/a%2Fb/oauth2/v2.0/token", with(), "invalid_request", 900023},
		{"common", "/common/oauth2/v2.0/token", with(), "invalid_request", 50059},
		{"organizations", "/organizations/oauth2/v2.0/token", with(), "invalid_request", 50059},
		{"no grant", "", with("grant_type", ""), "invalid_request", 900144},
		{"another grant", "", with("grant_type", "implicit"), "unsupported_grant_type", 70003},
		{"no client", "", form("client_secret", "secret"), "invalid_request", 900144},
		{"long client", "", with("client_id", strings.Repeat("x", 5000)), "unauthorized_client", 700016},
		{"odd client", "", with("client_id", "a\x00b\r\n/../é"), "unauthorized_client", 700016},
		{"no scope", "", with("scope", ""), "invalid_request", 900144},
		{"no assertion type", "", form("client_id", app.AppID, "client_assertion", "x"), "invalid_request", 900144},
		{"another assertion type", "", form("client_id", app.AppID, "client_assertion", "x", "client_assertion_type", "saml"), "invalid_request", 9002313},
		{"two credentials", "", with("client_assertion", "x", "client_assertion_type", assertionType), "invalid_request", 9002313},
		{"a parameter twice", "", with() + "&client_id=x", "invalid_request", 9002313},
		{"not UTF-8", "", with() + "&x=%ff", "invalid_request", 9002313},
		{"broken escape", "", with() + "&x=%zz", "invalid_request", 9002313},
		{"100 parameters", "", with() + strings.Repeat("&x=", 100), "invalid_request", 9002313},
		{"long assertion", "", assert(app.AppID, strings.Repeat("x", 70<<10)), "invalid_request", 50027},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			path := tt.path
			if path == "" {
				path = "/" + tenantID + "/oauth2/v2.0/token"
			}
			r := w.refused(w.post(login+path, tt.body), 400, tt.oauth, tt.code)
			if len(r.Resource)+len(r.Reason) > 2048 {
				t.Errorf("a record of %d bytes", len(r.Resource)+len(r.Reason))
			}
		})
	}
	t.Run("another-content-type", func(t *testing.T) {
		w.refused(w.post(tokenURL, `{"grant_type":"client_credentials"}`, "Content-Type", "application/json"), 400, "invalid_request", 9002313)
	})
	t.Run("1-mb-assertion", func(t *testing.T) {
		p := w.post(tokenURL, assert(app.AppID, strings.Repeat("x", 1<<20)))
		if p.status != http.StatusRequestEntityTooLarge || p.Error != "invalid_request" {
			t.Errorf("got %d %.200s", p.status, p.raw)
		}
	})
	t.Run("charset", func(t *testing.T) {
		w.issued(w.post(tokenURL+"?client-request-id=q-1", with("x-client-SKU", "msal.js.node"), "Content-Type", "application/x-www-form-urlencoded;charset=utf-8"))
	})
	t.Run("tenant-in-other-letter-case", func(t *testing.T) {
		w.issued(w.post(login+"/"+strings.ToUpper(tenantID)+"/oauth2/v2.0/token", with()))
		w.issued(w.post(login+"/LANYARD.test/oauth2/v2.0/token", with()))
	})
}

func TestPublishedKeys(t *testing.T) {
	w := newWorld(t, nil)
	get := func(path string, header ...string) *reply {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, login+path, nil)
		check(t, err)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return w.do(r)
	}
	for _, tenant := range []string{tenantID, "common", "organizations", "adfs", "lanyard.test"} {
		for _, path := range []string{"/discovery/v2.0/keys", "/discovery/keys"} {
			p := get("/" + tenant + path)
			if p.status != http.StatusOK || p.raw != string(w.keys.JWKS().Body) || !strings.Contains(p.header.Get("Cache-Control"), "max-age=") {
				t.Fatalf("%s%s: %d %s", tenant, path, p.status, p.raw)
			}
			etag := p.header.Get("ETag")
			for match, status := range map[string]int{etag: 304, `"x", W/` + etag: 304, "*": 304, `"x"`: 200, "": 200} {
				if p := get("/"+tenant+path, "If-None-Match", match); p.status != status {
					t.Errorf("If-None-Match %s: %d, want %d", match, p.status, status)
				}
			}
		}
	}
	if p := get("/" + model.NewUUID() + "/discovery/keys"); p.status != 400 || p.Codes[0] != 90002 {
		t.Errorf("another tenant's keys: %d %s", p.status, p.raw)
	}
}
