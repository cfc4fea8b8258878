package imds

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Limits of the cache.
const (
	// margin is the life that a token must have left to be given out without
	// trying for another: SDKs take one with less as expired.
	margin = 5 * time.Minute
	// retryRefresh is how long an early refresh that did not work is left alone.
	retryRefresh = 30 * time.Second
	// fetchTimeout is for one token, whoever waits for it.
	fetchTimeout = 30 * time.Second
	maxTokens    = 1000
)

// Cache keeps tokens until half their life is over; then the next request gets
// a new one, and while that does not work the old one serves on. Requests for
// the same token share one fetch.
type Cache struct {
	fetch  func(ctx context.Context, q Request) (Token, error)
	now    func() time.Time
	log    *slog.Logger
	flight singleflight.Group

	mu     sync.Mutex
	tokens map[Request]held // guarded by mu
}

type held struct {
	token   Token
	refresh time.Time // from when a new one is sought
}

// NewCache keeps what fetch gives.
func NewCache(fetch func(ctx context.Context, q Request) (Token, error), now func() time.Time, log *slog.Logger) *Cache {
	return &Cache{fetch: fetch, now: now, log: log, tokens: map[Request]held{}}
}

// Token is a held token, or a new one.
func (c *Cache) Token(ctx context.Context, q Request) (Token, error) {
	old, usable, due := c.look(q)
	if usable && !due {
		return old, nil
	}
	t, err := c.shared(ctx, q)
	if err != nil && usable && ctx.Err() == nil {
		c.log.WarnContext(ctx, "could not refresh a token, the old one serves on", "resource", q.Resource, "identity", q.Selector.String(), "error", err)
		return old, nil
	}
	return t, err
}

// look finds a token that has not expired. The first to find it due is told to
// refresh it; others are not, for a while.
func (c *Cache) look(q Request) (t Token, usable, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.tokens[q]
	now := c.now()
	if !ok || !now.Before(h.token.Expires) {
		return Token{}, false, true
	}
	if now.Before(h.refresh) {
		return h.token, true, false
	}
	if h.token.Expires.Sub(now) > margin {
		h.refresh = now.Add(retryRefresh)
		c.tokens[q] = h
	}
	return h.token, true, true
}

// shared fetches once for all who wait. The fetch outlives any one of them.
func (c *Cache) shared(ctx context.Context, q Request) (Token, error) {
	key := strings.Join([]string{q.Resource, q.ClientID, q.ObjectID, q.ResourceID}, "\x00")
	done := c.flight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		t, err := c.fetch(ctx, q)
		if err == nil {
			c.keep(q, t)
		}
		return t, err
	})
	select {
	case r := <-done:
		t, _ := r.Val.(Token)
		return t, r.Err
	case <-ctx.Done():
		return Token{}, ctx.Err()
	}
}

func (c *Cache) keep(q Request, t Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if len(c.tokens) >= maxTokens {
		maps.DeleteFunc(c.tokens, func(_ Request, h held) bool { return !now.Before(h.token.Expires) })
	}
	if len(c.tokens) >= maxTokens {
		return // somebody asks for a thousand resources: they wait for each
	}
	c.tokens[q] = held{token: t, refresh: now.Add(t.Expires.Sub(now) / 2)}
}
