package access

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCovers(t *testing.T) {
	const group = "/subscriptions/x/resourceGroups/g"
	tests := []struct {
		assigned, scope string
		want            bool
	}{
		{"/", group, true},
		{"/", "/", true},
		{group, group, true},
		{group, group + "/providers/Microsoft.KeyVault/vaults/v", true},
		{group, "/SUBSCRIPTIONS/X/resourcegroups/G/providers/p", true},
		{group + "/", group, true},
		{group, group + "2", false},
		{group, group + "2/providers/p", false},
		{group + "2", group, false},
		{group, "/subscriptions/x", false},
		{"/subscriptions/x", group, true},
		{"/subscriptions/y", group, false},
		{group, "/subscriptions/x/resourceGroups", false},
		{"", group, false},
		{"/", "", false},
		{group, "", false},
		{"subscriptions/x", "subscriptions/x", false},
		{"/subscriptions/k", "/subscriptions/\u212a", false},
		{"/subscriptions/\u212a\u212a/kk", "/subscriptions/kk/\u212a\u212a", false},
	}
	for _, tt := range tests {
		if got := covers(tt.assigned, tt.scope); got != tt.want {
			t.Errorf("covers(%q, %q) = %v, want %v", tt.assigned, tt.scope, got, tt.want)
		}
	}
}

func TestPatterns(t *testing.T) {
	tests := []struct {
		pattern, action string
		want            bool
	}{
		{"*", "Microsoft.KeyVault/vaults/read", true},
		{"*/read", "Microsoft.KeyVault/vaults/READ", true},
		{"*/read", "Microsoft.KeyVault/vaults/write", false},
		{"*/read", "Microsoft.KeyVault/vaults/read/write", false},
		{"Microsoft.Authorization/*/Write", "microsoft.authorization/roleAssignments/write", true},
		{"Microsoft.Authorization/*/Write", "Microsoft.Authorization/a/b/write", true},
		{"Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/read", true},
		{"Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/secrets/read", true},
		{"Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaultsread", false},
		{"Microsoft.KeyVault/vaults/*", "Microsoft.KeyVault/vaults", false},
		{ActionDeleteSecret, ActionDeleteSecret, true},
		{ActionDeleteSecret, ActionDeleteSecret + "/x", false},
		{"", "", true},
		{"*", "", true},
	}
	for _, tt := range tests {
		if got := matchAny(compile([]string{tt.pattern}), tt.action); got != tt.want {
			t.Errorf("%s matches %s: %v, want %v", tt.pattern, tt.action, got, tt.want)
		}
	}
}

func TestMatchAgreesWithARegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringOfN(rapid.RuneFrom([]rune("ab/*.")), 0, 8, -1).Draw(t, "pattern")
		a := rapid.StringOfN(rapid.RuneFrom([]rune("aAbB/.")), 0, 10, -1).Draw(t, "action")
		re := regexp.MustCompile("(?i)^" + strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, ".*") + "$")
		if got, want := match(p, a), re.MatchString(a); got != want {
			t.Fatalf("match(%q, %q) = %v, want %v", p, a, got, want)
		}
	})
}
