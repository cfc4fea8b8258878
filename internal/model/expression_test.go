package model

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestExpressionMatches(t *testing.T) {
	claims := map[string]any{
		"sub":              "system:serviceaccount:team-a:build",
		"job_workflow_ref": "org/it's/.github/workflows/x.yml@refs/heads/main",
		"star":             "a*b",
		"number":           json.Number("7"),
		"list":             []any{"x"},
		"umlaut":           "Grüße",
		"long":             strings.Repeat("a", 5000),
	}
	tests := []struct {
		expression string
		want       bool
	}{
		{`claims['sub'] eq 'system:serviceaccount:team-a:build'`, true},
		{`claims['sub'] eq 'system:serviceaccount:team-a:Build'`, false},
		{`claims['sub'] eq 'system:serviceaccount:*'`, false},
		{`claims['sub'] matches 'system:serviceaccount:*'`, true},
		{`claims['sub'] matches 'system:serviceaccount:team-?:build'`, true},
		{`claims['sub'] matches 'system:serviceaccount:team-??:build'`, false},
		{`claims['sub'] matches 'serviceaccount'`, false},
		{`claims['sub'] matches '*serviceaccount*'`, true},
		{`claims['sub'] matches '*b*b*'`, false},
		{`claims['job_workflow_ref'] matches 'org/it''s/*@refs/heads/main'`, true},
		{`claims['job_workflow_ref'] matches 'org/its/*'`, false},
		{`claims['star'] matches '?*?'`, true},
		{`claims['umlaut'] matches 'Gr??e'`, true},
		{`claims['umlaut'] matches 'Gr????e'`, false},
		{`claims['sub'] matches 'system:*' and claims['star'] eq 'a*b'`, true},
		{`claims['sub'] matches 'system:*' and claims['star'] eq 'a*c'`, false},
		{`claims['number'] eq '7'`, false},
		{`claims['list'] eq 'x'`, false},
		{`claims['none'] matches '*'`, false},
		{`claims['long'] matches 'a*'`, false},
	}
	for _, tt := range tests {
		m, err := ParseExpression(tt.expression)
		if err != nil {
			t.Errorf("ParseExpression(%s): %v", tt.expression, err)
			continue
		}
		if got := m.Match(claims); got != tt.want {
			t.Errorf("%s matches: %v, want %v", tt.expression, got, tt.want)
		}
	}
}

func TestExpressionRefusals(t *testing.T) {
	tests := []struct{ expression, mention string }{
		{``, "empty"},
		{`claims['sub']`, "eq"},
		{`claims[sub] eq 'x'`, "quote"},
		{`claims['sub'] eq x`, "quote"},
		{`claims['sub']  eq 'x'`, "one blank"},
		{`claims['sub'] eq  'x'`, "quote"},
		{`claims['sub'] EQ 'x'`, "eq"},
		{`claims['sub'] ne 'x'`, "eq"},
		{`claims['sub'] eq 'x`, "close"},
		{`claims['sub'] eq 'x''`, "close"},
		{`claims['sub'] eq ''`, "empty quotes"},
		{`claims[''] eq 'x'`, "empty quotes"},
		{`claims['sub'] eq 'x' `, "and"},
		{` claims['sub'] eq 'x'`, "claims["},
		{`claims['sub'] eq 'x' or claims['sub'] eq 'y'`, "and"},
		{`claims['sub'] eq 'x' and `, "claims["},
		{`claims['sub'] eq 'x'y'`, "and"},
		{"claims['s\x00b'] eq 'x'", "control"},
		{"claims['sub'] eq '\xff'", "UTF-8"},
		{`claims['sub'] eq '` + strings.Repeat("x", 1100) + `'`, "at most"},
		{strings.Repeat(`claims['s'] eq 'x' and `, 17) + `claims['s'] eq 'x'`, "comparisons"},
	}
	for _, tt := range tests {
		_, err := ParseExpression(tt.expression)
		if err == nil {
			t.Errorf("ParseExpression(%q) passed", tt.expression)
			continue
		}
		if !strings.Contains(err.Error(), tt.mention) {
			t.Errorf("ParseExpression(%q): %q does not mention %q", tt.expression, err, tt.mention)
		}
	}
}

// naiveMatch is the definition, exponential and all.
func naiveMatch(p, s []rune) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0] == '*':
		return naiveMatch(p[1:], s) || len(s) > 0 && naiveMatch(p, s[1:])
	case len(s) == 0:
		return false
	}
	return (p[0] == '?' || p[0] == s[0]) && naiveMatch(p[1:], s[1:])
}

func TestWildcardAgreesWithItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringOfN(rapid.RuneFrom([]rune("ab?*é")), 0, 8, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.RuneFrom([]rune("ab*é")), 0, 10, -1).Draw(t, "text")
		got, want := matchWildcard([]rune(p), []rune(s)), naiveMatch([]rune(p), []rune(s))
		if got != want {
			t.Fatalf("matchWildcard(%q, %q) = %v, want %v", p, s, got, want)
		}
	})
}

func TestAnyTextCanBeQuoted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[ -~é]{1,20}`).Draw(t, "name")
		value := rapid.StringMatching(`[ -~é]{1,50}`).Draw(t, "value")
		quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
		m, err := ParseExpression("claims[" + quote(name) + "] eq " + quote(value))
		if err != nil {
			t.Fatal(err)
		}
		if !m.Match(map[string]any{name: value}) || m.Match(map[string]any{name: value + "x"}) {
			t.Fatalf("eq %q does not match exactly", value)
		}
	})
}

func FuzzParseExpression(f *testing.F) {
	f.Add(`claims['sub'] matches 'repo:org/*' and claims['a'] eq 'it''s'`)
	f.Add(`claims['sub'] eq 'x`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseExpression(text)
		if (m == nil) == (err == nil) {
			t.Fatalf("ParseExpression(%q) = %v, %v", text, m, err)
		}
		if m == nil {
			return
		}
		claims := map[string]any{}
		for _, c := range m.comparisons {
			claims[c.claim] = c.literal
		}
		distinct := len(claims) == len(m.comparisons)
		if distinct && !m.Match(claims) && len(text) <= maxClaimValue {
			t.Fatalf("%q does not match its own literals", text)
		}
	})
}
