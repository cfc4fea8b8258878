package lanyard_test

import (
	"go/ast"
	"go/token"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// goPackage is the source of one folder.
type goPackage struct {
	dir    string
	files  []*ast.File     // without tests
	tests  map[string]bool // names of Test and Fuzz functions
	consts map[string]string
}

// surfaces are the packages below internal that make an httpx.Surface, by folder.
func surfaces(t *testing.T) map[string]*goPackage {
	t.Helper()
	all := map[string]*goPackage{}
	for _, file := range goFiles(t, "internal") {
		dir := path.Dir(file)
		p := all[dir]
		if p == nil {
			p = &goPackage{dir: dir, tests: map[string]bool{}, consts: map[string]string{}}
			all[dir] = p
		}
		f := parse(t, file)
		if strings.HasSuffix(file, "_test.go") {
			maps.Copy(p.tests, testNames(f))
			continue
		}
		p.files = append(p.files, f)
		p.addConsts(f)
	}
	maps.DeleteFunc(all, func(_ string, p *goPackage) bool { return !p.makes("Surface") })
	return all
}

func testNames(f *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if ok && fn.Recv == nil && (strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")) {
			names[fn.Name.Name] = true
		}
	}
	return names
}

// addConsts notes string constants, whose values may be made of earlier ones.
func (p *goPackage) addConsts(f *ast.File) {
	p.inspect([]*ast.File{f}, func(n ast.Node) {
		d, ok := n.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			return
		}
		for _, s := range d.Specs {
			spec := s.(*ast.ValueSpec)
			for i, v := range spec.Values {
				if values := p.eval(v, nil); len(values) == 1 {
					p.consts[spec.Names[i].Name] = values[0]
				}
			}
		}
	})
}

func (p *goPackage) inspect(files []*ast.File, visit func(ast.Node)) {
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if n != nil {
				visit(n)
			}
			return true
		})
	}
}

// makes says whether a function of the package gives an httpx.NAME.
func (p *goPackage) makes(name string) bool {
	found := false
	p.inspect(p.files, func(n ast.Node) {
		if fn, ok := n.(*ast.FuncDecl); ok {
			found = found || gives(fn.Type, name)
		}
	})
	return found
}

func gives(fn *ast.FuncType, name string) bool {
	if fn.Results == nil {
		return false
	}
	return slices.ContainsFunc(fn.Results.List, func(r *ast.Field) bool {
		s, ok := r.Type.(*ast.SelectorExpr)
		return ok && isIdent(s.X, "httpx") && s.Sel.Name == name
	})
}

// operations are the names that requests have in logs and metrics: the value of
// each field called Op or op, what is passed for it to functions that make
// routes, and what the rows of a type table stand for.
func (p *goPackage) operations(t *testing.T) map[string]bool {
	t.Helper()
	ops := map[string]bool{}
	add := func(e ast.Expr) {
		if s, ok := text(e); ok {
			ops[s] = true
		}
	}
	makers, fields := p.routeMakers(), p.opFields()
	p.inspect(p.files, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if isIdent(n.Key, "Op") || isIdent(n.Key, "op") {
				add(n.Value)
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok {
				if i, ok := makers[id.Name]; ok && i < len(n.Args) {
					add(n.Args[i])
				}
			}
		case *ast.CompositeLit:
			i, ok := fields[elementOf(n.Type)]
			for _, elt := range n.Elts {
				if row, isRow := elt.(*ast.CompositeLit); ok && isRow && i < len(row.Elts) {
					add(row.Elts[i])
				}
			}
		}
	})
	for _, r := range p.typeRows(t) {
		maps.Copy(ops, r.operations())
	}
	return ops
}

// routeMakers are functions with a parameter "op" that give an httpx.Route: the
// position of that parameter by name.
func (p *goPackage) routeMakers() map[string]int {
	makers := map[string]int{}
	note := func(name string, fn *ast.FuncType) {
		at := 0
		for _, param := range fn.Params.List {
			for _, n := range param.Names {
				if n.Name == "op" && gives(fn, "Route") {
					makers[name] = at
				}
				at++
			}
		}
	}
	p.inspect(p.files, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.FuncDecl:
			note(n.Name.Name, n.Type)
		case *ast.AssignStmt:
			for i, v := range n.Rhs {
				if fn, ok := v.(*ast.FuncLit); ok {
					if id, ok := n.Lhs[i].(*ast.Ident); ok {
						note(id.Name, fn.Type)
					}
				}
			}
		}
	})
	return makers
}

