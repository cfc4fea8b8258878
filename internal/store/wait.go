package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// waiters are the goroutines that wait for the View to reach a revision.
type waiters struct {
	mu   sync.Mutex
	list []waiter // guarded by mu
}

type waiter struct {
	rev     int64
	reached chan struct{}
}

// wake releases everyone who waits for rev or less.
func (w *waiters) wake(rev int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.list[:0]
	for _, one := range w.list {
		if one.rev <= rev {
			close(one.reached)
		} else {
			kept = append(kept, one)
		}
	}
	clear(w.list[len(kept):])
	w.list = kept
}

func (w *waiters) leave(reached chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.list {
		if w.list[i].reached == reached {
			last := len(w.list) - 1
			w.list[i] = w.list[last]
			w.list[last] = waiter{}
			w.list = w.list[:last]
			return
		}
	}
}

// A revision that no object of ours changed in (another program's write in a
// shared etcd) is reached when etcd says that the watch has passed it. It is asked
// after firstAsk, when an event of our own would have arrived, and then every nextAsk.
const (
	firstAsk = 2 * time.Millisecond
	nextAsk  = 50 * time.Millisecond
)

// wait returns when the View is at rev or later. Without Run, it follows etcd itself.
func (s *Store) wait(ctx context.Context, rev int64) error {
	if s.view.Load().rev >= rev {
		return nil
	}
	reached := make(chan struct{})
	s.waiters.mu.Lock()
	if s.view.Load().rev >= rev {
		s.waiters.mu.Unlock()
		return nil
	}
	s.waiters.list = append(s.waiters.list, waiter{rev, reached})
	s.waiters.mu.Unlock()

	began := s.clock()
	ask := time.NewTimer(firstAsk)
	defer ask.Stop()
	own, stop := context.WithCancel(ctx)
	defer stop()
	slot, followed := s.follower, make(chan error, 1)
	for {
		select {
		case <-reached:
			return nil
		case <-ctx.Done():
			s.waiters.leave(reached)
			return ctx.Err()
		case <-ask.C:
			ask.Reset(nextAsk)
			if !s.members.local {
				s.watching.move(began, s.clock())
			}
			select {
			case s.ask <- struct{}{}:
			default:
			}
		case slot <- struct{}{}:
			slot = nil
			go func() {
				defer func() { <-s.follower }()
				followed <- s.follow(own, rev)
			}()
		case err := <-followed:
			s.waiters.leave(reached)
			return err
		}
	}
}

// watching is the watch that runs. A member that is cut off from the others still
// answers, but tells nothing new; one that is frozen does not answer at all.
type watching struct {
	mu       sync.Mutex
	stop     context.CancelCauseFunc // nil while none runs; guarded by mu, as is all below
	began    time.Duration
	moved    time.Duration // when it was last taken to another member
	patience time.Duration // the longest that it may keep somebody waiting
}

// errMove is the cause when a watch ends for another member's.
var errMove = errors.New("another member is to be watched")

var (
	errStandsStill = fmt.Errorf("%w: this one did not come to a revision that etcd has", errMove)
	errHungUp      = fmt.Errorf("%w: the connection to this one ended", errMove)
)

// calmAfter is the time without a move after which a watch is as impatient as at first.
const calmAfter = 10 * time.Second

func (w *watching) begin(now time.Duration, stop context.CancelCauseFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began, w.stop = now, stop
	if w.patience == 0 || now-w.moved >= calmAfter {
		w.patience = hedge
	}
}

func (w *watching) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop = nil
}

// move ends the watch for another member's, when it has kept somebody waiting
// since began. Each time the next gets double the time, for all may be slow.
func (w *watching) move(began, now time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop == nil || now-max(began, w.began) < w.patience {
		return
	}
	w.stop(errStandsStill)
	w.stop = nil
	w.moved, w.patience = now, 2*w.patience
}
