package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/metadata"

	"github.com/lanyard-io/lanyard/internal/model"
)

const (
	heartbeats    = 6                      // in MaxStale
	lostHeartbeat = 500 * time.Millisecond // while etcd does not answer
	retryPause    = 200 * time.Millisecond // between attempts to watch or list
	listPage      = 20_000                 // etcd counts all keys that are left for each page: fewer pages, less counting
	decodeChunk   = 500
	compactEvery  = time.Hour
	forever       = int64(1)<<62 - 1 // a revision that is never reached
	reloadTimeout = 5 * time.Minute
)

// Run follows etcd until ctx ends: it watches, and after a compaction or a lost
// watch it lists again, without ever showing a View that goes back in time. It fails
// when etcd holds an object that this program cannot read, or lost a revision that the
// View has shown.
func (s *Store) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		select {
		case s.follower <- struct{}{}:
			defer func() { <-s.follower }()
			return s.follow(ctx, forever)
		case <-ctx.Done():
			return nil
		}
	})
	g.Go(func() error { return s.stayInTouch(ctx) })
	g.Go(func() error { return s.followRoom(ctx) })
	if s.c.Compact {
		g.Go(func() error { return s.compact(ctx) })
	}
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// follow publishes Views until one is at revision until or ctx ends. The caller
// is in the follower slot.
func (s *Store) follow(ctx context.Context, until int64) error {
	for {
		err := s.watch(ctx, until)
		if errors.Is(err, rpctypes.ErrCompacted) {
			s.c.Log.InfoContext(ctx, "loading the store again", "cause", err)
			err = s.reload(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case s.view.Load().rev >= until:
			return nil
		case errors.Is(err, errUnreadable):
			return err
		case err == nil:
			continue
		}
		if errors.Is(err, errMove) {
			s.c.Log.WarnContext(ctx, "watching another member of etcd", "cause", err)
			continue
		}
		s.c.Log.WarnContext(ctx, "lost the watch on etcd", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryPause):
		}
	}
}

// ownStream is a context whose watch shares its stream with no other. etcd's
// in-process stream has no buffers, and comes to a standstill when more than 16
// watches of one stream end at once. The client keeps a stream for each metadata.
func ownStream(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(clientv3.WithRequireLeader(ctx), "lanyard-watch", rand.Text())
}

// watch has one member report the events after the View's revision, until that fails or
// stands still.
func (s *Store) watch(ctx context.Context, until int64) error {
	own, stop := context.WithCancelCause(ownStream(ctx))
	defer stop(nil)
	m := s.members.order()[0]
	s.watching.begin(s.clock(), stop)
	defer s.watching.end()
	go m.notice(own, stop)

	err := s.watchOn(own, m.client, until)
	if cause := context.Cause(own); errors.Is(cause, errMove) {
		err = cause
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, rpctypes.ErrCompacted) {
		s.members.leaveOut(m)
	}
	return err
}

// watchOn applies a member's events. Without fragments, etcd never splits a transaction
// over two responses.
func (s *Store) watchOn(ctx context.Context, c *Client, until int64) error {
	responses := c.Watch(ctx, s.objects+"/",
		clientv3.WithPrefix(), clientv3.WithRev(s.view.Load().rev+1), clientv3.WithProgressNotify())
	for s.view.Load().rev < until {
		select {
		case resp, open := <-responses:
			if err := resp.Err(); err != nil {
				return fmt.Errorf("watching: %w", err)
			}
			if !open {
				return errors.New("watching: etcd ended the watch")
			}
			if err := s.apply(resp); err != nil {
				return err
			}
		case <-s.ask:
			if err := c.RequestProgress(ctx); err != nil {
				return fmt.Errorf("asking for the watch's progress: %w", err)
			}
		}
	}
	return nil
}

// apply publishes a View with a response's events.
func (s *Store) apply(resp clientv3.WatchResponse) error {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	cur := s.view.Load()
	if resp.IsProgressNotify() {
		if resp.Header.Revision > cur.rev {
			s.publishLocked(cur.at(resp.Header.Revision))
		}
		return nil
	}
	next := cur.next()
	for _, ev := range resp.Events {
		// A Commit of our own may have been faster, and a watch that etcd's
		// client resumed may repeat itself.
		if ev.Kv.ModRevision <= cur.rev {
			continue
		}
		next.rev = ev.Kv.ModRevision
		key := string(ev.Kv.Key[len(s.objects):])
		s.cache.drop(key)
		if ev.Type == clientv3.EventTypeDelete {
			next.remove(key)
			continue
		}
		e, err := s.entry(ev.Kv)
		if err != nil {
			return err
		}
		next.put(e)
	}
	if next.rev > cur.rev {
		s.publishLocked(next)
	}
	return nil
}

