package model

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Each rule is also a regular expression, which is slower and plain to see.
var rules = map[string]struct {
	valid   func(string) bool
	pattern *regexp.Regexp
}{
	"uuid":       {ValidUUID, regexp.MustCompile(`\A[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\z`)},
	"secret":     {ValidItemName, regexp.MustCompile(`\A[0-9a-zA-Z-]{1,127}\z`)},
	"vault":      {ValidVaultName, regexp.MustCompile(`\A[a-zA-Z](-?[0-9a-zA-Z])*\z`)}, // and 3 to 24 long
	"identity":   {ValidIdentityName, regexp.MustCompile(`\A[0-9a-zA-Z][0-9a-zA-Z_-]{2,127}\z`)},
	"credential": {ValidCredentialName, regexp.MustCompile(`\A[0-9a-zA-Z][0-9a-zA-Z_-]{2,119}\z`)},
	"of-an-app":  {ValidApplicationCredentialName, regexp.MustCompile(`\A([0-9a-zA-Z_~=-]|\.[0-9a-zA-Z_.~=-]|\.\.[0-9a-zA-Z_.~=-])[0-9a-zA-Z_.~=-]*\z`)}, // and at most 120 long
}

func want(kind, s string) bool {
	return rules[kind].pattern.MatchString(s) && (kind != "vault" || len(s) >= 3 && len(s) <= 24) && (kind != "of-an-app" || s != ".." && len(s) <= 120)
}

func TestValidNames(t *testing.T) {
	words := rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`[a-zA-Z0-9_-]{0,40}`),
		rapid.StringMatching(`[a-z][a-z0-9-]{1,24}`),
		rapid.StringMatching(`[a-zA-Z0-9_.~=-]{0,4}`),
		rapid.StringMatching(`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{11,13}`),
		rapid.Map(rapid.IntRange(118, 130), func(n int) string { return strings.Repeat("a", n) }),
	)
	for kind, rule := range rules {
		t.Run(kind, rapid.MakeCheck(func(t *rapid.T) {
			s := words.Draw(t, "name")
			if got := rule.valid(s); got != want(kind, s) {
				t.Fatalf("valid %s %q is %v", kind, s, got)
			}
		}))
	}
}

func TestNamesThatMustNotPass(t *testing.T) {
	for _, s := range []string{
		"", " ", ".", "..", "a/b", "a%2Fb", "a\x00b", "a\nb", "name\n", "näme", "аbc", "a.b.c", "-abc", "a--b", "abc-", "a b", "a?b", "a#b", `a\b`,
		"ａｂｃ", "a\u200bb", "\xff\xfe\xfd",
	} {
		if ValidVaultName(s) {
			t.Errorf("%q may name a vault", s)
		}
		if !want("identity", s) && (ValidIdentityName(s) || ValidCredentialName(s)) {
			t.Errorf("%q may name an identity", s)
		}
		if !want("secret", s) && ValidItemName(s) {
			t.Errorf("%q may name a secret", s)
		}
	}
}

func TestNewUUID(t *testing.T) {
	v4 := regexp.MustCompile(`\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\z`)
	seen := map[string]bool{}
	for range 1000 {
		id := NewUUID()
		if !v4.MatchString(id) || !ValidUUID(id) || seen[id] {
			t.Fatalf("%q is no new UUID of version 4", id)
		}
		seen[id] = true
	}
}
