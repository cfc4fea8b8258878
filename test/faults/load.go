package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// load is clients at work, while something is broken.
type load struct {
	*lab
	ledger *ledger
	cancel context.CancelFunc
	wait   sync.WaitGroup
	slots  []*slot
	people []identity // one for each worker of rights
}

const (
	// requestLimit is how long a worker waits for an answer.
	requestLimit = 2 * time.Second
	// pause after each request keeps the machine usable for the servers themselves.
	pause = 5 * time.Millisecond
)

// slot is a name that workers share; its history is checked.
type slot struct {
	mu         sync.Mutex
	generation int
	ops        map[string][]porcupine.Operation // by name; guarded by mu
	unknowns   int                              // of this generation; guarded by mu
}

// Limits of one name's history: checking costs much more with each request that
// nobody answered. The next generation has a name of its own.
const (
	maxOps      = 120
	maxUnknowns = 5
)

// startLoad starts workers of each kind. stop ends them.
func (l *lab) startLoad(ctx context.Context) (*load, error) {
	w := &load{lab: l, ledger: newLedger()}
	for i := range 4 {
		id, err := l.newIdentity(ctx, fmt.Sprintf("worker-%d", i))
		if err != nil {
			return nil, err
		}
		w.people = append(w.people, id)
	}
	if err := l.setSecret("shared", value("shared", 0)).send(ctx, l.nodes[0].http).in(new(any)); err != nil {
		return nil, err
	}
	shared := l.secret("PUT", rolesName, "/secrets/shared", text(map[string]string{"value": value("shared", 0)}))
	if err := shared.send(ctx, l.nodes[0].http).in(new(any)); err != nil {
		return nil, err
	}
	for range 3 {
		w.slots = append(w.slots, &slot{ops: map[string][]porcupine.Operation{}})
	}
	ctx, w.cancel = context.WithCancel(ctx)
	for i := range 4 {
		w.wait.Go(func() { w.shareNames(ctx, i) })
	}
	for i := range 2 {
		w.wait.Go(func() { w.ownNames(ctx, i) })
	}
	w.wait.Go(func() { w.list(ctx) })
	w.wait.Go(func() { w.credentials(ctx, w.people[0], "zero") })
	w.wait.Go(func() { w.credentials(ctx, w.people[1], "one") })
	w.wait.Go(func() { w.rights(ctx, w.people[2], w.role(w.people[2])) })
	w.wait.Go(func() { w.rights(ctx, w.people[3], w.policy(w.people[3])) })
	return w, nil
}

// ask sends a request to a server, and rests a little when it is not answered well.
func (w *load) ask(ctx context.Context, n *node, r request) answer {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
	defer cancel()
	a := r.send(ctx, n.http)
	time.Sleep(pause)
	if a.err != nil || a.status >= 429 {
		time.Sleep(10 * pause)
	}
	return a
}

func (w *load) any() *node { return w.nodes[rand.IntN(len(w.nodes))] }

// shareNames sets, gets, deletes and purges names that other workers use too.
func (w *load) shareNames(ctx context.Context, worker int) {
	for n := 0; ctx.Err() == nil; n++ {
		i := rand.IntN(len(w.slots))
		s := w.slots[i]
		s.mu.Lock()
		name := fmt.Sprintf("shared-%d-%d", i, s.generation)
		s.mu.Unlock()
		in := input{verb: get}
		switch p := rand.IntN(100); {
		case p < 35:
			in = input{verb: set, value: value(name, worker*1_000_000+n)}
		case p < 45:
			in.verb = del
		case p < 55:
			in.verb = purge
		}
		w.one(ctx, s, name, in, worker)
	}
}

// one is one request about a shared name, written into its history.
func (w *load) one(ctx context.Context, s *slot, name string, in input, worker int) {
	r := map[verb]request{
		set: w.setSecret(name, in.value), get: w.getSecret(name), del: w.deleteSecret(name), purge: w.purgeSecret(name),
	}[in.verb]
	call := time.Since(w.began).Nanoseconds()
	a := w.ask(ctx, w.any(), r)
	op := porcupine.Operation{ClientId: worker, Input: in, Call: call, Return: time.Since(w.began).Nanoseconds()}
	out := result{outcome: outcomeOf(a)}
	if in.verb == get && out.outcome == done {
		out.value = secretValue(a)
		w.ledger.judgeValue(name, out.value)
	}
	w.ledger.heard(a, string(in.verb)+" "+name, in.verb != get)
	op.Output = out
	s.mu.Lock()
	defer s.mu.Unlock()
	if out.outcome == unknown {
		if in.verb == get {
			return
		}
		s.unknowns++
		op.Return = time.Duration(1 << 62).Nanoseconds() // it may take effect at any time
		op.ClientId = 1000 + len(s.ops[name])            // its worker goes on
	}
	s.ops[name] = append(s.ops[name], op)
	if len(s.ops[name]) >= maxOps || s.unknowns >= maxUnknowns {
		s.generation, s.unknowns = s.generation+1, 0
	}
}

