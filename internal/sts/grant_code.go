package sts

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// codeGrant redeems an authorization code, once.
// https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3
var codeGrant = grant{
	name:   "authorization_code",
	people: true,
	reason: "The user signed in on the page; the code is the client's.",
	find:   (*Server).findCode,
}

func (s *Server) findCode(ctx context.Context, q *request) (subject, error) {
	text := q.form.Get("code")
	if text == "" {
		return nil, missing("code")
	}
	e := q.view.First(model.AuthCodeIndex(model.TokenID(text)))
	if e == nil {
		return nil, refuse(codeGrantUnknown, "The provided authorization code is malformed, or was not issued here.")
	}
	code, ok := e.Value.(*model.AuthCode)
	if !ok || code.ClientID != strings.ToLower(q.clientID) {
		return nil, refuse(codeGrantUnknown, "The provided authorization code was issued to another client.")
	}
	if err := s.checkCode(ctx, q, code); err != nil {
		return nil, err
	}
	var err error
	if q.scope, err = readUserScope(code.Scope); err != nil {
		return nil, err
	}
	return s.newPerson(q, func(ctx context.Context, p *personSubject) error { return s.redeemCode(ctx, p, code, e.Rev) })
}

func (s *Server) redeemCode(ctx context.Context, p *personSubject, code *model.AuthCode, rev int64) error {
	if err := p.signedIn(s.people.Resume(p.view, code.UserID, code.Stamp)); err != nil {
		return err
	}
	p.nonce = code.Nonce
	used := *code
	used.Used = true
	id, ops := p.begin(p.grant.name)
	used.SessionID = id
	_, err := s.store.Commit(ctx, append(ops, store.Op{Value: &used, Rev: rev})...)
	if errors.Is(err, store.ErrConflict) {
		return errCodeUsed()
	}
	return err
}

func errCodeUsed() error {
	return refuse(codeGrantUsed, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.")
}

// checkCode compares a code with the request to redeem it. A second use ends the session of
// the first one: one of the two is a thief.
func (s *Server) checkCode(ctx context.Context, q *request, code *model.AuthCode) error {
	verifier := q.form.Get("code_verifier")
	switch {
	case code.Used:
		if code.SessionID != "" {
			if err := s.people.End(ctx, code.UserID, code.SessionID); err != nil {
				return err
			}
		}
		return errCodeUsed()
	case !s.now().Before(code.Expires):
		return refuse(codeCodeExpired, "The provided authorization code is expired. It ended at %s.", stamp(code.Expires))
	case code.Redirect != q.form.Get("redirect_uri"):
		return refuse(codeRedirect, "The redirect URI %s is not the one that the authorization code was sent to.", quote(q.form.Get("redirect_uri")))
	case code.Proven && q.proof == nil:
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
