package store

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
)

// Commit makes all the writes, or none of them: in one etcd transaction (at
// most MaxOps). It returns the new revision once this replica's View shows it.
// A condition that does not hold gives ErrConflict, of kind apierr.Conflict.
func (s *Store) Commit(ctx context.Context, ops ...Op) (rev int64, err error) {
	if len(ops) == 0 || len(ops) > MaxOps {
		return 0, fmt.Errorf("a commit of %d ops, want 1 to %d", len(ops), MaxOps)
	}
	var conds []clientv3.Cmp
	var then []clientv3.Op
	for _, op := range ops {
		if op.Value != nil {
			op.Key = op.Value.Key()
		}
		if op.Key == "" {
			return 0, errors.New("a write without a key")
		}
		switch key := s.objects + op.Key; {
		case op.Rev == 0:
			conds = append(conds, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
		case op.Rev > 0:
			conds = append(conds, clientv3.Compare(clientv3.ModRevision(key), "=", op.Rev))
		}
		writes, err := s.writes(op)
		if err != nil {
			return 0, err
		}
		then = append(then, writes...)
	}
	res, err := s.c.Client.Txn(ctx).If(conds...).Then(then...).Commit()
	if errors.Is(err, rpctypes.ErrNoSpace) {
		return 0, apierr.Wrap(errors.Join(ErrFull, err), apierr.Unavailable, "the store is full; ask the operator to make room")
	}
	if err != nil {
		return 0, storeError(fmt.Errorf("committing: %w", err))
	}
	if !res.Succeeded {
		return 0, apierr.Wrap(ErrConflict, apierr.Conflict, "the object was changed by another request; read it again and retry")
	}
	_, err = s.wait(ctx, res.Header.Revision)
	return res.Header.Revision, err
}

func (s *Store) writes(op Op) ([]clientv3.Op, error) {
	object, blob := s.objects+op.Key, s.blobs+op.Key
	switch {
	case op.Value == nil && op.Tree:
		return []clientv3.Op{clientv3.OpDelete(object, clientv3.WithPrefix()), clientv3.OpDelete(blob, clientv3.WithPrefix())}, nil
	case op.Value == nil:
		return []clientv3.Op{clientv3.OpDelete(object), clientv3.OpDelete(blob)}, nil
	}
	b, err := model.Encode(op.Value)
	if err != nil {
		return nil, err
	}
	ops := []clientv3.Op{clientv3.OpPut(object, string(b))}
	if op.Blob != nil {
		ops = append(ops, clientv3.OpPut(blob, string(op.Blob)))
	}
	return ops, nil
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
