package shell

import (
	"fmt"
	"strings"
)

// Syntax is how a shell sets a variable, and how it keeps what the variable was: in
// another one, whose value is = and the old value, or another text when there was none.
type Syntax struct {
	Set               func(name, value string) string
	Remember, Restore func(name string) string
}

// Variable is one of the environment.
type Variable struct{ Name, Value string }

// Was goes before the name of a variable that is kept.
const Was = "LANYARD_WAS_"

// SyntaxOf knows sh, fish and powershell.
func SyntaxOf(shell string) (Syntax, error) {
	lines := func(text string) func(string) string {
		return func(name string) string { return strings.NewReplacer("WAS", Was+name, "NAME", name).Replace(text) }
	}
	switch shell {
	case "sh":
		return Syntax{
			Set:      func(n, v string) string { return "export " + n + "=" + Quote(v) },
			Remember: lines(`[ -n "${WAS+x}" ] || export WAS="${NAME+=$NAME}"`),
			Restore:  lines(`[ -z "${WAS+x}" ] || { case "$WAS" in =*) export NAME="${WAS#=}";; *) unset NAME;; esac; unset WAS; }`),
		}, nil
	case "fish":
		return Syntax{
			Set:      func(n, v string) string { return "set -gx " + n + " " + fishQuote(v) },
			Remember: lines(`set -q WAS; or set -gx WAS (set -q NAME; and echo "=$NAME"; or echo -)`),
			Restore: lines(`if set -q WAS; if string match -q -- '=*' "$WAS"; set -gx NAME (string sub -s 2 -- "$WAS"); ` +
				`else; set -e NAME; end; set -e WAS; end`),
		}, nil
	case "powershell":
		return Syntax{
			Set:      func(n, v string) string { return "$env:" + n + " = '" + strings.ReplaceAll(v, "'", "''") + "'" },
			Remember: lines(`if (-not (Test-Path Env:WAS)) { $env:WAS = if (Test-Path Env:NAME) { "=$env:NAME" } else { "-" } }`),
			Restore: lines(`if (Test-Path Env:WAS) { if ($env:WAS.StartsWith("=")) { $env:NAME = $env:WAS.Substring(1) } ` +
				`else { Remove-Item Env:NAME -ErrorAction SilentlyContinue }; Remove-Item Env:WAS }`),
		}, nil
	}
	return Syntax{}, fmt.Errorf("shell %q: want sh, fish or powershell", shell)
}

// fishQuote makes one word of s for fish, where a backslash counts inside quotes.
func fishQuote(s string) string {
	if Quote(s) == s {
		return s
	}
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

// Quote makes one word of s for sh.
func Quote(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./:,@%+", c)
	}
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool { return !plain(c) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
