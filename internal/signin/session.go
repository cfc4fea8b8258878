package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// How long a sign-in lasts.
const (
	refreshIdle    = 30 * 24 * time.Hour // a refresh token that nobody uses
	refreshLongest = 90 * 24 * time.Hour // all that one sign-in brings
	browserLife    = 12 * time.Hour
	maxSessions    = 40 // per user; the one that was used longest ago makes room
	// rotationGrace is how long the token before the current one is still good,
	// for processes that share a cache and refresh at once. It brings no new one.
	rotationGrace = time.Minute
)

// secretToken is an unguessable text of two parts: the first finds what is
// stored, of the second only the hash is stored.
type secretToken struct{ id, secret string }

func newSecretToken() secretToken {
	return secretToken{rand.Text(), rand.Text() + rand.Text()}
}

const tokenPrefix = "lrt1."

func (t secretToken) String() string { return tokenPrefix + t.id + "." + t.secret }

func (t secretToken) hash() []byte {
	sum := sha256.Sum256([]byte(t.secret))
	return sum[:]
}

const maxToken = 256

func parseSecretToken(s string) (t secretToken, ok bool) {
	rest, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok || len(s) > maxToken {
		return t, false
	}
	t.id, t.secret, ok = strings.Cut(rest, ".")
	return t, ok && t.id != "" && t.secret != ""
}

// begin makes a session, and the writes that store it and make room for it.
func (p *People) begin(view *store.View, session model.Session, life time.Duration) (token, id string, ops []store.Op) {
	t, now := newSecretToken(), p.now().UTC()
	session.ID, session.SHA256 = model.TokenID(t.id), t.hash()
	session.Created, session.Used, session.Expires = now, now, now.Add(life)

	var all []*model.Session
	for e := range view.Prefix(model.SessionsKey(session.UserID), "") {
		o, ok := e.Value.(*model.Session)
		switch {
		case !ok:
		case !now.Before(o.Expires) || o.Stamp != session.Stamp:
			ops = append(ops, store.Op{Key: e.Key, Rev: store.Any})
		default:
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b *model.Session) int { return cmp.Compare(a.Used.UnixNano(), b.Used.UnixNano()) })
	for len(all) >= maxSessions {
		ops = append(ops, store.Op{Key: all[0].Key(), Rev: store.Any})
		all = all[1:]
	}
	ops = append(ops[:min(len(ops), store.MaxOps/2)], store.Op{Value: &session})
	return t.String(), session.ID, ops
}

// Begin makes a session of a user at a client, with its first refresh token, and the
// writes that store it. proven: the client proves itself, and must each time. method is
// the way by which the user signed in.
func (p *People) Begin(view *store.View, user *model.User, clientID string, proven bool, method string) (token, id string, ops []store.Op) {
	return p.begin(view, model.Session{
		UserID: user.ObjectID, Stamp: user.Stamp, ClientID: strings.ToLower(clientID), Proven: proven, Method: method,
	}, refreshIdle)
}

// End ends a session of a user.
func (p *People) End(ctx context.Context, userID, id string) error {
	return p.store.Delete(ctx, model.SessionsKey(userID)+id, store.Any)
}

// Refreshed is what a refresh token brings.
type Refreshed struct {
	User   *model.User
	Method string // by which the user signed in
	Token  string // in place of the one that was presented; empty: there is none
}

// Refresh goes on from a session. Each token is good once: it is replaced, and one that
// was replaced before ends the session, because two hold it.
// https://www.rfc-editor.org/rfc/rfc9700#name-refresh-token-protection
func (p *People) Refresh(ctx context.Context, view *store.View, token, clientID string, proven bool) (r Refreshed, err error) {
	t, session, rev := p.find(view, token)
	if session == nil || session.ClientID == "" || session.ClientID != strings.ToLower(clientID) || session.Proven != proven {
		return r, &Refusal{Reason: Unknown}
	}
	if r.User, err = p.Resume(view, session.UserID, session.Stamp); err != nil {
		return r, err
	}
	r.Method = session.Method
	r.Token, err = p.rotate(ctx, r.User, session, rev, t)
	return r, err
}

// find looks up the session of a token; nil: there is none. The token's secret is not
// compared yet.
func (p *People) find(view *store.View, token string) (t secretToken, session *model.Session, rev int64) {
	t, ok := parseSecretToken(token)
	if !ok {
		return t, nil, 0
	}
	e := view.First(model.SessionIndex(model.TokenID(t.id)))
	if e == nil {
		return t, nil, 0
	}
	session, _ = e.Value.(*model.Session)
	return t, session, e.Rev
}

// rotate judges a session's token and gives the next one, if there is one.
func (p *People) rotate(ctx context.Context, user *model.User, old *model.Session, rev int64, t secretToken) (string, error) {
	now, hash := p.now().UTC(), t.hash()
	current := subtle.ConstantTimeCompare(hash, old.SHA256) == 1
	previous := subtle.ConstantTimeCompare(hash, old.Previous) == 1
	switch {
	case !now.Before(old.Expires):
		return "", &Refusal{Reason: Expired, User: user, Detail: "It ended at " + old.Expires.UTC().Format(time.RFC3339) + ".", Note: "The refresh token is too old."}
	case previous && now.Sub(old.Rotated) < rotationGrace:
		return "", nil
	case !current:
		if err := p.End(ctx, old.UserID, old.ID); err != nil {
			return "", err
		}
		return "", &Refusal{
			Reason: Revoked, User: user, Detail: "The refresh token had been replaced by another.",
			Note: "A refresh token that had been replaced was used again: the sign-in is revoked.",
		}
	}
	next, fresh := *old, secretToken{t.id, newSecretToken().secret}
	next.SHA256, next.Previous, next.Rotated, next.Used = fresh.hash(), old.SHA256, now, now
	next.Expires = now.Add(refreshIdle)
	if last := old.Created.Add(refreshLongest); next.Expires.After(last) {
		next.Expires = last
	}
	_, err := p.store.Put(ctx, &next, rev)
	if errors.Is(err, store.ErrConflict) {
		return "", nil // another process with the same cache was faster: it has the new one
	}
	if err != nil {
		return "", err
	}
	return fresh.String(), nil
}
