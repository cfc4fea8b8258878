package sts

import "context"

// refreshGrant goes on from an earlier sign-in.
// https://www.rfc-editor.org/rfc/rfc6749#section-6
var refreshGrant = grant{
	name:   "refresh_token",
	people: true,
	reason: "The refresh token proves the user.",
	scope:  (*request).readScope,
	find: func(s *Server, _ context.Context, q *request) (subject, error) {
		return s.newPerson(q, s.redeemRefresh)
	},
}

func (s *Server) redeemRefresh(ctx context.Context, p *personSubject) error {
	text := p.form.Get("refresh_token")
	if text == "" {
		return missing("refresh_token")
	}
	r, err := s.people.Refresh(ctx, p.view, text, p.clientID, p.proof != nil)
	p.refresh, p.recordReason = r.Token, "The refresh token proves the user; the sign-in was by "+r.Method+"."
	return p.signedIn(r.User, err)
}
