package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
)

const (
	pageSize     = 10_000
	progressTick = 5 * time.Second
	retryPause   = 500 * time.Millisecond
	compactEvery = time.Hour
)

// Run follows etcd until ctx ends: it watches, and after a compaction or a lost
// watch it lists again, without ever showing a View that goes back in time.
func (s *Store) Run(ctx context.Context) error {
	if s.c.Compact {
		go s.compact(ctx)
	}
	for {
		err := s.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, model.ErrNewer) {
			return err
		}
		s.c.Log.WarnContext(ctx, "lost the watch; listing again", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryPause):
		}
		v, err := s.list(ctx)
		if err != nil {
			s.c.Log.WarnContext(ctx, "cannot list the store", "error", err)
			continue
		}
		s.publish(v)
	}
}

// list reads all objects at one revision.
func (s *Store) list(ctx context.Context) (*View, error) {
	v := newView()
	end := clientv3.GetPrefixRangeEnd(s.objects)
	from := s.objects
	for {
		opts := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(pageSize)}
		if v.rev != 0 {
			opts = append(opts, clientv3.WithRev(v.rev))
		}
		res, err := s.c.Client.Get(ctx, from, opts...)
		if err != nil {
			return nil, storeError(fmt.Errorf("listing: %w", err))
		}
		if v.rev == 0 {
			v.rev = res.Header.Revision
		}
		for _, kv := range res.Kvs {
			e, err := s.entry(kv)
			if err != nil {
				return nil, err
			}
			v.put(e)
		}
		if !res.More {
			return v, nil
		}
		from = string(res.Kvs[len(res.Kvs)-1].Key) + "\x00"
	}
}

func (s *Store) entry(kv *mvccpb.KeyValue) (*Entry, error) {
	o, err := model.Decode(kv.Value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kv.Key, err)
	}
	return &Entry{Key: string(kv.Key[len(s.objects):]), Value: o, Rev: kv.ModRevision, CreateRev: kv.CreateRevision}, nil
}

// follow applies the watch's events until it breaks.
func (s *Store) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	rev := s.view.Load().rev
	events := s.c.Client.Watch(ctx, s.objects, clientv3.WithPrefix(), clientv3.WithRev(rev+1), clientv3.WithProgressNotify())
	tick := time.NewTicker(progressTick)
	defer tick.Stop()
	for {
		select {
		case res, ok := <-events:
			if !ok {
				return errors.New("the watch ended")
			}
			if err := res.Err(); err != nil {
				return err
			}
			if err := s.apply(&res); err != nil {
				return err
			}
		case <-tick.C:
			if err := s.c.Client.RequestProgress(ctx); err != nil {
				return err
			}
		}
	}
}

// apply shows one watch response. Without fragments, a response holds whole
// revisions, so that a transaction's writes appear together.
func (s *Store) apply(res *clientv3.WatchResponse) error {
	old := s.view.Load()
	s.touched()
	if res.Header.Revision <= old.rev {
		return nil
	}
	v := old.next(res.Header.Revision)
	for _, ev := range res.Events {
		if ev.Kv.ModRevision <= old.rev {
			continue
		}
		if ev.Type == clientv3.EventTypeDelete {
			v.remove(strings.TrimPrefix(string(ev.Kv.Key), s.objects))
			continue
		}
		e, err := s.entry(ev.Kv)
		if err != nil {
			return err
		}
		v.put(e)
	}
	if !res.IsProgressNotify() {
		v.rev = res.Events[len(res.Events)-1].Kv.ModRevision
	}
	s.publish(v)
	return nil
}

// compact drops history that no watch needs.
func (s *Store) compact(ctx context.Context) {
	tick := time.NewTicker(compactEvery)
	defer tick.Stop()
	last := s.view.Load().rev
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := s.c.Client.Compact(ctx, last); err != nil && ctx.Err() == nil {
			s.c.Log.WarnContext(ctx, "cannot compact the store", "error", err)
		}
		last = s.view.Load().rev
	}
}

// formatVersion of the layout of keys. A store with a newer one is refused.
const formatVersion = "1"

func (s *Store) checkFormat(ctx context.Context) error {
	key := s.c.Prefix + "/format"
	res, err := s.c.Client.Get(ctx, key)
	if err != nil {
		return storeError(fmt.Errorf("reading the format: %w", err))
	}
	if len(res.Kvs) == 0 {
		_, err := s.c.Client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).Then(clientv3.OpPut(key, formatVersion)).Commit()
		return storeError(err)
	}
	if got := string(res.Kvs[0].Value); got != formatVersion {
		return fmt.Errorf("the store has format %q, this program knows %q: %w; start the newer lanyard, or restore an older snapshot", got, formatVersion, model.ErrNewer)
	}
	return nil
}

// storeError gives etcd's failures a kind.
func storeError(err error) error {
	if err == nil {
		return nil
	}
	return apierr.Wrap(err, apierr.Unavailable, "the store did not answer; try again")
}
