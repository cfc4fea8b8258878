package sts

import (
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	l := &limiter{rate: 8, most: 8, tokens: 8}
	now := time.Unix(1_800_000_000, 0)
	passed := func() (n int) {
		for range 1000 {
			if l.allow(now) {
				n++
			}
		}
		return n
	}
	steps := []struct {
		wait time.Duration
		want int
	}{{0, 8}, {0, 0}, {250 * time.Millisecond, 2}, {time.Hour, 8}, {-time.Hour, 0}, {time.Second, 0}}
	for _, s := range steps {
		now = now.Add(s.wait)
		if got := passed(); got != s.want {
			t.Errorf("after %v: %d passed, want %d", s.wait, got, s.want)
		}
	}
}
