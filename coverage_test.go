package lanyard_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// TestCoverageIsTrue compares docs/API-COVERAGE.md with the route tables: every
// operation has a row and every row an operation, and its tests exist. A .wire
// file that a row names must hold the row's request.
func TestCoverageIsTrue(t *testing.T) {
	sections := coverage(t)
	found := surfaces(t)
	if len(found) < 3 {
		t.Fatalf("found only %d surfaces: is the test looking in the right place?", len(found))
	}
	for dir, pkg := range found {
		rows, want := sections[dir], pkg.operations(t)
		if len(want) < 5 {
			t.Errorf("%s: found only the operations %v", dir, slices.Sorted(maps.Keys(want)))
		}
		has := map[string]bool{}
		for _, r := range rows {
			for _, op := range r.ops {
				has[op] = true
				if !want[op] {
					t.Errorf("%s: the operation %q has a row, but no route", dir, op)
				}
			}
			pkg.checkTests(t, r)
		}
		for _, op := range slices.Sorted(maps.Keys(want)) {
			if !has[op] {
				t.Errorf("%s: the operation %q has no row", dir, op)
			}
		}
		for _, typ := range pkg.resourceTypes(t) {
			if !slices.ContainsFunc(rows, func(r coverageRow) bool { return r.mentions(typ) }) {
				t.Errorf("%s: the resource type %s has no row", dir, typ)
			}
		}
	}
	for dir := range sections {
		if found[dir] == nil {
			t.Errorf("%s has a section, but is no surface", dir)
		}
	}
}

// TestTestsInDocsExist holds for every Test and Fuzz that a document names.
func TestTestsInDocsExist(t *testing.T) {
	exist := map[string]bool{}
	for _, path := range goFiles(t, ".") {
		if strings.HasSuffix(path, "_test.go") {
			maps.Copy(exist, testNames(parse(t, path)))
		}
	}
	for _, doc := range documents(t) {
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`").FindAllStringSubmatch(read(t, doc), -1) {
			if !exist[m[1]] {
				t.Errorf("%s names %s, which does not exist", doc, m[1])
			}
		}
	}
}

// TestLinksInDocsLead checks links to files of the repository.
func TestLinksInDocsLead(t *testing.T) {
	for _, doc := range documents(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(read(t, doc), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", doc, m[1], err)
			}
		}
	}
}

// TestFlagsAreDocumented compares the tables in docs/OPERATE.md with the flags of
// `lanyard up` and, in its own section, `lanyard webhook`, defaults included.
func TestFlagsAreDocumented(t *testing.T) {
	documented := map[string]map[string]string{"up": {}, "webhook": {}}
	for _, part := range strings.Split(read(t, "docs/OPERATE.md"), "\n## ") {
		command := "up"
		if strings.HasPrefix(part, "The webhook\n") {
			command = "webhook"
		}
		for _, cells := range tableRows(part) {
			if name, ok := strings.CutPrefix(cells[0], "`--"); ok && len(cells) > 1 {
				documented[command][strings.TrimSuffix(name, "`")] = cells[1]
			}
		}
	}
	for command, files := range map[string][]string{
		"up":      {"up.go", "etcdflags.go", "root.go"},
		"webhook": {"webhook.go"},
	} {
		defined := map[string]string{}
		for _, file := range files {
			maps.Copy(defined, flags(parse(t, "cmd/lanyard/"+file)))
		}
		if len(defined) < 25 {
			t.Fatalf("found only %d flags of %s: is the test looking in the right place?", len(defined), command)
		}
		compareFlags(t, command, documented[command], defined)
	}
}

func compareFlags(t *testing.T, command string, documented, defined map[string]string) {
	t.Helper()
	for name, def := range defined {
		cell, ok := documented[name]
		switch {
		case !ok:
			t.Errorf("--%s of `lanyard %s` is not in the table", name, command)
		case def != "" && !strings.Contains(cell, "`"+def+"`"):
			t.Errorf("--%s of `lanyard %s`: the table says the default is %s, the code says %s", name, command, cell, def)
		}
	}
	for name := range documented {
		if _, ok := defined[name]; !ok {
			t.Errorf("--%s is in the table, but not a flag of `lanyard %s`", name, command)
		}
	}
}

// TestMetricsAreDocumented compares the names in docs/OPERATE.md with the code's.
func TestMetricsAreDocumented(t *testing.T) {
	name := regexp.MustCompile(`\blanyard_[a-z_]*[a-z]\b`)
	documented := map[string]bool{}
	for _, n := range name.FindAllString(read(t, "docs/OPERATE.md"), -1) {
		documented[n] = true
	}
	defined := map[string]bool{}
	for _, path := range append(goFiles(t, "internal"), goFiles(t, "cmd")...) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		ast.Inspect(parse(t, path), func(n ast.Node) bool {
			var named ast.Expr // in a metric's options, or the first argument of NewDesc
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if isIdent(n.Key, "Name") {
					named = n.Value
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "NewDesc" && len(n.Args) > 0 {
					named = n.Args[0]
				}
			}
			if named != nil {
				if s, ok := text(named); ok && name.FindString(s) == s && s != "" {
					defined[s] = true
				}
			}
			return true
		})
	}
	if len(defined) < 5 {
		t.Fatalf("found only %d metrics: is the test looking in the right place?", len(defined))
	}
	for n := range defined {
		if !documented[n] {
			t.Errorf("the metric %s is not documented", n)
		}
	}
	for n := range documented {
		if !defined[n] {
			t.Errorf("the metric %s is documented, but does not exist", n)
		}
	}
}

