package signing

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanyard-io/lanyard/internal/model"
)

var day0 = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// TestSchedule plays random waits, delays and forced rotations, signs all the
// time, and checks every promise of the schedule after each step.
func TestSchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{t: t, now: day0, born: map[string]time.Time{}, ready: map[string]bool{}}
		h.s.prepare = time.Duration(rapid.Int64Range(1, 1000).Draw(t, "prepare"))
		h.s.period = h.s.prepare + time.Duration(rapid.Int64Range(1, 1000).Draw(t, "beyond prepare"))
		h.s.lifetime = time.Duration(rapid.Int64Range(1, 1000).Draw(t, "lifetime"))
		h.step(false)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			h.sign()
			h.now = h.now.Add(time.Duration(rapid.Int64Range(0, 700).Draw(t, "wait")))
			h.sign()
			h.step(rapid.IntRange(0, 9).Draw(t, "force") == 0)
		}
	})
}

type history struct {
	t     *rapid.T
	s     schedule
	now   time.Time
	keys  []model.SigningKey
	made  int
	born  map[string]time.Time
	ready map[string]bool // may sign without having been prepared
	token []issued
}

type issued struct {
	kid string
	at  time.Time
}

func (h *history) step(force bool) {
	first := len(h.keys) == 0
	before := append([]model.SigningKey(nil), h.keys...)
	next, changed, err := h.s.advance(h.keys, h.now, force, func(alg Alg) (model.SigningKey, error) {
		h.made++
		kid := fmt.Sprintf("%s-%d", alg, h.made)
		h.born[kid], h.ready[kid] = h.now, first || force
		return model.SigningKey{ID: kid, Algorithm: string(alg), Sealed: []byte("sealed")}, nil
	})
	if err != nil {
		h.t.Fatalf("advance: %v", err)
	}
	if !reflect.DeepEqual(before, h.keys) {
		h.t.Fatalf("advance changed what it was given (-before +after):\n%s", cmp.Diff(before, h.keys))
	}
	if differs := !reflect.DeepEqual(h.keys, next); changed != differs || (first || force) && !changed {
		h.t.Fatalf("changed = %t, force %t (-before +after):\n%s", changed, force, cmp.Diff(h.keys, next))
	}
	h.keys = next
	h.check()

	if _, again, _ := h.s.advance(next, h.now, false, func(Alg) (model.SigningKey, error) { return model.SigningKey{}, nil }); again {
		h.t.Fatal("a second look at the same time changes something again")
	}
}

func (h *history) check() {
	signing := map[string]int{}
	published := map[string]model.SigningKey{}
	for _, k := range h.keys {
		published[k.ID] = k
		switch {
		case !k.Retired.IsZero():
			if !h.now.Before(k.Retired.Add(h.s.lifetime)) {
				h.t.Errorf("%s should have been dropped at %s, now %s", k.ID, k.Retired.Add(h.s.lifetime), h.now)
			}
			if k.Sealed != nil {
				h.t.Errorf("%s is retired and still has its private part", k.ID)
			}
		case !k.Active.IsZero():
			signing[k.Algorithm]++
			if !h.ready[k.ID] && k.Active.Before(h.born[k.ID].Add(h.s.prepare)) {
				h.t.Errorf("%s signs from %s, published only from %s", k.ID, k.Active, h.born[k.ID])
			}
		}
		if k.Retired.IsZero() && k.Sealed == nil {
			h.t.Errorf("%s has lost its private part", k.ID)
		}
	}
	if signing["ES256"] != 1 || signing["RS256"] != 1 || len(published) != len(h.keys) {
		h.t.Errorf("signing keys: %v, want one of each algorithm", signing)
	}
	h.token = slices.DeleteFunc(h.token, func(tok issued) bool { return !h.now.Before(tok.at.Add(h.s.lifetime)) })
	for _, tok := range h.token {
		k, ok := published[tok.kid]
		if gone := h.s.dropAt(k); !ok || !gone.IsZero() && !h.now.Before(gone) {
			h.t.Errorf("a token that %s signed at %s is not accepted at %s", tok.kid, tok.at, h.now)
		}
	}
}

// sign issues a token of each algorithm.
func (h *history) sign() {
	for _, k := range h.keys {
		if !k.Active.IsZero() && k.Retired.IsZero() {
			h.token = append(h.token, issued{k.ID, h.now})
		}
	}
}

func TestScheduleAfterALongStop(t *testing.T) {
	s := schedule{period: 30 * 24 * time.Hour, prepare: 25 * time.Hour, lifetime: 25 * time.Hour}
	n := 0
	fresh := func(alg Alg) (model.SigningKey, error) {
		n++
		return model.SigningKey{ID: fmt.Sprint(n), Algorithm: string(alg)}, nil
	}
	keys, _, err := s.advance(nil, day0, false, fresh)
	if err != nil {
		t.Fatal(err)
	}
	back := day0.Add(365 * 24 * time.Hour)
	keys, changed, err := s.advance(keys, back, false, fresh)
	if err != nil || !changed {
		t.Fatalf("changed = %t, %v; want the next keys prepared", changed, err)
	}
	for _, k := range keys {
		if old := k.Created.Equal(day0); !k.Retired.IsZero() || old == k.Active.IsZero() {
			t.Errorf("key %s: created %s, active %s, retired %s; a year later the old one must sign until the new one was published long enough", k.ID, k.Created, k.Active, k.Retired)
		}
	}
	keys, _, err = s.advance(keys, back.Add(s.prepare), false, fresh)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if old := k.Created.Equal(day0); old == k.Retired.IsZero() {
			t.Errorf("key %s: created %s, retired %s; want the old one retired by now", k.ID, k.Created, k.Retired)
		}
	}
}

func TestScheduleWithoutANewKeyStaysAsItIs(t *testing.T) {
	s := schedule{period: 2, prepare: 1, lifetime: 1}
	broken := errors.New("no entropy")
	_, changed, err := s.advance(nil, day0, false, func(Alg) (model.SigningKey, error) { return model.SigningKey{}, broken })
	if changed || !errors.Is(err, broken) {
		t.Errorf("changed = %t, %v; want the maker's error", changed, err)
	}
}

// Keys that were made, activated or retired while the clock was far ahead do not
// sign, or stay accepted, for that much longer; small differences of clocks stay.
func TestScheduleAfterTheClockWasAhead(t *testing.T) {
	s := schedule{period: 30 * 24 * time.Hour, prepare: 25 * time.Hour, lifetime: 25 * time.Hour}
	fresh := func(alg Alg) (model.SigningKey, error) {
		return model.SigningKey{ID: string(alg) + " new", Algorithm: string(alg)}, nil
	}
	ahead := day0.Add(100 * 24 * time.Hour)
	keys, _, err := s.advance(nil, ahead, false, fresh)
	if err != nil {
		t.Fatal(err)
	}
	keys[0].Retired = ahead
	next, changed, err := s.advance(keys, day0, false, fresh)
	if err != nil || !changed {
		t.Fatalf("changed = %v, %v", changed, err)
	}
	for _, k := range next {
		if k.Created.After(day0) || k.Active.After(day0) || k.Retired.After(day0) {
			t.Errorf("%s still has times in the future: %v %v %v", k.ID, k.Created, k.Active, k.Retired)
		}
	}
	if _, changed, _ := s.advance(next, day0.Add(-30*time.Minute), false, fresh); changed {
		t.Error("a server whose clock is a little behind changes the keys")
	}
}
