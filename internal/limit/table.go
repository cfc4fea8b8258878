package limit

import (
	"sync"
	"sync/atomic"
	"time"
)

// Config for New.
type Config struct {
	// PerMinute is how many each source has in the long run; 0 or less: no limit.
	PerMinute float64
	// Burst is how many it has at once after a rest. Default PerMinute.
	Burst float64
	// Size is how many sources are told apart. Default 10,000. Those that come
	// when all are busy share one bucket.
	Size int
	Now  func() time.Time // default time.Now
}

// crowd is how many sources' worth a /48 has, and so do all sources together
// that the table has no room for.
const crowd = 8

const defaultSize = 10_000

// Table is the buckets of all sources. A nil Table limits nothing.
type Table struct {
	rate, burst float64 // per second; of one source
	size        int
	now         func() time.Time
	limited     atomic.Uint64
	held        atomic.Int64 // of buckets; so that an idle table costs no lock

	mu      sync.Mutex
	buckets map[key]*bucket // guarded by mu
	rest    bucket          // of sources without room; guarded by mu
	swept   time.Time       // guarded by mu
}

// bucket is what one source has left. A full one need not be remembered.
type bucket struct {
	tokens float64
	last   time.Time
	crowd  float64 // 1, or crowd for a wide one
}

// New makes a Table; nil when there is no limit.
func New(c Config) *Table {
	if c.PerMinute <= 0 {
		return nil
	}
	if c.Burst <= 0 {
		c.Burst = c.PerMinute
	}
	if c.Size <= 0 {
		c.Size = defaultSize
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	t := &Table{rate: c.PerMinute / 60, burst: max(c.Burst, 1), size: c.Size, now: c.Now, buckets: map[key]*bucket{}}
	t.rest = bucket{tokens: crowd * t.burst, last: c.Now(), crowd: crowd}
	return t
}

// Wait says how long the source must wait for its next one; 0: it need not. It
// takes nothing.
func (t *Table) Wait(s Source) time.Duration {
	if t == nil || t.held.Load() == 0 {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waitLocked(s, t.now())
}

// Take takes one from the source's bucket. When there is none, it takes nothing
// and says how long to wait.
func (t *Table) Take(s Source) time.Duration {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if wait := t.waitLocked(s, now); wait > 0 {
		t.limited.Add(1)
		return wait
	}
	// The wide bucket first: a /48 that has none left makes no further entries.
	if s.wide != (key{}) {
		t.bucketLocked(s.wide, crowd, now).tokens--
	}
	t.bucketLocked(s.near, 1, now).tokens--
	return 0
}

// Give gives one back that Take took.
func (t *Table) Give(s Source) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range [...]key{s.wide, s.near} {
		if b := t.buckets[k]; b != nil {
			b.tokens = min(b.tokens+1, t.burst*b.crowd)
		}
	}
}

// Limited is how often Take found nothing.
func (t *Table) Limited() uint64 {
	if t == nil {
		return 0
	}
	return t.limited.Load()
}

func (t *Table) waitLocked(s Source, now time.Time) time.Duration {
	wait := time.Duration(0)
	if s.wide != (key{}) {
		if b := t.buckets[s.wide]; b != nil {
			wait = t.lacks(b, now)
		}
	}
	b := t.buckets[s.near]
	if b == nil && len(t.buckets) >= t.size && !t.sweepLocked(now) {
		b = &t.rest
	}
	if b != nil {
		wait = max(wait, t.lacks(b, now))
	}
	return wait
}

// lacks brings a bucket up to date, and says how long until it holds one.
func (t *Table) lacks(b *bucket, now time.Time) time.Duration {
	if passed := now.Sub(b.last).Seconds(); passed > 0 {
		b.tokens = min(t.burst*b.crowd, b.tokens+passed*t.rate*b.crowd)
	}
	b.last = now // a clock that was set back costs nobody more than what passed
	if b.tokens >= 1 {
		return 0
	}
	return time.Duration((1 - b.tokens) / (t.rate * b.crowd) * float64(time.Second))
}

// bucketLocked is a source's bucket, or that of all who find no room.
func (t *Table) bucketLocked(k key, worth float64, now time.Time) *bucket {
	if b := t.buckets[k]; b != nil {
		return b
	}
	if len(t.buckets) >= t.size {
		return &t.rest
	}
	b := &bucket{tokens: t.burst * worth, last: now, crowd: worth}
	t.buckets[k] = b
	t.held.Store(int64(len(t.buckets)))
	return b
}

// sweepLocked forgets full buckets, at most once a second; true: there is room.
func (t *Table) sweepLocked(now time.Time) bool {
	if since := now.Sub(t.swept); since >= 0 && since < time.Second {
		return false
	}
	t.swept = now
	for k, b := range t.buckets {
		if t.lacks(b, now); b.tokens >= t.burst*b.crowd {
			delete(t.buckets, k)
		}
	}
	t.held.Store(int64(len(t.buckets)))
	return len(t.buckets) < t.size
}
