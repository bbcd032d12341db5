package fence

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/types/typeutil"
	"golang.org/x/tools/refactor/satisfy"
)

// program is what the commands are made of: the packages that they import, without tests
// and without what only tests import. Who names what is known by the compiler's types.
type program struct {
	packages []*packages.Package
	names    map[types.Object][]types.Object // what a declaration of a package names
	reached  map[types.Object]bool           // what the commands come to
}

// loadProgram reads the packages below a folder, as linux and amd64 have them.
func loadProgram(t *testing.T, dir string, environment ...string) *program {
	t.Helper()
	all, err := packages.Load(&packages.Config{
		Mode: packages.LoadSyntax | packages.NeedModule,
		Dir:  dir,
		Env:  append(append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "GOWORK=off"), environment...),
	}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	p := &program{names: map[types.Object][]types.Object{}, reached: map[types.Object]bool{}}
	ours := map[string]*packages.Package{}
	for _, pkg := range all {
		for _, err := range pkg.Errors {
			t.Fatal(err)
		}
		ours[pkg.PkgPath] = pkg
	}
	for _, pkg := range all {
		if pkg.Name == "main" {
			p.include(pkg, ours)
		}
	}
	for _, pkg := range p.packages {
		for _, f := range pkg.Syntax {
			for _, d := range f.Decls {
				p.declaration(pkg.TypesInfo, d)
			}
		}
	}
	p.interfaces()
	for _, pkg := range p.packages {
		if pkg.Name == "main" {
			p.reach(pkg.Types.Scope().Lookup("main"))
		}
	}
	return p
}

// include adds a package, and those of ours that it imports.
func (p *program) include(pkg *packages.Package, ours map[string]*packages.Package) {
	if slices.Contains(p.packages, pkg) {
		return
	}
	p.packages = append(p.packages, pkg)
	for path := range pkg.Imports {
		if imported := ours[path]; imported != nil {
			p.include(imported, ours)
		}
	}
}

// reach marks what an object names, and what that names.
func (p *program) reach(o types.Object) {
	if o = origin(o); o == nil || p.reached[o] {
		return
	}
	p.reached[o] = true
	for _, named := range p.names[o] {
		p.reach(named)
	}
}

// name notes that who comes to from comes to the others.
func (p *program) name(from types.Object, to ...types.Object) {
	if from != nil {
		p.names[from] = append(p.names[from], to...)
	}
}

// declaration notes what a declaration names.
func (p *program) declaration(info *types.Info, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		p.name(info.Defs[d.Name], mentioned(info, d.Type, d.Body)...)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				p.name(info.Defs[s.Name], append(mentioned(info, s), called(info.Defs[s.Name])...)...)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					p.name(info.Defs[name], mentioned(info, s)...)
				}
			}
		}
	}
}

// mentioned returns what is named within nodes: by its name, or in a literal that gives all
// fields a value in their order.
func mentioned(info *types.Info, nodes ...ast.Node) (all []types.Object) {
	for _, node := range nodes {
		if body, ok := node.(*ast.BlockStmt); ok && body == nil { // in assembly
			continue
		}
		ast.Inspect(node, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				if o := info.Uses[n]; o != nil {
					all = append(all, o)
				}
			case *ast.CompositeLit:
				all = append(all, inOrder(info, n)...)
			case *ast.StructType:
				all = append(all, tagged(info.TypeOf(n))...)
			case *ast.CallExpr:
				all = append(all, unnamed(info, n)...)
			}
			return true
		})
	}
	return all
}

// inOrder returns the fields that a literal gives values to without their names.
func inOrder(info *types.Info, lit *ast.CompositeLit) (fields []types.Object) {
	s, ok := types.Unalias(info.TypeOf(lit)).Underlying().(*types.Struct)
	if !ok || len(lit.Elts) == 0 {
		return nil
	}
	if _, named := lit.Elts[0].(*ast.KeyValueExpr); named {
		return nil
	}
	for f := range s.Fields() {
		fields = append(fields, f)
	}
	return fields
}

// tagged returns the fields of a structure that an encoding reads.
func tagged(of types.Type) (fields []types.Object) {
	if s, ok := of.Underlying().(*types.Struct); ok {
		for i := range s.NumFields() {
			if s.Tag(i) != "" {
				fields = append(fields, s.Field(i))
			}
		}
	}
	return fields
}

// unnamed returns the fields that a call uses without their names: it turns one structure
// into another, or gives it to an encoding.
func unnamed(info *types.Info, call *ast.CallExpr) (fields []types.Object) {
	var structures []types.Type
	if info.Types[call.Fun].IsType() {
		structures = []types.Type{info.TypeOf(call.Fun), info.TypeOf(call.Args[0])}
	} else if f := typeutil.Callee(info, call); f != nil && f.Pkg() != nil && strings.HasPrefix(f.Pkg().Path(), "encoding/") {
		for _, arg := range call.Args {
			structures = append(structures, info.TypeOf(arg))
		}
	}
	for _, t := range structures {
		if pointer, ok := t.Underlying().(*types.Pointer); ok {
			t = pointer.Elem()
		}
		if s, ok := t.Underlying().(*types.Struct); ok {
			for f := range s.Fields() {
				fields = append(fields, f)
			}
		}
	}
	return fields
}

