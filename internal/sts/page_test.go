package sts_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/password"
)

type namesConfig = names.Config

func TestAuthorizationCode(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user(aliceUPN, word)
	b := w.browser()
	got := b.signedIn(authorizeURL())
	if got.Get("state") != "st&te =" || got.Get("code") == "" {
		t.Errorf("the client gets %v", got)
	}
	code := got.Get("code")
	w.refused(w.post(orgURL, redeeming(code, "code_verifier", verifier+"x")), 400, "invalid_grant", 501481)
	w.refused(w.post(orgURL, redeeming(code, "code_verifier", "")), 400, "invalid_grant", 501481)
	w.refused(w.post(orgURL, redeeming(code, "redirect_uri", "http://localhost:8401")), 400, "invalid_request", 50011)
	w.refused(w.post(orgURL, redeeming(code, "client_id", "1950a258-227b-4e31-a9cf-717495945fc2")), 400, "invalid_grant", 70000)
	p := w.post(orgURL, redeeming(code))
	if c := w.issued(p); c.ObjectID != alice.ObjectID || c.Type != "user" || c.Audience != arm+"/" {
		t.Errorf("claims %+v", c)
	}
	u := w.extra(p)
	if payload, err := w.keys.Verify(u.ID); err != nil || !strings.Contains(payload, `"nonce":"n0nce"`) {
		t.Errorf("id token %s: %v", payload, err)
	}
	// A code that comes twice ends what it brought.
	w.refused(w.post(orgURL, redeeming(code)), 400, "invalid_grant", 54005)
	w.refused(w.post(orgURL, refreshing(u.Refresh)), 400, "invalid_grant", 70000)

	// The browser remembers; one click gives a code. Another account can be chosen.
	page := b.open(authorizeURL())
	if !strings.Contains(page.body, "You are signed in as <b>"+aliceUPN) {
		t.Fatalf("the page does not remember:\n%s", page.body)
	}
	if p := b.submit(page, "action", "other"); !strings.Contains(p.body, `name="password"`) {
		t.Errorf("another account: %s", p.body)
	}
	p2 := b.submit(page, "action", "continue")
	to, err := url.Parse(p2.location)
	check(t, err)
	w.issued(w.post(orgURL, redeeming(to.Query().Get("code"))))
	for _, fresh := range []string{authorizeURL("prompt", "login"), authorizeURL("login_hint", "bob@lanyard.test")} {
		if p := b.open(fresh); !strings.Contains(p.body, `name="password"`) {
			t.Errorf("the page does not ask again:\n%s", p.body)
		}
	}

	// A code that nobody redeems ends.
	w.Ahead.Store(int64(6 * time.Minute))
	old := b.submit(b.open(authorizeURL()), "action", "continue")
	to, err = url.Parse(old.location)
	check(t, err)
	w.Ahead.Add(int64(6 * time.Minute))
	w.refused(w.post(orgURL, redeeming(to.Query().Get("code"))), 400, "invalid_grant", 70008)
}

func TestFormPost(t *testing.T) {
	w := newWorld(t, nil)
	w.user(aliceUPN, word)
	b := w.browser()
	p := b.submit(b.open(authorizeURL("response_mode", "form_post")), "username", aliceUPN, "password", word, "action", "signin")
	m := actionForm.FindStringSubmatch(p.body)
	if p.status != 200 || m == nil || m[1] != loopback {
		t.Fatalf("got %d\n%s", p.status, p.body)
	}
	f := p.fields()
	if f.Get("state") != "st&te =" || f.Has("csrf") || f.Has("password") {
		t.Errorf("the client gets %v", f)
	}
	w.issued(w.post(orgURL, redeeming(f.Get("code"))))
	if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' "+loopback+";") {
		t.Errorf("policy %s", csp)
	}
}

