package signing

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

var claims = []byte(`{"aud":"https://vault.lanyard.localhost","sub":"11111111-2222-3333-4444-555555555555"}`)

func TestNewMakesOneActiveKeyOfEachAlgorithm(t *testing.T) {
	k := newTestKeys(t)
	got := map[string]bool{}
	for _, s := range k.Status() {
		got[s.Algorithm] = true
		if !s.Active.Equal(day0) || !s.Retired.IsZero() {
			t.Errorf("%s: active %s, retired %s; want active from the start", s.Algorithm, s.Active, s.Retired)
		}
		if s.Sealed != nil {
			t.Errorf("%s: Status shows the private part", s.Algorithm)
		}
	}
	if want := map[string]bool{"ES256": true, "RS256": true}; !cmp.Equal(got, want) {
		t.Errorf("algorithms = %v, want %v", got, want)
	}
}

func TestNewTwiceAtOnceGivesTheSameKeys(t *testing.T) {
	st, sealer := storetest.New(t), newTestSealer(t)
	var both [2]*Keys
	var wg sync.WaitGroup
	for i := range both {
		wg.Go(func() {
			var err error
			if both[i], err = New(t.Context(), Config{Store: st, Sealer: sealer}); err != nil {
				t.Errorf("New: %v", err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if diff := cmp.Diff(both[0].Status(), both[1].Status()); diff != "" {
		t.Errorf("the two have different keys:\n%s", diff)
	}
}

func TestNewRefusesWhatItCannotUnseal(t *testing.T) {
	st := storetest.New(t)
	if _, err := New(t.Context(), Config{Store: st, Sealer: newTestSealer(t)}); err != nil {
		t.Fatal(err)
	}
	before := entry(t, st)

	_, err := New(t.Context(), Config{Store: st, Sealer: newTestSealer(t)})
	if err == nil || !strings.Contains(err.Error(), "cannot be unsealed") || !strings.Contains(err.Error(), "key file") {
		t.Errorf("New with another sealer: %v, want a refusal that says what to do", err)
	}
	if after := entry(t, st); after.Rev != before.Rev {
		t.Error("New with another sealer changed the stored keys")
	}
}

func TestNewRefusesDamagedKeys(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(keys []model.SigningKey) []model.SigningKey
		want   string
	}{
		{"none-signs", func(k []model.SigningKey) []model.SigningKey { return k[:1] }, "none signs"},
		{"two-sign", func(k []model.SigningKey) []model.SigningKey { return append(k, k[0]) }, "stored twice"},
		{"parts-swapped", func(k []model.SigningKey) []model.SigningKey {
			k[0].Public, k[1].Public = k[1].Public, k[0].Public
			return k
		}, "not that of this"},
		{"private-parts-swapped", func(k []model.SigningKey) []model.SigningKey {
			k[0].Sealed, k[1].Sealed = k[1].Sealed, k[0].Sealed
			return k
		}, "cannot be unsealed"},
		{"public-part-garbled", func(k []model.SigningKey) []model.SigningKey {
			k[0].Public = []byte("garbled")
			return k
		}, "public part"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newTestKeys(t)
			e := entry(t, k.c.Store)
			keys := append([]model.SigningKey(nil), e.Value.(*model.SigningKeys).Keys...)
			if _, err := k.c.Store.Put(t.Context(), &model.SigningKeys{Keys: tt.damage(keys)}, e.Rev); err != nil {
				t.Fatal(err)
			}
			if _, err := New(t.Context(), k.c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestNewRefusesSettingsThatMakeNoSense(t *testing.T) {
	for _, c := range []Config{
		{Period: time.Hour, Prepare: time.Hour},
		{Period: time.Hour},
		{Prepare: -time.Hour},
		{Lifetime: -time.Hour},
	} {
		if _, err := New(t.Context(), c); err == nil {
			t.Errorf("New took period %s, prepare %s, lifetime %s", c.Period, c.Prepare, c.Lifetime)
		}
	}
}

// TestRotationByTime walks one key through its whole life.
func TestRotationByTime(t *testing.T) {
	k, clock := newTestKeysAndClock(t)
	first := mustSign(t, k, ES256)
	rotate := func(at time.Duration, want bool) {
		t.Helper()
		clock.set(day0.Add(at))
		if changed, err := k.Rotate(t.Context(), false); err != nil || changed != want {
			t.Errorf("after %s: changed = %t, %v; want %t", at, changed, err, want)
		}
	}
	c := k.c
	signer := func() string { return k.ring.Load().signers[ES256].id }
	before := signer()

	rotate(c.Period-c.Prepare-1, false)
	rotate(c.Period-c.Prepare, true) // the next key is published
	if got := len(k.Status()); got != 4 || signer() != before {
		t.Errorf("%d keys, signer changed %t; want 4 and the old signer", got, signer() != before)
	}
	rotate(c.Period-1, false)
	rotate(c.Period, true) // and takes over
	if signer() == before {
		t.Error("the old key still signs")
	}
	if _, err := k.Verify(first); err != nil {
		t.Errorf("a retired key's token: %v", err)
	}

	clock.set(day0.Add(c.Period + c.Lifetime - 1))
	if _, err := k.Verify(first); err != nil {
		t.Errorf("a retired key's token, just before the end: %v", err)
	}
	clock.set(day0.Add(c.Period + c.Lifetime))
	if _, err := k.Verify(first); apierr.KindOf(err) != apierr.Unauthenticated {
		t.Errorf("a retired key's token after its end: %v, want a refusal even though it was verified before", err)
	}
	rotate(c.Period+c.Lifetime, true) // the old key goes
	if got := len(k.Status()); got != 2 {
		t.Errorf("%d keys, want 2", got)
	}
	if bytes.Contains(k.JWKS().Body, []byte(before)) {
		t.Error("the old key is still published")
	}
}

func TestForcedRotationIsSeenAtOnce(t *testing.T) {
	st, sealer := storetest.New(t), newTestSealer(t)
	a, b := newTestKeysOn(t, st, sealer), newTestKeysOn(t, st, sealer)
	old := mustSign(t, b, RS256)
	oldTag := b.JWKS().ETag

	if changed, err := a.Rotate(t.Context(), true); err != nil || !changed {
		t.Fatalf("Rotate: %t, %v", changed, err)
	}
	if diff := cmp.Diff(a.Status(), b.Status()); diff != "" {
		t.Errorf("the two have different keys:\n%s", diff)
	}
	if b.JWKS().ETag == oldTag || !bytes.Equal(a.JWKS().Body, b.JWKS().Body) {
		t.Error("the other replica publishes the old document")
	}
	for _, alg := range []Alg{ES256, RS256} {
		if _, err := b.Verify(mustSign(t, a, alg)); err != nil {
			t.Errorf("verifying %s of the other replica: %v", alg, err)
		}
		if token := mustSign(t, b, alg); headerOf(t, token) != headerOf(t, mustSign(t, a, alg)) {
			t.Errorf("the two sign %s with different keys", alg)
		}
	}
	if _, err := b.Verify(old); err != nil {
		t.Errorf("a token from before the rotation: %v", err)
	}
}

// TestRetiredKeysLoseTheirPrivatePart: but what is stored in its place opens
// like the others', so that all can be sealed anew in one way.
func TestRetiredKeysLoseTheirPrivatePart(t *testing.T) {
	k := newTestKeys(t)
	for range 2 {
		if _, err := k.Rotate(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range entry(t, k.c.Store).Value.(*model.SigningKeys).Keys {
		private, err := k.c.Sealer.Open(s.Sealed, s.SealName())
		if err != nil {
			t.Errorf("key %s: %v", s.ID, err)
		}
		if gone := len(private) == 0; gone == s.Retired.IsZero() {
			t.Errorf("key %s: private part gone %t, retired %s", s.ID, gone, s.Retired)
		}
	}
}

// TestLosingTheRace: of two forced rotations of the same keys one wins, and
// the loser goes on with the winner's.
func TestLosingTheRace(t *testing.T) {
	st, sealer := storetest.New(t), newTestSealer(t)
	a, b := newTestKeysOn(t, st, sealer), newTestKeysOn(t, st, sealer)
	var changed [2]bool
	var wg sync.WaitGroup
	for i, k := range []*Keys{a, b} {
		wg.Go(func() {
			var err error
			if changed[i], err = k.Rotate(t.Context(), true); err != nil {
				t.Errorf("Rotate: %v", err)
			}
		})
	}
	wg.Wait()
	if !changed[0] && !changed[1] {
		t.Error("nobody won")
	}
	if diff := cmp.Diff(a.Status(), b.Status()); diff != "" {
		t.Errorf("the two have different keys:\n%s", diff)
	}
	if _, err := a.Verify(mustSign(t, b, ES256)); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

func TestRunRotatesWhenItIsTime(t *testing.T) {
	st := storetest.New(t)
	clock := newClock()
	events := make(eventLog, 10)
	k, err := New(t.Context(), Config{Store: st, Sealer: newTestSealer(t), Now: clock.now, Log: slog.New(events)})
	if err != nil {
		t.Fatal(err)
	}
	clock.set(day0.Add(k.c.Period))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	if got := <-events; got != "rotated the signing keys" {
		t.Errorf("event %q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if got := len(k.Status()); got != 4 {
		t.Errorf("%d keys, want 4", got)
	}
}

// TestVerifyWithoutThePrivatePart: a replica that has not the newest data key
// yet verifies what others sign, does not sign itself, and mends.
func TestVerifyWithoutThePrivatePart(t *testing.T) {
	st, sealer := storetest.New(t), newTestSealer(t)
	behind := newTestKeysOn(t, st, sealer)
	newer, err := sealer.Rotated()
	if err != nil {
		t.Fatal(err)
	}
	ahead := newTestKeysOn(t, st, newer)
	if _, err := ahead.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}

	if _, err := behind.Verify(mustSign(t, ahead, ES256)); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if _, err := behind.Sign(ES256, claims); apierr.KindOf(err) != apierr.Unavailable {
		t.Errorf("Sign: %v, want unavailable: the key that signed before is retired", err)
	}
	if err := behind.unsealAgain(); err == nil {
		t.Error("mended without the data key")
	}
	wrapped, err := newer.Wrap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := sealer.Load(t.Context(), wrapped); err != nil {
		t.Fatal(err)
	}
	if err := behind.unsealAgain(); err != nil {
		t.Errorf("mending: %v", err)
	}
	if _, err := ahead.Verify(mustSign(t, behind, ES256)); err != nil {
		t.Errorf("Verify after mending: %v", err)
	}
}

func TestVanishedKeysAreNotReplaced(t *testing.T) {
	k := newTestKeys(t)
	token := mustSign(t, k, ES256)
	if err := k.c.Store.Delete(t.Context(), model.SigningKeysKey, store.Any); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sign(ES256, claims); apierr.KindOf(err) != apierr.Unavailable {
		t.Errorf("Sign: %v, want unavailable", err)
	}
	if _, err := k.Verify(token); apierr.KindOf(err) != apierr.Unavailable {
		t.Errorf("Verify: %v, want unavailable", err)
	}
	if changed, err := k.Rotate(t.Context(), true); changed || err == nil {
		t.Errorf("Rotate: %t, %v; want an error", changed, err)
	}
}
