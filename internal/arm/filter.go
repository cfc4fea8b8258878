package arm

import (
	"errors"
	"strings"

	"github.com/lanyard-io/lanyard/internal/odata"
)

// term is one part of a $filter: "name eq 'x'", "atScope()" or "assignedTo('x')".
type term struct {
	name  string // of the field or function, lower case
	value string // literal
	call  bool   // a function
}

// parseFilter reads the subset of $filter that management clients send.
func parseFilter(s string) ([]term, error) {
	terms, err := odata.Terms(s, readTerm)
	if err != nil {
		return nil, badFilter("%v", err)
	}
	return terms, nil
}

func badFilter(format string, args ...any) error {
	return fail(invalidFilter, "Invalid $filter in the query string: "+format+".", args...)
}

func readTerm(l *odata.Lexer) (t term, err error) {
	t.name = strings.ToLower(l.Path())
	if t.name == "" {
		return t, errors.New("a field or a function is missing")
	}
	if !l.Take("(") {
		t.value, err = l.Equals()
		return t, err
	}
	t.call = true
	if l.Space(); l.Take(")") {
		return t, nil
	}
	if t.value, err = l.Literal(); err != nil {
		return t, err
	}
	return t, l.Close()
}

// filter is the call's $filter.
func (c *call) filter() ([]term, error) { return parseFilter(parameter(c.query, "$filter")) }
