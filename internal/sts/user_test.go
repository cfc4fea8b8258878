package sts_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/password"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/sts"
)

const (
	azCLI    = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
	arm      = "https://management.lanyard.test:8443"
	aliceUPN = "Alice@lanyard.test"
	word     = "correct horse battery"
	loopback = "http://localhost:8400"
	codeURL  = login + "/organizations/oauth2/v2.0/devicecode"
	pageURL  = login + "/common/oauth2/deviceauth"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

// user makes a user, as the directory would.
func (w *world) user(upn, secret string) *model.User {
	w.t.Helper()
	u := &model.User{ObjectID: model.NewUUID(), UPN: upn, Name: "Alice", Stamp: model.NewUUID(), Created: time.Now().UTC()}
	hash, err := password.NewHasher().Hash(w.t.Context(), secret)
	check(w.t, err)
	u.Password, err = w.Sealer.Seal([]byte(hash), u.PasswordName())
	check(w.t, err)
	w.put(u)
	return u
}

// userReply is what a grant of a user adds to an answer.
type userReply struct {
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Scope   string `json:"scope"`
	Info    string `json:"client_info"`
}

func (w *world) extra(p *reply) (u userReply) {
	w.t.Helper()
	if p.status != http.StatusOK {
		w.t.Fatalf("got %d %s, want a token", p.status, p.raw)
	}
	check(w.t, json.Unmarshal([]byte(p.raw), &u))
	return u
}

func ropc(name, secret string, pairs ...string) string {
	return form(append([]string{"grant_type", "password", "client_id", azCLI, "username", name, "password", secret,
		"scope", arm + "//.default offline_access openid profile", "client_info", "1"}, pairs...)...)
}

func refreshing(token string, pairs ...string) string {
	return form(append([]string{"grant_type", "refresh_token", "client_id", azCLI, "refresh_token", token,
		"scope", vault + "/.default offline_access openid profile"}, pairs...)...)
}

const orgURL = login + "/organizations/oauth2/v2.0/token"

func TestPasswordGrant(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user(aliceUPN, word)
	p := w.post(orgURL, ropc("alice@LANYARD.test", word))
	c := w.issued(p)
	if c.Type != "user" || c.ObjectID != alice.ObjectID || c.Subject != alice.ObjectID || c.UPN != aliceUPN || c.Name != aliceUPN ||
		c.Scope != "user_impersonation" || c.AppID != azCLI || c.AppIDACR != "0" || c.Audience != arm+"/" || c.IdentityID != "" || c.TenantID != tenantID {
		t.Errorf("claims %+v", c)
	}
	u := w.extra(p)
	if want := arm + "//user_impersonation " + arm + "//.default openid profile"; u.Scope != want {
		t.Errorf("scope %q, want %q", u.Scope, want)
	}
	info, err := base64.RawURLEncoding.DecodeString(u.Info)
	if err != nil || string(info) != `{"uid":"`+alice.ObjectID+`","utid":"`+tenantID+`"}` {
		t.Errorf("client_info %q", info)
	}
	payload, err := w.keys.Verify(u.ID)
	check(t, err)
	var id map[string]any
	check(t, json.Unmarshal([]byte(payload), &id))
	for name, want := range map[string]string{
		"oid": alice.ObjectID, "tid": tenantID, "preferred_username": aliceUPN, "aud": azCLI, "iss": login + "/" + tenantID + "/v2.0", "ver": "2.0", "name": "Alice",
	} {
		if id[name] != want {
			t.Errorf("id token: %s is %v, want %s", name, id[name], want)
		}
	}
	records, err := w.Gate.Find(t.Context(), p.header.Get("X-Ms-Request-Id"))
	check(t, err)
	if len(records) != 1 || !records[0].Granted || records[0].Caller.Name != aliceUPN || records[0].Exchange.Method != "password" || records[0].Exchange.Subject != aliceUPN {
		t.Errorf("records %+v", records)
	}
	if u := w.extra(w.post(orgURL, ropc(aliceUPN, word, "scope", arm+"/.default"))); u.Refresh != "" || u.ID != "" {
		t.Errorf("what was not asked for: %+v", u)
	}
	w.refused(w.post(orgURL, ropc("", word)), 400, "invalid_request", 900144)
	w.refused(w.post(orgURL, ropc(aliceUPN, "")), 400, "invalid_request", 900144)
	w.refused(w.post(orgURL, ropc(aliceUPN, word, "client_id", model.NewUUID())), 400, "unauthorized_client", 700016)
	w.refused(w.post(orgURL, ropc(aliceUPN, word, "client_id", w.app("s", time.Now().Add(time.Hour)).AppID)), 401, "invalid_client", 7000218)
	w.refused(w.post(orgURL, ropc(aliceUPN, word, "scope", "https://else/.default")), 400, "invalid_resource", 500011)
	w.refused(w.post(orgURL, ropc(aliceUPN, word, "scope", arm+"/.default "+vault+"/.default")), 400, "invalid_request", 28000)
}

func TestPasswordGrantCanBeOff(t *testing.T) {
	w := newWorld(t, func(_ *namesConfig, c *sts.Config) { c.NoPasswordGrant = true })
	w.user(aliceUPN, word)
	w.refused(w.post(orgURL, ropc(aliceUPN, word)), 400, "unsupported_grant_type", 70003)
}

// A name that nobody has, a wrong password and a locked account look the same.
func TestLockOut(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user(aliceUPN, word)
	text := func(p *reply) string {
		return regexp.MustCompile(`Trace ID.*`).ReplaceAllString(p.Description, "")
	}
	wrong := w.post(orgURL, ropc(aliceUPN, "wrong"))
	w.refused(wrong, 400, "invalid_grant", 50126)
	unknown := w.post(orgURL, ropc("nobody@lanyard.test", word))
	w.refused(unknown, 400, "invalid_grant", 50126)
	for range 9 {
		w.refused(w.post(orgURL, ropc(aliceUPN, "wrong")), 400, "invalid_grant", 50126)
	}
	locked := w.post(orgURL, ropc(aliceUPN, word))
	r := w.refused(locked, 400, "invalid_grant", 50126)
	if !strings.Contains(r.Reason, "locked until") {
		t.Errorf("the record says %q, want why", r.Reason)
	}
	if text(wrong) != text(unknown) || text(wrong) != text(locked) {
		t.Errorf("answers differ:\n%s\n%s\n%s", text(wrong), text(unknown), text(locked))
	}

	w.Ahead.Store(int64(2 * time.Minute)) // the first lock ends, and a right password ends the count
	w.issued(w.post(orgURL, ropc(aliceUPN, word)))
	view, err := w.Store.Fresh(t.Context())
	check(t, err)
	if _, _, ok := store.Get[*model.SignIns](view, model.SignInsKey(alice.ObjectID)); ok {
		t.Error("failures are still counted after a success")
	}
}

// A name without a domain is the user of our own domain, wherever names are typed:
// one counter, one answer, and no other user's.
func TestShortNames(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user(aliceUPN, word)
	other := w.user("alice@elsewhere.test", word)
	for _, name := range []string{"alice", "ALICE", " alice "} {
		if c := w.issued(w.post(orgURL, ropc(name, word))); c.ObjectID != alice.ObjectID {
			t.Errorf("%q signs in %s, want %s (not %s)", name, c.ObjectID, alice.ObjectID, other.ObjectID)
		}
	}
	b := w.browser()
	p := b.submit(b.open(authorizeURL()), "username", "alice", "password", word, "action", "signin")
	if p.status != 303 || !strings.Contains(p.location, "code=") {
		t.Fatalf("the page: %d %s\n%s", p.status, p.location, p.body)
	}
	if p := b.open(authorizeURL("login_hint", "alice")); !strings.Contains(p.body, "You are signed in as <b>"+aliceUPN) {
		t.Errorf("a hint without a domain is not the user's:\n%s", p.body)
	}
	text := func(p *reply) string {
		return regexp.MustCompile(`Trace ID.*`).ReplaceAllString(p.Description, "")
	}
	wrong, unknown := w.post(orgURL, ropc("alice", "wrong")), w.post(orgURL, ropc("nobody", word))
	w.refused(unknown, 400, "invalid_grant", 50126)
	if text(wrong) != text(unknown) {
		t.Errorf("answers differ:\n%s\n%s", text(wrong), text(unknown))
	}
	for i := range 9 {
		w.refused(w.post(orgURL, ropc([]string{"alice", aliceUPN}[i%2], "wrong")), 400, "invalid_grant", 50126)
	}
	for _, name := range []string{"alice", aliceUPN} {
		if r := w.refused(w.post(orgURL, ropc(name, word)), 400, "invalid_grant", 50126); !strings.Contains(r.Reason, "locked until") {
			t.Errorf("%s is not locked: %s", name, r.Reason)
		}
	}
	w.issued(w.post(orgURL, ropc(other.UPN, word)))
}

// The bare host answers in words to a person, and as ever to a program.
func TestFrontPage(t *testing.T) {
	w := newWorld(t, nil)
	for accept, want := range map[string]string{
		"text/html,application/xhtml+xml,*/*;q=0.8": "start from such a program", "*/*": `"error":"invalid_request"`, "application/json": "AADSTS", "": "AADSTS",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, login+"/", nil)
		check(t, err)
		r.Header.Set("Accept", accept)
		p := w.do(r)
		html := strings.HasPrefix(p.header.Get("Content-Type"), "text/html")
		if !strings.Contains(p.raw, want) || html != (p.status == 200) {
			t.Errorf("Accept %q: %d %s\n%s", accept, p.status, p.header.Get("Content-Type"), p.raw)
		}
		if html && !strings.Contains(p.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("the page has the policy %q", p.header.Get("Content-Security-Policy"))
		}
	}
}

