package signin

import (
	"context"
	"crypto/subtle"
	"slices"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Remember makes a session of a user in a browser, in place of the one that the browser
// had, and gives the token by which it is found again.
func (p *People) Remember(ctx context.Context, user *model.User, before string) (token string, err error) {
	view, err := p.store.Fresh(ctx)
	if err != nil {
		return "", err
	}
	token, _, ops := p.begin(view, model.Session{UserID: user.ObjectID, Stamp: user.Stamp, Method: "page"}, browserLife)
	if old := p.browser(view, before); old != nil && !slices.ContainsFunc(ops, func(o store.Op) bool { return o.Key == old.Key() }) {
		ops = append(ops, store.Op{Key: old.Key(), Rev: store.Any})
	}
	_, err = p.store.Commit(ctx, ops...)
	return token, err
}

// Remembered is the user whom a browser's token remembers; nil: nobody.
func (p *People) Remembered(ctx context.Context, token string) *model.User {
	view, session, err := p.freshBrowser(ctx, token)
	if err != nil || session == nil {
		return nil
	}
	user, err := p.Resume(view, session.UserID, session.Stamp)
	if err != nil || user.MustChange {
		return nil
	}
	return user
}

// Forget ends the session of a browser's token, and says whose it was; nobody's if it
// had ended before.
func (p *People) Forget(ctx context.Context, token string) (userID string, err error) {
	_, session, err := p.freshBrowser(ctx, token)
	if err != nil || session == nil {
		return "", err
	}
	return session.UserID, p.End(ctx, session.UserID, session.ID)
}

// freshBrowser is browser in a fresh View. The store is not asked about what is no token.
func (p *People) freshBrowser(ctx context.Context, token string) (*store.View, *model.Session, error) {
	if _, ok := parseSecretToken(token); !ok {
		return nil, nil, nil
	}
	view, err := p.store.Fresh(ctx)
	if err != nil {
		return nil, nil, err
	}
	return view, p.browser(view, token), nil
}

// browser finds a browser's session; nil: there is none that is good.
func (p *People) browser(view *store.View, token string) *model.Session {
	t, session, _ := p.find(view, token)
	if session == nil || session.ClientID != "" || subtle.ConstantTimeCompare(session.SHA256, t.hash()) != 1 || !p.now().Before(session.Expires) {
		return nil
	}
	return session
}
