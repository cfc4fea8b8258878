package sts

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/signing"
	"github.com/lanyard-io/lanyard/internal/store"
)

// builtInClient gives the name of one of Microsoft's own public clients, which sign in
// here as they do there: they keep no secret, and listen on loopback.
// https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in
func builtInClient(clientID string) (name string) {
	switch strings.ToLower(clientID) {
	case "04b07795-8ddb-461a-bbee-02f9e1bf7b46":
		return "Azure CLI"
	case "1950a258-227b-4e31-a9cf-717495945fc2":
		return "Azure PowerShell"
	}
	return ""
}

// signInClient is a client that people sign in for.
type signInClient struct {
	id   string // lower case
	name string
	app  *model.Application // nil for a built-in one
}

func (s *Server) signInClient(view *store.View, clientID string) (c signInClient, err error) {
	c.id = strings.ToLower(clientID)
	if c.name = builtInClient(clientID); c.name != "" {
		return c, nil
	}
	found, err := s.client(view, clientID)
	if err == nil && found.app == nil {
		err = refuse(codeClient, "The client %s is a managed identity: people do not sign in for it.", quote(clientID))
	}
	if err != nil {
		return c, err
	}
	c.app, c.name = found.app, found.app.Name
	return c, nil
}

// redirects says whether a redirect URI is the client's, and whether the client
// must prove itself behind it. Everything is compared byte for byte, but a
// loopback URI's port, which is a native client's to choose.
// https://www.rfc-editor.org/rfc/rfc8252#section-7.3
func (c *signInClient) redirects(uri string) (proven, ok bool) {
	if c.app == nil {
		plain := strings.TrimSuffix(withoutLoopbackPort(uri), "/")
		return false, plain == "http://localhost" || plain == "http://127.0.0.1" || plain == "http://[::1]"
	}
	for _, r := range c.app.PublicRedirects {
		if r == uri || withoutLoopbackPort(r) == withoutLoopbackPort(uri) {
			return false, true
		}
	}
	for _, r := range c.app.WebRedirects {
		if r == uri {
			return true, true
		}
	}
	return false, false
}

// withoutLoopbackPort takes the port out of http://localhost:PORT/…; any other
// URI it leaves as it is.
func withoutLoopbackPort(uri string) string {
	for _, origin := range [...]string{"http://localhost", "http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, origin+":")
		if !ok {
			continue
		}
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		if path := rest[digits:]; digits > 0 && digits <= 5 && (path == "" || path[0] == '/') {
			return origin + path
		}
	}
	return uri
}

// admitUser is admit for the grants of users, in any form of the tenant: there is one.
func (s *Server) admitUser(r *http.Request, a *attempt) error {
	ctx := r.Context()
	if a.method != "" {
		if err := s.prove(ctx, a); err != nil {
			return err
		}
		if a.client.app == nil {
			return refuse(codeClient, "The client %s is a managed identity: people do not sign in for it.", quote(a.clientID))
		}
	} else if err := s.publicClient(ctx, a); err != nil {
		return err
	}
	var err error
	if a.view, err = s.store.Fresh(ctx); err != nil { // what another replica's page just stored
		return err
	}
	a.client.lifetime, a.client.identityID = s.appLifetime, ""
	if a.grant == grantPassword || a.grant == grantRefresh {
		if err := s.scopeAllowed(a); err != nil { // before a grant is used up
			return err
		}
	}
	return s.byGrant(ctx, a)
}

func (s *Server) byGrant(ctx context.Context, a *attempt) error {
	switch a.grant {
	case grantPassword:
		return s.byPassword(ctx, a)
	case grantCode:
		return s.byCode(ctx, a)
	case grantDevice:
		return s.byDevice(ctx, a)
	case grantRefresh:
		return s.refresh(ctx, a)
	}
	return fmt.Errorf("no grant %q", a.grant)
}

