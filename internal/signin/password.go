package signin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lanyard-io/lanyard/internal/limit"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/password"
	"github.com/lanyard-io/lanyard/internal/store"
)

// MaxName is how long the name of a user may be.
const MaxName = 256

// Check signs a person in by name and password. A name that nobody has, a wrong
// password and a locked account get one refusal, after the same work; the difference is
// in its Note.
func (p *People) Check(ctx context.Context, name, secret string, from limit.Source) (*model.User, error) {
	if len(secret) > password.MaxBytes || len(name) > MaxName {
		return nil, &Refusal{Reason: Wrong, Note: "The name or the password is longer than any."}
	}
	// This comes before the count and the queue of hashes, so that one stranger fills neither.
	if wait := p.failures.Take(from); wait > 0 {
		return nil, &Refusal{Reason: TooMany, Wait: wait}
	}
	user, owner, hash, err := p.byName(ctx, p.FullName(name))
	if err != nil {
		return nil, err
	}
	// The count comes first: attempts at the same moment cannot share one.
	locked, err := p.count(ctx, owner)
	if err != nil {
		return nil, err
	}
	ok, err := p.hasher.Verify(ctx, hash, secret)
	switch {
	case err != nil:
		return nil, err
	case user == nil:
		return nil, &Refusal{Reason: Wrong, Note: "No user has the name."} // which is not recorded: it may be a password
	case !locked.IsZero():
		return nil, &Refusal{Reason: Wrong, User: user, Note: "The user is locked until " + locked.UTC().Format(time.RFC3339) + " after too many failed sign-ins."}
	case !ok:
		return nil, &Refusal{Reason: Wrong, User: user, Note: "The password is wrong."}
	}
	p.failures.Give(from)
	if err := p.store.Delete(ctx, model.SignInsKey(owner), store.Any); err != nil {
		return nil, err
	}
	switch {
	case user.Disabled:
		return nil, &Refusal{Reason: Disabled, User: user, Note: "The user is disabled."}
	case user.MustChange:
		return nil, &Refusal{Reason: MustChange, User: user, Note: "The user must change the password first."}
	}
	return user, nil
}

// byName finds a user, whose failures are counted for owner, and the password's hash. A
// name that nobody has gives no user and no hash.
func (p *People) byName(ctx context.Context, name string) (user *model.User, owner, hash string, err error) {
	view, err := p.store.Fresh(ctx)
	if err != nil {
		return nil, "", "", err
	}
	user, _, known := store.Get[*model.User](view, model.UserKey(name))
	if !known {
		return nil, unknownOwner(name), "", nil
	}
	plain, err := p.sealer.Open(user.Password, user.PasswordName())
	if err != nil {
		return nil, "", "", fmt.Errorf("opening a user's password: %w", err)
	}
	return user, user.ObjectID, string(plain), nil
}

// ErrChanged says that a user was changed by somebody else meanwhile.
var ErrChanged = errors.New("the user was changed meanwhile")

// Change gives a user a new password, and gives the user as it is then. All earlier
// sign-ins of the user end.
func (p *People) Change(ctx context.Context, user *model.User, secret string) (*model.User, error) {
	hash, err := p.hasher.Hash(ctx, secret)
	if err != nil {
		return nil, err
	}
	view, err := p.store.Fresh(ctx)
	if err != nil {
		return nil, err
	}
	old, rev, ok := store.Get[*model.User](view, user.Key())
	if !ok || old.Stamp != user.Stamp {
		return nil, ErrChanged
	}
	next := *old
	if next.Password, err = p.sealer.Seal([]byte(hash), next.PasswordName()); err != nil {
		return nil, fmt.Errorf("sealing a user's password: %w", err)
	}
	next.MustChange, next.Changed, next.Stamp = false, p.now().UTC(), model.NewUUID()
	if _, err := p.store.Put(ctx, &next, rev); errors.Is(err, store.ErrConflict) {
		return nil, ErrChanged
	} else if err != nil {
		return nil, err
	}
	return &next, nil
}
