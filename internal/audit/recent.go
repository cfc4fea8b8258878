package audit

import (
	"strings"
	"sync"
)

// maxRecentBytes bounds the lines in memory, whose size callers influence.
const maxRecentBytes = 16 << 20

// recent remembers the latest refusals as lines of JSON, found by either id.
type recent struct {
	mu    sync.Mutex
	ring  []entry             // refusal n is at n % len(ring); guarded by mu
	first uint64              // the oldest one; guarded by mu
	next  uint64              // of the next one; guarded by mu
	bytes int                 // of all lines; guarded by mu
	index map[string][]uint64 // ascending; guarded by mu
}

type entry struct {
	id, correlation string
	line            []byte
}

func newRecent(n int) *recent {
	return &recent{ring: make([]entry, n), index: map[string][]uint64{}}
}

func (r *recent) add(id, correlation string, line []byte) {
	if len(line) > maxRecentBytes || len(id) > maxText || len(correlation) > maxText {
		return
	}
	e := entry{id: strings.Clone(id), correlation: strings.Clone(correlation), line: append([]byte(nil), line...)}
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.next-r.first == uint64(len(r.ring)) || r.bytes+len(line) > maxRecentBytes {
		r.forgetLocked()
	}
	r.ring[r.next%uint64(len(r.ring))] = e
	r.index[e.id] = append(r.index[e.id], r.next)
	if e.correlation != e.id {
		r.index[e.correlation] = append(r.index[e.correlation], r.next)
	}
	r.next++
	r.bytes += len(line)
}

// forgetLocked drops the oldest refusal.
func (r *recent) forgetLocked() {
	e := &r.ring[r.first%uint64(len(r.ring))]
	r.unindexLocked(e.id)
	if e.correlation != e.id {
		r.unindexLocked(e.correlation)
	}
	r.bytes -= len(e.line)
	*e = entry{}
	r.first++
}

// unindexLocked drops an id's oldest entry.
func (r *recent) unindexLocked(id string) {
	if left := r.index[id][1:]; len(left) > 0 {
		r.index[id] = left
		return
	}
	delete(r.index, id)
}

// find gives the newest lines with this id or correlation id, oldest first.
func (r *recent) find(id string) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.index[id]
	all = all[max(0, len(all)-maxFound):]
	lines := make([][]byte, 0, len(all))
	for _, n := range all {
		lines = append(lines, r.ring[n%uint64(len(r.ring))].line)
	}
	return lines
}

// newest gives all lines, the newest first.
func (r *recent) newest() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := make([][]byte, 0, r.next-r.first)
	for n := r.next; n > r.first; n-- {
		lines = append(lines, r.ring[(n-1)%uint64(len(r.ring))].line)
	}
	return lines
}
