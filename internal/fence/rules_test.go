package fence

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestFilesAreShort(t *testing.T) {
	const most = 600
	for _, f := range wantRepository(t).files {
		if f.lines > most {
			t.Errorf("%s has %d lines, more than %d: is there a second file inside?", f.name, f.lines, most)
		}
	}
}

func TestFilesAreFormatted(t *testing.T) {
	for _, f := range wantRepository(t).files {
		formatted, err := format.Source(f.source)
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
		} else if !bytes.Equal(formatted, f.source) {
			t.Errorf("%s: gofmt would change it", f.name)
		}
	}
}

// TestFunctionsAreShort holds the budget: median 10 lines, nine in ten under
// 35, none over 100. A line is one of the source, with the signature and the
// closing brace.
func TestFunctionsAreShort(t *testing.T) {
	r := wantRepository(t)
	var lengths []int
	for _, f := range r.files {
		for _, d := range f.tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || f.test {
				continue
			}
			n := r.set.Position(fn.End()).Line - r.set.Position(fn.Pos()).Line + 1
			lengths = append(lengths, n)
			if n > 100 {
				t.Errorf("%s: %s has %d lines, more than 100", r.at(fn), fn.Name.Name, n)
			}
		}
	}
	slices.Sort(lengths)
	median, ninety := lengths[len(lengths)/2], lengths[len(lengths)*9/10]
	t.Logf("%d functions: median %d lines, nine in ten under %d, the longest %d", len(lengths), median, ninety+1, lengths[len(lengths)-1])
	if median > 10 || ninety >= 35 {
		t.Errorf("functions have %d lines in the median and nine in ten under %d; the budget is 10 and 35", median, ninety+1)
	}
}

func TestNoInit(t *testing.T) {
	r := wantRepository(t)
	for _, f := range r.files {
		for _, d := range f.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init() runs behind everybody's back", r.at(fn))
			}
		}
	}
}

// TestNoMutableGlobals: a variable of a package is given its value once, where
// it is declared.
func TestNoMutableGlobals(t *testing.T) {
	r := wantRepository(t)
	globals := map[string]bool{} // folder/name
	for _, f := range r.files {
		for _, name := range globalsOf(f) {
			globals[f.dir+"/"+name.Name] = true
		}
	}
	for _, f := range r.files {
		if f.test {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			for _, target := range assigned(n) {
				if x := base(target); x != nil && x.Name != "_" && isGlobal(f, x) && globals[f.dir+"/"+x.Name] {
					t.Errorf("%s changes the package's %s", r.at(x), x.Name)
				}
			}
			return true
		})
	}
}

// globalsOf returns the variables that a file declares for its package.
func globalsOf(f *file) (names []*ast.Ident) {
	for _, d := range f.tree.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.VAR || f.test {
			continue
		}
		for _, s := range gen.Specs {
			names = append(names, s.(*ast.ValueSpec).Names...)
		}
	}
	return names
}

// assigned returns what a statement gives a value to.
func assigned(n ast.Node) []ast.Expr {
	switch s := n.(type) {
	case *ast.AssignStmt:
		if s.Tok != token.DEFINE {
			return s.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{s.X}
	}
	return nil
}

// base returns the variable at the root of x, x.f, x[i] and *x.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// isGlobal reports whether a name may mean a variable of the package: nothing
// in the file declares it, or the file does so at the top.
func isGlobal(f *file, x *ast.Ident) bool {
	return x.Obj == nil || f.tree.Scope.Lookup(x.Name) == x.Obj
}

func TestPackagesAreExplained(t *testing.T) {
	has := map[string]bool{}
	for _, f := range wantRepository(t).files {
		if f.test {
			continue
		}
		has[f.dir] = has[f.dir] || strings.HasSuffix(f.name, "/doc.go") && len(f.tree.Doc.Text()) > 80
	}
	for dir, ok := range has {
		if !ok {
			t.Errorf("%s has no doc.go that says what it is for", dir)
		}
	}
}

func TestExportedNamesAreExplained(t *testing.T) {
	r := wantRepository(t)
	for _, f := range r.files {
		if f.test || f.tree.Name.Name == "main" {
			continue
		}
		for _, d := range f.tree.Decls {
			for _, name := range unexplained(d) {
				t.Errorf("%s: %s has no comment", r.at(name), name.Name)
			}
		}
	}
}

// unexplained returns the exported names of a declaration without a comment.
func unexplained(d ast.Decl) (names []*ast.Ident) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedReceiver(d)) {
			names = append(names, d.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			names = append(names, unexplainedSpec(d, s)...)
		}
	}
	return names
}

