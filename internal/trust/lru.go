package trust

import (
	"container/list"
	"sync"
)

// lru keeps the values that were used last.
type lru[K comparable, V any] struct {
	max int

	// guarded by mu
	mu    sync.Mutex
	items map[K]*list.Element
	order *list.List // of pair[K, V], last used first
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](max int) *lru[K, V] {
	return &lru[K, V]{max: max, items: make(map[K]*list.Element), order: list.New()}
}

// get is the key's value; make makes it, quickly, when there is none.
func (l *lru[K, V]) get(k K, make func() V) V {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.items[k]; ok {
		l.order.MoveToFront(e)
		return e.Value.(pair[K, V]).value
	}
	v := make()
	l.items[k] = l.order.PushFront(pair[K, V]{k, v})
	if l.order.Len() > l.max {
		oldest := l.order.Back()
		delete(l.items, oldest.Value.(pair[K, V]).key)
		l.order.Remove(oldest)
	}
	return v
}