// A redirect URI of somebody else is refused on our page, and nothing is sent there.
func TestNoOpenRedirect(t *testing.T) {
	w := newWorld(t, nil)
	w.user(aliceUPN, word)
	app := w.app("secret", time.Now().Add(time.Hour))
	app.PublicRedirects, app.WebRedirects = []string{"https://app.example/done", "http://localhost/cb"}, []string{"https://web.example/cb"}
	w.put(app)
	b := w.browser()
	for _, c := range []struct{ client, to string }{
		{azCLI, "https://evil.example"}, {azCLI, "http://localhost.evil.example:80"}, {azCLI, "http://localhost:80@evil.example"},
		{azCLI, "http://localhost:8400/../x"}, {azCLI, "http://localhost:8400?x"}, {azCLI, "http://localhost:8400#x"}, {azCLI, "https://localhost:8400"},
		{azCLI, "http://127.0.0.1.evil.example"}, {azCLI, "//evil.example"}, {azCLI, "javascript:alert(1)"}, {azCLI, ""}, {azCLI, "http://localhost:99999999"},
		{azCLI, "http://LOCALHOST:8400"}, {azCLI, "http://localhost:8400\r\nX: y"}, {azCLI, "http://2130706433:8400"},
		{app.AppID, "https://app.example/done/"}, {app.AppID, "https://app.example/done?x=1"}, {app.AppID, "https://app.example:444/done"},
		{app.AppID, "https://APP.example/done"}, {app.AppID, "http://localhost:1/other"}, {app.AppID, "http://localhost:8400"},
		{model.NewUUID(), loopback},
	} {
		for _, response := range []string{"code", "token"} {
			p := b.open(authorizeURL("client_id", c.client, "redirect_uri", c.to, "response_type", response))
			if p.status != 400 || p.location != "" || strings.Contains(p.body, "<form") {
				t.Errorf("%s to %q: %d %q\n%s", c.client, c.to, p.status, p.location, p.body)
			}
		}
	}
	for to, client := range map[string]string{
		"http://localhost": azCLI, "http://localhost:1/": azCLI, "http://127.0.0.1:65535": azCLI, "http://[::1]:5": azCLI,
		"https://app.example/done": app.AppID, "http://localhost:77/cb": app.AppID, "http://localhost/cb": app.AppID, "https://web.example/cb": app.AppID,
	} {
		if p := b.open(authorizeURL("client_id", client, "redirect_uri", to)); p.status != 200 {
			t.Errorf("%s to %q: %d\n%s", client, to, p.status, p.body)
		}
	}
}

// The client is told of its errors; the person sees no form.
func TestAuthorizeRefusals(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	for _, c := range []struct {
		pairs []string
		want  string
	}{
		{[]string{"response_type", "token"}, "unsupported_response_type"},
		{[]string{"response_type", "code id_token"}, "unsupported_response_type"},
		{[]string{"response_mode", "fragment"}, "invalid_request"},
		{[]string{"code_challenge", ""}, "invalid_request"},
		{[]string{"code_challenge_method", "plain"}, "invalid_request"},
		{[]string{"code_challenge_method", ""}, "invalid_request"},
		{[]string{"code_challenge", "short"}, "invalid_request"},
		{[]string{"prompt", "none"}, "interaction_required"},
		{[]string{"scope", ""}, "invalid_request"},
		{[]string{"scope", "https://else/.default"}, "invalid_resource"},
		{[]string{"scope", arm + "/.default " + vault + "/.default"}, "invalid_request"},
		{[]string{"request", "x"}, "invalid_request"},
		{[]string{"nonce", strings.Repeat("n", 600)}, "invalid_request"},
	} {
		p := b.open(authorizeURL(c.pairs...))
		to, err := url.Parse(p.location)
		check(t, err)
		if q := to.Query(); p.status != 303 || q.Get("error") != c.want || q.Get("state") != "st&te =" || !strings.HasPrefix(p.location, loopback+"?") {
			t.Errorf("%v: %d %s", c.pairs, p.status, p.location)
		}
	}
	for _, u := range []string{authorizeURL() + "&client_id=" + azCLI, authorizeURL("state", strings.Repeat("s", 5000)), authorizeURL("client_id", ""),
		strings.Replace(authorizeURL(), "organizations", model.NewUUID(), 1)} {
		if p := b.open(u); p.status != 400 || p.location != "" {
			t.Errorf("%.150s: %d %s", u, p.status, p.location)
		}
	}
	p := b.submit(b.open(authorizeURL()), "action", "cancel")
	if !strings.Contains(p.location, "error=access_denied") {
		t.Errorf("cancel leads to %q", p.location)
	}
}

