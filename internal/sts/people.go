package sts

import (
	"context"
	"errors"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/signin"
)

// signInCodes are the codes of package signin's refusals.
var signInCodes = map[signin.Reason]*code{
	signin.Wrong:      codePassword,
	signin.MustChange: codePasswordExpired,
	signin.Disabled:   codeUserDisabled,
	signin.Locked:     codeUserLocked,
	signin.Revoked:    codeGrantRevoked,
	signin.Expired:    codeGrantExpired,
	signin.Unknown:    codeGrantUnknown,
}

// refuseSignIn gives a refusal of package signin its code and words.
func refuseSignIn(err error) error {
	r, ok := errors.AsType[*signin.Refusal](err)
	if !ok {
		return err
	}
	if r.Reason == signin.TooMany {
		return tooMany("sign-ins", r.Wait)
	}
	c, ok := signInCodes[r.Reason]
	if !ok {
		return err
	}
	return explain(c, err, r.Detail)
}

// signInNote is the record's note on a refusal of package signin, and the user who is
// meant, if known.
func signInNote(err error) (note string, user *model.User) {
	if r, ok := errors.AsType[*signin.Refusal](err); ok {
		return r.Note, r.User
	}
	return "", nil
}

// checkPassword signs a person in by name and password.
func (s *Server) checkPassword(ctx context.Context, name, secret string) (*model.User, error) {
	user, err := s.people.Check(ctx, name, secret, source(ctx))
	return user, refuseSignIn(err)
}