// ownNames sets names that nobody else does, and deletes half of them.
func (w *load) ownNames(ctx context.Context, worker int) {
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("own-%d-%d", worker, n)
		s := secret{value: value(name, n)}
		a := w.ask(ctx, w.any(), w.setSecret(name, s.value))
		w.ledger.heard(a, "set "+name, true)
		s.set = outcomeOf(a)
		w.ledger.keep(name, s)
		if s.set == done && n%2 == 0 {
			s.del = unknown
			w.ledger.keep(name, s)
			a := w.ask(ctx, w.any(), w.deleteSecret(name))
			w.ledger.heard(a, "delete "+name, true)
			s.del = outcomeOf(a)
			w.ledger.keep(name, s)
			if s.del == missing {
				w.ledger.fault(lost, "%s was not there to delete", name)
			}
		}
	}
}

// credentials makes one on a server and uses it on another at once.
func (w *load) credentials(ctx context.Context, who identity, tag string) {
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("fresh-%s-%d", tag, n)
		from := w.any()
		a := w.ask(ctx, from, w.credential("PUT", who.name, name, name))
		w.ledger.heard(a, "put credential "+name, true)
		if !a.ok() {
			continue
		}
		w.exchangeFresh(ctx, w.other(from), who, name)
		a = w.ask(ctx, w.any(), w.credential("DELETE", who.name, name, name))
		w.ledger.heard(a, "delete credential "+name, true)
		if a.status == 204 {
			w.ledger.fault(lost, "credential %s was not there to delete", name)
		}
		if a.ok() {
			w.ledger.keep("credential "+who.name+" "+name, secret{del: done})
		}
	}
}

// exchangeFresh uses a credential that was acknowledged a moment ago.
func (w *load) exchangeFresh(ctx context.Context, n *node, who identity, account string) {
	r, err := w.exchangeForm(who.client, account)
	if err != nil {
		w.ledger.fault(refused, "%v", err)
		return
	}
	a := w.ask(ctx, n, r)
	w.ledger.heard(a, "exchange of "+account, false)
	if a.err == nil && a.status/100 == 4 {
		w.ledger.fault(refused, "credential %s on server %s: %s", account, n.name, a)
	}
}

// right is one that can be given and taken, and a secret that it opens.
type right struct {
	give, take func() request
	vault      string
}

func (w *load) role(who identity) right {
	var scope string
	return right{
		vault: rolesName,
		give: func() request {
			scope = w.assignment(w.vaultPath(rolesName), uuid())
			return request{method: "PUT", url: scope, token: w.arm, body: text(w.assign(roleSecretsUser, who.principal))}
		},
		take: func() request { return request{method: "DELETE", url: scope, token: w.arm} },
	}
}

func (w *load) policy(who identity) right {
	change := func(verb string, secrets ...string) func() request {
		body := text(map[string]any{"properties": map[string]any{"accessPolicies": []any{policy(w.ID, who.principal, secrets...)}}})
		return func() request {
			return request{method: "PUT", url: w.vaultPath(vaultName) + "/accessPolicies/" + verb + "?api-version=2023-07-01", token: w.arm, body: body}
		}
	}
	return right{vault: vaultName, give: change("add", "get"), take: change("remove", "get")}
}

// rights gives a right on one server and uses it on another at once, and alike when it
// is taken.
func (w *load) rights(ctx context.Context, who identity, r right) {
	read := w.secret("GET", r.vault, "/secrets/shared/", "")
	read.token = who.token
	for ctx.Err() == nil {
		from := w.any()
		a := w.ask(ctx, from, r.give())
		w.ledger.heard(a, "give a right in "+r.vault, true)
		if a.ok() {
			a := w.ask(ctx, w.other(from), read)
			w.ledger.heard(a, "read by right in "+r.vault, false)
			if a.err == nil && a.status == 403 {
				w.ledger.fault(refused, "a right in %s on server %s: %s", r.vault, w.other(from).name, a)
			}
		}
		for taken := false; !taken; { // until it is certain: the next round gives it again
			from := w.any()
			a := w.ask(ctx, from, r.take())
			w.ledger.heard(a, "take a right in "+r.vault, true)
			if taken = a.ok(); taken {
				if a := w.ask(ctx, w.other(from), read); a.ok() {
					w.ledger.fault(wrong, "a right in %s that had ended, on server %s", r.vault, w.other(from).name)
				}
			}
			taken = taken || ctx.Err() != nil
		}
	}
}

// list lists names while they change: all that stay must be there.
func (w *load) list(ctx context.Context) {
	for ctx.Err() == nil {
		want := w.ledger.settled()
		names, err := w.names(ctx, w.any(), 2*time.Second)
		if err == nil {
			w.ledger.judgeList(want, names)
		}
		time.Sleep(10 * pause)
	}
}
