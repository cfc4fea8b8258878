package sts

import (
	"context"
	"sync"
	"time"

	"github.com/lanyard-io/lanyard/internal/store"
)

// recheckEvery is the least time between two looks at the store for refusals. So
// strangers, whose requests are all refused, cannot have it asked more often.
const recheckEvery = 20 * time.Millisecond

// rechecks lets the refusals that wait at the same time share one look at the store.
// The edge limits how many requests there are in the token routes, and so in here.
type rechecks struct {
	fresh func(context.Context) (*store.View, error)

	mu      sync.Mutex
	running bool   // guarded by mu
	next    *check // guarded by mu; the one that a new caller joins
}

type check struct {
	done chan struct{}
	view *store.View // set before done is closed, as is err
	err  error
}

// wait is a View that shows every write that had finished, on any replica, when
// wait was called.
func (c *rechecks) wait(ctx context.Context) (*store.View, error) {
	one := c.join()
	select {
	case <-one.done:
		return one.view, one.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join gives the check that begins next, and sees to it that it does.
func (c *rechecks) join() *check {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		c.next = &check{done: make(chan struct{})}
	}
	if !c.running {
		c.running = true
		go c.run()
	}
	return c.next
}

// run looks until nobody waits. No caller owns it, so it goes on for the others when one
// leaves.
func (c *rechecks) run() {
	for {
		c.mu.Lock()
		one := c.next
		c.next = nil
		c.running = one != nil
		c.mu.Unlock()
		if one == nil {
			return
		}
		again := time.NewTimer(recheckEvery)
		one.view, one.err = c.fresh(context.Background())
		close(one.done)
		<-again.C
	}
}
