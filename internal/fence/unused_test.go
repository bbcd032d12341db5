package fence

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// formatted are methods that others call without naming them: fmt, errors, encoding.
func formatted() []string {
	return []string{"String", "GoString", "Format", "Error", "Unwrap", "Is", "As", "MarshalText", "UnmarshalText", "MarshalJSON", "Visit"}
}

// declared is an exported name of a package.
type declared struct {
	name, folder, at string
}

// TestExportedNamesAreUsed: a name is exported for somebody who is no test. The name alone
// is looked for, wherever it stands: what is found is never used, though not all that is
// unused is found.
func TestExportedNamesAreUsed(t *testing.T) {
	r := wantRepository(t)
	imported, uses := map[string]bool{}, map[string]int{}
	for _, f := range r.files {
		if f.test {
			continue
		}
		for p := range f.imports() {
			imported[strings.TrimPrefix(p, module)] = true
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				uses[id.Name]++
			}
			return true
		})
	}
	declarations := map[string]int{}
	var names []declared
	for _, f := range r.files {
		if f.test || f.tree.Name.Name == "main" {
			continue
		}
		for _, id := range exported(f) {
			declarations[id.Name]++
			if imported[f.dir] { // others are the tests' own
				names = append(names, declared{id.Name, f.dir, r.at(id)})
			}
		}
	}
	for _, d := range names {
		if uses[d.name] <= declarations[d.name] && !slices.Contains(formatted(), d.name) {
			t.Errorf("%s: nothing but tests uses %s.%s: delete it, or use it", d.at, d.folder, d.name)
		}
	}
}

// exported returns the exported names that a file declares: of the package, of methods and
// of fields. Left out are numbers of a registry, which stand there whole, and methods of
// types that are not exported: somebody else's interface asks for them.
func exported(f *file) (names []*ast.Ident) {
	add := func(ids ...*ast.Ident) {
		for _, id := range ids {
			if id.IsExported() {
				names = append(names, id)
			}
		}
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.FuncDecl:
			if x.Recv == nil || ast.IsExported(base(receiver(x)).Name) {
				add(x.Name)
			}
			return false
		case *ast.GenDecl:
			return x.Tok != token.CONST || len(x.Specs) == 1
		case *ast.TypeSpec:
			add(x.Name)
		case *ast.ValueSpec:
			add(x.Names...)
		case *ast.StructType:
			for _, field := range x.Fields.List {
				add(field.Names...)
			}
		case *ast.InterfaceType:
			for _, m := range x.Methods.List {
				add(m.Names...)
			}
		}
		return true
	})
	return names
}

// receiver is the type that a method belongs to, without its parameters.
func receiver(fn *ast.FuncDecl) ast.Expr {
	of := fn.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if index, ok := of.(*ast.IndexExpr); ok {
		of = index.X
	}
	return of
}