// publicClient finds a client that does not prove itself.
func (s *Server) publicClient(ctx context.Context, a *attempt) (err error) {
	if a.view, err = s.store.Fresh(ctx); err != nil {
		return err
	}
	c, err := s.signInClient(a.view, a.clientID)
	if err != nil {
		return err
	}
	if c.app != nil && !c.app.Public && (a.grant == grantPassword || a.grant == grantDevice) {
		return refuse(codeClientProof, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'. The application does not allow public client flows.")
	}
	a.client = client{appID: c.id, app: c.app}
	return nil
}

// scopeAllowed settles the audience.
func (s *Server) scopeAllowed(a *attempt) error {
	a.resource = a.scope.resource
	if a.resource == "" {
		a.resource = a.set.GraphURL()
	}
	return s.allowed(a.view, a.resource)
}

// byPassword takes the password from the client itself.
func (s *Server) byPassword(ctx context.Context, a *attempt) (err error) {
	if s.noPasswordGrant {
		return refuse(codeGrantType, "This server does not take passwords from clients. Sign in with a browser or with a device code.")
	}
	name, secret := a.form.Get("username"), a.form.Get("password")
	if name == "" {
		return missing("username")
	}
	if secret == "" {
		return missing("password")
	}
	a.person, err = s.checkPassword(ctx, name, secret)
	if a.person.user != nil {
		a.record.Subject = a.person.user.UPN
	}
	if err != nil {
		return err
	}
	if !a.scope.offline {
		return nil
	}
	token, _, ops := s.beginFor(a, a.view, "password")
	if _, err := s.store.Commit(ctx, ops...); err != nil {
		return err
	}
	a.person.refresh = token
	return nil
}

// byCode redeems an authorization code, once.
// https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3
func (s *Server) byCode(ctx context.Context, a *attempt) error {
	text := a.form.Get("code")
	if text == "" {
		return missing("code")
	}
	e := a.view.First(model.AuthCodeIndex(model.TokenID(text)))
	if e == nil {
		return refuse(codeGrant, "The provided authorization code is malformed, or was not issued here.")
	}
	code, ok := e.Value.(*model.AuthCode)
	if !ok || code.ClientID != strings.ToLower(a.clientID) {
		return refuse(codeGrant, "The provided authorization code was issued to another client.")
	}
	if err := s.judgeCode(ctx, a, code); err != nil {
		return err
	}
	var err error
	if a.scope, err = readUserScope(code.Scope); err != nil {
		return err
	}
	if err := s.scopeAllowed(a); err != nil {
		return err
	}
	if a.person, err = s.userByID(a.view, code.UserID, code.Stamp); err != nil {
		return err
	}
	a.person.reason, a.person.nonce = "The user signed in on the page; the code is the client's.", code.Nonce
	a.record.Subject = a.person.user.UPN

	used := *code
	used.Used = true
	var ops []store.Op
	if a.scope.offline {
		a.person.refresh, used.SessionID, ops = s.beginFor(a, a.view, "authorization_code")
	}
	_, err = s.store.Commit(ctx, append(ops, store.Op{Value: &used, Rev: e.Rev})...)
	if errors.Is(err, store.ErrConflict) {
		return errCodeUsed()
	}
	return err
}

func errCodeUsed() error {
	return refuse(codeGrantUsed, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.")
}

// judgeCode checks what binds a code to the one who asked for it. A second use
// ends what the first one began: one of the two is a thief.
func (s *Server) judgeCode(ctx context.Context, a *attempt, code *model.AuthCode) error {
	verifier := a.form.Get("code_verifier")
	switch {
	case code.Used:
		if code.SessionID != "" {
			if err := s.store.Delete(ctx, model.SessionsKey(code.UserID)+code.SessionID, store.Any); err != nil {
				return err
			}
		}
		return errCodeUsed()
	case !s.now().Before(code.Expires):
		return refuse(codeCodeExpired, "The provided authorization code is expired. It ended at %s.", stamp(code.Expires))
	case code.Redirect != a.form.Get("redirect_uri"):
		return refuse(codeRedirect, "The redirect URI %s is not the one that the authorization code was sent to.", quote(a.form.Get("redirect_uri")))
	case code.Proven && a.method == "":
		return refuse(codeClientProof, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	case (code.Challenge == "") != (verifier == ""), code.Challenge != "" && !verifies(verifier, code.Challenge):
		return refuse(codeVerifier, "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
	}
	return nil
}

// verifies says whether a PKCE verifier has a challenge of method S256.
// https://www.rfc-editor.org/rfc/rfc7636#section-4.6
func verifies(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// userClaims are an access token's for a user. The client is who acts for the
// user; rights are the user's alone.
func (s *Server) userClaims(a *attempt, iss, tokenID string) access.Claims {
	now, u := s.now(), a.person.user
	acr := "0"
	switch a.method {
	case "":
	case methodSecret:
		acr = "1"
	default:
		acr = "2"
	}
	return access.Claims{
		Audience: a.resource, Issuer: iss, IDP: iss,
		IssuedAt: now.Add(-backdate).Unix(), NotBefore: now.Add(-backdate).Unix(), Expires: now.Add(a.client.lifetime).Unix(),
		AppID: a.client.appID, AppIDACR: acr, Type: "user",
		ObjectID: u.ObjectID, Subject: u.ObjectID, TenantID: s.tenantID, TokenID: tokenID, Version: "1.0",
		Name: u.UPN, UPN: u.UPN, Scope: impersonation,
	}
}

// userBody is the answer to a grant of a user.
type userBody struct {
	Type       string `json:"token_type"`
	Scope      string `json:"scope"`
	Expires    int64  `json:"expires_in"`
	ExtExpires int64  `json:"ext_expires_in"`
	Refresh    int64  `json:"refresh_in,omitempty"`
	Token      string `json:"access_token"`
	RefreshTo  string `json:"refresh_token,omitempty"`
	ID         string `json:"id_token,omitempty"`
	ClientInfo string `json:"client_info"`
}

// idToken tells the client who signed in.
// https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
type idToken struct {
	Version  string `json:"ver"`
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	From     int64  `json:"nbf"`
	Name     string `json:"name"`
	User     string `json:"preferred_username"`
	UPN      string `json:"upn"`
	ObjectID string `json:"oid"`
	TenantID string `json:"tid"`
	Nonce    string `json:"nonce,omitempty"`
	TokenID  string `json:"uti"`
}

func (s *Server) answerUser(w http.ResponseWriter, a *attempt, c *access.Claims, token string) error {
	seconds := int64(a.client.lifetime/time.Second) - 1
	body := userBody{
		Type: "Bearer", Scope: a.scope.granted(), Expires: seconds, ExtExpires: seconds, Token: token, RefreshTo: a.person.refresh,
	}
	if a.client.lifetime >= refreshFrom {
		body.Refresh = int64(a.client.lifetime/time.Second) / 2
	}
	info, err := json.Marshal(struct {
		User   string `json:"uid"`
		Tenant string `json:"utid"`
	}{c.ObjectID, s.tenantID})
	if err != nil {
		return err
	}
	body.ClientInfo = base64.RawURLEncoding.EncodeToString(info)
	if a.scope.openid {
		if body.ID, err = s.idToken(a, c); err != nil {
			return err
		}
	}
	return httpx.WriteJSON(w, http.StatusOK, body)
}

func (s *Server) idToken(a *attempt, c *access.Claims) (string, error) {
	u := a.person.user
	sum := sha256.Sum256([]byte(u.ObjectID + "\x00" + c.AppID)) // the same for one client, another for each
	payload, err := json.Marshal(idToken{
		Version: "2.0", Issuer: a.set.LoginURL() + "/" + s.tenantID + "/v2.0", Audience: a.clientID,
		Subject: base64.RawURLEncoding.EncodeToString(sum[:]), Expires: c.Expires, IssuedAt: c.IssuedAt, From: c.NotBefore,
		Name: u.Name, User: u.UPN, UPN: u.UPN, ObjectID: u.ObjectID, TenantID: s.tenantID, Nonce: a.person.nonce, TokenID: c.TokenID,
	})
	if err != nil {
		return "", fmt.Errorf("encoding an id token: %w", err)
	}
	token, err := s.keys.Sign(signing.RS256, payload)
	if err != nil {
		return "", fmt.Errorf("signing an id token: %w", err)
	}
	return token, nil
}

// origin is a redirect URI's scheme, host and port, for a form's policy.
func origin(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
