package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// probe asks one thing at a steady pace, whether earlier ones were answered or not, so
// that a second of silence counts as much as a second of answers.
type probe struct {
	name string
	ask  func(context.Context) error

	mu      sync.Mutex
	samples []sample // by their beginning; guarded by mu
	last    error    // of a sample that failed; guarded by mu
}

type sample struct {
	began time.Time
	took  time.Duration
	ok    bool // within answerLimit
}

const (
	// answerLimit is how long an answer may take to count as one.
	answerLimit = time.Second
	probeEvery  = 50 * time.Millisecond
)

// probes run together until they are stopped.
type probes struct {
	all    []*probe
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

func startProbes(ctx context.Context, all ...*probe) *probes {
	p := &probes{all: all}
	ctx, p.cancel = context.WithCancel(ctx)
	for _, one := range all {
		p.wait.Go(func() {
			tick := time.NewTicker(probeEvery)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					p.wait.Go(func() { one.once(ctx) })
				}
			}
		})
	}
	return p
}

func (p *probes) stop() {
	p.cancel()
	p.wait.Wait()
	for _, one := range p.all {
		one.order()
	}
}

func (p *probe) order() {
	slices.SortFunc(p.samples, func(a, b sample) int { return a.began.Compare(b.began) })
}

// settle waits until every probe is answered again after t, and a second more, so that
// a quick recovery takes no long row; at most limit.
func (p *probes) settle(t time.Time, limit time.Duration) {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(probeEvery) {
		if !slices.ContainsFunc(p.all, func(one *probe) bool { return !one.isBack(t) }) {
			time.Sleep(min(time.Second, time.Until(deadline)))
			return
		}
	}
}

func (p *probe) isBack(t time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.order()
	_, ok := p.backAfter(t)
	return ok
}

func (p *probe) once(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerLimit)
	defer cancel()
	s := sample{began: time.Now()}
	err := p.ask(ctx)
	s.took, s.ok = time.Since(s.began), err == nil
	p.mu.Lock()
	defer p.mu.Unlock()
	p.samples = append(p.samples, s)
	if err != nil {
		p.last = err
	}
}

// share is the percentage that was answered of what was asked in a time.
func share(from, to time.Time, all ...*probe) float64 {
	var n, ok int
	for _, p := range all {
		for _, s := range p.samples {
			if !s.began.Before(from) && s.began.Before(to) {
				n++
				if s.ok {
					ok++
				}
			}
		}
	}
	if n == 0 {
		return 0
	}
	return 100 * float64(ok) / float64(n)
}

// steady is how many answers one after the other mean that a thing is back.
const steady = 5

// backAfter is how long after t the probe was answered again, and again after that.
func (p *probe) backAfter(t time.Time) (time.Duration, bool) {
	run := 0
	for i, s := range p.samples {
		if s.began.Before(t) {
			continue
		}
		if run++; !s.ok {
			run = 0
		}
		if run == steady {
			first := p.samples[i-steady+1]
			return first.began.Add(first.took).Sub(t), true
		}
	}
	return 0, false
}

// downAfter is how long the probe was not answered, counted from the first request
// after t that failed. It is 0 when none did.
func (p *probe) downAfter(t time.Time) (time.Duration, bool) {
	for _, s := range p.samples {
		if !s.began.Before(t) && !s.ok {
			back, ok := p.backAfter(s.began)
			return back, ok
		}
	}
	return 0, true
}

// surface asks a server one thing that needs etcd, or the store in memory.
func (l *lab) surface(n *node, name string, r request) *probe {
	return &probe{name: name + " " + n.name, ask: func(ctx context.Context) error {
		if a := r.send(ctx, n.http); !a.ok() {
			return errors.New(a.String())
		}
		return nil
	}}
}

// surfaces are a request of each kind, to each server.
func (l *lab) surfaces() []*probe {
	var all []*probe
	for _, n := range l.nodes {
		all = append(all,
			l.surface(n, "token", l.secretForm(armURL)),
			l.surface(n, "vault", l.secret("GET", vaultName, "/secrets/shared/", "")),
			l.surface(n, "arm", request{method: "GET", url: l.group + "?api-version=2021-04-01", token: l.arm}),
			l.surface(n, "graph", request{method: "GET", url: graphURL + "/v1.0/applications", token: l.graph}))
	}
	return all
}

// writers set a secret on each server.
func (l *lab) writers() []*probe {
	var all []*probe
	for _, n := range l.nodes {
		all = append(all, l.writer(n))
	}
	return all
}

// writer sets one of many names: writes of one name would get into each other's way.
func (l *lab) writer(n *node) *probe {
	var count atomic.Int64
	return &probe{name: "write " + n.name, ask: func(ctx context.Context) error {
		i := int(count.Add(1))
		name := fmt.Sprintf("probe-%s-%d", n.name, i%100)
		if a := l.setSecret(name, value(name, i)).send(ctx, n.http); !a.ok() {
			return errors.New(a.String())
		}
		return nil
	}}
}

// readers get a secret on each server.
func (l *lab) readers() []*probe {
	var all []*probe
	for _, n := range l.nodes {
		all = append(all, l.surface(n, "read", l.secret("GET", vaultName, "/secrets/shared/", "")))
	}
	return all
}

// rawProbes are the bound: the same paces with a plain client of etcd.
func (e *etcd) rawProbes() (read, write *probe) {
	read = &probe{name: "etcd read", ask: func(ctx context.Context) error {
		_, err := e.raw.Get(ctx, "probe")
		return err
	}}
	write = &probe{name: "etcd write", ask: func(ctx context.Context) error {
		_, err := e.raw.Put(ctx, "probe", "x")
		return err
	}}
	return read, write
}
