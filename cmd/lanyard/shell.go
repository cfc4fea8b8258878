package main

import (
	"fmt"
	"strings"
)

// syntax is how a shell sets a variable, and how it keeps what the variable was: in
// another one, whose value is = and the old value, or another text when there was none.
type syntax struct {
	set               func(name, value string) string
	remember, restore func(name string) string
}

// was goes before the name of a variable that is kept.
const was = "LANYARD_WAS_"

func syntaxOf(shell string) (syntax, error) {
	lines := func(text string) func(string) string {
		return func(name string) string { return strings.NewReplacer("WAS", was+name, "NAME", name).Replace(text) }
	}
	switch shell {
	case "sh":
		return syntax{
			set:      func(n, v string) string { return "export " + n + "=" + shellQuote(v) },
			remember: lines(`[ -n "${WAS+x}" ] || export WAS="${NAME+=$NAME}"`),
			restore:  lines(`[ -z "${WAS+x}" ] || { case "$WAS" in =*) export NAME="${WAS#=}";; *) unset NAME;; esac; unset WAS; }`),
		}, nil
	case "fish":
		return syntax{
			set:      func(n, v string) string { return "set -gx " + n + " " + fishQuote(v) },
			remember: lines(`set -q WAS; or set -gx WAS (set -q NAME; and echo "=$NAME"; or echo -)`),
			restore: lines(`if set -q WAS; if string match -q -- '=*' "$WAS"; set -gx NAME (string sub -s 2 -- "$WAS"); ` +
				`else; set -e NAME; end; set -e WAS; end`),
		}, nil
	case "powershell":
		return syntax{
			set:      func(n, v string) string { return "$env:" + n + " = '" + strings.ReplaceAll(v, "'", "''") + "'" },
			remember: lines(`if (-not (Test-Path Env:WAS)) { $env:WAS = if (Test-Path Env:NAME) { "=$env:NAME" } else { "-" } }`),
			restore: lines(`if (Test-Path Env:WAS) { if ($env:WAS.StartsWith("=")) { $env:NAME = $env:WAS.Substring(1) } ` +
				`else { Remove-Item Env:NAME -ErrorAction SilentlyContinue }; Remove-Item Env:WAS }`),
		}, nil
	}
	return syntax{}, fmt.Errorf("shell %q: want sh, fish or powershell", shell)
}

// fishQuote makes one word of s for fish, where a backslash counts inside quotes.
func fishQuote(s string) string {
	if shellQuote(s) == s {
		return s
	}
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

// shellQuote makes one word of s for sh.
func shellQuote(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./:,@%+", c)
	}
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool { return !plain(c) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
