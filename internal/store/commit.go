package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
)

// Op is one write of a Commit. Two writes of a Commit may not touch the same key.
type Op struct {
	Key   string       // taken from Value when that is set; begins with "/"
	Value model.Object // nil deletes
	// Rev is the condition on Key: 0 = it must not exist, > 0 = it must be at
	// exactly this revision, Any = no condition.
	Rev int64
	// Blob, if not nil, is stored beside the object under the same key, outside
	// the View (a secret's sealed value). Deleting an object deletes its blob.
	Blob []byte
	// Tree, in a delete, deletes everything whose key starts with Key, and its
	// blobs. The match is by bytes: end Key with "/" to spare siblings whose
	// names begin alike.
	Tree bool
	// Check makes the op a condition alone: Key must be at Rev, and stays as it is.
	Check bool
}

// Any is an Op's Rev that sets no condition.
const Any int64 = -1

// MaxOps is how many writes a Commit may have.
const MaxOps = 100

// commitTimeout bounds a Commit whose context has no nearer deadline.
const commitTimeout = 10 * time.Second

// Commit makes all the writes, or none of them: in one etcd transaction (at
// most MaxOps). It returns the new revision once this replica's View shows it;
// commits that were made at once share one.
// A condition that does not hold gives ErrConflict. An apierr.Unavailable with a
// revision means that the writes are stored but not in the View yet; without
// one, they may be stored or not.
func (s *Store) Commit(ctx context.Context, ops ...Op) (rev int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()

	t, err := s.transaction(ops)
	if err != nil {
		return 0, fmt.Errorf("preparing a write: %w", err)
	}
	if err := s.admit(t); err != nil {
		return 0, err
	}
	var undo func()
	if s.c.Observe != nil {
		undo = s.c.Observe(ctx, s.view.Load(), ops)
	}
	rev, holds, err := s.send(ctx, *t)
	if err != nil {
		return 0, err
	}
	err = s.wait(ctx, rev)
	if !holds {
		if undo != nil {
			undo()
		}
		// It lost in any case; the wait lets it see the winner's write.
		return 0, apierr.Wrap(ErrConflict, apierr.Conflict, "The object was changed by another request.")
	}
	if err != nil {
		return rev, apierr.Wrap(err, apierr.Unavailable, "The change was stored, but the server cannot confirm it yet.")
	}
	return rev, nil
}

// transaction is a Commit in etcd's terms.
type transaction struct {
	conditions []clientv3.Cmp
	writes     []clientv3.Op
	changes    []change
	bytes      int // of the values and blobs

	creates, blobs, deletes bool // the kinds of its writes; a change of an object is none of them
}

// change is an op's effect on the objects.
type change struct {
	key   string
	value []byte // nil deletes
	entry *Entry // of value, still without its revisions
	tree  bool
}

func (s *Store) transaction(ops []Op) (*transaction, error) {
	if len(ops) > MaxOps {
		return nil, fmt.Errorf("%d writes at once, at most %d are possible", len(ops), MaxOps)
	}
	t := &transaction{
		conditions: make([]clientv3.Cmp, 0, len(ops)), writes: make([]clientv3.Op, 0, len(ops)), changes: make([]change, 0, len(ops)),
	}
	for _, op := range ops {
		if err := s.add(t, op); err != nil {
			return nil, err
		}
	}
	if len(t.writes) == 0 {
		return nil, errors.New("nothing to write")
	}
	return t, nil
}

