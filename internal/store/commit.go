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
}

// Any is an Op's Rev that sets no condition.
const Any int64 = -1

// MaxOps is how many writes a Commit may have.
const MaxOps = 100

// commitTimeout bounds a Commit whose context has no nearer deadline.
const commitTimeout = 10 * time.Second

// Commit makes all the writes, or none of them: in one etcd transaction (at
// most MaxOps). It returns the new revision once this replica's View shows it.
// A condition that does not hold gives ErrConflict. An apierr.Unavailable with a
// revision means that the writes are stored but not in the View yet; without
// one, they may be stored or not.
func (s *Store) Commit(ctx context.Context, ops ...Op) (rev int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()

	conditions, writes, err := s.transaction(ops)
	if err != nil {
		return 0, fmt.Errorf("preparing a write: %w", err)
	}
	resp, err := s.c.Client.Txn(ctx).If(conditions...).Then(writes...).Commit()
	if err != nil {
		return 0, writeError(err)
	}

	rev = resp.Header.Revision
	err = s.wait(ctx, rev)
	if !resp.Succeeded {
		// Waiting lets the loser see what it lost to; it lost in any case.
		return 0, apierr.Wrap(ErrConflict, apierr.Conflict, "The object was changed by another request.")
	}
	if err != nil {
		return rev, apierr.Wrap(err, apierr.Unavailable, "The change was stored, but the server cannot confirm it yet.")
	}
	return rev, nil
}

// transaction turns ops into etcd's terms. An op that writes an object and its
// blob is a nested transaction, because etcd limits the operations of each
// level (128 by default), not their sum.
func (s *Store) transaction(ops []Op) (conditions []clientv3.Cmp, writes []clientv3.Op, err error) {
	switch {
	case len(ops) == 0:
		return nil, nil, errors.New("nothing to write")
	case len(ops) > MaxOps:
		return nil, nil, fmt.Errorf("%d writes at once, at most %d are possible", len(ops), MaxOps)
	}
	for _, op := range ops {
		if op.Value != nil {
			key := op.Value.Key()
			if op.Key != "" && op.Key != key {
				return nil, nil, fmt.Errorf("%s belongs under key %q, not %q", op.Value.Kind(), key, op.Key)
			}
			op.Key = key
		}
		if !strings.HasPrefix(op.Key, "/") {
			return nil, nil, fmt.Errorf("key %q does not begin with a slash", op.Key)
		}
		if op.Rev != Any {
			conditions = append(conditions, s.condition(op))
		}
		w, err := s.writes(op)
		if err != nil {
			return nil, nil, err
		}
		if len(w) > 1 {
			w = []clientv3.Op{clientv3.OpTxn(nil, w, nil)}
		}
		writes = append(writes, w...)
	}
	return conditions, writes, nil
}

func (s *Store) condition(op Op) clientv3.Cmp {
	if op.Rev == 0 {
		return clientv3.Compare(clientv3.CreateRevision(s.objects+op.Key), "=", 0)
	}
	return clientv3.Compare(clientv3.ModRevision(s.objects+op.Key), "=", op.Rev)
}

func (s *Store) writes(op Op) ([]clientv3.Op, error) {
	if op.Value == nil {
		if op.Blob != nil {
			return nil, fmt.Errorf("a blob without an object under key %q", op.Key)
		}
		var opts []clientv3.OpOption
		if op.Tree {
			opts = append(opts, clientv3.WithPrefix())
		}
		return []clientv3.Op{
			clientv3.OpDelete(s.objects+op.Key, opts...),
			clientv3.OpDelete(s.blobs+op.Key, opts...),
		}, nil
	}
	if op.Tree {
		return nil, fmt.Errorf("a tree is only deleted, not written: key %q", op.Key)
	}
	value, err := model.Encode(op.Value)
	if err != nil {
		return nil, err
	}
	writes := []clientv3.Op{clientv3.OpPut(s.objects+op.Key, string(value))}
	if op.Blob != nil {
		writes = append(writes, clientv3.OpPut(s.blobs+op.Key, string(op.Blob)))
	}
	return writes, nil
}
