// Package store keeps Lanyard's objects in etcd and an indexed copy of them in
// memory. Writes are compare-and-swap; reads come from an immutable View that
// follows etcd by list-then-watch. It is the only importer of the etcd client.
package store

import (
	"context"
	"errors"
	"log/slog"
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

// Config says which etcd, and how.
type Config struct {
	Client *clientv3.Client // closed by its owner, not by the Store
	Prefix string           // of all keys; default "/lanyard"
	Log    *slog.Logger
	Now    func() time.Time
	// MaxStale is how long a replica that lost etcd goes on answering from its
	// View. Default 30 s; then View's readers get apierr.Unavailable.
	MaxStale time.Duration
	// Compact lets Run compact etcd's history every hour. Set it for an etcd
	// that is ours alone; an external one is its operator's to compact.
	Compact bool
}

// Client is etcd's client, so that others can hold one without importing it.
type Client = clientv3.Client

// Entry is a stored object with its revisions. It is immutable: clone the
// Value before changing it.
type Entry struct {
	Key       string
	Value     model.Object
	Rev       int64 // etcd's mod revision: the ETag
	CreateRev int64
}

// Op is one write of a Commit.
type Op struct {
	Key   string       // taken from Value when that is set
	Value model.Object // nil deletes
	// Rev is the condition on Key: 0 = it must not exist, > 0 = it must be at
	// exactly this revision, Any = no condition.
	Rev int64
	// Blob, if not nil, is stored beside the object under the same key, outside
	// the View (a secret's sealed value). Deleting an object deletes its blob.
	Blob []byte
	// Tree, in a delete, deletes everything whose key starts with Key, and its
	// blobs. End the Key with a slash, or siblings with longer names go too.
	Tree bool
}

// MaxOps is how many Ops one Commit takes: each is up to two of the 128
// operations that etcd allows in a transaction by default.
const MaxOps = 60

// Any is an Op's Rev that sets no condition.
const Any int64 = -1

// Store is a handle on one etcd.
type Store struct {
	c       Config
	objects string // etcd prefix of objects
	blobs   string // etcd prefix of blobs
	view    atomic.Pointer[View]
	touch   atomic.Int64 // Unix nanoseconds of the last sign of life from etcd
	fresh   rounds
	cache   *blobCache

	mu      sync.Mutex    // guards changed and serialises publish
	changed chan struct{} // closed and replaced at each new View
}

const (
	defaultPrefix   = "/lanyard"
	defaultMaxStale = 30 * time.Second
)

// Open loads everything and returns a Store whose View is current. Run must be
// running for the View to follow.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if c.MaxStale == 0 {
		c.MaxStale = defaultMaxStale
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		c: c, objects: c.Prefix + "/o", blobs: c.Prefix + "/b",
		cache: newBlobCache(cacheBytes), changed: make(chan struct{}),
	}
	if err := s.checkFormat(ctx); err != nil {
		return nil, err
	}
	v, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	s.publish(v)
	return s, nil
}

// publish shows a newer View; an older one is dropped, so that time never goes back.
func (s *Store) publish(v *View) {
	s.touched()
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.view.Load(); old != nil && v.rev <= old.rev {
		return
	}
	s.view.Store(v)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Store) touched() { s.touch.Store(s.c.Now().UnixNano()) }

// View is what this replica knows now: no I/O. It fails with
// apierr.Unavailable when the replica has been out of touch for MaxStale.
func (s *Store) View() (*View, error) {
	if s.c.Now().UnixNano()-s.touch.Load() > int64(s.c.MaxStale) {
		return nil, apierr.New(apierr.Unavailable, "this server has lost touch with its store; try again")
	}
	return s.view.Load(), nil
}

// wait returns the first View at or past rev.
func (s *Store) wait(ctx context.Context, rev int64) (*View, error) {
	for {
		if v := s.view.Load(); v.rev >= rev {
			return v, nil
		}
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if v := s.view.Load(); v.rev >= rev {
			return v, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, apierr.Wrap(ctx.Err(), apierr.Unavailable, "the store did not answer in time")
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
