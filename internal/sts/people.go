package sts

import (
	"context"
	"errors"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/signin"
)

// signInWords are the refusals of package signin on the wire: the code, and what clients
// know it by. Package signin's own sentence follows.
var signInWords = map[signin.Reason]struct {
	code  code
	words string
}{
	signin.Wrong:      {codePassword, "Error validating credentials due to invalid username or password, or to an account that is locked for a while after too many attempts."},
	signin.MustChange: {codePasswordExpired, "The password is expired: it must be changed first. Sign in on the server's page."},
	signin.Disabled:   {codeUserDisabled, "The user account is disabled."},
	signin.Locked:     {codeUserLocked, "The account is locked for a while after too many failed sign-ins."},
	signin.Revoked:    {codeGrantRevoked, "The provided grant has expired due to it being revoked, a fresh auth token is needed."},
	signin.Expired:    {codeGrantExpired, "The refresh token has expired due to inactivity."},
	signin.Unknown:    {codeGrantUnknown, "The provided refresh token is malformed, was revoked, or belongs to another client."},
}

// notLetIn words a refusal of package signin.
func notLetIn(err error) error {
	r, ok := errors.AsType[*signin.Refusal](err)
	if !ok {
		return err
	}
	if r.Reason == signin.TooMany {
		return tooMany("sign-ins", r.Wait)
	}
	w := signInWords[r.Reason]
	if r.Detail != "" {
		w.words += " " + r.Detail
	}
	return apierr.Wrap(errors.Join(&refusal{code: w.code}, err), catalogue[w.code].kind, "%s", w.words)
}

// aboutSignIn is what the record says of a refusal in place of what the caller is told,
// and who is meant, as far as it is of package signin.
func aboutSignIn(err error) (note string, user *model.User) {
	if r, ok := errors.AsType[*signin.Refusal](err); ok {
		return r.Note, r.User
	}
	return "", nil
}

// checkPassword signs a person in by name and password.
func (s *Server) checkPassword(ctx context.Context, name, secret string) (*model.User, error) {
	user, err := s.people.Check(ctx, name, secret, source(ctx))
	return user, notLetIn(err)
}
