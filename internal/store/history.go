package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Mark is a point of a store's history. A server that has noted one can tell later
// whether the store has gone on from there, or is a copy from before it.
type Mark struct {
	Count int64  `json:"count"`
	ID    string `json:"id"`
}

// history is the stored marks. They are not objects: an older program does not look at
// them.
type history struct {
	Count int64    `json:"count"` // of all marks that were ever made
	Last  []string `json:"last"`  // the ids of the newest ones, oldest first
}

// keptMarks is how many ids a history keeps: each server makes two in its life.
const keptMarks = 128

// ErrNoStore is in the chain when an existing store was asked for and there is none.
var ErrNoStore = errors.New("there is no store under the prefix")

// errCopying says that another program began to copy a store to the prefix.
var errCopying = errors.New("a copy to this prefix was cut off: run `lanyard store copy` again")

func (s *Store) historyKey() string { return s.c.Prefix + "/history" }

// NewMark adds a mark to the store's history.
func (s *Store) NewMark(ctx context.Context) (Mark, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	for {
		h, rev, err := s.history(ctx)
		if err != nil {
			return Mark{}, err
		}
		m := Mark{Count: h.Count + 1, ID: rand.Text()}
		h.Count, h.Last = m.Count, append(h.Last, m.ID)
		h.Last = h.Last[max(0, len(h.Last)-keptMarks):]
		b, err := json.Marshal(h)
		if err != nil {
			return Mark{}, err
		}
		txn, err := s.c.Client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(s.historyKey()), "=", rev)).
			Then(clientv3.OpPut(s.historyKey(), string(b))).
			Commit()
		if err != nil {
			return Mark{}, writeError(err)
		}
		if txn.Succeeded {
			return m, nil
		}
	}
}

// HasMark says whether the store has a mark, or so many newer ones that it is
// forgotten. One that has not is a copy from before the mark was made.
func (s *Store) HasMark(ctx context.Context, m Mark) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	h, _, err := s.history(ctx)
	if err != nil || h.Count < m.Count {
		return false, err
	}
	at := len(h.Last) - 1 - int(h.Count-m.Count)
	return at < 0 || h.Last[at] == m.ID, nil
}

func (s *Store) history(ctx context.Context) (h history, rev int64, err error) {
	resp, err := s.c.Client.Get(ctx, s.historyKey())
	if err != nil {
		return h, 0, readError(err)
	}
	if len(resp.Kvs) == 0 {
		return h, 0, nil
	}
	if err := json.Unmarshal(resp.Kvs[0].Value, &h); err != nil {
		return h, 0, fmt.Errorf("reading the store's history: %w", err)
	}
	return h, resp.Kvs[0].ModRevision, nil
}
