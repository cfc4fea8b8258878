package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// ledger has what was acknowledged, to be held against what is there afterwards.
type ledger struct {
	mu       sync.Mutex
	writes   int                // acknowledged; guarded by mu
	answered map[string]string  // request id of each audited success, and what it was; guarded by mu
	own      map[string]*secret // by name; guarded by mu
	faults   map[string]int     // counts by kind; guarded by mu
	examples []string           // the first few faults; guarded by mu
}

// secret is a name that one worker alone writes, once, and perhaps deletes.
type secret struct {
	value    string
	set, del outcome // empty: not asked for
}

func newLedger() *ledger {
	return &ledger{answered: map[string]string{}, own: map[string]*secret{}, faults: map[string]int{}}
}

// Kinds of faults that no run may have.
const (
	lost       = "lost"       // acknowledged and not there
	risen      = "risen"      // deleted and back
	foreign    = "foreign"    // a value that nobody wrote
	wrong      = "wrong"      // another name's value, or a right that had ended
	impossible = "impossible" // a history that no register has
	unrecorded = "unrecorded" // acknowledged without an audit record
	refused    = "refused"    // a right that was acknowledged did not work elsewhere
)

var kinds = []string{lost, risen, foreign, wrong, impossible, unrecorded, refused}

func (l *ledger) fault(kind, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults[kind]++
	if len(l.examples) < 20 {
		l.examples = append(l.examples, kind+": "+fmt.Sprintf(format, args...))
	}
}

// heard notes a success that must have an audit record.
func (l *ledger) heard(a answer, what string, write bool) {
	if !a.ok() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered[a.id] = what
	if write {
		l.writes++
	}
}

// value is what is stored under a name: it says whose it is.
func value(name string, n int) string { return fmt.Sprintf("lanyard-faults/%s/%d", name, n) }

// judgeValue holds a value that was read under name against what may be there.
func (l *ledger) judgeValue(name, got string) {
	rest, ours := strings.CutPrefix(got, "lanyard-faults/")
	whose, _, _ := strings.Cut(rest, "/")
	if !ours {
		l.fault(foreign, "%s has %q", name, got)
	} else if whose != name {
		l.fault(wrong, "%s has %q", name, got)
	}
}

// judgeOwn holds an answer to a get at the end against what was acknowledged.
func (l *ledger) judgeOwn(name string, s secret, a answer) {
	switch out := outcomeOf(a); {
	case out == unknown:
		l.fault(lost, "%s cannot be read at the end: %s", name, a)
	case out == missing && s.set == done && s.del == "":
		l.fault(lost, "%s is not there", name)
	case out == done && s.del == done:
		l.fault(risen, "%s was deleted", name)
	case out == done:
		got := secretValue(a)
		l.judgeValue(name, got)
		if got != s.value {
			l.fault(wrong, "%s has %q, want %q", name, got, s.value)
		}
	}
}

// judgeAudit looks for the record of each answer in the servers' audit files.
func (l *ledger) judgeAudit(nodes []*node) error {
	granted := map[string]bool{}
	for _, n := range nodes {
		files, err := filepath.Glob(filepath.Join(n.dir, "audit", "*.jsonl"))
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := readAudit(f, granted); err != nil {
				return err
			}
		}
	}
	for id, what := range l.answered {
		if !granted[id] {
			l.fault(unrecorded, "%s, request %s", what, id)
		}
	}
	return nil
}

// readAudit adds the ids of decisions that granted something.
func readAudit(file string, granted map[string]bool) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(b) {
		var r struct {
			ID      string `json:"id"`
			Granted bool   `json:"granted"`
		}
		if json.Unmarshal(line, &r) != nil {
			continue // cut by a kill
		}
		if r.Granted {
			granted[r.ID] = true
		}
	}
	return nil
}
