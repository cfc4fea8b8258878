package sts

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/signing"
	"github.com/lanyard-io/lanyard/internal/store"
)

// subject is whom a token is for: a client itself, or a person who signs in at one.
type subject interface {
	// redeem uses up what the grant presented. It is the last that can refuse.
	redeem(ctx context.Context) error
	// reason is the audit record's sentence on why there is a token.
	reason() string
	// claims adds to what all tokens say.
	claims(*access.Claims)
	// answer gives the token to the client.
	answer(w http.ResponseWriter, c *access.Claims, token string) error
}

// personSubject is the person whom a grant brings. The client acts for the person, and
// all rights are the person's.
type personSubject struct {
	*request
	s *Server
	// use is the grant's redeem: it finds the user.
	use          func(context.Context, *personSubject) error
	user         *model.User
	recordReason string
	refresh      string // the refresh token to give
	nonce        string
}

// newPerson makes the subject of a grant; use is its redeem.
func (s *Server) newPerson(q *request, use func(context.Context, *personSubject) error) (subject, error) {
	return &personSubject{request: q, s: s, use: use, recordReason: q.grant.reason}, nil
}

func (p *personSubject) redeem(ctx context.Context) error { return p.use(ctx, p) }

func (p *personSubject) reason() string { return p.recordReason }

// signedIn takes over a user, or a refusal of package signin.
func (p *personSubject) signedIn(user *model.User, err error) error {
	p.user = user
	if user == nil {
		_, user = signInNote(err)
	}
	if user != nil {
		p.record.Subject = user.UPN
	}
	return refuseSignIn(err)
}

// begin makes the session of the refresh token to give, if one was asked for, and the
// writes that store it.
func (p *personSubject) begin(method string) (id string, ops []store.Op) {
	if p.scope.offline {
		p.refresh, id, ops = p.s.people.Begin(p.view, p.user, p.clientID, p.proof != nil, method)
	}
	return id, ops
}

func (p *personSubject) claims(a *access.Claims) {
	u := p.user
	a.Type, a.Expires = "user", a.IssuedAt+int64((backdate+p.s.appLifetime)/time.Second)
	a.ObjectID, a.Subject, a.Name, a.UPN, a.Scope = u.ObjectID, u.ObjectID, u.UPN, u.UPN, impersonation
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

func (p *personSubject) answer(w http.ResponseWriter, a *access.Claims, token string) error {
	seconds, refresh := lifetimes(p.s.appLifetime)
	info, err := json.Marshal(struct {
		User   string `json:"uid"`
		Tenant string `json:"utid"`
	}{a.ObjectID, a.TenantID})
	if err != nil {
		return err
	}
	body := userBody{
		Type: "Bearer", Scope: p.scope.granted(), Expires: seconds, ExtExpires: seconds, Refresh: refresh, Token: token, RefreshTo: p.refresh,
		ClientInfo: base64.RawURLEncoding.EncodeToString(info),
	}
	if p.scope.openid {
		if body.ID, err = p.idToken(a); err != nil {
			return err
		}
	}
	return httpx.WriteJSON(w, http.StatusOK, body)
}

func (p *personSubject) idToken(a *access.Claims) (string, error) {
	u := p.user
	sum := sha256.Sum256([]byte(u.ObjectID + "\x00" + a.AppID)) // the same for one client, another for each
	payload, err := json.Marshal(idToken{
		Version: "2.0", Issuer: p.family.LoginURL() + "/" + a.TenantID + "/v2.0", Audience: p.clientID,
		Subject: base64.RawURLEncoding.EncodeToString(sum[:]), Expires: a.Expires, IssuedAt: a.IssuedAt, From: a.NotBefore,
		Name: u.Name, User: u.UPN, UPN: u.UPN, ObjectID: u.ObjectID, TenantID: a.TenantID, Nonce: p.nonce, TokenID: a.TokenID,
	})
	if err != nil {
		return "", fmt.Errorf("encoding an id token: %w", err)
	}
	token, err := p.s.keys.Sign(signing.RS256, payload)
	if err != nil {
		return "", fmt.Errorf("signing an id token: %w", err)
	}
	return token, nil
}
