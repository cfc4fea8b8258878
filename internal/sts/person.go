package sts

import (
	"context"
	"errors"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/password"
	"github.com/lanyard-io/lanyard/internal/store"
)

// person is who signs in, as far as is known.
type person struct {
	user *model.User
	// reason is for the record: what the caller is not told, because it would
	// say which names exist.
	reason string
}

// Lock-out: after maxFailures each further failure locks for longer. It is not
// extended by attempts while it lasts, so nobody can keep a user out for good.
const (
	maxFailures = 10
	lockFirst   = time.Minute
	lockLongest = time.Hour
	forgetAfter = 24 * time.Hour // without a failure
	// unknownCounters are what the attempts at unknown names are counted in,
	// only so that they take as long as others.
	unknownCounters = 64
	countTries      = 5
)

// checkPassword signs a person in by name and password. A name that nobody has,
// a wrong password and a locked account get one answer, after the same work; the
// difference is in the record. The person is given with an error too.
func (s *Server) checkPassword(ctx context.Context, name, secret string) (*person, error) {
	p := &person{}
	wrong := func(reason string) (*person, error) {
		p.reason = reason
		return p, refuse(codePassword, "Error validating credentials due to invalid username or password, or to an account that is locked for a while after too many attempts.")
	}
	if len(secret) > password.MaxBytes || len(name) > maxName {
		return wrong("The name or the password is longer than any.")
	}
	// Before the count and the queue of hashes, so that one stranger fills neither.
	from := source(ctx)
	if wait := s.limits.signIns.Take(from); wait > 0 {
		return p, tooMany("sign-ins", wait)
	}
	name = s.fullName(name)
	view, err := s.store.Fresh(ctx)
	if err != nil {
		return p, err
	}
	owner, hash := unknownOwner(name), ""
	user, _, known := store.Get[*model.User](view, model.UserKey(name))
	if known {
		p.user, owner = user, user.ObjectID
		plain, err := s.sealer.Open(user.Password, user.PasswordName())
		if err != nil {
			return p, err
		}
		hash = string(plain)
	}
	// Counted before it is looked at: attempts at the same moment cannot share a count.
	locked, err := s.count(ctx, owner)
	if err != nil {
		return p, err
	}
	ok, err := s.passwords.Verify(ctx, hash, secret)
	switch {
	case err != nil:
		return p, err
	case !known:
		return wrong("No user has the name.") // which is not recorded: it may be a password
	case !locked.IsZero():
		return wrong("The user is locked until " + stamp(locked) + " after too many failed sign-ins.")
	case !ok:
		return wrong("The password is wrong.")
	}
	s.limits.signIns.Give(from)
	if err := s.store.Delete(ctx, model.SignInsKey(owner), store.Any); err != nil {
		return p, err
	}
	p.reason = "The password proves the user."
	if user.Disabled {
		p.reason = "The user is disabled."
		return p, refuse(codeUserDisabled, "The user account is disabled.")
	}
	if user.MustChange {
		p.reason = "The user must change the password first."
		return p, refuse(codePasswordExpired, "The password is expired: it must be changed first. Sign in on the server's page.")
	}
	return p, nil
}

const maxName = 256

// fullName is a user's whole name: one without a domain is of our own. A user has
// always a domain, so a short name is nobody else's, and all that hangs on a name is
// looked up by the whole one.
func (s *Server) fullName(name string) string {
	name = strings.TrimSpace(name)
	if name == "" || strings.Contains(name, "@") {
		return name
	}
	return name + "@" + s.domain
}

// unknownOwner is the counter of a name that nobody has.
func unknownOwner(name string) string {
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(name)))
	return "unknown-" + strconv.Itoa(int(h.Sum32()%unknownCounters))
}

// count notes an attempt as failed, which a success takes back, and says until
// when the account was locked before it. One at a time on this replica, so that
// only another replica can be faster.
func (s *Server) count(ctx context.Context, owner string) (locked time.Time, err error) {
	select {
	case s.counting <- struct{}{}:
		defer func() { <-s.counting }()
	case <-ctx.Done():
		return time.Time{}, apierr.Wrap(ctx.Err(), apierr.Timeout, "The request waited too long for its turn. Try again.")
	}
	for range countTries {
		view, err := s.store.Fresh(ctx)
		if err != nil {
			return time.Time{}, err
		}
		old, rev, ok := store.Get[*model.SignIns](view, model.SignInsKey(owner))
		next := model.SignIns{Owner: owner}
		if ok {
			next = *old
		}
		locked := countOne(&next, s.now().UTC())
		if _, err = s.store.Put(ctx, &next, rev); !errors.Is(err, store.ErrConflict) {
			return locked, err
		}
	}
	return time.Time{}, apierr.New(apierr.Throttled, "Too many sign-ins of this user at once. Try again.")
}

// lockedUntil is when a user's lock ends; zero without one.
func lockedUntil(view *store.View, userID string, now time.Time) time.Time {
	if c, _, ok := store.Get[*model.SignIns](view, model.SignInsKey(userID)); ok && now.Before(c.Locked) {
		return c.Locked
	}
	return time.Time{}
}

// userByID finds a user who may go on with what an earlier sign-in left: one
// that still exists, with the same stamp, enabled and not locked.
func (s *Server) userByID(view *store.View, userID, userStamp string) (*person, error) {
	p := &person{}
	if e := view.First(model.PrincipalIndex(userID)); e != nil {
		p.user, _ = e.Value.(*model.User)
	}
	switch {
	case p.user == nil:
		return p, refuse(codeGrantRevoked, "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user does not exist any more.")
	case p.user.Disabled:
		return p, refuse(codeUserDisabled, "The user account is disabled.")
	case p.user.Stamp != userStamp:
		return p, refuse(codeGrantRevoked, "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password.")
	case !lockedUntil(view, userID, s.now()).IsZero():
		return p, refuse(codeUserLocked, "The account is locked for a while after too many failed sign-ins.")
	}
	return p, nil
}

// countOne counts one more, and says until when the account was locked already.
func countOne(c *model.SignIns, now time.Time) time.Time {
	if now.Before(c.Locked) {
		c.Refused++
		return c.Locked
	}
	if now.Sub(c.Last) > forgetAfter {
		c.Failures = 0
	}
	c.Failures++
	c.Last, c.Locked = now, time.Time{}
	if over := c.Failures - maxFailures; over >= 0 {
		c.Locked = now.Add(min(lockLongest, lockFirst<<min(over, 10)))
	}
	return time.Time{}
}
