package sts

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/password"
	"github.com/lanyard-io/lanyard/internal/store"
)

// visit is one request of a browser to our pages.
type visit struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	set     *names.Set
	form    url.Values
	csrf    string  // the cookie's value
	session *person // whom the browser remembers, once remembered was asked
}

// Cookies of ours. A __Host- cookie is for this host alone, over TLS, and no
// other host can set it. https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3
const (
	cookieForms   = "__Host-lanyard-forms"
	cookieSession = "__Host-lanyard-session"
)

// What the buttons of our pages say.
const (
	actionSignIn   = "signin"
	actionContinue = "continue"
	actionOther    = "other"
	actionCancel   = "cancel"
)

const formsCookieLength = 26 // of rand.Text

func (s *Server) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{s: s, w: w, r: r}
	v.set, _ = httpx.Target(r)
	setPageHeader(w.Header())
	if c, err := r.Cookie(cookieForms); err == nil && len(c.Value) == formsCookieLength {
		v.csrf = c.Value
	}
	return v
}

// token is what our forms carry: only who can read our pages knows it.
func (v *visit) token() string {
	if v.csrf == "" {
		v.csrf = rand.Text()
		v.setCookie(cookieForms, v.csrf)
	}
	return formToken(v.csrf)
}

func formToken(cookie string) string {
	mac := hmac.New(sha256.New, []byte(cookie))
	mac.Write([]byte("form"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (v *visit) setCookie(name, value string) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// read reads the form of one of our pages, and refuses one that another site made.
func (v *visit) read() (err error) {
	if v.form, err = httpx.ReadForm(v.r); err != nil {
		return err
	}
	from := v.r.Header.Get("Origin")
	if v.csrf == "" || !hmac.Equal([]byte(v.form.Get("csrf")), []byte(formToken(v.csrf))) || from != "" && from != v.set.LoginURL() {
		return refuse(codeForgery, "The form was not sent from a page of this server that this browser has open, or cookies are off. Go back, load the page again, and try once more.")
	}
	return nil
}

// remembered is the user whom the browser's cookie remembers, or nil.
func (v *visit) remembered() *person {
	if v.session != nil {
		return v.session
	}
	e, view := v.cookieSession()
	if e == nil {
		return nil
	}
	session := e.Value.(*model.Session)
	p, err := v.s.userByID(view, session.UserID, session.Stamp)
	if err != nil || p.user.MustChange {
		return nil
	}
	p.reason = "The browser remembers the user's sign-in."
	v.session = p
	return p
}

// cookieSession finds the browser's session; nil when there is none that is good.
func (v *visit) cookieSession() (*store.Entry, *store.View) {
	c, err := v.r.Cookie(cookieSession)
	if err != nil {
		return nil, nil
	}
	t, ok := parseSecretToken(c.Value)
	if !ok {
		return nil, nil
	}
	view, err := v.s.store.Fresh(v.r.Context())
	if err != nil {
		return nil, nil
	}
	e := view.First(model.SessionIndex(model.TokenID(t.id)))
	if e == nil {
		return nil, nil
	}
	session, ok := e.Value.(*model.Session)
	if !ok || session.ClientID != "" || !hmac.Equal(session.SHA256, t.hash()) || !v.s.now().Before(session.Expires) {
		return nil, nil
	}
	return e, view
}

// signIn finds out who sent the form, and records it. again is the page to show
// when it did not work; it is base, changed.
func (v *visit) signIn(client signInClient, base *content) (p *person, again *content, err error) {
	ctx := v.r.Context()
	if v.form.Get("action") == actionContinue {
		if p = v.remembered(); p == nil {
			base.Failure = "You were signed out meanwhile. Sign in again."
			return nil, base, nil
		}
		return p, nil, v.s.recordSignIn(v.r, client, p, nil)
	}
	p, refused := v.s.checkPassword(ctx, v.form.Get("username"), v.form.Get("password"))
	if c, _ := refusalOf(refused); c == codePasswordExpired {
		if base.Kind, base.Title, base.Failure, refused = kindChange, "Choose a new password", "", nil; v.form.Get("new") == "" {
			base.User = p.user.UPN
			return nil, base, v.s.recordSignIn(v.r, client, p, refuse(codePasswordExpired, "The password must be changed first."))
		}
		base.User = p.user.UPN
		if base.Failure, err = v.change(ctx, p); err != nil || base.Failure != "" {
			return nil, base, err
		}
	}
	if err := v.s.recordSignIn(v.r, client, p, refused); err != nil {
		return nil, nil, err
	}
	if c, ok := refusalOf(refused); ok {
		httpx.SetCode(v.r, c.String())
		base.User, base.Failure = apierr.Shown(v.form.Get("username"), maxName), apierr.Detail(refused)
		if c == codePassword {
			base.Failure = "The user name or the password is not right, or the account is locked for a while after too many attempts."
		}
		return nil, base, nil
	}
	if refused != nil {
		return nil, nil, refused
	}
	return p, nil, v.remember(ctx, p)
}

// change gives the user the new password of the form. What is wrong with it is
// for the person.
func (v *visit) change(ctx context.Context, p *person) (wrong string, err error) {
	next := v.form.Get("new")
	switch err := password.Check(next, p.user.UPN); {
	case err != nil:
		return "The new password cannot be used: " + err.Error() + ".", nil
	case next != v.form.Get("again"):
		return "The two new passwords differ.", nil
	case next == v.form.Get("password"):
		return "The new password is the old one.", nil
	}
	hash, err := v.s.passwords.Hash(ctx, next)
	if err != nil {
		return "", err
	}
	view, err := v.s.store.Fresh(ctx)
	if err != nil {
		return "", err
	}
	u := *p.user
	old, rev, ok := store.Get[*model.User](view, u.Key())
	if !ok || old.Stamp != u.Stamp {
		return "The account was changed meanwhile. Try again.", nil
	}
	u = *old
	if u.Password, err = v.s.sealer.Seal([]byte(hash), u.PasswordName()); err != nil {
		return "", err
	}
	u.MustChange, u.Changed, u.Stamp = false, v.s.now().UTC(), model.NewUUID()
	if _, err := v.s.store.Put(ctx, &u, rev); errors.Is(err, store.ErrConflict) {
		return "The account was changed meanwhile. Try again.", nil
	} else if err != nil {
		return "", err
	}
	p.user, p.reason = &u, "The password proves the user, who changed it."
	return "", nil
}

// remember gives the browser a session.
func (v *visit) remember(ctx context.Context, p *person) error {
	view, err := v.s.store.Fresh(ctx)
	if err != nil {
		return err
	}
	token, _, ops := v.s.begin(view, model.Session{UserID: p.user.ObjectID, Stamp: p.user.Stamp, Method: "page"}, browserLife)
	if old, _ := v.cookieSession(); old != nil {
		ops = append(ops, store.Op{Key: old.Key, Rev: store.Any})
	}
	if _, err := v.s.store.Commit(ctx, distinct(ops)...); err != nil {
		return err
	}
	v.setCookie(cookieSession, token)
	return nil
}

// distinct drops writes of a key that an earlier one writes.
func distinct(ops []store.Op) []store.Op {
	seen, kept := map[string]bool{}, ops[:0]
	for _, op := range ops {
		key := op.Key
		if op.Value != nil {
			key = op.Value.Key()
		}
		if !seen[key] {
			seen[key], kept = true, append(kept, op)
		}
	}
	return kept
}

// auditSignIn is the action of a person's sign-in on our page.
const auditSignIn = "user.signin"

// recordSignIn writes the record of a decision on our page. A name that nobody
// has is left out: people type passwords there too.
func (s *Server) recordSignIn(r *http.Request, client signInClient, p *person, decision error) error {
	record := &audit.Record{
		Action: auditSignIn, Resource: client.id, Granted: decision == nil, Reason: p.reason,
		Exchange: &audit.Exchange{ClientID: client.id, Method: "page"},
	}
	if p.user != nil {
		record.Exchange.Subject = p.user.UPN
	}
	if decision != nil {
		c, ok := refusalOf(decision)
		if !ok {
			return nil
		}
		record.Code = c.String()
	} else {
		set, _ := httpx.Target(r)
		caller := model.Caller{
			ObjectID: p.user.ObjectID, AppID: client.id, TenantID: s.tenantID, Type: "user", Name: p.user.UPN,
			Issuer: access.TokenIssuer(set, s.tenantID),
		}
		record.Caller = &caller
		httpx.SetCaller(r, caller)
	}
	if err := s.gate.Exchange(r.Context(), record); err != nil {
		return apierr.Wrap(err, apierr.Unavailable, "The audit record could not be written. Try again.")
	}
	return nil
}