// Nobody can have the form sent by another site, or from an old page.
func TestForgedForms(t *testing.T) {
	w := newWorld(t, nil)
	w.user(aliceUPN, word)
	forms := map[string]func(b *browser) *page{
		"authorize": func(b *browser) *page { return b.open(authorizeURL()) },
		"device":    func(b *browser) *page { return b.open(pageURL) },
		"logout": func(b *browser) *page {
			b.signedIn(authorizeURL())
			return b.open(login + "/common/oauth2/v2.0/logout?post_logout_redirect_uri=https%3A%2F%2Fevil.example")
		},
	}
	for name, open := range forms {
		t.Run(name, func(t *testing.T) {
			b := w.browser()
			good := []string{"username", aliceUPN, "password", word, "action", "signin"}
			check := func(what string, p *page) {
				t.Helper()
				if p.status != 400 || p.location != "" || !strings.Contains(p.body, "AADSTS165000") {
					t.Errorf("%s: %d %s\n%s", what, p.status, p.location, p.body)
				}
			}
			p := open(b)
			check("no token", b.submit(p, append(good, "csrf", "")...))
			check("another token", b.submit(p, append(good, "csrf", "x")...))
			check("another browser", func() *page { other := w.browser(); other.open(pageURL); return other.submit(p, good...) }())
			check("no cookies", func() *page { other := w.browser(); return other.submit(p, good...) }())
			b.header.Set("Origin", "https://evil.example")
			check("another site", b.submit(p, good...))
			b.header.Set("Origin", "null")
			check("no site", b.submit(p, good...))
		})
	}
}

func TestPageHeaders(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	for _, u := range []string{authorizeURL(), authorizeURL("client_id", "x"), pageURL, login + "/devicelogin", login + "/common/oauth2/v2.0/logout"} {
		p := b.open(u)
		csp := p.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-", "form-action 'self'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %s", u, csp, want)
			}
		}
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "Cache-Control": "no-store, no-cache", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "Content-Type": "text/html; charset=utf-8",
		} {
			if got := p.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", u, name, got, want)
			}
		}
		for _, c := range p.header.Values("Set-Cookie") {
			for _, want := range []string{"__Host-", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"} {
				if !strings.Contains(c, want) {
					t.Errorf("cookie %q lacks %s", c, want)
				}
			}
		}
		if strings.Contains(p.body, "<script") || strings.Contains(p.body, "src=") || strings.Contains(p.body, "<link") {
			t.Errorf("%s has a script or something from elsewhere", u)
		}
	}
}

// Texts from outside are shown as texts.
func TestPagesEscape(t *testing.T) {
	w := newWorld(t, nil)
	app := w.app("s", time.Now().Add(time.Hour))
	app.Name, app.PublicRedirects = `<script>alert("x")</script>`, []string{"https://app.example/cb"}
	w.put(app)
	b := w.browser()
	for _, u := range []string{
		authorizeURL("login_hint", `"><script>x</script>`, "state", `"><script>`),
		authorizeURL("client_id", `"><script>`), authorizeURL("redirect_uri", `"><script>`), authorizeURL("client_id", app.AppID, "redirect_uri", "https://app.example/cb"),
	} {
		if p := b.open(u); strings.Contains(p.body, "<script") {
			t.Errorf("%s\n%s", u, p.body)
		}
	}
}

func TestLargeForms(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	p := b.submit(b.open(authorizeURL()), "username", aliceUPN, "password", strings.Repeat("x", 20<<10), "action", "signin")
	if p.status != http.StatusRequestEntityTooLarge || !strings.Contains(p.body, "<html") {
		t.Errorf("got %d\n%.300s", p.status, p.body)
	}
	p = b.submit(b.open(authorizeURL()), "username", aliceUPN, "password", strings.Repeat("x", 300), "action", "signin")
	if p.status != 400 || !strings.Contains(p.body, "not right") {
		t.Errorf("got %d\n%.300s", p.status, p.body)
	}
}

