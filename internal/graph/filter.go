package graph

import (
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
)

// term is one comparison of a $filter; terms are joined by "and".
type term struct {
	field  string // lower case
	prefix bool   // startswith; otherwise eq
	any    bool   // FIELD/any(x:x eq 'VALUE')
	value  string
}

const (
	maxFilter = 2048
	maxTerms  = 16
)

// parseFilter reads the subset of $filter that clients of the directory send:
// FIELD eq 'X', startswith(FIELD,'X') and FIELD/any(x:x eq 'X'), joined by
// "and". What it does not know it refuses: a filter that is half understood
// would find the wrong principal.
// https://learn.microsoft.com/graph/filter-query-parameter
func parseFilter(s string) ([]term, error) {
	if len(s) > maxFilter {
		return nil, badFilter("it is longer than %d bytes", maxFilter)
	}
	p := filterParser{rest: s}
	p.space()
	if p.rest == "" {
		return nil, nil
	}
	var terms []term
	for {
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		if terms = append(terms, t); len(terms) > maxTerms {
			return nil, badFilter("it has more than %d terms", maxTerms)
		}
		if !p.space() && p.rest != "" {
			return nil, badFilter("there is something behind a term: %.40q", p.rest)
		}
		if p.rest == "" {
			return terms, nil
		}
		if !strings.EqualFold(p.word(), "and") || !p.space() {
			return nil, badFilter("terms can only be joined by 'and'")
		}
	}
}

func badFilter(format string, args ...any) error {
	return fail(unsupportedQuery, "Invalid or unsupported filter clause: "+format+".", args...)
}

// filterParser consumes rest from the left.
type filterParser struct{ rest string }

func (p *filterParser) term() (t term, err error) {
	word := p.word()
	switch {
	case word == "":
		return t, badFilter("a property is missing")
	case strings.EqualFold(word, "startswith") && p.take("("):
		return p.startsWith()
	}
	t.field = strings.ToLower(word)
	if p.take("/") {
		return t, p.anyOf(&t)
	}
	return t, p.equals(&t)
}

// equals reads " eq 'X'".
func (p *filterParser) equals(t *term) error {
	if !p.space() || !strings.EqualFold(p.word(), "eq") || !p.space() {
		return badFilter("'eq' is the only comparison")
	}
	return p.literal(t)
}

// startsWith reads "FIELD,'X')".
func (p *filterParser) startsWith() (term, error) {
	p.space()
	t := term{field: strings.ToLower(p.word()), prefix: true}
	p.space()
	if t.field == "" || !p.take(",") {
		return t, badFilter("startswith takes a property and a text")
	}
	p.space()
	if err := p.literal(&t); err != nil {
		return t, err
	}
	p.space()
	if !p.take(")") {
		return t, badFilter("a closing parenthesis is missing")
	}
	return t, nil
}

// anyOf reads "any(x:x eq 'X')".
func (p *filterParser) anyOf(t *term) error {
	t.any = true
	if !strings.EqualFold(p.word(), "any") || !p.take("(") {
		return badFilter("'any' is the only function of a collection")
	}
	p.space()
	variable := p.word()
	p.space()
	if variable == "" || !p.take(":") {
		return badFilter("'any' takes a variable and a comparison")
	}
	p.space()
	if p.word() != variable {
		return badFilter("'any' compares something else than its variable")
	}
	if err := p.equals(t); err != nil {
		return err
	}
	p.space()
	if !p.take(")") {
		return badFilter("a closing parenthesis is missing")
	}
	return nil
}

// literal reads a quoted text, in which a quote is written twice.
func (p *filterParser) literal(t *term) error {
	if !p.take("'") {
		return badFilter("a value must be in single quotes")
	}
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(p.rest, "'")
		if !ok {
			return badFilter("a closing quote is missing")
		}
		b.WriteString(before)
		p.rest = after
		if !p.take("'") {
			t.value = b.String()
			return nil
		}
		b.WriteByte('\'')
	}
}

// space skips blanks, and says whether there were any.
func (p *filterParser) space() bool {
	before := len(p.rest)
	p.rest = strings.TrimLeft(p.rest, " ")
	return len(p.rest) < before
}

func (p *filterParser) word() string {
	n := 0
	for n < len(p.rest) && p.rest[n]|0x20 >= 'a' && p.rest[n]|0x20 <= 'z' {
		n++
	}
	w := p.rest[:n]
	p.rest = p.rest[n:]
	return w
}

func (p *filterParser) take(s string) bool {
	rest, ok := strings.CutPrefix(p.rest, s)
	p.rest = rest
	return ok
}

// field is how a property is compared: a text, or a collection of texts.
type field struct {
	exact bool // letter case counts
	text  func(o model.Object) string
	list  func(o model.Object) []string
}

// fields are the properties that a collection can be filtered by, in lower case.
type fields map[string]field

// check refuses what the collection cannot be filtered by.
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