// unexplainedSpec returns the exported names of one type, or of one line of a
// group. A comment on a group of constants or variables explains all of them.
func unexplainedSpec(d *ast.GenDecl, s ast.Spec) (names []*ast.Ident) {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || len(d.Specs) > 1) {
			names = append(names, s.Name)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
				names = append(names, name)
			}
		}
	}
	return names
}

// exportedReceiver reports whether a method is one of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// TestNoPromises: what is in the repository is done.
func TestNoPromises(t *testing.T) {
	promise := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b|(?i:not impl` + `emented)`)
	for _, f := range wantRepository(t).files {
		for n, line := range bytes.Split(f.source, []byte("\n")) {
			if promise.Match(line) {
				t.Errorf("%s:%d: %s", f.name, n+1, bytes.TrimSpace(line))
			}
		}
	}
}

// TestNamesSaySomething: types are called by what they are.
func TestNamesSaySomething(t *testing.T) {
	r := wantRepository(t)
	empty := regexp.MustCompile(`(Manager|Handler|Utils?|Helpers?)$|^[A-Z].*Base$|^[bB]ase$`)
	for _, f := range r.files {
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if s, ok := n.(*ast.TypeSpec); ok && empty.MatchString(s.Name.Name) {
				t.Errorf("%s: %s says nothing", r.at(s), s.Name.Name)
			}
			return true
		})
	}
}

// TestTheTestsSee shows each of the checks above something to find.
func TestTheTestsSee(t *testing.T) {
	r := &repository{set: token.NewFileSet()}
	const source = `package x
import "time"
var count int
var n = 0
func F() { go f(); count++ }
func g() { n := 1; n = 2; time.Now() }
type T struct{}
func (T) M() {}
`
	if err := r.addSource("ike/x.go", source); err != nil {
		t.Fatal(err)
	}
	f := r.files[0]
	var found []string
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if starts(n) {
			found = append(found, "go")
		}
		for _, target := range assigned(n) {
			if x := base(target); isGlobal(f, x) {
				found = append(found, x.Name)
			}
		}
		return true
	})
	for _, d := range f.tree.Decls {
		for _, name := range unexplained(d) {
			found = append(found, name.Name)
		}
	}
	for _, sel := range selectors(f, "time") {
		found = append(found, sel.Sel.Name)
	}
	if got := fmt.Sprint(found); got != "[go count F T M Now]" {
		t.Errorf("found %s", got)
	}
}

// TestDocumentsNameTests: the tests that docs/clients.md and docs/waiting.md name are there.
func TestDocumentsNameTests(t *testing.T) {
	r := wantRepository(t)
	tests := map[string]bool{}
	for _, f := range r.files {
		for _, d := range f.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test && fn.Recv == nil {
				tests[fn.Name.Name] = true
			}
		}
	}
	for name, least := range map[string]int{"docs/clients.md": 100, "docs/waiting.md": 8} {
		named := regexp.MustCompile(`\bTest[A-Z][A-Za-z0-9]*\b`).FindAllString(document(t, name), -1)
		if len(named) < least {
			t.Errorf("%s names only %d tests", name, len(named))
		}
		for _, test := range named {
			if !tests[test] {
				t.Errorf("%s names %s, which is no test", name, test)
			}
		}
	}
}
