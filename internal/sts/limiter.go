package sts

import (
	"sync"
	"time"
)

// limiter is a token bucket.
type limiter struct {
	rate float64 // per second
	most float64 // that it holds

	// guarded by mu
	mu     sync.Mutex
	tokens float64
	last   time.Time
}

func (l *limiter) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if passed := now.Sub(l.last).Seconds(); passed > 0 {
		l.tokens = min(l.most, l.tokens+passed*l.rate)
		l.last = now
	}
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}
