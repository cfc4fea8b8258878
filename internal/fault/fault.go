package fault

import (
	"errors"
	"fmt"
)

// hinted is an error with the next thing to try.
type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// WithHint says what to do about err; nil stays nil.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, hint}
}

// Hint is the outermost hint of an error, and "" when it has none.
func Hint(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	return ""
}

// Parts are the errors that one was joined of, each for a line of its own. Words
// around a joined error keep it whole.
func Parts(err error) []error {
	switch e := err.(type) { // not As: a wrapped list has words around it
	case *hinted:
		return Parts(e.err)
	case interface{ Unwrap() []error }:
		var all []error
		for _, part := range e.Unwrap() {
			all = append(all, Parts(part)...)
		}
		return all
	}
	return []error{err}
}

// absence is an error because something is not there.
type absence struct{ error }

// Absent words what is not there.
func Absent(format string, args ...any) error { return absence{fmt.Errorf(format, args...)} }

// IsAbsent says whether an error is about something that is not there.
func IsAbsent(err error) bool {
	_, ok := errors.AsType[absence](err)
	return ok
}
