package signing

import (
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
)

// schedule is the life of a key. With one decision at least every lifetime and
// period it holds that, for each algorithm: exactly one key signs; a key is
// published for prepare before it signs, unless it is the first or forced; and
// it is accepted for lifetime after it last signed.
type schedule struct{ period, prepare, lifetime time.Duration }

// maker makes a key pair; the caller sets its times.
type maker func(Alg) (model.SigningKey, error)

// advance gives the keys as they should be at now, and whether that differs. It
// changes nothing that it was given.
func (s schedule) advance(keys []model.SigningKey, now time.Time, force bool, fresh maker) (next []model.SigningKey, changed bool, err error) {
	for _, alg := range [...]Alg{ES256, RS256} {
		of, ofChanged, err := s.advanceOne(keysOf(keys, alg), now, force, func() (model.SigningKey, error) { return fresh(alg) })
		if err != nil {
			return nil, false, err
		}
		next = append(next, of...)
		changed = changed || ofChanged
	}
	return next, changed, nil
}

// advanceOne is advance for the keys of one algorithm, which it may change.
func (s schedule) advanceOne(keys []model.SigningKey, now time.Time, force bool, fresh func() (model.SigningKey, error)) ([]model.SigningKey, bool, error) {
	next := make([]model.SigningKey, 0, len(keys)+1)
	signing, prepared, changed := -1, -1, false
	for _, k := range keys {
		changed = clamp(&k, now) || changed
		if gone := s.dropAt(k); !gone.IsZero() && !now.Before(gone) {
			continue
		}
		if force && k.Active.IsZero() {
			continue // a thief of the active key may have this one too; it never signed
		}
		if force {
			retire(&k, now)
		}
		switch {
		case k.Active.IsZero():
			prepared = len(next)
		case k.Retired.IsZero():
			signing = len(next)
		}
		next = append(next, k)
	}
	changed = changed || len(next) != len(keys)

	if signing < 0 {
		k, err := fresh()
		k.Created, k.Active = now, now
		return append(next, k), true, err
	}
	due := next[signing].Active.Add(s.period)
	switch {
	case prepared < 0 && !now.Before(due.Add(-s.prepare)):
		k, err := fresh()
		k.Created = now
		return append(next, k), true, err
	case prepared >= 0 && !now.Before(due) && !now.Before(next[prepared].Created.Add(s.prepare)):
		retire(&next[signing], now)
		next[prepared].Active = now
		changed = true
	}
	return next, changed, nil
}

// clockSlack is how far the clocks of several servers may differ.
const clockSlack = time.Hour

// clamp corrects times that were set while the clock was far ahead: a key would sign,
// or be accepted, for that much longer.
func clamp(k *model.SigningKey, now time.Time) (changed bool) {
	for _, t := range []*time.Time{&k.Created, &k.Active, &k.Retired} {
		if t.After(now.Add(clockSlack)) {
			*t, changed = now, true
		}
	}
	return changed
}

// retire ends a key's signing. Only verifying is left to do, so its private part goes.
func retire(k *model.SigningKey, now time.Time) {
	if k.Retired.IsZero() {
		k.Retired = now
	}
	k.Sealed = nil
}

// dropAt is when a key is no longer published and accepted; zero while it is not retired.
func (s schedule) dropAt(k model.SigningKey) time.Time {
	if k.Retired.IsZero() {
		return time.Time{}
	}
	return k.Retired.Add(s.lifetime)
}

func keysOf(keys []model.SigningKey, alg Alg) []model.SigningKey {
	var of []model.SigningKey
	for _, k := range keys {
		if k.Algorithm == string(alg) {
			of = append(of, k)
		}
	}
	return of
}
