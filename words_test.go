package lanyard_test

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestWordsOfTheContract keeps the words of workload identity in internal/wi: no
// other source spells one out as a value. Sentences and manifests may, and tests.
func TestWordsOfTheContract(t *testing.T) {
	const home = "internal/wi/"
	var words []string
	literals(t, home+"wi.go", func(text string) {
		if len(text) >= len("skip-containers") { // shorter ones are parts of words
			words = append(words, text)
		}
	})
	if len(words) < 20 {
		t.Fatalf("%s has only the words %q", home, words)
	}
	for _, name := range goFiles(t, ".") {
		name = filepath.ToSlash(name)
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "test/") || strings.HasPrefix(name, home) {
			continue
		}
		literals(t, name, func(text string) {
			for _, word := range words {
				if strings.Contains(text, word) && !strings.ContainsAny(text, " \n") {
					t.Errorf("%s spells out %q: internal/wi has a constant for it", name, word)
				}
			}
		})
	}
}

// literals gives the text of every string in a source file, imports apart.
func literals(t *testing.T, name string, do func(text string)) {
	t.Helper()
	ast.Inspect(parse(t, name), func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				do(text)
			}
		}
		return true
	})
}