func TestRefresh(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.user(aliceUPN, word)
	first := w.extra(w.post(orgURL, ropc(aliceUPN, word))).Refresh
	p := w.post(tokenURL, refreshing(first)) // at the tenant, though issued at organizations
	if c := w.issued(p); c.Audience != vault || c.ObjectID != alice.ObjectID {
		t.Errorf("claims %+v", c)
	}
	second := w.extra(p).Refresh
	if second == "" || second == first {
		t.Fatalf("the refresh token is not replaced: %q, %q", first, second)
	}
	again := w.extra(w.post(tokenURL, refreshing(first))) // a process that shares the cache
	if again.Refresh != "" {
		t.Error("the replaced token brings a new one")
	}
	w.refused(w.post(tokenURL, refreshing(second, "client_id", "1950a258-227b-4e31-a9cf-717495945fc2")), 400, "invalid_grant", 70000)
	for _, bad := range []string{"x", "lrt1..", "lrt1.a.b", strings.Repeat("x", 5000), second[:len(second)-60]} {
		w.refused(w.post(tokenURL, refreshing(bad)), 400, "invalid_grant", 70000)
	}
	third := w.extra(w.post(tokenURL, refreshing(second))).Refresh
	w.Ahead.Store(int64(31 * 24 * time.Hour))
	w.refused(w.post(tokenURL, refreshing(third)), 400, "invalid_grant", 700082)
}

