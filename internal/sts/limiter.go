package sts

import (
	"sync"
	"time"
)

// missesPerSecond is how many refusals are checked with the store each second,
// over all clients: each costs a round to etcd.
const missesPerSecond = 8

// limiter is a token bucket that holds one second's worth.
type limiter struct {
	rate float64

	// guarded by mu
	mu     sync.Mutex
	tokens float64
	last   time.Time
}

func newLimiter(perSecond float64) *limiter { return &limiter{rate: perSecond, tokens: perSecond} }

func (l *limiter) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if passed := now.Sub(l.last).Seconds(); passed > 0 {
		l.tokens = min(l.rate, l.tokens+passed*l.rate)
		l.last = now
	}
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}