// called returns the methods of a type that others call without naming an interface where
// we see it: fmt, errors, encoding.
func called(name types.Object) (methods []types.Object) {
	if name == nil {
		return nil
	}
	for _, m := range []string{
		"String", "GoString", "Format", "Error", "Unwrap", "Is", "As", "Timeout", "Temporary",
		"MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON",
	} {
		if o, _, _ := types.LookupFieldOrMethod(types.NewPointer(name.Type()), true, name.Pkg(), m); o != nil {
			methods = append(methods, o)
		}
	}
	return methods
}

// origin is the declaration of what an instance of a generic type has.
func origin(o types.Object) types.Object {
	switch o := o.(type) {
	case *types.Var:
		return o.Origin()
	case *types.Func:
		return o.Origin()
	}
	return o
}

// interfaces notes that a type's methods are called by those who are given it as an
// interface: in an assignment, a call, a return, as the parameter of a generic function, or
// found out by an assertion.
func (p *program) interfaces() {
	var found satisfy.Finder
	var asserted []*types.Interface
	for _, pkg := range p.packages {
		found.Find(pkg.TypesInfo, pkg.Syntax)
		for name, i := range pkg.TypesInfo.Instances {
			p.instance(pkg.TypesInfo.Uses[name], i)
		}
		for _, f := range pkg.Syntax {
			asserted = append(asserted, assertions(pkg.TypesInfo, f)...)
		}
	}
	for c := range found.Result {
		if i, ok := c.LHS.Underlying().(*types.Interface); ok {
			p.satisfies(c.RHS, i)
		}
	}
	for _, pkg := range p.packages {
		for _, o := range pkg.TypesInfo.Defs {
			if name, ok := o.(*types.TypeName); ok && !types.IsInterface(name.Type()) {
				for _, i := range asserted {
					if pointer := types.NewPointer(name.Type()); types.Implements(pointer, i) {
						p.satisfies(pointer, i)
					}
				}
			}
		}
	}
}

// assertions returns the interfaces that a file asks values for.
func assertions(info *types.Info, f *ast.File) (all []*types.Interface) {
	add := func(e ast.Expr) {
		if e == nil {
			return
		}
		if i, ok := info.TypeOf(e).Underlying().(*types.Interface); ok && i.NumMethods() > 0 {
			all = append(all, i)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeAssertExpr:
			add(n.Type)
		case *ast.TypeSwitchStmt:
			for _, c := range n.Body.List {
				for _, e := range c.(*ast.CaseClause).List {
					add(e)
				}
			}
		}
		return true
	})
	return all
}

// satisfies notes that who comes to the type of a value comes to the methods that an
// interface asks for.
func (p *program) satisfies(value types.Type, i *types.Interface) {
	for m := range i.Methods() {
		o, _, _ := types.LookupFieldOrMethod(value, true, m.Pkg(), m.Name())
		if f, ok := origin(o).(*types.Func); ok {
			if of := receiverOf(f); of != nil {
				p.name(of.Origin().Obj(), f)
			}
		}
	}
}

// receiverOf is the type whose method a function is; nil: it is nobody's.
func receiverOf(f *types.Func) *types.Named {
	if f.Signature().Recv() == nil {
		return nil
	}
	of := f.Signature().Recv().Type()
	if pointer, ok := types.Unalias(of).(*types.Pointer); ok {
		of = pointer.Elem()
	}
	named, _ := types.Unalias(of).(*types.Named)
	return named
}

// instance notes that what a generic function or type is made for has what it asks for.
func (p *program) instance(generic types.Object, made types.Instance) {
	var asks *types.TypeParamList
	switch t := generic.Type().(type) {
	case *types.Signature:
		asks = t.TypeParams()
	case interface{ TypeParams() *types.TypeParamList }:
		asks = t.TypeParams()
	}
	for n := range asks.Len() {
		if i, ok := asks.At(n).Constraint().Underlying().(*types.Interface); ok {
			p.satisfies(made.TypeArgs.At(n), i)
		}
	}
}

// TestExportedNamesAreUsed: what is exported is there for somebody who is no test: one
// comes to it from a command, by the types of the compiler and not by the name alone.
func TestExportedNamesAreUsed(t *testing.T) {
	p := loadProgram(t, filepath.Join("..", ".."))
	spared := map[string]bool{}
	for _, u := range p.unused() {
		if _, ok := forTests()[u.name]; ok {
			spared[u.name] = true
			continue
		}
		t.Errorf("%s: no command comes to %s: delete it, or use it", u.at, u.name)
	}
	for name, why := range forTests() {
		if !spared[name] {
			t.Errorf("%s is not there for tests (%s): it has users, or is gone", name, why)
		}
	}
}