// A grant is used up last: a request for a resource that there is not costs no refresh
// token, and counts as no try of a password.
func TestRefusedResourcesUseUpNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.user(aliceUPN, word)
	token := w.extra(w.post(orgURL, ropc(aliceUPN, word))).Refresh
	for range 12 {
		w.refused(w.post(orgURL, refreshing(token, "scope", "https://else/.default")), 400, "invalid_resource", 500011)
		w.refused(w.post(orgURL, ropc(aliceUPN, "wrong", "scope", "https://else/.default")), 400, "invalid_resource", 500011)
	}
	w.Ahead.Store(int64(2 * time.Minute)) // past the time in which a replaced token is still good
	if w.extra(w.post(orgURL, refreshing(token))).Refresh == "" {
		t.Error("the token was used up by a request that was refused")
	}
	w.issued(w.post(orgURL, ropc(aliceUPN, word)))
}

// A replaced token that comes back later was stolen, or its successor was: all end.
func TestRefreshReplayEndsTheSignIn(t *testing.T) {
	w := newWorld(t, nil)
	w.user(aliceUPN, word)
	first := w.extra(w.post(orgURL, ropc(aliceUPN, word))).Refresh
	second := w.extra(w.post(orgURL, refreshing(first))).Refresh
	w.Ahead.Store(int64(2 * time.Minute))
	r := w.refused(w.post(orgURL, refreshing(first)), 400, "invalid_grant", 50173)
	if !strings.Contains(r.Reason, "used again") {
		t.Errorf("the record says %q", r.Reason)
	}
	w.refused(w.post(orgURL, refreshing(second)), 400, "invalid_grant", 70000)
}

