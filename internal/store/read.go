package store

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// rounds lets callers that wait at the same time share one read-index round. A
// round serves only those who came before it began.
type rounds struct {
	mu   sync.Mutex
	next *round // not begun; guarded by mu
	busy bool   // a round is running; guarded by mu
}

type round struct {
	done chan struct{}
	rev  int64
	err  error
}

const roundTimeout = 5 * time.Second

// Fresh is a View that shows every write that had finished, on any replica,
// when Fresh was called. Calls that wait at the same time share one round.
func (s *Store) Fresh(ctx context.Context) (*View, error) {
	r := s.join(ctx)
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, storeError(ctx.Err())
	}
	if r.err != nil {
		return nil, storeError(r.err)
	}
	return s.wait(ctx, r.rev)
}

// join enters the next round. The first to enter while none runs, runs it and
// every one that gathers meanwhile.
func (s *Store) join(ctx context.Context) *round {
	f := &s.fresh
	f.mu.Lock()
	r := f.next
	if r == nil {
		r = &round{done: make(chan struct{})}
		f.next = r
	}
	lead := !f.busy
	f.busy = true
	f.mu.Unlock()
	if lead {
		s.lead(context.WithoutCancel(ctx), r)
	}
	return r
}

// lead runs the round that it is in, then hands any that gathered to a goroutine.
func (s *Store) lead(ctx context.Context, r *round) {
	f := &s.fresh
	f.mu.Lock()
	f.next = nil
	f.mu.Unlock()
	s.readIndex(ctx, r)

	f.mu.Lock()
	gathered := f.next
	f.busy = gathered != nil
	f.mu.Unlock()
	if gathered != nil {
		go s.lead(ctx, gathered)
	}
}

// readIndex asks etcd for its current revision, linearizably.
func (s *Store) readIndex(ctx context.Context, r *round) {
	defer close(r.done)
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	// A key that never exists: only the header is wanted.
	res, err := s.c.Client.Get(ctx, s.c.Prefix+"/index", clientv3.WithCountOnly())
	if err != nil {
		r.err = fmt.Errorf("reading the index: %w", err)
		return
	}
	s.touched()
	r.rev = res.Header.Revision
}

// Blob reads the blob that was committed with an object; nil when there is
// none. Blobs are written once, when their object is created, so recently read
// ones come from a bounded memory.
func (s *Store) Blob(ctx context.Context, e *Entry) ([]byte, error) {
	id := blobID{e.Key, e.CreateRev}
	if b, ok := s.cache.get(id); ok {
		return b, nil
	}
	res, err := s.c.Client.Get(ctx, s.blobs+e.Key)
	if err != nil {
		return nil, storeError(fmt.Errorf("reading a blob: %w", err))
	}
	if len(res.Kvs) == 0 {
		return nil, nil
	}
	b := res.Kvs[0].Value
	if res.Kvs[0].CreateRevision == e.CreateRev {
		s.cache.put(id, b)
	}
	return b, nil
}

// cacheBytes bounds the memory that holds recently read blobs.
const cacheBytes = 32 << 20

// blobID is one life of a key.
type blobID struct {
	key     string
	created int64
}

// blobCache is a least-recently-used memory bounded by bytes.
type blobCache struct {
	mu    sync.Mutex
	left  int
	order *list.List // of *cached, newest first
	byID  map[blobID]*list.Element
}

type cached struct {
	id   blobID
	blob []byte
}

func newBlobCache(bytes int) *blobCache {
	return &blobCache{left: bytes, order: list.New(), byID: map[blobID]*list.Element{}}
}

// overhead is what an entry costs besides its blob.
const overhead = 200

func (c *blobCache) get(id blobID) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byID[id]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(el)
	return el.Value.(*cached).blob, true
}

func (c *blobCache) put(id blobID, blob []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byID[id]; ok {
		return
	}
	c.byID[id] = c.order.PushFront(&cached{id, blob})
	c.left -= len(blob) + overhead
	for c.left < 0 {
		last := c.order.Back()
		old := last.Value.(*cached)
		c.order.Remove(last)
		delete(c.byID, old.id)
		c.left += len(old.blob) + overhead
	}
}