// forTests are the names that only the tests of other packages use, and why these cannot do
// without.
func forTests() map[string]string {
	return map[string]string{
		"internal/event.All": "every event is tried, and compared with the documents",
		"ike/family.Table":   "every quirk is tried with whole handshakes",
		"ike/v2.Session.Ask": "collisions of questions at a time of the test's choice",
	}
}

// TestTheTestSeesUses shows the check above each kind of what is used and what is not.
func TestTheTestSeesUses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":          "module example\n\ngo 1.26\n",
		"main.go":         "package main\n\nimport \"example/a\"\n\nfunc main() { a.Run() }\n",
		"a/a.go":          usesSource,
		"a/a_test.go":     "package a\n\nimport \"testing\"\n\nfunc TestUnused(t *testing.T) { Unused() }\n",
		"support/test.go": "package support\n\nimport \"example/a\"\n\nfunc Support() { a.Unused() }\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, u := range loadProgram(t, dir).unused() {
		got = append(got, u.name)
	}
	want := []string{
		"a.Alone", "a.Both.Close", "a.Closer.Unasked", "a.Cluster", "a.Field", "a.Hidden.Zero", "a.Never",
		"a.Unused", "a.Variable",
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("unused are\n%s, want\n%s", got, want)
	}
}

const usesSource = `package a

import "fmt"

type Closer interface {
	Close()
	Unasked()
}

type Shown struct{ Name, Field string }

func (Shown) String() string { return "" }
func (Shown) Zero()          {}
func (Shown) Close()         {}
func (Shown) Unasked()       {}

type Hidden struct{ Number int }

func (Hidden) Zero() {}

type Both struct{}

func (Both) Close() {}

// Made are the numbers of RFC 1.
const (
	One = 1
	Two = 2
)

const (
	Ever  = 1
	Never = 2
)

const Alone = 3

var Variable int

type named[T any] interface{ Mine(T) }

type Of struct{}

func (Of) Mine(int) {}

func generic[T named[int]](t T) { t.Mine(1) }

func Run() {
	var c Closer = Shown{Name: "x"}
	c.Close()
	Shown{}.Zero()
	fmt.Println(Hidden{Ever}, Both{}, Shown{}.Name)
	generic(Of{})
}

func Unused() { Cluster() }

func Cluster() { Unused() }
`

// unusedName is an exported name that no command comes to.
type unusedName struct{ name, at string }

// unused returns the exported names that no command comes to. Left out are the numbers of a
// registry, which stand there whole.
func (p *program) unused() (all []unusedName) {
	for _, pkg := range p.packages {
		if pkg.Name == "main" {
			continue
		}
		numbers := map[types.Object]bool{}
		for _, f := range pkg.Syntax {
			for _, id := range registered(f) {
				numbers[pkg.TypesInfo.Defs[id]] = true
			}
		}
		for id, o := range pkg.TypesInfo.Defs {
			if o != nil && id.IsExported() && asked(pkg, o) && !p.reached[o] && !numbers[o] {
				at := pkg.Fset.Position(id.Pos())
				file := strings.TrimPrefix(at.Filename, pkg.Module.Dir+string(filepath.Separator))
				all = append(all, unusedName{name: fullName(pkg, o), at: fmt.Sprintf("%s:%d", file, at.Line)})
			}
		}
	}
	slices.SortFunc(all, func(a, b unusedName) int { return strings.Compare(a.at, b.at) })
	return all
}

// fullName is a name with its package, and with the type whose method it is.
func fullName(pkg *packages.Package, o types.Object) string {
	name := strings.TrimPrefix(pkg.PkgPath, pkg.Module.Path+"/") + "."
	if f, ok := o.(*types.Func); ok && f.Signature().Recv() != nil {
		if of := receiverOf(f); of != nil {
			name += of.Obj().Name() + "."
		}
	}
	return name + o.Name()
}

// registered returns the numbers that a file has from a standard: constants of a group
// whose comment says where they are from.
func registered(f *ast.File) (names []*ast.Ident) {
	source := regexp.MustCompile(`\b(RFC|IANA|draft)\b`)
	for _, d := range f.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST || len(group.Specs) < 2 || !source.MatchString(group.Doc.Text()) {
			continue
		}
		for _, s := range group.Specs {
			names = append(names, s.(*ast.ValueSpec).Names...)
		}
	}
	return names
}

// asked reports whether an object is one that somebody must use: a name of a package, a
// method, a field.
func asked(pkg *packages.Package, o types.Object) bool {
	switch o := o.(type) {
	case *types.Func:
		return true
	case *types.Var:
		return o.IsField() && !o.Embedded() || o.Parent() == pkg.Types.Scope()
	case *types.TypeName:
		_, parameter := o.Type().(*types.TypeParam)
		return !parameter
	case *types.Const:
		return o.Parent() == pkg.Types.Scope()
	}
	return false
}
