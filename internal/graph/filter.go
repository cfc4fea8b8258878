package graph

import (
	"errors"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/odata"
)

// term is one comparison of a $filter; terms are joined by "and".
type term struct {
	field  string // lower case
	prefix bool   // startswith; otherwise eq
	any    bool   // FIELD/any(x:x eq 'VALUE')
	value  string
}

// parseFilter reads the subset of $filter that clients of the directory send:
// FIELD eq 'X', startswith(FIELD,'X') and FIELD/any(x:x eq 'X'), joined by
// "and". It refuses all other words: a filter that is half understood would find the
// wrong principal.
// https://learn.microsoft.com/graph/filter-query-parameter
func parseFilter(s string) ([]term, error) {
	terms, err := odata.Terms(s, readTerm)
	if err != nil {
		return nil, badFilter("%v", err)
	}
	return terms, nil
}

func badFilter(format string, args ...any) error {
	return fail(unsupportedQuery, "Invalid or unsupported filter clause: "+format+".", args...)
}

func readTerm(l *odata.Lexer) (t term, err error) {
	word := l.Word()
	switch {
	case word == "":
		return t, errors.New("a property is missing")
	case strings.EqualFold(word, "startswith") && l.Take("("):
		return readStartsWith(l)
	}
	t.field = strings.ToLower(word)
	if l.Take("/") {
		return t, readAny(l, &t)
	}
	t.value, err = l.Equals()
	return t, err
}

// readStartsWith reads "FIELD,'X')".
func readStartsWith(l *odata.Lexer) (t term, err error) {
	l.Space()
	t.field, t.prefix = strings.ToLower(l.Word()), true
	if l.Space(); t.field == "" || !l.Take(",") {
		return t, errors.New("startswith takes a property and a text")
	}
	if t.value, err = l.Literal(); err != nil {
		return t, err
	}
	return t, l.Close()
}

// readAny reads "any(x:x eq 'X')".
func readAny(l *odata.Lexer, t *term) (err error) {
	t.any = true
	if !strings.EqualFold(l.Word(), "any") || !l.Take("(") {
		return errors.New("'any' is the only function of a collection")
	}
	l.Space()
	variable := l.Word()
	if l.Space(); variable == "" || !l.Take(":") {
		return errors.New("'any' takes a variable and a comparison")
	}
	if l.Space(); l.Word() != variable {
		return errors.New("'any' compares something else than its variable")
	}
	if t.value, err = l.Equals(); err != nil {
		return err
	}
	return l.Close()
}

// field compares one property: a text, or a collection of texts.
type field struct {
	exact bool // letter case counts
	text  func(o model.Object) string
	list  func(o model.Object) []string
}

// fields are the properties that a collection can be filtered by, in lower case.
type fields map[string]field

// check refuses properties that the collection cannot be filtered by.
func (f fields) check(terms []term) error {
	for _, t := range terms {
		known, ok := f[t.field]
		switch {
		case !ok:
			return badFilter("this collection cannot be filtered by '%.100s'", t.field)
		case (known.list != nil) != t.any:
			return badFilter("'%s' is a collection or not, and the filter says otherwise", t.field)
		}
	}
	return nil
}

// match says whether an object passes every term.
func (f fields) match(o model.Object, terms []term) bool {
	for i := range terms {
		t := &terms[i]
		known := f[t.field]
		passes := func(v string) bool { return t.passes(v, known.exact) }
		if known.list != nil && !slices.ContainsFunc(known.list(o), passes) || known.list == nil && !passes(known.text(o)) {
			return false
		}
	}
	return true
}

func (t *term) passes(v string, exact bool) bool {
	switch {
	case exact && t.prefix:
		return strings.HasPrefix(v, t.value)
	case exact:
		return v == t.value
	case t.prefix:
		return strings.HasPrefix(strings.ToLower(v), strings.ToLower(t.value))
	}
	return strings.EqualFold(v, t.value)
}
