package model

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ExpressionVersion is the one languageVersion that there is.
const ExpressionVersion = 1

// Limits of the language. maxClaimValue bounds the work of a match, which an
// unverified token triggers.
const (
	maxExpression  = 1024 // bytes
	maxComparisons = 16
	maxClaimValue  = 2048 // bytes; a longer claim matches nothing
)

// Matcher is a parsed claimsMatchingExpression. It is immutable.
type Matcher struct {
	comparisons []comparison
}

type comparison struct {
	claim   string
	literal string
	pattern []rune // of matches; nil for eq
}

// ParseExpression reads the language of flexible federated credentials, version 1:
// claims['NAME'] eq 'TEXT', or matches 'PATTERN' with ? for one character and *
// for any number, joined by " and ". In a literal, a quote is written twice. The
// error is a sentence for the person who wrote the expression.
// https://learn.microsoft.com/entra/workload-id/workload-identities-flexible-federated-identity-credentials
func ParseExpression(text string) (*Matcher, error) {
	switch {
	case text == "":
		return nil, errors.New("the expression is empty")
	case len(text) > maxExpression:
		return nil, fmt.Errorf("the expression has %d bytes, at most %d are allowed", len(text), maxExpression)
	case !utf8.ValidString(text):
		return nil, errors.New("the expression is not valid UTF-8")
	}
	s := expressionScanner{text: text}
	m := &Matcher{}
	for {
		c, err := s.comparison()
		if err != nil {
			return nil, err
		}
		m.comparisons = append(m.comparisons, c)
		if s.at == len(s.text) {
			return m, nil
		}
		if !s.take(" and ") {
			return nil, s.expected("' and ' and another comparison, or the end")
		}
		if len(m.comparisons) == maxComparisons {
			return nil, fmt.Errorf("the expression has more than %d comparisons", maxComparisons)
		}
	}
}

// Match says whether every comparison holds. Only a claim that is text can match.
func (m *Matcher) Match(claims map[string]any) bool {
	for i := range m.comparisons {
		c := &m.comparisons[i]
		value, ok := claims[c.claim].(string)
		if !ok || len(value) > maxClaimValue || !c.match(value) {
			return false
		}
	}
	return len(m.comparisons) > 0
}

func (c *comparison) match(value string) bool {
	if c.pattern == nil {
		return value == c.literal
	}
	return matchWildcard(c.pattern, []rune(value))
}

// matchWildcard goes back only to the last star, so its work is bounded by
// len(pattern) × len(text), whatever the pattern.
func matchWildcard(pattern, text []rune) bool {
	p, star, mark := 0, -1, 0
	for t := 0; t < len(text); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

type expressionScanner struct {
	text string
	at   int
}

func (s *expressionScanner) comparison() (comparison, error) {
	var c comparison
	var err error
	if !s.take("claims[") {
		return c, s.expected("claims['NAME']")
	}
	if c.claim, err = s.quoted(); err != nil {
		return c, err
	}
	if strings.ContainsFunc(c.claim, unicode.IsControl) {
		return c, errors.New("the expression has a control character in a claim's name")
	}
	if !s.take("]") {
		return c, s.expected("']' after the claim's name")
	}
	wildcard := false
	switch {
	case s.take(" eq "):
	case s.take(" matches "):
		wildcard = true
	default:
		return c, s.expected("' eq ' or ' matches ', with one blank on each side")
	}
	if c.literal, err = s.quoted(); err != nil {
		return c, err
	}
	if wildcard {
		c.pattern = []rune(c.literal)
	}
	return c, nil
}

// quoted reads 'TEXT', in which a doubled quote stands for one quote. Empty text is refused.
func (s *expressionScanner) quoted() (string, error) {
	start := s.at
	if !s.take("'") {
		return "", s.expected("a single quote")
	}
	var b strings.Builder
	for {
		end := strings.IndexByte(s.text[s.at:], '\'')
		if end < 0 {
			return "", fmt.Errorf("the expression opens a quote at character %d and does not close it", start+1)
		}
		b.WriteString(s.text[s.at : s.at+end])
		s.at += end + 1
		if !s.take("'") {
			break
		}
		b.WriteByte('\'')
	}
	if b.Len() == 0 {
		return "", fmt.Errorf("the expression has empty quotes at character %d", start+1)
	}
	return b.String(), nil
}

func (s *expressionScanner) take(word string) bool {
	if !strings.HasPrefix(s.text[s.at:], word) {
		return false
	}
	s.at += len(word)
	return true
}

func (s *expressionScanner) expected(what string) error {
	return fmt.Errorf("the expression needs %s at character %d", what, s.at+1)
}
