package sts_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// browser is a person's: it keeps cookies, fills forms in, and follows nothing.
type browser struct {
	w      *world
	client *http.Client
	header http.Header // of every request
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	check(w.t, err)
	c := *w.client
	c.Jar = jar
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{w: w, client: &c, header: http.Header{}}
}

// page is what a browser shows.
type page struct {
	url      string
	status   int
	header   http.Header
	location string
	body     string
}

func (b *browser) do(r *http.Request) *page {
	b.w.t.Helper()
	for name, v := range b.header {
		r.Header[name] = v
	}
	resp, err := b.client.Do(r)
	check(b.w.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(b.w.t, err)
	return &page{url: r.URL.String(), status: resp.StatusCode, header: resp.Header, location: resp.Header.Get("Location"), body: string(body)}
}

func (b *browser) open(u string) *page {
	b.w.t.Helper()
	r, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodGet, u, nil)
	check(b.w.t, err)
	return b.do(r)
}

var (
	actionForm  = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// fields are a page's hidden ones, with pairs set.
func (p *page) fields(pairs ...string) url.Values {
	v := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(p.body, -1) {
		v.Set(m[1], html.UnescapeString(m[2]))
	}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// submit sends a page's form.
func (b *browser) submit(p *page, pairs ...string) *page {
	b.w.t.Helper()
	m := actionForm.FindStringSubmatch(p.body)
	if m == nil {
		b.w.t.Fatalf("no form on the page: %d\n%s", p.status, p.body)
	}
	at, err := url.Parse(p.url)
	check(b.w.t, err)
	to, err := at.Parse(html.UnescapeString(m[1]))
	check(b.w.t, err)
	return b.post(to.String(), p.fields(pairs...))
}

func (b *browser) post(to string, form url.Values) *page {
	b.w.t.Helper()
	r, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodPost, to, strings.NewReader(form.Encode()))
	check(b.w.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// authorizeURL is what az opens; pairs change it.
func authorizeURL(pairs ...string) string {
	v := url.Values{
		"client_id": {azCLI}, "response_type": {"code"}, "redirect_uri": {loopback}, "scope": {arm + "//.default offline_access openid profile"},
		"state": {"st&te ="}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"}, "nonce": {"n0nce"}, "prompt": {"select_account"}, "client_info": {"1"},
	}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return login + "/organizations/oauth2/v2.0/authorize?" + v.Encode()
}

func redeeming(code string, pairs ...string) string {
	return form(append([]string{"grant_type", "authorization_code", "client_id", azCLI, "code", code, "redirect_uri", loopback, "code_verifier", verifier,
		"scope", arm + "//.default offline_access openid profile"}, pairs...)...)
}

// signedIn is the client's URL that a sign-in leads to.
func (b *browser) signedIn(u string) url.Values {
	b.w.t.Helper()
	p := b.submit(b.open(u), "username", aliceUPN, "password", word, "action", "signin")
	if p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, loopback+"?") {
		b.w.t.Fatalf("got %d to %q\n%s", p.status, p.location, p.body)
	}
	to, err := url.Parse(p.location)
	check(b.w.t, err)
	return to.Query()
}
