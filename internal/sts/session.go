package sts

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

// Lives of what a sign-in leaves behind.
const (
	refreshIdle    = 30 * 24 * time.Hour // a refresh token that nobody uses
	refreshLongest = 90 * 24 * time.Hour // all that one sign-in brings
	browserLife    = 12 * time.Hour
	codeLife       = 5 * time.Minute
	maxSessions    = 40 // per user; the one that was used longest ago makes room
	maxCodes       = 20 // per user
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
func (s *Server) begin(view *store.View, session model.Session, life time.Duration) (token string, id string, ops []store.Op) {
	t, now := newSecretToken(), s.now().UTC()
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

// rotate judges a session's token and replaces it.
func (s *Server) rotate(ctx context.Context, p *personSubject, old *model.Session, rev int64, t secretToken) error {
	now, hash := s.now().UTC(), t.hash()
	current := subtle.ConstantTimeCompare(hash, old.SHA256) == 1
	previous := subtle.ConstantTimeCompare(hash, old.Previous) == 1
	switch {
	case !now.Before(old.Expires):
		p.note = "The refresh token is too old."
		return refuse(codeGrantExpired, "The refresh token has expired due to inactivity. It ended at %s.", stamp(old.Expires))
	case previous && now.Sub(old.Rotated) < rotationGrace:
		return nil
	case !current:
		p.note = "A refresh token that had been replaced was used again: the sign-in is revoked."
		if err := s.store.Delete(ctx, old.Key(), store.Any); err != nil {
			return err
		}
		return refuse(codeGrantRevoked, "The provided grant has expired due to it being revoked, a fresh auth token is needed. The refresh token had been replaced by another.")
	}
	next, fresh := *old, secretToken{t.id, newSecretToken().secret}
	next.SHA256, next.Previous, next.Rotated, next.Used = fresh.hash(), old.SHA256, now, now
	next.Expires = now.Add(refreshIdle)
	if last := old.Created.Add(refreshLongest); next.Expires.After(last) {
		next.Expires = last
	}
	_, err := s.store.Put(ctx, &next, rev)
	if errors.Is(err, store.ErrConflict) {
		return nil // another process with the same cache was faster: it has the new one
	}
	if err == nil {
		p.refresh = fresh.String()
	}
	return err
}
