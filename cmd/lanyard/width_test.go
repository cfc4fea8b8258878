package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestTablesFitTheTerminal(t *testing.T) {
	id := "/subscriptions/0b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10/resourceGroups/lanyard/providers/Microsoft.KeyVault/vaults/kv-dev"
	whole := table{head: []string{"NAME", "URL", "ID"}, rows: [][]string{
		{"kv-dev", "https://kv-dev.vault.lanyard.localhost/", id},
		{"kv", "https://kv.vault.lanyard.localhost/", "/short"},
	}}
	for _, width := range []int{0, 1000} {
		if diff := cmp.Diff(whole.rows, whole.fit(width).rows); diff != "" {
			t.Errorf("width %d (-want +got):\n%s", width, diff)
		}
	}
	got := whole.fit(80).rows
	if want := "…vaults/kv-dev"; !strings.HasSuffix(got[0][2], want[len("…"):]) || !strings.HasPrefix(got[0][2], "…") {
		t.Errorf("an id became %q", got[0][2])
	}
	if n := utf8.RuneCountInString(strings.Join(got[0], "  ")); n != 80 {
		t.Errorf("a row has %d columns, want 80", n)
	}
	if got[0][1] != whole.rows[0][1] || got[1][2] != "/short" || whole.rows[0][2] != id {
		t.Errorf("more than the id was cut: %q", got)
	}
	narrow := whole.fit(10).rows
	if n := utf8.RuneCountInString(narrow[0][2]); n != shortestID {
		t.Errorf("%d letters are left of an id, want %d", n, shortestID)
	}

	secret := table{head: []string{"NAME", "PASSWORD"}, rows: [][]string{{"alice", strings.Repeat("x", 200)}}}
	if got := secret.fit(80).rows[0][1]; got != secret.rows[0][1] {
		t.Errorf("a password was cut to %q", got)
	}
}

func TestPipesGetWholeTables(t *testing.T) {
	var out bytes.Buffer
	a := &app{stdio: stdio{Out: &out}, output: "table"}
	id := "/" + strings.Repeat("x", 500)
	if err := a.print(nil, table{head: []string{"ID"}, rows: [][]string{{id}}}); err != nil || !strings.Contains(out.String(), id) {
		t.Errorf("%v: %s", err, out.String())
	}
}

// Every command is in a group of the help.
func TestCommandsAreGrouped(t *testing.T) {
	_, help, _ := runHere(t, "--help")
	for _, title := range []string{"Things:", "Clusters and pods:", "The server:", "Clients of the server:", "Help:"} {
		if !strings.Contains(help, "\n"+title+"\n") {
			t.Errorf("the help has no group %s\n%s", title, help)
		}
	}
	if strings.Contains(help, "Additional Commands:") || strings.Contains(help, "Available Commands:") {
		t.Errorf("the help has commands without a group:\n%s", help)
	}
}
