package main

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// keep notes what is known of a name that one worker alone writes.
func (l *ledger) keep(name string, s secret) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own[name] = &s
}

// settled are the names of secrets that must be listed, and those that must not: true
// and false.
func (l *ledger) settled() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := map[string]bool{}
	for name, s := range l.own {
		switch {
		case strings.HasPrefix(name, "credential "):
		case s.set == done && s.del == "" && !evenName(name):
			names[name] = true
		case s.del == done:
			names[name] = false
		}
	}
	return names
}

// evenName says whether the worker of a name is about to delete it.
func evenName(name string) bool { return strings.ContainsAny(name[len(name)-1:], "02468") }

func (l *ledger) judgeList(want map[string]bool, listed map[string]bool) {
	for name, there := range want {
		if there && !listed[name] {
			l.fault(lost, "%s is not listed", name)
		}
		if !there && listed[name] {
			l.fault(risen, "%s was deleted and is listed", name)
		}
	}
}

// names lists the secrets of the vault, page by page.
func (w *load) names(ctx context.Context, n *node, limit time.Duration) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	names := map[string]bool{}
	r := w.secret("GET", vaultName, "/secrets", "")
	for r.url != "" {
		a := r.send(ctx, n.http)
		var page struct {
			Value    []struct{ ID string }
			NextLink string
		}
		if err := a.in(&page); err != nil {
			return nil, err
		}
		for _, s := range page.Value {
			names[path.Base(s.ID)] = true
		}
		r.url = page.NextLink
	}
	return names, nil
}

// stop ends the workers.
func (w *load) stop() {
	w.cancel()
	w.wait.Wait()
}

// judge stops the load and holds all that was acknowledged against what is there now,
// on every server.
func (w *load) judge(ctx context.Context, r *report) error {
	w.stop()
	w.judgeNames(ctx)
	w.judgeShared(ctx, r)
	if err := w.judgeCredentials(ctx); err != nil {
		return err
	}
	for _, n := range w.nodes {
		names, err := w.names(ctx, n, time.Minute)
		if err != nil {
			return fmt.Errorf("listing at the end: %w", err)
		}
		w.ledger.judgeList(w.ledger.settled(), names)
	}
	if err := w.ledger.judgeAudit(w.nodes); err != nil {
		return err
	}
	r.add(w.ledger)
	return nil
}

// judgeNames reads every name that has one writer, and deletes none.
func (w *load) judgeNames(ctx context.Context) {
	names := slices.Sorted(maps.Keys(w.ledger.own))
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			for k := i; k < len(names); k += 4 {
				if name := names[k]; !strings.HasPrefix(name, "credential ") {
					a := w.getSecret(name).send(ctx, w.nodes[k%len(w.nodes)].http)
					w.ledger.judgeOwn(name, *w.ledger.own[name], a)
				}
			}
		})
	}
	wait.Wait()
}

// judgeShared reads every shared name once more, on each server, and checks the whole
// history.
func (w *load) judgeShared(ctx context.Context, r *report) {
	for _, s := range w.slots {
		for name, ops := range s.ops {
			for _, n := range w.nodes {
				call := time.Since(w.began).Nanoseconds()
				a := w.getSecret(name).send(ctx, n.http)
				out := result{outcome: outcomeOf(a)}
				if out.outcome == unknown {
					w.ledger.fault(lost, "%s cannot be read at the end: %s", name, a)
					continue
				}
				if out.outcome == done {
					out.value = secretValue(a)
					w.ledger.judgeValue(name, out.value)
				}
				ops = append(ops, porcupine.Operation{
					ClientId: 999, Input: input{verb: get}, Output: out, Call: call, Return: time.Since(w.began).Nanoseconds(),
				})
			}
			linearizable, decided := checkHistory(ops, 20*time.Second)
			if !linearizable {
				w.ledger.fault(impossible, "the history of %s:\n%s", name, describe(ops))
			}
			r.histories++
			if !decided {
				r.undecided++
			}
		}
	}
}

// judgeCredentials lists what the workers' identities trust at the end.
func (w *load) judgeCredentials(ctx context.Context) error {
	for _, who := range w.people {
		url := w.identityPath(who.name) + "/federatedIdentityCredentials?api-version=2023-01-31"
		there := map[string]bool{}
		for url != "" {
			var page struct {
				Value    []struct{ Name string }
				NextLink string
			}
			if err := (request{method: "GET", url: url, token: w.arm}).send(ctx, w.nodes[0].http).in(&page); err != nil {
				return fmt.Errorf("listing credentials at the end: %w", err)
			}
			for _, c := range page.Value {
				there[c.Name] = true
			}
			url = page.NextLink
		}
		if !there["stays"] {
			w.ledger.fault(lost, "the credential of %s", who.name)
		}
		for name := range there {
			if s := w.ledger.own["credential "+who.name+" "+name]; s != nil && s.del == done {
				w.ledger.fault(risen, "credential %s was deleted", name)
			}
		}
	}
	return nil
}
