package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
)

// ErrConflict is in the chain when a write's condition did not hold: somebody
// else wrote first, or the object exists, or it does not.
var ErrConflict = errors.New("the object changed meanwhile")

// ErrFull is in the chain when etcd refuses writes because its quota is used up.
var ErrFull = errors.New("the store is full")

// DefaultPrefix of all keys.
const DefaultPrefix = "/lanyard"

// Config says which etcd, and how.
type Config struct {
	Client *clientv3.Client // closed by its owner, not by the Store
	Prefix string           // of all keys; default "/lanyard"
	Log    *slog.Logger     // default: discard
	Now    func() time.Time // default time.Now
	// MaxStale is the time for which a replica that lost etcd goes on answering from its
	// View. Default 30 s; then View's readers get apierr.Unavailable.
	MaxStale time.Duration
	// Compact makes Run drop etcd's history of more than an hour ago. For an
	// etcd of our own: in a shared one its operator decides.
	Compact bool
	// Existing refuses to begin a new store, with ErrNoStore.
	Existing bool
	// Observe, if set, is called with each commit before it is made. It may return a
	// function, which is called when the commit surely changed nothing.
	Observe func(ctx context.Context, v *View, ops []Op) (undo func())
	// Sole says that nobody else writes to this etcd, as when it runs inside the
	// process. Every finished write is then in the View already, and Fresh needs
	// not ask etcd.
	Sole bool
}

func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	c.Prefix = strings.TrimRight(c.Prefix, "/")
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxStale == 0 {
		c.MaxStale = 30 * time.Second
	}
	return c
}

// Store is a handle on one etcd.
type Store struct {
	c       Config
	objects string // prefix of the objects' keys, without the slash that each key begins with
	blobs   string
	start   time.Time

	view       atomic.Pointer[View]
	publishing sync.Mutex    // held from reading the View to publishing the next
	touched    atomic.Int64  // when etcd last proved the View current, as a Duration since start
	cluster    atomic.Uint64 // etcd's cluster id
	follower   chan struct{} // a slot: the goroutine that holds it watches
	ask        chan struct{} // asks the follower to ask etcd how far the watch is

	members  *members
	group    group
	turns    turns
	waiters  waiters
	watching watching
	rounds   rounds
	room     room
	cache    *blobCache
}

// Open loads everything and returns a Store whose View is current. Run must be
// running for the View to follow; without it, Commit and Fresh follow for as
// long as they need.
func Open(ctx context.Context, c Config) (*Store, error) {
	c = c.withDefaults()
	s := &Store{
		c:        c,
		objects:  c.Prefix + "/o",
		blobs:    c.Prefix + "/b",
		start:    c.Now(),
		follower: make(chan struct{}, 1),
		ask:      make(chan struct{}, 1),
		cache:    newBlobCache(),
		room:     room{ask: make(chan struct{}, 1)},
	}
	var err error
	if s.members, err = newMembers(c.Client, s.clock); err != nil {
		return nil, err
	}
	if err := s.checkFormat(ctx); err != nil {
		return nil, grantError(c.Prefix, err)
	}
	s.view.Store(newView())
	if err := s.reload(ctx); err != nil {
		return nil, grantError(c.Prefix, fmt.Errorf("loading the store: %w", err))
	}
	if err := s.freshen(ctx); err != nil {
		return nil, fmt.Errorf("catching up with the store: %w", err)
	}
	return s, nil
}

// freshen is for a store that took longer to load than a View is good for.
func (s *Store) freshen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	for s.stale() {
		_, err := s.catchUp(ctx)
		if ctx.Err() != nil || err != nil && apierr.KindOf(err) != apierr.Unavailable {
			return err
		}
	}
	return nil
}

// Put is Commit of one object.
func (s *Store) Put(ctx context.Context, o model.Object, rev int64) (int64, error) {
	return s.Commit(ctx, Op{Value: o, Rev: rev})
}

// Delete is Commit of one deletion.
func (s *Store) Delete(ctx context.Context, key string, rev int64) error {
	_, err := s.Commit(ctx, Op{Key: key, Rev: rev})
	return err
}

// View is this replica's newest: no I/O. It fails with
// apierr.Unavailable when the replica has been out of touch for MaxStale.
func (s *Store) View() (*View, error) {
	if s.stale() {
		return nil, apierr.New(apierr.Unavailable, "The server has lost touch with its store.")
	}
	return s.view.Load(), nil
}

// LastTouch is when etcd last proved the View current.
func (s *Store) LastTouch() time.Time { return s.start.Add(time.Duration(s.touched.Load())) }

func (s *Store) stale() bool {
	return s.clock()-time.Duration(s.touched.Load()) > s.c.MaxStale
}

// clock is a time that no change of the wall clock moves.
func (s *Store) clock() time.Duration { return s.c.Now().Sub(s.start) }

// touch records that the View has everything that there was at time t.
func (s *Store) touch(t time.Duration) {
	for {
		old := s.touched.Load()
		if int64(t) <= old || s.touched.CompareAndSwap(old, int64(t)) {
			return
		}
	}
}

// Get finds an object of a known type by its key; ok is false when it is not
// there or of another type.
func Get[T model.Object](v *View, key string) (value T, rev int64, ok bool) {
	e := v.Get(key)
	if e == nil {
		return value, 0, false
	}
	value, ok = e.Value.(T)
	return value, e.Rev, ok
}