// publishLocked shows v, which is newer than the View, to everyone.
func (s *Store) publishLocked(v *View) {
	s.view.Store(v)
	s.waiters.wake(v.rev)
}

// errUnreadable marks a stored object that this program cannot read: it must
// not go on as if the object were not there.
var errUnreadable = errors.New("the store holds an object that cannot be read")

func (s *Store) entry(kv *mvccpb.KeyValue) (*Entry, error) {
	e, err := decode(string(kv.Key[len(s.objects):]), kv.Value)
	if err != nil {
		return nil, err
	}
	e.Rev, e.CreateRev = kv.ModRevision, kv.CreateRevision
	return e, nil
}

func decode(key string, value []byte) (*Entry, error) {
	o, err := model.Decode(value)
	if err != nil {
		return nil, fmt.Errorf("%w: key %q: %w", errUnreadable, key, err)
	}
	if own := o.Key(); own != key {
		return nil, fmt.Errorf("%w: key %q: it belongs under %q", errUnreadable, key, own)
	}
	if c, ok := o.(*model.FederatedCredential); ok {
		c.Share(key)
	}
	return &Entry{Key: key, Value: o}, nil
}

// reload lists everything and publishes it when it is newer than the View.
func (s *Store) reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	began := s.clock()
	v, err := s.list(ctx)
	for errors.Is(err, rpctypes.ErrCompacted) { // between two pages
		v, err = s.list(ctx)
	}
	if err != nil {
		return err
	}
	s.publishing.Lock()
	defer s.publishing.Unlock()
	// A Commit of our own may have gone ahead while we listed, but only from
	// the View that was there before.
	if v.rev > s.view.Load().rev {
		s.publishLocked(v)
		s.touch(began)
	}
	return nil
}

// list reads all objects as of one revision, page by page. It shares unchanged objects
// with the current View.
func (s *Store) list(ctx context.Context) (*View, error) {
	ctx, cancel := context.WithCancel(ctx) // ends a read that is still on its way
	defer cancel()
	cur, v := s.view.Load(), newView()
	// The first page is linearizable and sets the revision of all others.
	for next := s.readPage(ctx, s.objects+"/", 0); next != nil; {
		page := <-next
		if page.err != nil {
			return nil, fmt.Errorf("listing: %w", page.err)
		}
		if v.rev == 0 {
			v.rev = page.resp.Header.Revision
			s.cluster.CompareAndSwap(0, page.resp.Header.ClusterId)
		}
		next = nil
		if page.resp.More { // is read while this one is decoded
			next = s.readPage(ctx, string(page.resp.Kvs[len(page.resp.Kvs)-1].Key)+"\x00", v.rev)
		}
		entries, err := s.entries(cur, page.resp.Kvs)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			v.put(e)
		}
	}
	return v, nil
}

// entries decodes a page on all processors: in a large store that is most of a start.
func (s *Store) entries(cur *View, kvs []*mvccpb.KeyValue) ([]*Entry, error) {
	entries := make([]*Entry, len(kvs))
	var g errgroup.Group
	for from := 0; from < len(kvs); from += decodeChunk {
		g.Go(func() (err error) {
			for i := from; i < min(from+decodeChunk, len(kvs)) && err == nil; i++ {
				e := cur.Get(string(kvs[i].Key[len(s.objects):]))
				if e == nil || e.Rev != kvs[i].ModRevision {
					e, err = s.entry(kvs[i])
				}
				entries[i] = e
			}
			return err
		})
	}
	return entries, g.Wait()
}

type page struct {
	resp *clientv3.GetResponse
	err  error
}

// readPage begins to read the objects from a key on; rev 0 is the newest revision.
func (s *Store) readPage(ctx context.Context, from string, rev int64) <-chan page {
	read := make(chan page, 1)
	go func() {
		resp, err := ask(ctx, s.members, pageHedge, func(ctx context.Context, c *Client) (*clientv3.GetResponse, error) {
			return c.Get(ctx, from, clientv3.WithRange(clientv3.GetPrefixRangeEnd(s.objects+"/")),
				clientv3.WithLimit(listPage), clientv3.WithRev(rev))
		})
		read <- page{resp, err}
	}()
	return read
}
