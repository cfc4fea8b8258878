package arm

import (
	"strings"
)

// term is one part of an OData $filter: "name eq 'x'", "atScope()" or
// "assignedTo('x')". Terms are joined by "and".
// https://docs.oasis-open.org/odata/odata/v4.01/odata-v4.01-part2-url-conventions.html
type term struct {
	name  string // of the field or function, lower case
	value string // literal
	call  bool   // a function
}

const (
	maxFilter = 2048
	maxTerms  = 16
)

// parseFilter reads the subset of $filter that management clients send.
func parseFilter(s string) ([]term, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	if len(s) > maxFilter {
		return nil, badFilter("it is longer than %d characters", maxFilter)
	}
	p := filterParser{rest: s}
	var terms []term
	for {
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		if terms = append(terms, t); len(terms) > maxTerms {
			return nil, badFilter("it has more than %d terms", maxTerms)
		}
		p.space()
		if p.rest == "" {
			return terms, nil
		}
		if word := p.word(); !strings.EqualFold(word, "and") {
			return nil, badFilter("terms can only be joined by 'and'")
		}
	}
}

func badFilter(format string, args ...any) error {
	return fail(invalidFilter, "Invalid $filter in the query string: "+format+".", args...)
}

// filterParser consumes rest from the left.
type filterParser struct{ rest string }

func (p *filterParser) term() (term, error) {
	p.space()
	name := p.word()
	if name == "" {
		return term{}, badFilter("a field or a function is missing")
	}
	t := term{name: strings.ToLower(name)}
	if p.take("(") {
		t.call = true
		p.space()
		if !p.take(")") {
			if err := p.literal(&t); err != nil {
				return term{}, err
			}
			p.space()
			if !p.take(")") {
				return term{}, badFilter("a closing parenthesis is missing")
			}
		}
		return t, nil
	}
	p.space()
	if op := p.word(); !strings.EqualFold(op, "eq") {
		return term{}, badFilter("'eq' is the only comparison")
	}
	p.space()
	return t, p.literal(&t)
}

// literal reads a quoted string, in which a quote is written twice.
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

func (p *filterParser) space() { p.rest = strings.TrimLeft(p.rest, " \t") }

func (p *filterParser) word() string {
	n := 0
	for n < len(p.rest) && (p.rest[n]|0x20 >= 'a' && p.rest[n]|0x20 <= 'z' || p.rest[n] == '/' && n > 0) {
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

// filter is the call's $filter.
func (c *call) filter() ([]term, error) { return parseFilter(parameter(c.query, "$filter")) }
