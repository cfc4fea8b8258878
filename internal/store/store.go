// Package store keeps Lanyard's objects in etcd and an indexed copy of them in
// memory. Writes are compare-and-swap; reads come from an immutable View that
// follows etcd by list-then-watch. It is the only importer of the etcd client.
package store

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

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
}

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
	// Tree, in a delete, deletes everything whose key starts with Key, and its blobs.
	Tree bool
}

// Any is an Op's Rev that sets no condition.
const Any int64 = -1

// Store is a handle on one etcd.
type Store struct{ _ int }

// Open loads everything and returns a Store whose View is current. Run must be
// running for the View to follow.
func Open(ctx context.Context, c Config) (*Store, error) { panic("todo") }

// Run follows etcd until ctx ends: it watches, and after a compaction or a lost
// watch it lists again, without ever showing a View that goes back in time.
func (s *Store) Run(ctx context.Context) error { panic("todo") }

// Commit makes all the writes, or none of them: in one etcd transaction (at
// most 100 ops). It returns the new revision once this replica's View shows it.
// A condition that does not hold gives ErrConflict.
func (s *Store) Commit(ctx context.Context, ops ...Op) (rev int64, err error) { panic("todo") }

// Put is Commit of one object.
func (s *Store) Put(ctx context.Context, o model.Object, rev int64) (int64, error) {
	return s.Commit(ctx, Op{Value: o, Rev: rev})
}

// Delete is Commit of one deletion.
func (s *Store) Delete(ctx context.Context, key string, rev int64) error {
	_, err := s.Commit(ctx, Op{Key: key, Rev: rev})
	return err
}

// View is what this replica knows now: no I/O. It fails with
// apierr.Unavailable when the replica has been out of touch for MaxStale.
func (s *Store) View() (*View, error) { panic("todo") }

// Fresh is a View that shows every write that had finished, on any replica,
// when Fresh was called. Calls that wait at the same time share one round.
func (s *Store) Fresh(ctx context.Context) (*View, error) { panic("todo") }

// Blob reads a blob as of its last write; nil when there is none. Blobs of
// secret versions never change, so recently read ones come from a bounded memory.
func (s *Store) Blob(ctx context.Context, key string) ([]byte, error) { panic("todo") }

// View is all objects at one revision, immutable and indexed.
type View struct{ _ int }

// Rev is the revision that the View shows.
func (v *View) Rev() int64 { panic("todo") }

// Get finds an object by its key; nil when there is none.
func (v *View) Get(key string) *Entry { panic("todo") }

// Prefix walks the objects whose key starts with prefix, in key order, from the
// first key > after (pass "" to start at the beginning).
func (v *View) Prefix(prefix, after string) iter.Seq[*Entry] { panic("todo") }

// Lookup walks the objects that carry an index entry (model.Object.Index), in key order.
func (v *View) Lookup(index string) iter.Seq[*Entry] { panic("todo") }

// First is the first object that carries an index entry; nil when there is none.
func (v *View) First(index string) *Entry {
	for e := range v.Lookup(index) {
		return e
	}
	return nil
}

// Len is how many objects there are.
func (v *View) Len() int { panic("todo") }

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
