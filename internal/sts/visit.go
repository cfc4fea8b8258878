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
	"github.com/lanyard-io/lanyard/internal/signin"
)

// visit is one request of a browser to our pages.
type visit struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	family *names.Hosts
	form   url.Values
	csrf   string      // the cookie's value
	user   *model.User // whom the browser remembers, once remembered was asked
}

// Cookies of ours. A __Host- cookie is for this host alone, over TLS, and no
// other host can set it. https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3
const (
	cookieForms   = "__Host-lanyard-forms"
	cookieSession = "__Host-lanyard-session"
)

// The values of our pages' buttons.
const (
	actionSignIn   = "signin"
	actionContinue = "continue"
	actionOther    = "other"
	actionCancel   = "cancel"
)

const formsCookieLength = 26 // of rand.Text

func (s *Server) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{s: s, w: w, r: r}
	v.family, _ = httpx.Target(r)
	setPageHeader(w.Header())
	if c, err := r.Cookie(cookieForms); err == nil && len(c.Value) == formsCookieLength {
		v.csrf = c.Value
	}
	return v
}

// token is in our forms. No other site can read it.
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
	if v.csrf == "" || !hmac.Equal([]byte(v.form.Get("csrf")), []byte(formToken(v.csrf))) || from != "" && from != v.family.LoginURL() {
		return refuse(codeForgery, "The form was not sent from a page of this server that this browser has open, or cookies are off. Go back, load the page again, and try once more.")
	}
	return nil
}

// remembered is the user whom the browser's cookie remembers, or nil.
func (v *visit) remembered() *model.User {
	if v.user == nil {
		v.user = v.s.people.Remembered(v.r.Context(), v.sessionCookie())
	}
	return v.user
}

func (v *visit) sessionCookie() string {
	c, err := v.r.Cookie(cookieSession)
	if err != nil {
		return ""
	}
	return c.Value
}

// The record's reasons for a sign-in on our page.
const (
	whyPassword   = "The password proves the user."
	whyChanged    = "The password proves the user, who changed it."
	whyRemembered = "The browser remembers the user's sign-in."
)

// signIn finds out who sent the form, and records it. again is the page to show
// when it did not work; it is base, changed.
func (v *visit) signIn(client signInClient, base *content) (user *model.User, again *content, err error) {
	ctx := v.r.Context()
	if v.form.Get("action") == actionContinue {
		if user = v.remembered(); user == nil {
			base.Failure = "You were signed out meanwhile. Sign in again."
			return nil, base, nil
		}
		return user, nil, v.s.recordSignIn(v.r, client, user, whyRemembered)
	}
	user, refused := v.s.checkPassword(ctx, v.form.Get("username"), v.form.Get("password"))
	why := whyPassword
	if r, ok := errors.AsType[*signin.Refusal](refused); ok && r.Reason == signin.MustChange {
		base.Kind, base.Title, base.Failure, base.User = kindChange, "Choose a new password", "", r.User.UPN
		if v.form.Get("new") == "" {
			return nil, base, v.s.recordRefusedSignIn(v.r, client, refused)
		}
		if user, base.Failure, err = v.change(ctx, r.User); err != nil || base.Failure != "" {
			return nil, base, err
		}
		why, refused = whyChanged, nil
	}
	if refused == nil {
		if err := v.s.recordSignIn(v.r, client, user, why); err != nil {
			return nil, nil, err
		}
		return user, nil, v.remember(ctx, user)
	}
	if err := v.s.recordRefusedSignIn(v.r, client, refused); err != nil {
		return nil, nil, err
	}
	c := codeOf(refused)
	if c == nil {
		return nil, nil, refused
	}
	httpx.SetCode(v.r, c.Error())
	base.User, base.Failure = apierr.Shown(v.form.Get("username"), signin.MaxName), apierr.Detail(refused)
	if c == codePassword {
		base.Failure = "The user name or the password is not right, or the account is locked for a while after too many attempts."
	}
	return nil, base, nil
}

// change gives the user the new password of the form. wrong is for the person.
func (v *visit) change(ctx context.Context, user *model.User) (changed *model.User, wrong string, err error) {
	next := v.form.Get("new")
	switch err := password.Check(next, user.UPN); {
	case err != nil:
		return nil, "The new password cannot be used: " + err.Error() + ".", nil
	case next != v.form.Get("again"):
		return nil, "The two new passwords differ.", nil
	case next == v.form.Get("password"):
		return nil, "The new password is the old one.", nil
	}
	changed, err = v.s.people.Change(ctx, user, next)
	if errors.Is(err, signin.ErrChanged) {
		return nil, "The account was changed meanwhile. Try again.", nil
	}
	return changed, "", err
}

// remember gives the browser a session.
func (v *visit) remember(ctx context.Context, user *model.User) error {
	token, err := v.s.people.Remember(ctx, user, v.sessionCookie())
	if err != nil {
		return err
	}
	v.setCookie(cookieSession, token)
	return nil
}

// auditSignIn is the action of a person's sign-in on our page.
const auditSignIn = "user.signin"

// recordSignIn writes the record of a sign-in on our page.
func (s *Server) recordSignIn(r *http.Request, client signInClient, user *model.User, why string) error {
	family, _ := httpx.Target(r)
	caller := model.Caller{
		ObjectID: user.ObjectID, AppID: client.id, TenantID: s.tenantID, Type: "user", Name: user.UPN,
		Issuer: access.TokenIssuer(family, s.tenantID),
	}
	httpx.SetCaller(r, caller)
	return s.writeRecord(r.Context(), &audit.Record{
		Action: auditSignIn, Resource: client.id, Granted: true, Caller: &caller, Reason: why,
		Exchange: &audit.Exchange{ClientID: client.id, Method: "page", Subject: user.UPN},
	})
}

// recordRefusedSignIn writes the record of a refusal on our page. It leaves out an unknown
// name, because people type passwords there too. Other errors are the log's.
func (s *Server) recordRefusedSignIn(r *http.Request, client signInClient, refused error) error {
	c := codeOf(refused)
	if c == nil {
		return nil
	}
	note, user := signInNote(refused)
	x := &audit.Exchange{ClientID: client.id, Method: "page"}
	if user != nil {
		x.Subject = user.UPN
	}
	return s.writeRecord(r.Context(), &audit.Record{Action: auditSignIn, Resource: client.id, Code: c.Error(), Reason: note, Exchange: x})
}
