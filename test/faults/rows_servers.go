package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// killed kills one of two servers again and again, and starts it again.
func killed(ctx context.Context, s *suite, r *report) error {
	l, err := s.cluster(ctx)
	defer l.close()
	if err != nil {
		return err
	}
	return l.killRounds(ctx, r, s.rounds(4, 100))
}

// killedAlone does it with a server that has its etcd within itself.
func killedAlone(ctx context.Context, s *suite, r *report) error {
	l, err := s.single(ctx)
	defer l.close()
	if err != nil {
		return err
	}
	return l.killRounds(ctx, r, s.rounds(3, 50))
}

// rounds is how often something is done in the short and in the long form.
func (s *suite) rounds(short, long int) int {
	if s.short {
		return short
	}
	return long
}

func (l *lab) killRounds(ctx context.Context, r *report, rounds int) error {
	w, err := l.startLoad(ctx)
	if err != nil {
		return err
	}
	var slowest time.Duration
	for i := range rounds {
		n := l.nodes[i%len(l.nodes)]
		time.Sleep(time.Duration(200+rand.IntN(500)) * time.Millisecond)
		n.p.kill()
		began := time.Now()
		if err := n.start(); err != nil {
			return err
		}
		slowest = max(slowest, time.Since(began))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	time.Sleep(300 * time.Millisecond)
	r.figure("%d kills", rounds)
	r.check(slowest < 20*time.Second, "slowest start %s", round(slowest))
	return w.judge(ctx, r)
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// terminated stops one of two servers as an init system does while clients use it, with
// and without --drain: no request that was sent on a kept connection may be broken. A
// client whose connection is refused goes elsewhere, so that does not count.
func terminated(http2 bool) func(context.Context, *suite, *report) error {
	return func(ctx context.Context, s *suite, r *report) error {
		l, err := s.cluster(ctx)
		defer l.close()
		if err != nil {
			return err
		}
		w := &load{lab: l, ledger: newLedger(), cancel: func() {}}
		for _, drain := range []string{"0s", "1s"} {
			c := caller{load: w}
			for i := range s.rounds(2, 25) {
				if err := c.terminate(ctx, l.nodes[i%2], drain, http2); err != nil {
					return err
				}
			}
			r.check(c.broken == 0, "drain %s: %d of %d requests broken", drain, c.broken, c.asked)
			for _, e := range c.errors {
				r.example("drain %s: %s", drain, e)
			}
		}
		return w.judge(ctx, r)
	}
}

// caller sends requests over connections that it keeps, and counts those that broke.
type caller struct {
	*load
	mu            sync.Mutex
	asked, broken int      // guarded by mu
	errors        []string // guarded by mu
}

// callers is how many connections are in use when the server is stopped.
const callers = 12

// terminate stops a server while callers use it, and starts it again.
func (c *caller) terminate(ctx context.Context, n *node, drain string, http2 bool) error {
	n.p.kill()
	if err := n.start("--drain", drain); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wait sync.WaitGroup
	for range callers {
		client := httpClient(n.addr, c.ca, http2)
		defer client.CloseIdleConnections()
		wait.Go(func() { c.call(ctx, client) })
	}
	time.Sleep(700 * time.Millisecond)
	err := n.stop(startLimit)
	cancel()
	wait.Wait()
	return errors.Join(err, n.start())
}

// call signs in, which no client library repeats by itself, and sets secrets.
func (c *caller) call(ctx context.Context, client *http.Client) {
	for i := 0; ctx.Err() == nil; i++ {
		name := "called-" + uuid()
		s, r := secret{}, c.secretForm(armURL)
		if i%3 == 1 {
			s.value = value(name, i)
			r = c.setSecret(name, s.value)
		}
		reqCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		a := r.send(reqCtx, client)
		cancel()
		if a.err != nil && strings.Contains(a.err.Error(), "connection refused") {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		c.ledger.heard(a, "call "+name, s.value != "")
		if s.value != "" {
			s.set = outcomeOf(a)
			c.ledger.keep(name, s)
		}
		c.count(a)
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) // idle connections, too
	}
}

func (c *caller) count(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if a.err != nil || a.status >= 500 {
		c.broken++
		if len(c.errors) < 5 {
			c.errors = append(c.errors, a.String())
		}
	}
}

// outage stops all of etcd for some time, and starts it again.
func outage(long time.Duration) func(context.Context, *suite, *report) error {
	return func(ctx context.Context, s *suite, r *report) error {
		l, err := s.cluster(ctx)
		defer l.close()
		if err != nil {
			return err
		}
		w, err := l.startLoad(ctx)
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		for _, m := range l.etcd.members {
			m.p.kill()
		}
		time.Sleep(long)
		p := startProbes(ctx, append(l.surfaces(), l.writers()...)...)
		for _, m := range l.etcd.members {
			if err := l.etcd.start(m); err != nil {
				return err
			}
		}
		back, err := l.etcd.back(ctx, time.Minute)
		if err != nil {
			return err
		}
		p.settle(back, 8*time.Second)
		p.stop()
		l.recovered(r, back, p.all, s.limit(4*time.Second, 2*time.Second))
		return w.judge(ctx, r)
	}
}

// limit is a time that is judged: the short form runs beside other things.
func (s *suite) limit(short, long time.Duration) time.Duration {
	if s.short {
		return short
	}
	return long
}

// recovered judges how long after etcd all surfaces of all servers were back.
func (l *lab) recovered(r *report, back time.Time, all []*probe, limit time.Duration) {
	var slowest time.Duration
	which := ""
	for _, p := range all {
		after, ok := p.backAfter(back)
		if !ok {
			r.check(false, "%s is not back %s after etcd: %v", p.name, round(time.Since(back)), p.last)
			continue
		}
		if after >= slowest {
			slowest, which = after, p.name
		}
	}
	r.check(slowest <= limit, "all back %s after etcd (want ≤ %s; last: %s)", round(slowest), limit, which)
}
