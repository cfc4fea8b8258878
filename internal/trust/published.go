package trust

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"runtime/debug"
	"sync"
	"time"
)

// sourceID tells cached issuers apart. An operator who registers another CA
// starts afresh, and need not wait for the last failure to be forgotten.
type sourceID struct {
	issuer string
	roots  [32]byte
}

// published is what an issuer published last.
type published struct {
	mu sync.Mutex

	// guarded by mu
	got     bool // a fetch has succeeded: keys is what it gave
	keys    *keySet
	fetched time.Time // when that fetch began
	tried   time.Time // when the last fetch began
	err     error     // how the last fetch ended
	flight  *flight   // the fetch under way, if any
}

// flight is one fetch; keys and err may be read once done is closed.
type flight struct {
	done chan struct{}
	keys *keySet
	err  error
}

// pinnedKeys gives the keys of an uploaded set, parsed at the first call.
type pinnedKeys func() (*keySet, error)

// keys finds the source's keys to try for an assertion.
func (v *Verifier) keys(ctx context.Context, src Source, a *Assertion) ([]key, error) {
	if len(src.Keys) == 0 {
		return v.publishedKeys(ctx, src, a)
	}
	all, err := v.pinned.get(sha256.Sum256(src.Keys), func() pinnedKeys {
		return sync.OnceValues(func() (*keySet, error) { return readKeys(src.Keys, v.c.MaxKeys) })
	})()
	if err != nil {
		return nil, refuse(Unreachable, err, "The keys that are registered for issuer %s cannot be read.", quote(src.Issuer))
	}
	return all.choose(a)
}

func (v *Verifier) publishedKeys(ctx context.Context, src Source, a *Assertion) ([]key, error) {
	id := sourceID{issuer: src.Issuer}
	if len(src.Roots) > 0 {
		id.roots = sha256.Sum256(src.Roots)
	}
	p := v.issuers.get(id, func() *published { return new(published) })
	keys, f := v.look(ctx, p, src, a)
	if f == nil {
		return v.settle(p, keys, a)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, refuse(Unreachable, ctx.Err(), "The keys of issuer %s did not arrive before the request ended.", quote(src.Issuer))
	}
	if f.err == nil {
		return f.keys.choose(a)
	}
	return v.settle(p, nil, a)
}

// look gives the cached keys when they answer for the assertion, else the fetch
// to wait for. It gives neither when it is too early for another fetch.
func (v *Verifier) look(ctx context.Context, p *published, src Source, a *Assertion) (*keySet, *flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := v.c.Now()
	age := now.Sub(p.fetched)
	if p.got && age < v.c.MaxAge {
		if _, known := p.keys.match(a); known {
			// Refreshing early keeps the fetch out of the way of requests.
			if age >= v.c.MaxAge/2 {
				v.fetchLocked(ctx, p, src, now)
			}
			return p.keys, nil
		}
	}
	return nil, v.fetchLocked(ctx, p, src, now)
}

// settle decides without a fetch, on keys or what is cached: fresh keys, or
// older ones while the issuer is unreachable.
func (v *Verifier) settle(p *published, keys *keySet, a *Assertion) ([]key, error) {
	if keys != nil {
		return keys.choose(a)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	age := v.c.Now().Sub(p.fetched)
	if p.got && (age < v.c.MaxAge || p.err != nil && age < v.c.MaxStale) {
		if _, known := p.keys.match(a); known || p.err == nil {
			return p.keys.choose(a)
		}
	}
	return nil, unreachable(a.Issuer, p.err)
}

// fetchLocked gives the fetch under way, or starts one unless it is too early;
// then it gives nil. The fetch outlives the request that began it, within
// Config.Timeout, because others wait for it too.
func (v *Verifier) fetchLocked(ctx context.Context, p *published, src Source, now time.Time) *flight {
	if p.flight != nil {
		return p.flight
	}
	if !p.tried.IsZero() && now.Sub(p.tried) < v.c.MinRefetch {
		return nil
	}
	f := &flight{done: make(chan struct{})}
	p.flight, p.tried = f, now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.c.Timeout)
	go func() {
		defer cancel()
		v.fly(ctx, p, f, src)
	}()
	return f
}

func (v *Verifier) fly(ctx context.Context, p *published, f *flight, src Source) {
	start := v.c.Now()
	f.keys, f.err = v.fetchSafely(ctx, src)
	v.metrics.observe(f.err, v.c.Now().Sub(start))

	p.mu.Lock()
	defer p.mu.Unlock()
	defer close(f.done)
	p.flight, p.err = nil, f.err
	switch {
	case f.err == nil:
		p.got, p.keys, p.fetched = true, f.keys, p.tried
	case p.got:
		// Nobody is refused yet, so no request will report it.
		v.c.Log.WarnContext(ctx, "keeping old keys of an unreachable issuer", "issuer", src.Issuer, "fetched", p.fetched, "error", f.err)
	}
}

// fetchSafely turns a panic into an error: no handler's recovery covers this
// goroutine, and what it parses comes from outside.
func (v *Verifier) fetchSafely(ctx context.Context, src Source) (keys *keySet, err error) {
	defer func() {
		if r := recover(); r != nil {
			keys, err = nil, fmt.Errorf("panic while fetching keys: %v\n%s", r, debug.Stack())
		}
	}()
	return v.fetch(ctx, src)
}

// unreachable is the refusal for a fetch that failed.
func unreachable(issuer string, err error) error {
	host := issuer
	if u, parseErr := url.Parse(issuer); parseErr == nil && u.Host != "" {
		host = u.Host
	}
	return refuse(Unreachable, err, "The keys of the issuer at %s could not be fetched: %s.", quote(host), outcomeOf(err).sentence())
}
