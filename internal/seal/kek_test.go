package seal

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// away is a KEK in another place. It does not answer the first few questions.
type away struct {
	KEK
	silent int
	asked  []string
}

func (a *away) ask(ctx context.Context, what string) error {
	a.asked = append(a.asked, what)
	if a.silent--; a.silent >= 0 {
		<-ctx.Done() // nobody there: the question's own time ends it
		return errors.Join(ErrAway, ctx.Err())
	}
	return nil
}

func (a *away) Wrap(ctx context.Context, key, associated []byte) ([]byte, error) {
	if err := a.ask(ctx, "wrap"); err != nil {
		return nil, err
	}
	return a.KEK.Wrap(ctx, key, associated)
}

func (a *away) Unwrap(ctx context.Context, wrapped, associated []byte) ([]byte, error) {
	if err := a.ask(ctx, "unwrap"); err != nil {
		return nil, err
	}
	return a.KEK.Unwrap(ctx, wrapped, associated)
}

// A key-encryption key that is away at the start is waited for.
func TestAwaitWaitsForAKeyThatIsAway(t *testing.T) {
	file := newTestKeyFile(t)
	wrapped := mustWrap(t, mustNew(t, file))
	synctest.Test(t, func(t *testing.T) {
		kek, start := &away{KEK: file, silent: 3}, time.Now()
		var pauses []time.Duration
		var s *Sealer
		err := Await(t.Context(), func(ctx context.Context) (err error) {
			s, err = Unwrap(ctx, wrapped, kek)
			return err
		}, func(err error, pause time.Duration) {
			if !errors.Is(err, ErrAway) {
				t.Errorf("waiting after %v", err)
			}
			pauses = append(pauses, pause)
		})
		if err != nil || s == nil {
			t.Fatalf("Await: %v", err)
		}
		if want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}; !slices.Equal(pauses, want) {
			t.Errorf("pauses = %v, want %v", pauses, want)
		}
		if got, want := time.Since(start), 3*askTimeout+7*time.Second; got != want {
			t.Errorf("it took %v, want %v", got, want)
		}
	})
}

// Only a key that is away is waited for: a wrong one is said at once. The wait ends
// with its context.
func TestAwaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := func(error, time.Duration) { t.Error("it waits for another answer") }
		if err := Await(t.Context(), func(context.Context) error { return ErrWrongKey }, never); !errors.Is(err, ErrWrongKey) {
			t.Errorf("Await: %v, want ErrWrongKey", err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		err := Await(ctx, func(context.Context) error { return ErrAway }, func(error, time.Duration) {})
		if !errors.Is(err, ErrAway) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Await: %v, want both that the key is away and that the time is over", err)
		}
	})
}

// The key-encryption key is asked when keys are loaded or stored, never for a value.
func TestValuesDoNotAskTheKEK(t *testing.T) {
	kek := &away{KEK: newTestKeyFile(t)}
	s := mustNew(t, kek)
	sealed := mustSeal(t, s, "value", name)
	wantOpen(t, s, sealed, "value")
	rotated, err := s.Rotated()
	if err != nil {
		t.Fatal(err)
	}
	if s.Current(sealed); len(kek.asked) > 0 {
		t.Errorf("asked to %q", kek.asked)
	}
	if err := s.Load(t.Context(), mustWrap(t, rotated)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"wrap", "unwrap"}; !slices.Equal(kek.asked, want) {
		t.Errorf("asked to %q, want %q", kek.asked, want)
	}
}

// What was wrapped for one purpose does not unwrap for another one.
func TestKeyFileBindsTheAssociatedData(t *testing.T) {
	f := newTestKeyFile(t)
	wrapped, err := f.Wrap(t.Context(), []byte("a key"), []byte("keys"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Unwrap(t.Context(), wrapped, []byte("other")); err == nil {
		t.Error("unwrapped for another purpose")
	}
	if got, err := f.Unwrap(t.Context(), wrapped, []byte("keys")); err != nil || !bytes.Equal(got, []byte("a key")) {
		t.Errorf("Unwrap = %q, %v", got, err)
	}
	if f.ID() != f.keys[0].id.String() {
		t.Errorf("ID = %q", f.ID())
	}
}

func mustNew(t testing.TB, kek KEK) *Sealer {
	t.Helper()
	s, err := New(kek)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
