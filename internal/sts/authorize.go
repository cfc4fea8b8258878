package sts

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/signin"
	"github.com/lanyard-io/lanyard/internal/store"
)

// authRequest is a client's request to sign a person in, as the page keeps it
// in its own URL.
// https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1
type authRequest struct {
	tenant    string // as we spell it
	client    signInClient
	proven    bool // the client proves itself when it redeems the code
	redirect  string
	post      bool // response_mode=form_post
	state     string
	scope     string
	nonce     string
	challenge string
	prompt    string
	hint      string
}

const (
	maxParameter = 4096
	maxNonce     = 512
	maxRedirect  = 2048

	codeLife = 5 * time.Minute
	maxCodes = 20 // per user
)

// authRequest reads a request. It gives none, and the person is told the error, until the
// client is known to have the redirect URI. With a request, an error is for the client.
func (s *Server) authRequest(r *http.Request, in url.Values) (*authRequest, error) {
	form, err := s.tenant(r.PathValue("tenant"))
	if err != nil {
		return nil, err
	}
	for name, values := range in {
		if len(values) != 1 || len(values[0]) > maxParameter {
			return nil, refuse(codeMalformed, "The parameter %s comes more than once, or is too long.", quote(name))
		}
	}
	q := &authRequest{
		tenant: s.segment(form), redirect: in.Get("redirect_uri"), post: in.Get("response_mode") == "form_post", state: in.Get("state"),
		scope: in.Get("scope"), nonce: in.Get("nonce"), challenge: in.Get("code_challenge"), prompt: in.Get("prompt"), hint: in.Get("login_hint"),
	}
	if in.Get("client_id") == "" {
		return nil, refuse(codeParameter, "The request must contain the following parameter: 'client_id'.")
	}
	view, err := s.store.Fresh(r.Context())
	if err != nil {
		return nil, err
	}
	if q.client, err = s.signInClient(view, in.Get("client_id")); err != nil {
		return nil, err
	}
	fits := false
	if q.proven, fits = q.client.redirects(q.redirect); !fits || len(q.redirect) > maxRedirect {
		return nil, refuse(codeRedirect, "The redirect URI %s specified in the request does not match the redirect URIs configured for the application %s.", quote(q.redirect), quote(q.client.id))
	}
	return q, s.checkRequest(view, q, in)
}

// checkRequest finds errors that are told to the client.
func (s *Server) checkRequest(view *store.View, q *authRequest, in url.Values) error {
	switch mode := in.Get("response_mode"); {
	case in.Get("response_type") != "code":
		return refuse(codeResponseType, "The response_type %s is not supported: it must be 'code'.", quote(in.Get("response_type")))
	case mode != "" && mode != "query" && mode != "form_post":
		return refuse(codeResponseMode, "The response_mode %s is not supported: it must be 'query' or 'form_post'.", quote(mode))
	case in.Get("request") != "" || in.Get("request_uri") != "":
		return refuse(codeMalformed, "Request objects are not supported.")
	case q.challenge == "" && !q.proven:
		return refuse(codeChallenge, "Proof Key for Code Exchange is required: send code_challenge with code_challenge_method 'S256'.")
	case q.challenge != "" && (in.Get("code_challenge_method") != "S256" || len(q.challenge) != 43 || !scopeToken(q.challenge)):
		return refuse(codeChallenge, "The code_challenge_method must be 'S256', and the code_challenge a SHA-256 in base64url.")
	case len(q.nonce) > maxNonce:
		return refuse(codeMalformed, "The nonce is longer than %d bytes.", maxNonce)
	case q.prompt == "none":
		return refuse(codeInteraction, "Session information is not sufficient for single-sign-on. This server signs nobody in without a page.")
	case q.scope == "":
		return refuse(codeParameter, "The request must contain the following parameter: 'scope'.")
	}
	scope, err := readUserScope(q.scope)
	if err != nil {
		return err
	}
	if scope.resource == "" {
		return nil
	}
	return s.allowed(view, scope.resource)
}

// query is the request in the URL of our page's form: what was read of it, and
// nothing else.
func (q *authRequest) query() string {
	v := url.Values{
		"client_id": {q.client.id}, "response_type": {"code"}, "redirect_uri": {q.redirect}, "scope": {q.scope},
	}
	for name, value := range map[string]string{"state": q.state, "nonce": q.nonce, "code_challenge": q.challenge, "prompt": q.prompt, "login_hint": q.hint} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.challenge != "" {
		v.Set("code_challenge_method", "S256")
	}
	if q.post {
		v.Set("response_mode", "form_post")
	}
	return v.Encode()
}

