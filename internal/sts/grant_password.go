package sts

import "context"

// passwordGrant takes a person's password from the client itself.
// https://www.rfc-editor.org/rfc/rfc6749#section-4.3
var passwordGrant = grant{
	name:       "password",
	people:     true,
	publicOnly: true,
	reason:     "The password proves the user.",
	scope:      (*request).readScope,
	offered:    func(s *Server) bool { return !s.noPasswordGrant },
	find: func(s *Server, _ context.Context, q *request) (subject, error) {
		return s.newPerson(q, s.redeemPassword)
	},
}

func (s *Server) redeemPassword(ctx context.Context, p *personSubject) error {
	if s.noPasswordGrant {
		return refuse(codeGrantType, "This server does not take passwords from clients. Sign in with a browser or with a device code.")
	}
	name, secret := p.form.Get("username"), p.form.Get("password")
	if name == "" {
		return missing("username")
	}
	if secret == "" {
		return missing("password")
	}
	if err := p.signedIn(s.checkPassword(ctx, name, secret)); err != nil {
		return err
	}
	_, ops := p.begin(p.grant.name)
	if len(ops) == 0 {
		return nil
	}
	_, err := s.store.Commit(ctx, ops...)
	return err
}
