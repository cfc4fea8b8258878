package shell_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/shell"
)

// hostile are values that a shell would take for something else.
var hostile = []string{"", "plain", "with blank", "it's", `a"b`, "$HOME", "`id`", `back\slash`, "a;b", "*", "~", "line\nbreak", "-n", "=x", "é", "a&b|c>d"}

// What is quoted comes back from a real shell as it was.
func TestQuote(t *testing.T) {
	for _, value := range hostile {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shell.Quote(value)).Output()
		if err != nil || string(out) != value {
			t.Errorf("%q became %q: %v", value, out, err)
		}
	}
}

func TestPlainWordsStayPlain(t *testing.T) {
	for _, word := range []string{"a", "/home/a/.lanyard", "--flag", "https://x.example:1/y", "50%"} {
		if got := shell.Quote(word); got != word {
			t.Errorf("%q became %q", word, got)
		}
	}
}

// What a variable was comes back, however often the lines are read; one that there was
// not is gone again.
func TestVariablesComeBack(t *testing.T) {
	s, err := shell.SyntaxOf("sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range hostile {
		lines := []string{s.Remember("A"), s.Set("A", value), s.Remember("A"), s.Set("A", "later"), s.Restore("A"), s.Restore("A"), `printf %s "${A-none}"`, "env"}
		for before, want := range map[string]string{"A=" + value: value, "B=1": "none"} {
			cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.Join(lines, "\n"))
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), before}
			out, err := cmd.Output()
			if err != nil || !strings.HasPrefix(string(out), want) || strings.Contains(string(out), shell.Was) {
				t.Errorf("%q: %q, %v", before, out, err)
			}
		}
	}
}

func TestOtherSyntaxes(t *testing.T) {
	for name, want := range map[string]string{
		"sh": `export A='it'\''s'`, "fish": `set -gx A 'it\'s'`, "powershell": `$env:A = 'it''s'`,
	} {
		s, err := shell.SyntaxOf(name)
		if err != nil || s.Set("A", "it's") != want {
			t.Errorf("%s: %s, %v", name, s.Set("A", "it's"), err)
		}
		for _, line := range []string{s.Remember("A"), s.Restore("A")} {
			if !strings.Contains(line, shell.Was+"A") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
	if _, err := shell.SyntaxOf("cmd"); err == nil {
		t.Error("cmd.exe is known")
	}
}
