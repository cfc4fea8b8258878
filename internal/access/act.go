package access

import (
	"context"
	"maps"
	"strings"
	"sync"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/store"
)

// act is what the gate has let a request begin, until it is known how it ended.
// It is the Act of an obs.Request.
type act struct {
	mu      sync.Mutex
	records []audit.Record // of the decisions; guarded by mu
	changes []audit.Change // guarded by mu
	ended   bool           // guarded by mu
}

// writes says whether an action of the control plane may change something.
func writes(action string) bool {
	parts := strings.Split(strings.ToLower(action), "/")
	last := parts[len(parts)-1]
	lists := last == "action" && len(parts) > 1 && strings.HasPrefix(parts[len(parts)-2], "list")
	return last != "read" && !lists
}

// begin remembers the record of a write that may go on.
func begin(q *obs.Request, r *audit.Record) {
	a, ok := q.Act.(*act)
	if !ok {
		a = &act{}
		q.Act = a
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records = append(a.records, *r)
}

// Finish records how a request ended that Check had let begin a write: what it
// changed, and the answer's status and wire code. For other requests it does
// nothing. Without the record there must be no answer.
func (g *Gate) Finish(ctx context.Context, status int, code string) error {
	a, ok := obs.RequestFrom(ctx).Act.(*act)
	if !ok {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return nil
	}
	a.ended = true
	for i := range a.records {
		r := a.records[i]
		r.Outcome = &audit.Outcome{Status: status, Code: code}
		if i == len(a.records)-1 {
			r.Changes = a.changes
		}
		if err := g.Exchange(context.WithoutCancel(ctx), &r); err != nil {
			return apierr.Wrap(err, apierr.Unavailable, "The audit record could not be written. Whether the change was made is to be looked at.")
		}
	}
	return nil
}

// maxObserved is how many changed objects a request's record counts.
const maxObserved = 200

// Observe is the store's Observe: it notes what a commit changes for the record
// of the request that makes it.
func Observe(ctx context.Context, v *store.View, ops []store.Op) (undo func()) {
	a, ok := obs.RequestFrom(ctx).Act.(*act)
	if !ok {
		return nil
	}
	var made []audit.Change
	for _, op := range ops {
		switch {
		case op.Check:
		case op.Tree:
			for e := range v.Prefix(op.Key, "") {
				if len(made) >= maxObserved {
					break
				}
				made = append(made, change(e.Value, nil))
			}
		case op.Value != nil:
			var before model.Object
			if op.Rev != 0 { // otherwise there is none, or the write is refused
				if e := v.Get(op.Value.Key()); e != nil {
					before = e.Value
				}
			}
			made = append(made, change(before, op.Value))
		default:
			if e := v.Get(op.Key); e != nil {
				made = append(made, change(e.Value, nil))
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return nil
	}
	n := len(a.changes)
	a.changes = append(a.changes, made[:min(len(made), max(0, maxObserved-n))]...)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.changes = a.changes[:n]
	}
}

// change describes an object before and after; either may be nil.
func change(before, after model.Object) audit.Change {
	c := audit.Change{}
	for _, o := range []model.Object{before, after} {
		if o == nil {
			continue
		}
		c.Object, c.Kind = o.Key(), string(o.Kind())
		if r, ok := o.(interface{ Common() *model.Resource }); ok && r.Common().ID != "" {
			c.Object = r.Common().ID
		}
	}
	if before != nil {
		c.Before = describe(before)
	}
	if after != nil {
		c.After = describe(after)
	}
	if _, ok := after.(*model.Vault); ok && before != nil {
		dropSame(c.Before, c.After)
	}
	return c
}

// dropSame leaves of a vault's policies those that differ: there may be hundreds.
func dropSame(before, after map[string]string) {
	maps.DeleteFunc(before, func(k, v string) bool {
		if now, ok := after[k]; ok && now == v && strings.HasPrefix(k, "policy ") {
			delete(after, k)
			return true
		}
		return false
	})
}
