package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"sync"
	"time"
)

// sealed is how many secrets a row has that must stay readable.
const sealed = 40

// sealCut cuts `lanyard seal rotate` or `rekey` on a stopped server at many points: the
// server starts with the key file that is there, and every secret can be read.
func sealCut(verb string) func(context.Context, *suite, *report) error {
	return func(ctx context.Context, s *suite, r *report) error {
		l, err := s.single(ctx)
		defer l.close()
		if err != nil {
			return err
		}
		if err := l.fill(ctx); err != nil {
			return err
		}
		n := l.nodes[0]
		if err := n.stop(startLimit); err != nil {
			return err
		}
		began := time.Now()
		if out, err := n.run(ctx, "seal", verb); err != nil {
			return fmt.Errorf("seal %s: %w: %s", verb, err, out)
		}
		takes := time.Since(began)
		points := s.rounds(5, 100)
		for range points {
			at := time.Duration(rand.Float64() * 1.1 * float64(takes))
			if err := l.cutSeal(ctx, verb, at); err != nil {
				r.check(false, "cut after %s: %v", round(at), err)
				return nil // the store is spoilt for further points
			}
		}
		r.figure("%d cuts, %d secrets read after each; it takes %s", points, sealed, round(takes))
		return nil
	}
}

func (l *lab) cutSeal(ctx context.Context, verb string, at time.Duration) error {
	n := l.nodes[0]
	cmd := exec.Command(n.program, "seal", verb, "--data-dir", n.dir)
	cmd.Env = n.command().Env
	p, err := l.sp.start(cmd)
	if err != nil {
		return err
	}
	time.Sleep(at)
	p.kill()
	if err := n.start(); err != nil {
		return err
	}
	if err := l.readAll(ctx, n); err != nil {
		return err
	}
	return n.stop(startLimit)
}

// fill sets what must stay readable.
func (l *lab) fill(ctx context.Context) error {
	for i := range sealed {
		name := fmt.Sprintf("sealed-%d", i)
		if err := l.setSecret(name, value(name, i)).send(ctx, l.nodes[0].http).in(new(any)); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) readAll(ctx context.Context, n *node) error {
	n.http.CloseIdleConnections()
	for i := range sealed {
		name := fmt.Sprintf("sealed-%d", i)
		a := l.getSecret(name).send(ctx, n.http)
		if got := secretValue(a); got != value(name, i) {
			return fmt.Errorf("%s is %q: %s", name, got, a)
		}
	}
	return nil
}

// sealCutExternal cuts `lanyard seal rotate` while two servers run on the store.
func sealCutExternal(ctx context.Context, s *suite, r *report) error {
	l, w, err := s.loaded(ctx)
	defer l.close()
	if err != nil {
		return err
	}
	if err := l.fill(ctx); err != nil {
		return err
	}
	n := l.nodes[0]
	args := []string{"seal", "rotate"}
	for _, e := range l.etcd.endpoints() {
		args = append(args, "--etcd-endpoints", e)
	}
	began := time.Now()
	if out, err := n.run(ctx, args...); err != nil {
		return fmt.Errorf("seal rotate: %w: %s", err, out)
	}
	takes := time.Since(began)
	points := s.rounds(5, 20)
	for range points {
		cmd := exec.Command(n.program, append(args, "--data-dir", n.dir)...)
		cmd.Env = n.command().Env
		p, err := s.sp.start(cmd)
		if err != nil {
			return err
		}
		at := time.Duration(rand.Float64() * 1.1 * float64(takes))
		time.Sleep(at)
		p.kill()
		for _, n := range l.nodes {
			if err := l.readAll(ctx, n); err != nil {
				r.check(false, "cut after %s, server %s: %v", round(at), n.name, err)
			}
		}
	}
	r.figure("%d cuts while two servers ran; it takes %s", points, round(takes))
	return w.judge(ctx, r)
}

// keysCut kills a server while it rotates the signing keys: tokens of before stay good,
// and new ones are, on every server.
func keysCut(ctx context.Context, s *suite, r *report) error {
	l, err := s.cluster(ctx)
	defer l.close()
	if err != nil {
		return err
	}
	before := l.arm
	rotate := request{method: "POST", url: armURL + "/providers/Lanyard.Trust/signingKeys/rotate?api-version=2026-11-01", token: l.arm}
	points := s.rounds(5, 100)
	for i := range points {
		n := l.nodes[i%2]
		var wait sync.WaitGroup
		wait.Go(func() { rotate.send(ctx, n.http) })
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		n.p.kill()
		wait.Wait()
		if err := n.start(); err != nil {
			return err
		}
		for _, signs := range l.nodes {
			if err := l.signIn(ctx, signs.http); err != nil {
				r.check(false, "cut %d: server %s signs no tokens: %v", i, signs.name, err)
				return nil
			}
			for _, n := range l.nodes {
				for when, token := range map[string]string{"before": before, "after": l.arm} {
					a := request{method: "GET", url: l.group + "?api-version=2021-04-01", token: token}.send(ctx, n.http)
					r.keep(a.ok(), "cut %d: server %s, a token of %s: %s", i, n.name, when, a)
				}
			}
		}
	}
	r.figure("%d cuts; tokens of before and after are good on both servers", points)
	return nil
}

// fresh uses credentials on another server at once after their PUT, while strangers
// are refused there, as many as can be.
func fresh(ctx context.Context, s *suite, r *report) error {
	l, err := s.cluster(ctx)
	defer l.close()
	if err != nil {
		return err
	}
	id, err := l.newIdentity(ctx, "victim")
	if err != nil {
		return err
	}
	w, err := l.startLoad(ctx)
	if err != nil {
		return err
	}
	ctx2, cancel := context.WithTimeout(ctx, s.limit(6*time.Second, 30*time.Second))
	defer cancel()
	var wait sync.WaitGroup
	var mu sync.Mutex
	strangers := map[int]int{}
	for i := range 8 {
		stranger, err := l.exchangeForm(id.client, fmt.Sprintf("stranger-%d", i))
		if err != nil {
			return err
		}
		n := l.nodes[i%2]
		client := httpClient(n.addr, l.ca, false)
		defer client.CloseIdleConnections()
		wait.Go(func() {
			for ctx2.Err() == nil {
				a := stranger.send(ctx, client)
				mu.Lock()
				strangers[a.status]++
				mu.Unlock()
				time.Sleep(4 * pause)
			}
		})
	}
	wait.Wait()
	r.check(strangers[http.StatusOK] == 0, "strangers: %d refused, %d let in", strangers[400]+strangers[401]+strangers[429], strangers[200])
	if others := strangers[0] + strangers[503]; others > 0 {
		r.figure("%d not answered", others)
	}
	return w.judge(ctx, r)
}
