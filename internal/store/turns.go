package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// maxInLine is how many may wait for one key: no more come to their turn before
	// they have waited too long.
	maxInLine = 256
	// turnTime is the longest that a turn keeps the next one waiting. A commit that is lost
	// on its way takes seconds to fail.
	turnTime = hedge
)

// InTurn is Retry for a change of a key that many write. Those on this server go one
// after another, so that they do not lose to each other: n writers need n commits,
// where Retry needs n²/2. It gives ErrConflict at once when too many wait already.
//
// Turns save work and promise nothing: it is etcd that compares and swaps.
func (s *Store) InTurn(ctx context.Context, key string, view *View, change func(*View) error) error {
	for try := range maxTries {
		waited, end, err := s.turns.take(ctx, key)
		if err != nil {
			return err
		}
		err = func() error {
			defer end()
			switch {
			case try > 0: // the last one was lost to another server
				if view, err = s.Fresh(ctx); err != nil {
					return err
				}
			case waited: // for writers whose commits the View shows by now
				view = s.view.Load()
			}
			return change(view)
		}()
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return ErrConflict
}

// turns are the lines of goroutines that wait to write a key. The zero value is ready.
type turns struct {
	mu    sync.Mutex
	lines map[string]*line // guarded by mu; one for each key that somebody writes
}

// line is one key's: the holder of the turn, and those that wait, in order.
type line struct {
	has     *turn
	waiting []*turn
	limit   *time.Timer // of the turn, while somebody waits
}

type turn struct {
	begins chan struct{} // closed
}

// take waits for a turn. It says whether somebody had it before, and how to end it.
func (ts *turns) take(ctx context.Context, key string) (waited bool, end func(), err error) {
	t := &turn{}
	l, err := ts.join(key, t)
	if err != nil {
		return false, nil, err
	}
	end = func() { ts.end(key, l, t) }
	if t.begins == nil {
		return false, end, nil
	}
	select {
	case <-t.begins:
		return true, end, nil
	case <-ctx.Done():
		end()
		return true, nil, ctx.Err()
	}
}

// join gives t the turn, or puts it at the end of the line.
func (ts *turns) join(key string, t *turn) (*line, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	l := ts.lines[key]
	switch {
	case l == nil:
		if ts.lines == nil {
			ts.lines = map[string]*line{}
		}
		l = &line{has: t}
		ts.lines[key] = l
		return l, nil
	case len(l.waiting) == maxInLine:
		return nil, ErrConflict
	}
	t.begins = make(chan struct{})
	l.waiting = append(l.waiting, t)
	if l.limit == nil {
		ts.limitLocked(key, l)
	}
	return l, nil
}

// end gives the turn to the next, or takes t out of the line.
func (ts *turns) end(key string, l *line, t *turn) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if l.has == t {
		ts.passLocked(key, l)
		return
	}
	// It still waited, or its time was up.
	l.waiting = slices.DeleteFunc(l.waiting, func(w *turn) bool { return w == t })
}

func (ts *turns) passLocked(key string, l *line) {
	if l.limit != nil {
		l.limit.Stop()
		l.limit = nil
	}
	if len(l.waiting) == 0 {
		l.has = nil
		delete(ts.lines, key)
		return
	}
	l.has, l.waiting = l.waiting[0], l.waiting[1:]
	close(l.has.begins)
	if len(l.waiting) > 0 {
		ts.limitLocked(key, l)
	}
}

// limitLocked lets the next begin when the turn has lasted too long.
func (ts *turns) limitLocked(key string, l *line) {
	t := l.has
	l.limit = time.AfterFunc(turnTime, func() {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		if l.has == t {
			ts.passLocked(key, l)
		}
	})
}