func TestRefreshEndsWithTheUser(t *testing.T) {
	w := newWorld(t, nil)
	for name, test := range map[string]struct {
		change func(u *model.User)
		code   int
	}{
		"disabled": {func(u *model.User) { u.Disabled = true; w.put(u) }, 50057},
		"password": {func(u *model.User) { u.Stamp = model.NewUUID(); w.put(u) }, 50173},
		"deleted":  {func(u *model.User) { check(t, w.Store.Delete(t.Context(), u.Key(), store.Any)) }, 50173},
		"locked": {func(u *model.User) {
			w.put(&model.SignIns{Owner: u.ObjectID, Failures: 10, Last: w.Now(), Locked: w.Now().Add(time.Minute)})
		}, 50053},
	} {
		t.Run(name, func(t *testing.T) {
			u := *w.user(name+"@lanyard.test", word)
			token := w.extra(w.post(orgURL, ropc(u.UPN, word))).Refresh
			test.change(&u)
			w.refused(w.post(orgURL, refreshing(token)), 400, "invalid_grant", test.code)
		})
	}
}

func TestUserRealm(t *testing.T) {
	w := newWorld(t, nil)
	w.user(aliceUPN, word)
	for _, path := range []string{"/common/userrealm/", "/common/UserRealm/"} {
		for _, upn := range []string{aliceUPN, "nobody@lanyard.test"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, login+path+upn+"?api-version=1.0", nil)
			check(t, err)
			p := w.do(r)
			if want := `"account_type":"Managed","domain_name":"lanyard.test"`; p.status != 200 || !strings.Contains(p.raw, want) {
				t.Errorf("%s: %d %s", path, p.status, p.raw)
			}
		}
	}
}

// A typed password is nowhere: not in answers, not in records, not in the store, even if
// it was typed as the name.
func TestPasswordIsNowhere(t *testing.T) {
	const planted = "planted-Sq7-secret"
	w := newWorld(t, nil)
	w.user(aliceUPN, planted)
	var seen strings.Builder
	note := func(p *reply) {
		seen.WriteString(p.raw)
		records, err := w.Gate.Find(t.Context(), p.header.Get("X-Ms-Request-Id"))
		check(t, err)
		b, err := json.Marshal(records)
		check(t, err)
		seen.Write(b)
	}
	note(w.post(orgURL, ropc(aliceUPN, planted)))
	note(w.post(orgURL, ropc(aliceUPN, planted+"x")))
	note(w.post(orgURL, ropc(planted, "x")))
	note(w.post(orgURL, ropc(planted+"@lanyard.test", planted)))
	note(w.post(orgURL, ropc(aliceUPN, planted, "scope", "https://else/.default")))
	b := w.browser()
	page := b.open(authorizeURL())
	seen.WriteString(b.submit(page, "username", aliceUPN, "password", planted+"x", "action", "signin").body)
	page = b.submit(page, "username", aliceUPN, "password", planted, "action", "signin")
	seen.WriteString(page.body + page.location)
	view, err := w.Store.Fresh(t.Context())
	check(t, err)
	for e := range view.Prefix("/", "") {
		o, err := model.Encode(e.Value)
		check(t, err)
		seen.Write(o)
	}
	files, err := os.ReadDir(w.Dir)
	check(t, err)
	for _, f := range files {
		data, err := os.ReadFile(w.Dir + "/" + f.Name())
		check(t, err)
		seen.Write(data)
	}
	if i := strings.Index(seen.String(), planted); i >= 0 {
		t.Errorf("the password is seen: …%s…", seen.String()[max(0, i-200):i+20])
	}
}

func challengeOf(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