// A password that somebody else set is changed before it is good for anything.
func TestPasswordMustChange(t *testing.T) {
	w := newWorld(t, nil)
	alice := *w.user(aliceUPN, word)
	alice.MustChange = true
	w.put(&alice)
	w.refused(w.post(orgURL, ropc(aliceUPN, word)), 400, "invalid_grant", 50055)
	b := w.browser()
	p := b.submit(b.open(authorizeURL()), "username", aliceUPN, "password", word, "action", "signin")
	if !strings.Contains(p.body, "Choose a new password") {
		t.Fatalf("got %d\n%s", p.status, p.body)
	}
	const fresh = "another horse 42"
	for _, bad := range [][2]string{{"short", "short"}, {fresh, fresh + "x"}, {word, word}, {"alice-alice-alice-1", "alice-alice-alice-1"}} {
		if p := b.submit(p, "password", word, "new", bad[0], "again", bad[1], "action", "signin"); p.status != 400 || p.location != "" {
			t.Errorf("%q: %d\n%s", bad, p.status, p.body)
		}
	}
	p = b.submit(p, "password", word, "new", fresh, "again", fresh, "action", "signin")
	if p.status != 303 || !strings.Contains(p.location, "code=") {
		t.Fatalf("got %d %s\n%s", p.status, p.location, p.body)
	}
	w.issued(w.post(orgURL, ropc(aliceUPN, fresh)))
	w.refused(w.post(orgURL, ropc(aliceUPN, word)), 400, "invalid_grant", 50126)
	if err := password.Check(fresh, aliceUPN); err != nil {
		t.Error(err)
	}
}

// An application of our own: with a secret behind its web page, without one elsewhere.
func TestRegisteredClients(t *testing.T) {
	w := newWorld(t, nil)
	w.user(aliceUPN, word)
	app := w.app("secret", time.Now().Add(time.Hour))
	app.WebRedirects = []string{"https://web.example/cb?keep=1"}
	w.put(app)
	b := w.browser()
	p := b.submit(b.open(authorizeURL("client_id", app.AppID, "redirect_uri", app.WebRedirects[0], "code_challenge", "", "code_challenge_method", "")),
		"username", aliceUPN, "password", word, "action", "signin")
	to, err := url.Parse(p.location)
	check(t, err)
	if to.Host != "web.example" || to.Query().Get("keep") != "1" {
		t.Fatalf("got %d %s", p.status, p.location)
	}
	redeem := func(pairs ...string) *reply {
		return w.post(orgURL, redeeming(to.Query().Get("code"), append([]string{"client_id", app.AppID, "redirect_uri", app.WebRedirects[0], "code_verifier", ""}, pairs...)...))
	}
	w.refused(redeem(), 401, "invalid_client", 7000218)
	w.refused(redeem("client_secret", "wrong"), 401, "invalid_client", 7000215)
	got := redeem("client_secret", "secret")
	if c := w.issued(got); c.AppIDACR != "1" || c.Type != "user" || c.AppID != app.AppID {
		t.Errorf("claims %+v", c)
	}
	token := w.extra(got).Refresh
	w.refused(w.post(orgURL, refreshing(token, "client_id", app.AppID)), 400, "invalid_grant", 70000)
	w.issued(w.post(orgURL, refreshing(token, "client_id", app.AppID, "client_secret", "secret")))
}

func TestLogout(t *testing.T) {
	w := newWorld(t, nil)
	w.user(aliceUPN, word)
	b := w.browser()
	b.signedIn(authorizeURL())
	const out = login + "/common/oauth2/v2.0/logout"
	p := b.open(out)
	if !strings.Contains(p.body, aliceUPN) || !strings.Contains(p.body, "Sign out") {
		t.Fatalf("got %d\n%s", p.status, p.body)
	}
	if p = b.submit(p); p.status != 200 || p.location != "" || !strings.Contains(p.body, "You have signed out") {
		t.Errorf("got %d %s\n%s", p.status, p.location, p.body)
	}
	if p := b.open(authorizeURL()); strings.Contains(p.body, "You are signed in") {
		t.Error("the browser still remembers")
	}
	if p := b.open(out); !strings.Contains(p.body, "not signed in") {
		t.Errorf("got %d\n%s", p.status, p.body)
	}
}
