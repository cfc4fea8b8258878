package store

import (
	"context"
	"errors"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// freshTimeout bounds a round, and a Fresh whose context has no nearer deadline.
const freshTimeout = 5 * time.Second

// errRewound means that etcd lost revisions that this replica has already shown.
var errRewound = errors.New("etcd is not the one that was opened, or was restored to an earlier state: start again to load it anew")

// rounds share one read of etcd's revision between all who ask while it waits to begin.
type rounds struct {
	mu      sync.Mutex
	running bool   // guarded by mu
	next    *round // guarded by mu; the one that a new caller joins
}

type round struct {
	done  chan struct{}
	began time.Duration // set before done is closed, as are the others
	rev   int64
	err   error
}

// Fresh is a View that shows every write that had finished, on any replica,
// when Fresh was called. Calls that wait at the same time share one round. With
// Config.Sole it touches memory only: Commit returns once the View shows the write.
func (s *Store) Fresh(ctx context.Context) (*View, error) {
	if s.c.Sole {
		return s.View()
	}
	return s.catchUp(ctx)
}

// Sole reports whether every View is as good as Fresh, because nobody else writes.
func (s *Store) Sole() bool { return s.c.Sole }

// catchUp asks etcd how far it is and waits for the View to be there.
func (s *Store) catchUp(ctx context.Context) (*View, error) {
	ctx, cancel := context.WithTimeout(ctx, freshTimeout)
	defer cancel()

	r := s.join()
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, readError(ctx.Err())
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := s.wait(ctx, r.rev); err != nil {
		return nil, apierr.Wrap(err, apierr.Unavailable, "The server is catching up with its store.")
	}
	s.touch(r.began)
	return s.view.Load(), nil
}

// join gives the round that begins next, and sees to it that it does. A round
// that has begun may have read before the caller asked, so it does not serve.
func (s *Store) join() *round {
	s.rounds.mu.Lock()
	defer s.rounds.mu.Unlock()
	if s.rounds.next == nil {
		s.rounds.next = &round{done: make(chan struct{})}
	}
	if !s.rounds.running {
		s.rounds.running = true
		go s.runRounds()
	}
	return s.rounds.next
}

// runRounds runs rounds until nobody waits for one. It belongs to no caller, so
// that one who leaves takes nothing from the others.
func (s *Store) runRounds() {
	for {
		s.rounds.mu.Lock()
		r := s.rounds.next
		s.rounds.next = nil
		if r == nil {
			s.rounds.running = false
			s.rounds.mu.Unlock()
			return
		}
		s.rounds.mu.Unlock()

		r.began = s.clock()
		r.rev, r.err = s.readRevision()
		close(r.done)
	}
}

// Ping says whether etcd answers, and whether the View follows it.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.catchUp(ctx)
	return err
}

// readRevision asks etcd for the newest revision. Each member asks a majority
// for it, so it does not matter whose answer is taken.
func (s *Store) readRevision() (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), freshTimeout)
	defer cancel()
	shown := s.view.Load().rev
	resp, err := ask(ctx, s.members, hedge, func(ctx context.Context, c *Client) (*clientv3.GetResponse, error) {
		return c.Get(ctx, s.formatKey(), clientv3.WithKeysOnly())
	})
	if err != nil {
		return 0, readError(err)
	}
	rev := resp.Header.Revision
	if rev < shown || resp.Header.ClusterId != s.cluster.Load() {
		return 0, apierr.Wrap(errRewound, apierr.Unavailable, "The server's store has changed and must be loaded again.")
	}
	return rev, nil
}
