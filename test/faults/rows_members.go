package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// breakage is a way to break one member; mend undoes it.
type breakage struct {
	leader bool // break the leader, not a follower
	do     func(*etcd, *member)
	mend   func(*etcd, *member)
}

var (
	frozen = breakage{
		do:   func(_ *etcd, m *member) { m.freeze() },
		mend: func(_ *etcd, m *member) { m.thaw() },
	}
	// cutOff leaves the member within its clients' reach.
	cutOff = breakage{
		do:   func(e *etcd, m *member) { e.net.isolate(m.ID()) },
		mend: func(e *etcd, _ *member) { e.net.heal() },
	}
	cutOffLeader = breakage{leader: true, do: cutOff.do, mend: cutOff.mend}
)

// Shares that are judged. The short form runs beside other things on busy machines, so
// there they only tell service from no service.
const (
	wantReads      = 99.0
	wantReadsShort = 80.0
	slack          = 1.0 // percent: as good as raw etcd
	slackShort     = 15.0
)

// memberDown breaks one of three members for a while: etcd goes on, and so must we.
func memberDown(b breakage) func(context.Context, *suite, *report) error {
	return func(ctx context.Context, s *suite, r *report) error {
		l, w, err := s.loaded(ctx)
		defer l.close()
		if err != nil {
			return err
		}
		m, err := l.etcd.follower(ctx)
		if b.leader {
			m, err = l.etcd.leader(ctx)
		}
		if err != nil {
			return err
		}
		rawRead, rawWrite := l.etcd.rawProbes()
		readers, writers := l.readers(), l.writers()
		p := startProbes(ctx, slices.Concat(readers, writers, []*probe{rawRead, rawWrite})...)
		time.Sleep(s.limit(time.Second, 2*time.Second))
		from := time.Now()
		b.do(l.etcd, m)
		time.Sleep(s.limit(5*time.Second, 20*time.Second))
		to := time.Now()
		b.mend(l.etcd, m)
		time.Sleep(s.limit(time.Second, 2*time.Second))
		p.stop()

		reads, writes := share(from, to, readers...), share(from, to, writers...)
		rawReads, rawWrites := share(from, to, rawRead), share(from, to, rawWrite)
		most, less := wantReads, slack
		if s.short {
			most, less = wantReadsShort, slackShort
		}
		if b.leader { // nobody answers before there is a new one
			most = min(most, rawReads-less)
		}
		r.check(reads >= most, "reads %.1f %% within 1 s (want ≥ %.1f; raw etcd %.1f)", reads, most, rawReads)
		r.check(writes >= rawWrites-less, "writes %.1f %% (raw etcd %.1f)", writes, rawWrites)
		l.lastErrors(r, append(readers, writers...))
		return w.judge(ctx, r)
	}
}

// lastErrors keeps what the probes were told, for red rows.
func (l *lab) lastErrors(r *report, all []*probe) {
	for _, p := range all {
		if p.last != nil {
			r.example("%s: %v", p.name, p.last)
		}
	}
}

// loaded is a cluster under load, up to speed.
func (s *suite) loaded(ctx context.Context, flags ...string) (*lab, *load, error) {
	l, err := s.cluster(ctx, flags...)
	if err != nil {
		return l, nil, err
	}
	w, err := l.startLoad(ctx)
	time.Sleep(time.Second)
	return l, w, err
}

// leaderKilled kills the leader some times: writes must be back about when a plain
// client's are.
func leaderKilled(ctx context.Context, s *suite, r *report) error {
	l, w, err := s.loaded(ctx)
	defer l.close()
	if err != nil {
		return err
	}
	var ours, raw time.Duration
	for i := range s.rounds(1, 10) {
		m, err := l.etcd.leader(ctx)
		if err != nil {
			return err
		}
		_, rawWrite := l.etcd.rawProbes()
		writers := l.writers()
		p := startProbes(ctx, append(writers, rawWrite)...)
		time.Sleep(500 * time.Millisecond)
		at := time.Now()
		m.p.kill()
		time.Sleep(s.limit(3*time.Second, 8*time.Second)) // longer than an election
		p.settle(at, s.limit(15*time.Second, 0))
		p.stop()
		if err := l.etcd.start(m); err != nil {
			return err
		}
		rawDown, ok := rawWrite.downAfter(at)
		if !ok {
			return fmt.Errorf("round %d: a plain client's writes are not back: %w", i, rawWrite.last)
		}
		raw += rawDown
		for _, one := range writers {
			down, ok := one.downAfter(at)
			r.keep(ok, "round %d: %s is not back after %s: %v", i, one.name, round(time.Since(at)), one.last)
			ours += down / time.Duration(len(writers))
		}
		if _, err := l.etcd.leader(ctx); err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // the member catches up
	}
	n := time.Duration(s.rounds(1, 10))
	ours, raw = ours/n, raw/n
	// A probe sees 50 ms steps and waits up to 1 s: a longer one is left to its factor.
	limit := raw*3/2 + 200*time.Millisecond
	if s.short {
		limit = raw*3/2 + 3*time.Second
	}
	r.check(ours <= limit, "writes back after %s on average (raw etcd %s, want ≤ %s)", round(ours), round(raw), round(limit))
	return w.judge(ctx, r)
}

// keep is a check that is worth a word only when it fails.
func (r *report) keep(ok bool, format string, args ...any) {
	if !ok {
		r.bad = append(r.bad, fmt.Sprintf(format, args...))
	}
}

// quorumLost freezes two of three members: nothing can be written, and nothing may be
// acknowledged that is not there when they are back.
func quorumLost(ctx context.Context, s *suite, r *report) error {
	l, w, err := s.loaded(ctx)
	defer l.close()
	if err != nil {
		return err
	}
	for range s.rounds(1, 5) {
		for _, m := range l.etcd.members[:2] {
			m.freeze()
		}
		time.Sleep(s.limit(5*time.Second, 12*time.Second))
		p := startProbes(ctx, append(l.surfaces(), l.writers()...)...)
		for _, m := range l.etcd.members[:2] {
			m.thaw()
		}
		back, err := l.etcd.back(ctx, time.Minute)
		if err != nil {
			return err
		}
		p.settle(back, 6*time.Second)
		p.stop()
		l.recovered(r, back, p.all, s.limit(5*time.Second, 2*time.Second))
	}
	return w.judge(ctx, r)
}
