package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// report is what one row found.
type report struct {
	name       string
	began      time.Time
	writes     int
	counts     map[string]int // faults, by kind
	histories  int            // checked
	undecided  int            // histories that were too long to check
	figures    []string
	bad        []string
	skipped    string // why the row did not run
	examples   []string
	judgedLoad bool
}

// add takes over what a load's ledger says.
func (r *report) add(l *ledger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.judgedLoad = true
	r.writes += l.writes
	for _, k := range kinds {
		r.counts[k] += l.faults[k]
		if l.faults[k] > 0 {
			r.bad = append(r.bad, fmt.Sprintf("%d %s, want 0", l.faults[k], k))
		}
	}
	r.examples = append(r.examples, l.examples...)
	if l.writes == 0 {
		r.bad = append(r.bad, "nothing was acknowledged: the row judged nothing")
	}
}

// figure notes something that was measured and is not judged.
func (r *report) figure(format string, args ...any) {
	r.figures = append(r.figures, fmt.Sprintf(format, args...))
}

// check notes something that was measured and must be so.
func (r *report) check(ok bool, format string, args ...any) {
	r.figure(format, args...)
	if !ok {
		r.bad = append(r.bad, fmt.Sprintf(format, args...))
	}
}

// example keeps what a person needs to understand a red row.
func (r *report) example(format string, args ...any) {
	if len(r.examples) < 20 {
		r.examples = append(r.examples, fmt.Sprintf(format, args...))
	}
}

func (r *report) ok() bool { return len(r.bad) == 0 }

// line is a row of the table: a name, seven counts and a count of writes, a verdict, words.
const line = "%-34s %8s %5s %5s %7s %5s %6s %6s %7s  %-7s %s\n"

func printHead(w io.Writer) {
	fmt.Fprintf(w, line, "fault", "writes", "lost", "risen", "foreign", "wrong", "unlin.", "unrec.", "refused", "", "figures")
}

// print writes the report's row of the table.
func (r *report) print(w io.Writer) {
	verdict := "ok"
	switch {
	case r.skipped != "":
		verdict = "NOT RUN"
	case !r.ok():
		verdict = "RED"
	}
	cells := []any{r.name, "-"}
	if r.judgedLoad {
		cells[1] = fmt.Sprint(r.writes)
	}
	for _, k := range kinds {
		cell := "-"
		if r.judgedLoad {
			cell = fmt.Sprint(r.counts[k])
		}
		cells = append(cells, cell)
	}
	notes := strings.Join(append(r.figures, r.skipped), "; ")
	fmt.Fprintf(w, line, append(cells, verdict, strings.Trim(notes, "; "))...)
}

// printFaults says of each red row why, and of all that did not run.
func printFaults(w io.Writer, reports []*report) {
	for _, r := range reports {
		if r.skipped != "" {
			fmt.Fprintf(w, "\n*** NOT RUN: %s\n*** %s\n", r.name, r.skipped)
		}
		if r.ok() {
			continue
		}
		fmt.Fprintf(w, "\nRED: %s\n", r.name)
		for _, b := range r.bad {
			fmt.Fprintf(w, "  %s\n", b)
		}
		for _, e := range r.examples {
			fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(strings.TrimSpace(e), "\n", "\n      "))
		}
	}
}
