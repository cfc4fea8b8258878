package access

import "strings"

// permissions is a role made ready for matching: patterns in lower case.
type permissions struct {
	name       string
	control    grants
	data       grants
	assignable []string
}

type grants struct{ allow, except []string }

func (g *grants) match(action string) bool {
	return matchAny(g.allow, action) && !matchAny(g.except, action)
}

func compileRoles() map[string]*permissions {
	all := make(map[string]*permissions, len(builtIn))
	for i := range builtIn {
		r := &builtIn[i]
		all[r.ID] = &permissions{
			name:       r.Name,
			control:    grants{allow: compile(r.Actions), except: compile(r.NotActions)},
			data:       grants{allow: compile(r.DataActions), except: compile(r.NotDataActions)},
			assignable: r.Assignable,
		}
	}
	return all
}

// compile lowers patterns. A wildcard between two slashes stands for any number
// of segments, none included: vaults/*/read is how Key Vault Reader reads vaults.
func compile(patterns []string) []string {
	var out []string
	for _, p := range patterns {
		p = strings.ToLower(p)
		out = append(out, p)
		if strings.Contains(p, "/*/") {
			out = append(out, strings.Replace(p, "/*/", "/", 1))
		}
	}
	return out
}

func matchAny(patterns []string, action string) bool {
	for _, p := range patterns {
		if match(p, action) {
			return true
		}
	}
	return false
}

// match compares an action, in any letter case, with a lower-case pattern in
// which * stands for any text, slashes included.
func match(pattern, action string) bool {
	p, star, mark := 0, -1, 0
	for a := 0; a < len(action); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, a
			p++
		case p < len(pattern) && pattern[p] == lower(action[a]):
			p++
			a++
		case star >= 0:
			mark++
			p, a = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// covers says whether an assignment's scope is scope or one of its parents, by
// whole path segments and in any letter case. "/" covers everything.
func covers(assigned, scope string) bool {
	if !strings.HasPrefix(scope, "/") || !strings.HasPrefix(assigned, "/") {
		return false
	}
	assigned = strings.TrimSuffix(assigned, "/")
	return len(scope) >= len(assigned) && (len(scope) == len(assigned) || scope[len(assigned)] == '/') &&
		equalFold(assigned, scope[:len(assigned)])
}

// equalFold folds ASCII alone, unlike strings.EqualFold: ids hold nothing else,
// and U+212A is not k. It starts at the end, where ids differ.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}
