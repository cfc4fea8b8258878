package signin

import (
	"errors"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/limit"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/password"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Config for New. Fields without a stated default are required.
type Config struct {
	Store  *store.Store
	Sealer *seal.Sealer
	// Domain of the users whose names are typed without one.
	Domain string
	// Failures limits how often one address may try a password that is not right.
	// Default no limit.
	Failures *limit.Table
	Now      func() time.Time // default time.Now
}

// People are the users, as far as they sign in.
type People struct {
	store    *store.Store
	sealer   *seal.Sealer
	domain   string
	hasher   *password.Hasher
	failures *limit.Table
	counting chan struct{} // a slot: who is in it counts a sign-in
	now      func() time.Time
}

// New checks the configuration.
func New(c Config) (*People, error) {
	if c.Store == nil || c.Sealer == nil || c.Domain == "" {
		return nil, errors.New("signin: Store, Sealer and Domain are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &People{
		store: c.Store, sealer: c.Sealer, domain: c.Domain, failures: c.Failures, now: c.Now,
		hasher: password.NewHasher(), counting: make(chan struct{}, 1),
	}, nil
}

// Reason says why somebody is not let in.
type Reason string

// The reasons.
const (
	Wrong      Reason = "wrong"       // name or password, or the account is locked: strangers are not told which
	TooMany    Reason = "too_many"    // tries from one address; see Wait
	Disabled   Reason = "disabled"    // by an administrator
	MustChange Reason = "must_change" // the password, which is right
	Locked     Reason = "locked"      // for a while, after too many failures
	Revoked    Reason = "revoked"     // the sign-in that it goes on from has ended
	Expired    Reason = "expired"     // the refresh token was not used for too long
	Unknown    Reason = "unknown"     // no such refresh token, or another client's
)

// Refusal is the error of everybody who is not let in.
type Refusal struct {
	Reason Reason
	Detail string        // a sentence more for the caller, if there is one
	Note   string        // what the record says in place of what the caller is told
	User   *model.User   // if it is known who is meant
	Wait   time.Duration // before the next try, for TooMany
}

func (r *Refusal) Error() string { return "sign-in refused: " + string(r.Reason) }

// FullName is a user's whole name: one without a domain is of our own. Every user has a
// domain, so a short name cannot be another's.
func (p *People) FullName(name string) string {
	name = strings.TrimSpace(name)
	if name == "" || strings.Contains(name, "@") {
		return name
	}
	return name + "@" + p.domain
}

// Resume finds a user who goes on from an earlier sign-in: the user still exists, has
// the stamp of that time, and is neither disabled nor locked.
func (p *People) Resume(view *store.View, userID, stamp string) (*model.User, error) {
	var user *model.User
	if e := view.First(model.PrincipalIndex(userID)); e != nil {
		user, _ = e.Value.(*model.User)
	}
	refusal := &Refusal{User: user}
	switch {
	case user == nil:
		refusal.Reason, refusal.Detail = Revoked, "The user does not exist any more."
	case user.Disabled:
		refusal.Reason = Disabled
	case user.Stamp != stamp:
		refusal.Reason, refusal.Detail = Revoked, "The user might have changed or reset their password."
	case !lockedUntil(view, userID, p.now()).IsZero():
		refusal.Reason = Locked
	default:
		return user, nil
	}
	return nil, refusal
}
