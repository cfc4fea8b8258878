package sts

import (
	"context"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
)

// refreshGrant goes on from an earlier sign-in.
// https://www.rfc-editor.org/rfc/rfc6749#section-6
var refreshGrant = grant{
	name:   "refresh_token",
	people: true,
	reason: "The refresh token proves the user.",
	scope:  (*request).readScope,
	find: func(s *Server, _ context.Context, q *request) (subject, error) {
		return s.person(q, s.redeemRefresh)
	},
}

func (s *Server) redeemRefresh(ctx context.Context, p *personSubject) error {
	text := p.form.Get("refresh_token")
	if text == "" {
		return missing("refresh_token")
	}
	unknown := refuse(codeGrantUnknown, "The provided refresh token is malformed, was revoked, or belongs to another client.")
	t, ok := parseSecretToken(text)
	if !ok {
		return unknown
	}
	e := p.view.First(model.SessionIndex(model.TokenID(t.id)))
	if e == nil {
		return unknown
	}
	session, ok := e.Value.(*model.Session)
	if !ok || session.ClientID == "" || session.ClientID != strings.ToLower(p.clientID) || session.Proven != (p.proof != nil) {
		return unknown
	}
	if err := p.signedIn(s.userByID(p.view, session.UserID, session.Stamp)); err != nil {
		return err
	}
	p.why = "The refresh token proves the user; the sign-in was by " + session.Method + "."
	return s.rotate(ctx, p, session, e.Rev, t)
}
