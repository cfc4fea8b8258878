package sts

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyard-io/lanyard/internal/store"
)

// Each waiter gets a look that began after it asked, however many ask, and the
// store is not asked more often than it may be.
func TestRefusalsShareChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := map[*store.View]time.Time{}
		c := &rechecks{fresh: func(context.Context) (*store.View, error) {
			v := &store.View{}
			begun[v] = time.Now()
			time.Sleep(3 * time.Millisecond)
			return v, nil
		}}
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				for range 50 {
					asked := time.Now()
					v, err := c.wait(t.Context())
					if err != nil || begun[v].Before(asked) {
						t.Errorf("a look that began %v after it was asked for, %v", begun[v].Sub(asked), err)
						return
					}
					if time.Since(asked) > 2*recheckEvery {
						t.Errorf("it took %v", time.Since(asked))
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		start := time.Now()
		wg.Wait()
		if most := int(time.Since(start)/recheckEvery) + 1; len(begun) > most || len(begun) < 50 {
			t.Errorf("%d looks in %v, at most %d are allowed", len(begun), time.Since(start), most)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.wait(ctx); err == nil {
			t.Error("it waits for who has left")
		}
		time.Sleep(time.Second)
	})
}