// coverageRow is a row of docs/API-COVERAGE.md.
type coverageRow struct{ ops, requests, tests []string }

func (r coverageRow) mentions(typ string) bool {
	last := strings.ToLower(strings.ReplaceAll(typ, "/", "/[^ ]*"))
	re := regexp.MustCompile(strings.NewReplacer("microsoft.resources/[^ ]*", "", ".", `\.`).Replace(last))
	return slices.ContainsFunc(r.requests, func(q string) bool { return re.MatchString(strings.ToLower(q)) })
}

// noTest stands in a row whose operation nothing tests by itself.
const noTest = "none yet"

func (p *goPackage) checkTests(t *testing.T, r coverageRow) {
	t.Helper()
	if len(r.requests) == 0 || len(r.tests) == 0 {
		t.Errorf("%s: the row of %v lacks a request or a test; write %q where there is none", p.dir, r.ops, noTest)
	}
	for _, name := range r.tests {
		switch {
		case name == noTest:
		case strings.HasSuffix(name, ".wire"):
			script, err := os.ReadFile(filepath.Join(p.dir, "testdata", filepath.FromSlash(name)))
			if err != nil {
				t.Errorf("the row of %v: %v", r.ops, err)
			} else if !slices.ContainsFunc(r.requests, func(q string) bool { return holds(string(script), q) }) {
				t.Errorf("%s: %s holds no request like %v", p.dir, name, r.requests)
			}
		case strings.Contains(name, "/"): // a file elsewhere in the repository
			if _, err := os.Stat(filepath.FromSlash(name)); err != nil {
				t.Errorf("%s: the row of %v: %v", p.dir, r.ops, err)
			}
		case !p.tests[name]:
			t.Errorf("%s: the row of %v names %s, which is not a test there", p.dir, r.ops, name)
		}
	}
}

var (
	scriptLine  = regexp.MustCompile(`(?m)^> ([A-Z]+) (?:https://[^/]+)?/*(/[^ ?\n]*)`)
	placeholder = regexp.MustCompile(`\\\{[^}]*\}`)
)

// holds says whether a .wire script sends a request. In the request, {name}
// stands for one segment and … for any beginning; letter case does not matter.
func holds(script, request string) bool {
	method, path, _ := strings.Cut(request, " ")
	path = strings.TrimSuffix(path, "/")
	pattern := placeholder.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+")
	re := regexp.MustCompile(`(?i)^` + strings.ReplaceAll(pattern, "…", ".*") + `/?$`)
	for _, m := range scriptLine.FindAllStringSubmatch(script, -1) {
		if m[1] == method && re.MatchString(m[2]) {
			return true
		}
	}
	return false
}

// coverage reads docs/API-COVERAGE.md: the rows of each section "## `dir`…".
func coverage(t *testing.T) map[string][]coverageRow {
	t.Helper()
	quoted := func(cell string) []string {
		var all []string
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			all = append(all, m[1])
		}
		return all
	}
	sections := map[string][]coverageRow{}
	for _, part := range strings.Split(read(t, "docs/API-COVERAGE.md"), "\n## ")[1:] {
		dir := regexp.MustCompile("^`([^`]+)`").FindStringSubmatch(part)
		if dir == nil {
			continue
		}
		for _, cells := range tableRows(part) {
			ops := quoted(cells[0])
			if len(ops) == 0 {
				continue
			}
			r := coverageRow{ops: ops, requests: quoted(cells[1]), tests: quoted(cells[2])}
			if cells[2] == noTest {
				r.tests = []string{noTest}
			}
			sections[dir[1]] = append(sections[dir[1]], r)
		}
	}
	return sections
}

// tableRows is the rows of all tables in a document.
func tableRows(doc string) [][]string {
	var rows [][]string
	for line := range strings.SplitSeq(doc, "\n") {
		if line, ok := strings.CutPrefix(line, "| "); ok {
			cells := strings.Split(strings.TrimSuffix(line, " |"), " | ")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

// flags are the flags that a file defines, with their defaults as `--help`
// shows them; "" where there is none or where it is not a constant.
func flags(f *ast.File) map[string]string {
	found := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 3 {
			return true
		}
		fn, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !strings.HasSuffix(strings.TrimSuffix(fn.Sel.Name, "P"), "Var") {
			return true
		}
		name, ok := text(call.Args[1])
		switch {
		case !ok:
		case fn.Sel.Name == "Var": // a value of a type of its own, with its default in it
			found[name] = ""
		default:
			found[name] = constant(call.Args[len(call.Args)-2])
		}
		return true
	})
	return found
}

// constant writes a default: a string, a number, a product of durations, or the audience.
func constant(e ast.Expr) string {
	if s, ok := text(e); ok {
		return s
	}
	units := map[string]time.Duration{"Second": time.Second, "Minute": time.Minute, "Hour": time.Hour}
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Value
	case *ast.SelectorExpr:
		if e.Sel.Name == "Audience" {
			return wi.Audience
		}
		return short(units[e.Sel.Name])
	case *ast.BinaryExpr:
		n, ok := e.X.(*ast.BasicLit)
		unit, ok2 := e.Y.(*ast.SelectorExpr)
		if ok && ok2 {
			count, _ := strconv.Atoi(n.Value)
			return short(time.Duration(count) * units[unit.Sel.Name])
		}
	}
	return ""
}

// short is 1h where String says 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func documents(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(docs, "README.md", "CONTRIBUTING.md")
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(path), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func goFiles(t *testing.T, root string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			files = append(files, filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
