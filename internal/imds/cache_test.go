package imds_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyard-io/lanyard/internal/imds"
)

// source counts fetches, and fails when told to.
type source struct {
	n    atomic.Int64
	fail atomic.Bool
	wait time.Duration
}

func (s *source) fetch(ctx context.Context, q imds.Request) (imds.Token, error) {
	n := s.n.Add(1)
	select {
	case <-time.After(s.wait):
	case <-ctx.Done():
		return imds.Token{}, ctx.Err()
	}
	if s.fail.Load() {
		return imds.Token{}, errors.New("away")
	}
	return imds.Token{Value: q.Resource + string(rune('a'+n)), Expires: time.Now().Add(time.Hour)}, nil
}

func TestCacheRefreshesAtHalfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := imds.NewCache(s.fetch, time.Now, slog.New(slog.DiscardHandler))
		get := func() string {
			tok, err := c.Token(t.Context(), imds.Request{Resource: "r"})
			if err != nil {
				t.Fatal(err)
			}
			return tok.Value
		}
		first := get()
		time.Sleep(29 * time.Minute)
		if got := get(); got != first || s.n.Load() != 1 {
			t.Errorf("before half its life: %q, %d fetches", got, s.n.Load())
		}
		time.Sleep(2 * time.Minute)
		s.fail.Store(true)
		if got := get(); got != first {
			t.Errorf("a failed refresh gives %q, want the old token", got)
		}
		if get(); s.n.Load() != 2 {
			t.Errorf("%d fetches, want 2: a failed refresh is left alone for a while", s.n.Load())
		}
		time.Sleep(time.Minute)
		s.fail.Store(false)
		if got := get(); got == first {
			t.Error("the token was not refreshed")
		}
		s.fail.Store(true)
		time.Sleep(2 * time.Hour)
		if _, err := c.Token(t.Context(), imds.Request{Resource: "r"}); err == nil {
			t.Error("an expired token is given out")
		}
	})
}

func TestCacheFetchesOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{wait: time.Second}
		c := imds.NewCache(s.fetch, time.Now, slog.New(slog.DiscardHandler))
		gone, leave := context.WithCancel(t.Context())
		go func() {
			if _, err := c.Token(gone, imds.Request{Resource: "r"}); !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		}()
		synctest.Wait()
		leave() // the first one leaves; the fetch goes on for the others
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := c.Token(t.Context(), imds.Request{Resource: "r"}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if s.n.Load() != 1 {
			t.Errorf("%d fetches, want 1", s.n.Load())
		}
		if _, err := c.Token(t.Context(), imds.Request{Resource: "r", Selector: imds.Selector{ClientID: "c"}}); err != nil || s.n.Load() != 2 {
			t.Errorf("another identity's token came from the cache: %v", err)
		}
	})
}
