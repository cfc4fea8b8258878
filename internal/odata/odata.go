package odata

import (
	"errors"
	"fmt"
	"strings"
)

const (
	maxFilter = 2048
	maxTerms  = 16
)

// Terms reads a filter whose terms are joined by "and". An error is a sentence for
// callers, without its begin and its full stop.
// https://docs.oasis-open.org/odata/odata/v4.01/odata-v4.01-part2-url-conventions.html
func Terms[T any](filter string, term func(*Lexer) (T, error)) ([]T, error) {
	if len(filter) > maxFilter {
		return nil, fmt.Errorf("it is longer than %d bytes", maxFilter)
	}
	l := Lexer{rest: filter}
	if l.Space(); l.rest == "" {
		return nil, nil
	}
	var terms []T
	for {
		t, err := term(&l)
		if err != nil {
			return nil, err
		}
		if terms = append(terms, t); len(terms) > maxTerms {
			return nil, fmt.Errorf("it has more than %d terms", maxTerms)
		}
		if l.Space(); l.rest == "" {
			return terms, nil
		}
		if !strings.EqualFold(l.Word(), "and") {
			return nil, errors.New("terms can only be joined by 'and'")
		}
		l.Space()
	}
}

// Lexer consumes a filter from the left.
type Lexer struct{ rest string }

// Space goes past blanks.
func (l *Lexer) Space() { l.rest = strings.TrimLeft(l.rest, " \t") }

// Take goes past s if it is next.
func (l *Lexer) Take(s string) bool {
	rest, ok := strings.CutPrefix(l.rest, s)
	l.rest = rest
	return ok
}

// Word is the letters that are next.
func (l *Lexer) Word() string { return l.letters(false) }

// Path is words with slashes between, such as properties/name.
func (l *Lexer) Path() string { return l.letters(true) }

func (l *Lexer) letters(slashes bool) string {
	n := 0
	for n < len(l.rest) && (l.rest[n]|0x20 >= 'a' && l.rest[n]|0x20 <= 'z' || slashes && l.rest[n] == '/' && n > 0) {
		n++
	}
	w := l.rest[:n]
	l.rest = l.rest[n:]
	return w
}

// Close goes past a closing parenthesis, which must come.
func (l *Lexer) Close() error {
	if l.Space(); !l.Take(")") {
		return errors.New("a closing parenthesis is missing")
	}
	return nil
}

// Equals is the value of " eq 'VALUE'".
func (l *Lexer) Equals() (string, error) {
	if l.Space(); !strings.EqualFold(l.Word(), "eq") {
		return "", errors.New("'eq' is the only comparison")
	}
	return l.Literal()
}

// Literal is a text in quotes. A quote in it is written twice.
func (l *Lexer) Literal() (string, error) {
	if l.Space(); !l.Take("'") {
		return "", errors.New("a value must be in single quotes")
	}
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(l.rest, "'")
		if !ok {
			return "", errors.New("a closing quote is missing")
		}
		b.WriteString(before)
		l.rest = after
		if !l.Take("'") {
			return b.String(), nil
		}
		b.WriteByte('\'')
	}
}

// Quote writes a text as Literal reads it.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Unquote is the text of a literal with nothing around it.
func Unquote(s string) (string, bool) {
	if !strings.HasPrefix(s, "'") {
		return "", false
	}
	l := Lexer{rest: s}
	text, err := l.Literal()
	return text, err == nil && l.rest == ""
}
