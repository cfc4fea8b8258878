package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

// A member that fails without closing its connections, whichever it is (the
// leader too), takes away neither reads nor writes.
func TestOneMemberFails(t *testing.T) {
	c := newCluster(t)
	here := storetest.On(t, c.dial())
	there := storetest.On(t, c.dial())
	fails := func(name string, i int, fail func(*node) func()) {
		t.Run(fmt.Sprint(name, "-", i), func(t *testing.T) {
			store.Prefer(here, i)
			store.Prefer(there, (i+1)%len(c.nodes))
			defer fail(c.nodes[i])()
			// It is asked first, and says nothing. What it was given is lost.
			ctx, giveUp := context.WithCancel(t.Context())
			lost := make(chan error, 1)
			go func() {
				_, err := here.Put(ctx, app("lost", "p"), store.Any)
				lost <- err
			}()
			for j := range 3 {
				putAgain(t, there, app(name, fmt.Sprint(i, j)))
				e := fresh(t, here).Get(app(name, "").Key())
				if e == nil || e.Value.(*model.Application).PrincipalID != fmt.Sprint(i, j) {
					t.Fatalf("Fresh shows %v, want write %d", e, j)
				}
				putAgain(t, here, app("own", fmt.Sprint(i, j)))
				if _, err := here.Blob(t.Context(), fresh(t, here).Get(app("own", "").Key())); err != nil {
					t.Error(err)
				}
			}
			giveUp()
			if err := <-lost; err != nil && apierr.KindOf(err) != apierr.Unavailable {
				t.Errorf("a write whose outcome is not known gave %v, want Unavailable", err)
			}
		})
	}
	for i := range c.nodes {
		fails("cut-off", i, c.cut)
	}
	fails("frozen", slices.Index(c.nodes, c.leader()), c.freeze)
	t.Run("leader-killed", func(t *testing.T) {
		leader := c.leader()
		store.Prefer(here, slices.Index(c.nodes, leader))
		leader.kill()
		putAgain(t, here, app("after", "p"))
		if fresh(t, there).Get(app("after", "").Key()) == nil {
			t.Error("another replica does not show what was written after the leader's end")
		}
	})
}

// putAgain writes as a client does that gives up on an answer and tries again.
func putAgain(t *testing.T, s *store.Store, o model.Object) {
	t.Helper()
	var err error
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err = s.Put(ctx, o, store.Any)
		cancel()
		if err == nil {
			return
		}
	}
	t.Fatal(err)
}