// authorize shows the page on which a person signs in.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) error {
	v := s.visit(w, r)
	in := r.URL.Query()
	if r.Method == http.MethodPost {
		var err error
		if in, err = httpx.ReadForm(r); err != nil {
			return err
		}
	}
	q, err := s.authRequest(r, in)
	if err != nil {
		return v.sendError(q, err)
	}
	return v.show(q.page(v))
}

// page is the first page of a request: the account that the browser remembers,
// or the form for another.
func (q *authRequest) page(v *visit) *content {
	c := q.loginPage()
	if v.remembered() != nil && q.prompt != "login" && (q.hint == "" || strings.EqualFold(v.s.people.FullName(q.hint), v.user.UPN)) {
		c.Kind, c.Title, c.User = kindAccount, "Choose an account", v.user.UPN
	}
	return c
}

func (q *authRequest) loginPage() *content {
	return &content{
		Kind: kindLogin, Title: "Sign in", Client: q.client.name, User: apierr.Shown(q.hint, signin.MaxName),
		Action: "/" + q.tenant + "/oauth2/v2.0/login?" + q.query(), To: origin(q.redirect),
	}
}

// login is the answer to the page.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	v := s.visit(w, r)
	q, err := s.authRequest(r, r.URL.Query())
	if err != nil {
		return v.sendError(q, err)
	}
	if err := v.read(); err != nil {
		return err
	}
	switch v.form.Get("action") {
	case actionCancel:
		return v.sendError(q, refuse(codeCancelled, "The user has declined to sign in."))
	case actionOther:
		return v.show(q.loginPage())
	}
	user, again, err := v.signIn(q.client, q.loginPage())
	if err != nil {
		return err
	}
	if again != nil {
		return v.show(again)
	}
	code, err := s.issueCode(r.Context(), q, user)
	if err != nil {
		return err
	}
	return v.send(q, url.Values{"code": {code}})
}

// issueCode stores an authorization code.
func (s *Server) issueCode(ctx context.Context, q *authRequest, user *model.User) (string, error) {
	view, err := s.store.Fresh(ctx)
	if err != nil {
		return "", err
	}
	now, live := s.now().UTC(), 0
	var ops []store.Op
	for e := range view.Prefix(model.AuthCodesKey(user.ObjectID), "") {
		c, ok := e.Value.(*model.AuthCode)
		if ok && now.Before(c.Expires) {
			live++
		} else if len(ops) < store.MaxOps/2 {
			ops = append(ops, store.Op{Key: e.Key, Rev: store.Any})
		}
	}
	if live >= maxCodes {
		return "", apierr.New(apierr.Throttled, "This user signs in too often. Try again in some minutes.")
	}
	code := "lac1." + rand.Text() + rand.Text()
	ops = append(ops, store.Op{Value: &model.AuthCode{
		ID: model.TokenID(code), UserID: user.ObjectID, Stamp: user.Stamp, ClientID: q.client.id, Proven: q.proven,
		Redirect: q.redirect, Challenge: q.challenge, Scope: q.scope, Nonce: q.nonce, Expires: now.Add(codeLife),
	}})
	_, err = s.store.Commit(ctx, ops...)
	return code, err
}

// sendError tells the client, when there is one to tell, or else the person.
func (v *visit) sendError(q *authRequest, err error) error {
	c := codeOf(err)
	if q == nil || c == nil {
		return err
	}
	httpx.SetCode(v.r, c.Error())
	id := obs.RequestFrom(v.r.Context())
	return v.send(q, url.Values{
		"error": {c.oauth}, "error_description": {c.Error() + ": " + sentence(apierr.Detail(err)) + " Trace ID: " + id.ID},
	})
}

// send goes back to the client: by a redirect, or by a form that the person
// sends off, because nothing on our pages runs by itself.
func (v *visit) send(q *authRequest, values url.Values) error {
	if q.state != "" {
		values.Set("state", q.state)
	}
	if q.post {
		c := &content{Kind: kindSend, Title: "Continue", Client: q.client.name, Action: q.redirect, To: origin(q.redirect), Failed: values.Has("error")}
		for _, name := range []string{"code", "error", "error_description", "state"} {
			if values.Has(name) {
				c.Fields = append(c.Fields, field{name, values.Get(name)})
			}
		}
		return v.show(c)
	}
	u, err := url.Parse(q.redirect)
	if err != nil {
		return errors.New("a registered redirect URI that is no URL")
	}
	query := u.Query()
	for name, value := range values {
		query[name] = value
	}
	u.RawQuery, u.Fragment = query.Encode(), ""
	v.w.Header().Set("Location", u.String())
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// origin is a redirect URI's scheme, host and port, for a form's policy.
func origin(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