// opFields are the struct types with a field "op": its position by type name.
func (p *goPackage) opFields() map[string]int {
	fields := map[string]int{}
	p.inspect(p.files, func(n ast.Node) {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return
		}
		s, ok := spec.Type.(*ast.StructType)
		if !ok {
			return
		}
		at := 0
		for _, f := range s.Fields.List {
			for _, n := range f.Names {
				if n.Name == "op" {
					fields[spec.Name.Name] = at
				}
				at++
			}
		}
	})
	return fields
}

// elementOf is T for []T and []*T; "" for other types.
func elementOf(typ ast.Expr) string {
	a, ok := typ.(*ast.ArrayType)
	if !ok {
		return ""
	}
	elt := a.Elt
	if star, ok := elt.(*ast.StarExpr); ok {
		elt = star.X
	}
	id, _ := elt.(*ast.Ident)
	if id == nil {
		return ""
	}
	return id.Name
}

// typeRow is a row of Resource Manager's type table.
type typeRow struct {
	name   string
	types  []string // more than one when the row is made in a loop
	fields map[string]ast.Expr
}

// typeRows finds the composite literals with the fields name and typ.
func (p *goPackage) typeRows(t *testing.T) []typeRow {
	t.Helper()
	var rows []typeRow
	loops := p.loopVariables()
	p.inspect(p.files, func(n ast.Node) {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return
		}
		r := typeRow{fields: map[string]ast.Expr{}}
		for _, e := range lit.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				if key, ok := kv.Key.(*ast.Ident); ok {
					r.fields[key.Name] = kv.Value
				}
			}
		}
		typ := r.fields["typ"]
		if typ == nil || r.fields["name"] == nil {
			return
		}
		r.name, ok = text(r.fields["name"])
		r.types = p.eval(typ, loops)
		if !ok || len(r.types) == 0 {
			t.Errorf("%s: cannot read the name and type of a row of the type table", p.dir)
			return
		}
		rows = append(rows, r)
	})
	return rows
}

func (p *goPackage) resourceTypes(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, r := range p.typeRows(t) {
		all = append(all, r.types...)
	}
	return all
}

// operations are the row's: what it says itself, and what the generic part does
// for types whose objects are stored.
func (r typeRow) operations() map[string]bool {
	ops := map[string]bool{}
	add := func(names ...string) {
		for _, n := range names {
			ops[r.name+"."+strings.ToLower(n)] = true
		}
	}
	if r.fields["shape"] != nil {
		add("get", "list", "delete")
	}
	if r.fields["put"] != nil {
		add("put")
	}
	if isIdent(r.fields["patch"], "true") {
		add("patch")
	}
	for _, field := range []string{"verbs", "actions", "onAll"} {
		m, ok := r.fields[field].(*ast.CompositeLit)
		if !ok {
			continue
		}
		for _, e := range m.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				if name, ok := text(kv.Key); ok {
					add(name)
				}
			}
		}
	}
	return ops
}

// loopVariables are those that range over a list of strings.
func (p *goPackage) loopVariables() map[string][]string {
	loops := map[string][]string{}
	p.inspect(p.files, func(n ast.Node) {
		r, ok := n.(*ast.RangeStmt)
		if !ok {
			return
		}
		id, ok := r.Value.(*ast.Ident)
		lit, ok2 := r.X.(*ast.CompositeLit)
		if !ok || !ok2 {
			return
		}
		for _, e := range lit.Elts {
			if s, ok := text(e); ok {
				loops[id.Name] = append(loops[id.Name], s)
			}
		}
	})
	return loops
}

// eval gives the values that a string expression can have.
func (p *goPackage) eval(e ast.Expr, loops map[string][]string) []string {
	if s, ok := text(e); ok {
		return []string{s}
	}
	switch e := e.(type) {
	case *ast.Ident:
		if s, ok := p.consts[e.Name]; ok {
			return []string{s}
		}
		return loops[e.Name]
	case *ast.BinaryExpr:
		var all []string
		for _, x := range p.eval(e.X, loops) {
			for _, y := range p.eval(e.Y, loops) {
				all = append(all, x+y)
			}
		}
		return all
	}
	return nil
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// text is the value of a string literal.
func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}
