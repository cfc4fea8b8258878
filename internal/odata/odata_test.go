package odata_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/odata"
)

// read is a surface's grammar with one term: PATH eq 'VALUE', or f('VALUE').
func read(l *odata.Lexer) (string, error) {
	name := l.Path()
	if name == "" {
		return "", errors.New("a name is missing")
	}
	if !l.Take("(") {
		value, err := l.Equals()
		return name + "=" + value, err
	}
	value, err := l.Literal()
	if err != nil {
		return "", err
	}
	return name + "(" + value + ")", l.Close()
}

func TestTerms(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"", nil}, {" \t", nil},
		{"a eq 'x'", []string{"a=x"}},
		{" a/b EQ 'it''s' AND f( 'y' ) ", []string{"a/b=it's", "f(y)"}},
		{"a eq '' and b eq 'and'", []string{"a=", "b=and"}},
		{"a\teq\t'x'", []string{"a=x"}},
		{strings.Repeat("a eq 'x' and ", 15) + "a eq 'x'", slices.Repeat([]string{"a=x"}, 16)},
	} {
		if got, err := odata.Terms(tt.in, read); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("Terms(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestTermsRefuses(t *testing.T) {
	for in, want := range map[string]string{
		strings.Repeat(" ", 2049):                  "it is longer than 2048 bytes",
		strings.Repeat("f('') and ", 16) + "f('')": "it has more than 16 terms",
		"a eq 'x' or b eq 'y'":                     "terms can only be joined by 'and'",
		"a eq 'x'z":                                "terms can only be joined by 'and'",
		"a eq 'x' andb eq 'y'":                     "terms can only be joined by 'and'",
		"a eq 'x' and":                             "a name is missing",
		"a ne 'x'":                                 "'eq' is the only comparison",
		"a":                                        "'eq' is the only comparison",
		"a eq x":                                   "a value must be in single quotes",
		"a eq":                                     "a value must be in single quotes",
		"a eq 'x":                                  "a closing quote is missing",
		"a eq 'x''":                                "a closing quote is missing",
		"f('x'":                                    "a closing parenthesis is missing",
		"/a eq 'x'":                                "a name is missing",
	} {
		if got, err := odata.Terms(in, read); err == nil || err.Error() != want {
			t.Errorf("Terms(%.60q) = %q, %v, want %q", in, got, err, want)
		}
	}
}

// A literal means the same when it is written out again.
func FuzzLiteral(f *testing.F) {
	for _, s := range []string{"'x'", "'it''s'", "''", "''''", "'", "x", "' '' '"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		one := func(l *odata.Lexer) (string, error) { return l.Literal() }
		got, err := odata.Terms(s, one)
		if err != nil || len(got) == 0 {
			return
		}
		for i := range got {
			got[i] = odata.Quote(got[i])
		}
		again, err := odata.Terms(strings.Join(got, " and "), one)
		if err != nil && len(got)*5 < 2000 && len(s) < 1000 {
			t.Fatalf("%q read again: %v", s, err)
		}
		for i := range again {
			if odata.Quote(again[i]) != got[i] {
				t.Fatalf("%q read again: %q, was %q", s, again[i], got[i])
			}
		}
	})
}
