package store

import (
	"container/list"
	"context"
	"fmt"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Blob reads the blob that belongs to an entry of a View; nil when there is
// none, or when the entry is gone meanwhile. Recently read ones come from a
// bounded memory. The caller does not change the bytes.
func (s *Store) Blob(ctx context.Context, e *Entry) ([]byte, error) {
	if b, ok := s.cache.get(e); ok {
		return b, nil
	}
	ctx, cancel := context.WithTimeout(ctx, freshTimeout)
	defer cancel()
	resp, err := ask(ctx, s.members, hedge, func(ctx context.Context, c *Client) (*clientv3.GetResponse, error) {
		resp, err := c.Get(ctx, s.blobs+e.Key, clientv3.WithSerializable())
		if err == nil && resp.Header.Revision < e.Rev {
			// This member has not seen the entry's write yet: ask the majority.
			return c.Get(ctx, s.blobs+e.Key)
		}
		return resp, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading a blob: %w", readError(err))
	}
	if len(resp.Kvs) == 0 {
		return nil, nil
	}
	kv := resp.Kvs[0]
	if kv.Value == nil { // an empty blob is not the same as none
		kv.Value = []byte{}
	}
	if kv.ModRevision <= e.Rev {
		s.cache.put(e, kv.Value)
	}
	return kv.Value, nil
}

// cacheBytes is how much memory recently read blobs may take.
const cacheBytes = 32 << 20

// blobCache remembers the blobs of entries. A blob is only ever written together
// with its object, so it belongs to one revision of it.
type blobCache struct {
	mu    sync.Mutex
	byKey map[string]*list.Element // guarded by mu, as is all below
	used  *list.List               // of cached; the most recently used first
	bytes int
}

type cached struct {
	key  string
	rev  int64
	blob []byte
}

// size counts the bookkeeping too, so that many small blobs keep to the limit.
func (c *cached) size() int { return len(c.blob) + len(c.key) + 200 }

func newBlobCache() *blobCache {
	return &blobCache{byKey: map[string]*list.Element{}, used: list.New()}
}

func (c *blobCache) get(e *Entry) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byKey[e.Key]
	if !ok || el.Value.(*cached).rev != e.Rev {
		return nil, false
	}
	c.used.MoveToFront(el)
	return el.Value.(*cached).blob, true
}

func (c *blobCache) put(e *Entry, blob []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byKey[e.Key]; ok {
		if el.Value.(*cached).rev > e.Rev {
			return // read through an older View
		}
		c.removeLocked(el)
	}
	one := &cached{e.Key, e.Rev, blob}
	c.byKey[e.Key] = c.used.PushFront(one)
	c.bytes += one.size()
	for c.bytes > cacheBytes {
		c.removeLocked(c.used.Back())
	}
}

// drop forgets a key that changed or went away.
func (c *blobCache) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byKey[key]; ok {
		c.removeLocked(el)
	}
}

func (c *blobCache) removeLocked(el *list.Element) {
	one := c.used.Remove(el).(*cached)
	delete(c.byKey, one.key)
	c.bytes -= one.size()
}
