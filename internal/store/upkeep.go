package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lanyard-io/lanyard/internal/model"
)

// format is the version of the layout of keys, kept under formatKey.
const format = 1

func (s *Store) formatKey() string { return s.c.Prefix + "/format" }

// checkFormat refuses a layout that a newer program made, and marks a new store.
func (s *Store) checkFormat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	resp, err := ask(ctx, s.members, hedge, func(ctx context.Context, c *Client) (*clientv3.GetResponse, error) {
		return c.Get(ctx, s.formatKey())
	})
	if err != nil {
		return readError(err)
	}
	if len(resp.Kvs) == 0 && s.c.Existing {
		return ErrNoStore
	}
	if len(resp.Kvs) == 0 {
		m, err := s.members.ready(ctx)
		if err != nil {
			return readError(err)
		}
		txn, err := m.client.Txn(clientv3.WithRequireLeader(ctx)).
			If(clientv3.Compare(clientv3.CreateRevision(s.formatKey()), "=", 0)).
			Then(clientv3.OpPut(s.formatKey(), strconv.Itoa(format))).
			Commit()
		if err != nil {
			return writeError(err)
		}
		if txn.Succeeded {
			return s.checkWritable(ctx)
		}
		return s.checkFormat(ctx) // another replica was first
	}
	if string(resp.Kvs[0].Value) == copying {
		return errCopying
	}
	v, err := strconv.Atoi(string(resp.Kvs[0].Value))
	if err != nil {
		return fmt.Errorf("etcd key %s does not hold the version of a store: is the prefix %q used by another program?", s.formatKey(), s.c.Prefix)
	}
	if v > format {
		return fmt.Errorf("the store has format %d, this program knows %d: start a newer lanyard: %w", v, format, model.ErrNewer)
	}
	return s.checkWritable(ctx)
}

// checkWritable deletes a key that never exists, so that a user of etcd who may only
// read is told at the start, not at the first write. A full etcd takes deletions.
func (s *Store) checkWritable(ctx context.Context) error {
	if s.c.Sole {
		return nil
	}
	_, err := ask(ctx, s.members, hedge, func(ctx context.Context, c *Client) (*clientv3.TxnResponse, error) {
		return c.Txn(ctx).Then(clientv3.OpDelete(s.objects+"/"), clientv3.OpDelete(s.blobs+"/")).Commit()
	})
	if err != nil {
		return writeError(err)
	}
	return nil
}

// stayInTouch proves now and then that the View is current, so that an idle
// replica does not count as out of touch. Once it is, it tries more often.
func (s *Store) stayInTouch(ctx context.Context) error {
	usual := s.c.MaxStale / heartbeats
	tick := time.NewTicker(usual)
	defer tick.Stop()
	lost := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		_, err := s.catchUp(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errRewound):
			return err
		case err == nil && lost:
			lost = false
			tick.Reset(usual)
			s.c.Log.InfoContext(ctx, "in touch with etcd again")
		case err != nil && !lost:
			lost = true
			tick.Reset(min(usual, lostHeartbeat))
			s.c.Log.WarnContext(ctx, "out of touch with etcd", "error", err, "answersFor", s.c.MaxStale)
		}
	}
}

// compact drops the history of more than compactEvery ago.
func (s *Store) compact(ctx context.Context) error {
	tick := time.NewTicker(compactEvery)
	defer tick.Stop()
	last := s.view.Load().rev
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		_, err := s.c.Client.Compact(ctx, last)
		if err != nil && ctx.Err() == nil && !errors.Is(err, rpctypes.ErrCompacted) {
			s.c.Log.WarnContext(ctx, "compacting etcd", "error", err)
		}
		last = s.view.Load().rev
	}
}