// add puts an op into t, when the op makes sense.
func (s *Store) add(t *transaction, op Op) error {
	if op.Check {
		if op.Rev <= 0 || op.Value != nil || op.Blob != nil || op.Tree || !strings.HasPrefix(op.Key, "/") {
			return fmt.Errorf("a check of key %q at revision %d, with something to write or without a revision", op.Key, op.Rev)
		}
		t.conditions = append(t.conditions, clientv3.Compare(clientv3.ModRevision(s.objects+op.Key), "=", op.Rev))
		return nil
	}
	ch := change{key: op.Key, tree: op.Tree}
	if op.Value != nil {
		var err error
		if ch.value, err = model.Encode(op.Value); err != nil {
			return err
		}
		ch.key = op.Value.Key()
		if ch.entry, err = own(ch.key, ch.value, op.Value); err != nil {
			return err
		}
	}
	switch {
	case op.Key != "" && op.Key != ch.key:
		return fmt.Errorf("%s belongs under key %q, not %q", op.Value.Kind(), ch.key, op.Key)
	case !strings.HasPrefix(ch.key, "/"):
		return fmt.Errorf("key %q does not begin with a slash", ch.key)
	case op.Blob != nil && op.Value == nil:
		return fmt.Errorf("a blob without an object under key %q", ch.key)
	case op.Tree && op.Value != nil:
		return fmt.Errorf("a tree is only deleted, not written: key %q", ch.key)
	}
	t.changes = append(t.changes, ch)
	t.count(op, len(ch.value)+len(op.Blob))

	switch object := s.objects + ch.key; op.Rev {
	case Any:
	case 0:
		t.conditions = append(t.conditions, clientv3.Compare(clientv3.CreateRevision(object), "=", 0))
	default:
		t.conditions = append(t.conditions, clientv3.Compare(clientv3.ModRevision(object), "=", op.Rev))
	}

	writes := s.writes(ch, op.Blob)
	if len(writes) > 1 {
		// etcd limits the operations of each level of a transaction (128 by
		// default), not their sum.
		writes = []clientv3.Op{clientv3.OpTxn(nil, writes, nil)}
	}
	t.writes = append(t.writes, writes...)
	return nil
}

// count notes what kind of write op is, and how much it writes.
func (t *transaction) count(op Op, bytes int) {
	t.bytes += bytes
	t.creates = t.creates || op.Value != nil && op.Rev <= 0
	t.blobs = t.blobs || op.Blob != nil
	t.deletes = t.deletes || op.Value == nil
}

// cloner is an object that is written often, and copies itself faster than it is decoded.
type cloner interface{ Clone() model.Object }

// own is the View's own copy of a written object: the caller may go on changing its own.
func own(key string, value []byte, o model.Object) (*Entry, error) {
	if c, ok := o.(cloner); ok {
		return &Entry{Key: key, Value: c.Clone()}, nil
	}
	return decode(key, value)
}

func (s *Store) writes(ch change, blob []byte) []clientv3.Op {
	switch object, place := s.objects+ch.key, s.blobs+ch.key; {
	case ch.tree:
		return []clientv3.Op{clientv3.OpDelete(object, clientv3.WithPrefix()), clientv3.OpDelete(place, clientv3.WithPrefix())}
	case ch.value == nil:
		return []clientv3.Op{clientv3.OpDelete(object), clientv3.OpDelete(place)}
	case blob == nil:
		return []clientv3.Op{put(object, ch.value)}
	default:
		return []clientv3.Op{put(object, ch.value), put(place, blob)}
	}
}

// put is clientv3.OpPut, which would copy the value twice.
func put(key string, value []byte) clientv3.Op {
	op := clientv3.OpPut(key, "")
	op.WithValueBytes(value)
	return op
}

// applyOwn publishes the View at rev without waiting for the watch, when the
// View is at the revision before. Otherwise somebody else's writes come first,
// and the watch brings all in order.
func (s *Store) applyOwn(changes []change, rev int64) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	cur := s.view.Load()
	if cur.rev != rev-1 {
		return
	}
	next := cur.next()
	next.rev = rev
	for _, ch := range changes {
		switch {
		case ch.tree:
			for e := range cur.Prefix(ch.key, "") {
				next.remove(e.Key)
				s.cache.drop(e.Key)
			}
		case ch.value == nil:
			next.remove(ch.key)
			s.cache.drop(ch.key)
		default:
			ch.entry.Rev, ch.entry.CreateRev = rev, rev
			if old := next.put(ch.entry); old != nil {
				ch.entry.CreateRev = old.CreateRev
			}
			s.cache.drop(ch.key)
		}
	}
	s.publishLocked(next)
}
