package lanyard_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

// The most lines that a file and a function may have. A test's table may be long,
// so functions of tests are not counted.
const (
	maxFile     = 400
	maxTestFile = 500
	maxFunction = 50
)

// longFunctions may have more lines, each for the reason beside it.
var longFunctions = map[string]string{
	"cmd/lanyard.newAttachCmd":              aCommand,
	"internal/server.Run":                   "the order of starting and stopping is seen at once",
	"internal/server.openSurfaces":          "the parts are put together in one place",
	"test/bench.measureScale":               "one measurement from begin to end",
	"test/bench.pairs":                      "a table of measurements",
	"test/clients/goclient.managedClusters": "one story with an SDK",
	"test/clients/goclient.vaults":          "one story with an SDK",
}

const aCommand = "a command's words, its flags and its subcommands"

// TestSizes keeps files and functions at a size that one reads at once.
func TestSizes(t *testing.T) {
	unused := maps.Clone(longFunctions)
	for _, name := range goFiles(t, ".") {
		isTest := strings.HasSuffix(name, "_test.go")
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		limit := maxFile
		if isTest {
			limit = maxTestFile
		}
		if n := set.File(f.Pos()).LineCount(); n > limit {
			t.Errorf("%s has %d lines, want at most %d: which part has a job of its own?", name, n, limit)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || isTest {
				continue
			}
			lines := set.Position(fn.End()).Line - set.Position(fn.Pos()).Line + 1
			id := filepath.ToSlash(filepath.Dir(name)) + "." + fn.Name.Name
			if _, known := longFunctions[id]; lines > maxFunction && !known {
				t.Errorf("%s has %d lines, want at most %d", id, lines, maxFunction)
			} else if lines > maxFunction {
				delete(unused, id)
			}
		}
	}
	for id := range unused {
		t.Errorf("%s is not long any more: take it off the list", id)
	}
}
