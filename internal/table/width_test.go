package table

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestTablesFitTheTerminal(t *testing.T) {
	id := "/subscriptions/0b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10/resourceGroups/lanyard/providers/Microsoft.KeyVault/vaults/kv-dev"
	whole := Table{Head: []string{"NAME", "URL", "ID"}, Rows: [][]string{
		{"kv-dev", "https://kv-dev.vault.lanyard.localhost/", id},
		{"kv", "https://kv.vault.lanyard.localhost/", "/short"},
	}}
	for _, width := range []int{0, 1000} {
		if diff := cmp.Diff(whole.Rows, whole.fit(width).Rows); diff != "" {
			t.Errorf("width %d (-want +got):\n%s", width, diff)
		}
	}
	got := whole.fit(80).Rows
	if want := "…vaults/kv-dev"; !strings.HasSuffix(got[0][2], want[len("…"):]) || !strings.HasPrefix(got[0][2], "…") {
		t.Errorf("an id became %q", got[0][2])
	}
	if n := utf8.RuneCountInString(strings.Join(got[0], "  ")); n != 80 {
		t.Errorf("a row has %d columns, want 80", n)
	}
	if got[0][1] != whole.Rows[0][1] || got[1][2] != "/short" || whole.Rows[0][2] != id {
		t.Errorf("more than the id was cut: %q", got)
	}
	narrow := whole.fit(10).Rows
	if n := utf8.RuneCountInString(narrow[0][2]); n != shortestID {
		t.Errorf("%d letters are left of an id, want %d", n, shortestID)
	}

	secret := Table{Head: []string{"NAME", "PASSWORD"}, Rows: [][]string{{"alice", strings.Repeat("x", 200)}}}
	if got := secret.fit(80).Rows[0][1]; got != secret.Rows[0][1] {
		t.Errorf("a password was cut to %q", got)
	}
}

func TestPipesGetWholeTables(t *testing.T) {
	var out bytes.Buffer
	id := "/" + strings.Repeat("x", 500)
	if err := (Table{Head: []string{"ID"}, Rows: [][]string{{id}}}).Print(&out, "table", nil); err != nil || !strings.Contains(out.String(), id) {
		t.Errorf("%v: %s", err, out.String())
	}
}
