package fence

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// layered are the packages whose files stand one above the other.
func layered() []string {
	return []string{"internal/engine", "internal/gateway", "internal/dialer", "internal/access"}
}

const (
	// mostUp is how many of a hundred arrows between the files of a package may go up.
	mostUp = 25
	// mostMethods is how many methods a type may have, with those of what it embeds.
	mostMethods = 60
)

// arrows are which file of a package uses what others declare: a name of the package, a
// method or a field. Each pair of files counts once.
type arrows map[string]map[string]bool

// arrowsOf finds those of a package.
func arrowsOf(pkg *packages.Package) arrows {
	a := make(arrows)
	at := func(n interface{ Pos() token.Pos }) string { return filepath.Base(pkg.Fset.Position(n.Pos()).Filename) }
	for _, f := range pkg.Syntax {
		from := at(f)
		a[from] = make(map[string]bool)
		ast.Inspect(f, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			used := origin(pkg.TypesInfo.Uses[id])
			if used == nil || used.Pkg() != pkg.Types || local(used) {
				return true
			}
			if to := at(used); to != from {
				a[from][to] = true
			}
			return true
		})
	}
	return a
}

// local reports whether an object is of a function, and not of its package.
func local(o types.Object) bool {
	switch o := o.(type) {
	case *types.Var:
		return !o.IsField() && o.Parent() != o.Pkg().Scope()
	case *types.Func:
		return false
	}
	return o.Parent() != o.Pkg().Scope()
}

// order is an order of the files, the upper first, in which few arrows go up: the heuristic
// of Eades, Lin and Smyth. What nobody uses goes to the top, what uses nobody to the bottom,
// and of the rest that to the top which uses most files more than it is used by.
func (a arrows) order() []string {
	left := slices.Sorted(maps.Keys(a))
	var top, bottom []string
	degrees := func(f string) (out, in int) {
		for _, o := range left {
			if a[f][o] {
				out++
			}
			if a[o][f] {
				in++
			}
		}
		return out, in
	}
	take := func(which func(out, in int) bool) (string, bool) {
		i := slices.IndexFunc(left, func(f string) bool { return which(degrees(f)) })
		if i < 0 {
			return "", false
		}
		f := left[i]
		left = slices.Delete(left, i, i+1)
		return f, true
	}
	for len(left) > 0 {
		if f, ok := take(func(out, _ int) bool { return out == 0 }); ok {
			bottom = append(bottom, f)
			continue
		}
		if f, ok := take(func(_, in int) bool { return in == 0 }); ok {
			top = append(top, f)
			continue
		}
		best := slices.MaxFunc(left, func(x, y string) int {
			xOut, xIn := degrees(x)
			yOut, yIn := degrees(y)
			return cmp.Compare(xOut-xIn, yOut-yIn)
		})
		top = append(top, best)
		left = slices.DeleteFunc(left, func(f string) bool { return f == best })
	}
	slices.Reverse(bottom)
	return append(top, bottom...)
}

// up counts the arrows, and names those that go up in an order of the files.
func (a arrows) up(order []string) (all int, up []string) {
	for i, f := range order {
		all += len(a[f])
		for _, o := range order[:i] {
			if a[f][o] {
				up = append(up, f+" -> "+o)
			}
		}
	}
	return all, up
}

// TestFilesStandInLayers: whoever reads a package from its bottom file up has nearly always
// read before what a file uses.
func TestFilesStandInLayers(t *testing.T) {
	for _, pkg := range loadLayered(t) {
		a := arrowsOf(pkg)
		order := a.order()
		all, up := a.up(order)
		t.Logf("%s: %d of %d arrows go up, from top to bottom: %s", pkg.PkgPath, len(up), all, strings.Join(order, " "))
		if all == 0 || len(up)*100 > all*mostUp {
			t.Errorf("%s: %d of %d arrows between files go up, more than %d %%:\n%s", pkg.PkgPath, len(up), all, mostUp, strings.Join(up, "\n"))
		}
	}
}

// TestTypesAreSmall: no type there does everything.
func TestTypesAreSmall(t *testing.T) {
	for _, pkg := range loadLayered(t) {
		scope := pkg.Types.Scope()
		for _, name := range scope.Names() {
			of, ok := scope.Lookup(name).Type().(*types.Named)
			if !ok {
				continue
			}
			switch n := types.NewMethodSet(types.NewPointer(of)).Len(); {
			case n > mostMethods:
				t.Errorf("%s.%s has %d methods, more than %d", pkg.PkgPath, name, n, mostMethods)
			case n > 40:
				t.Logf("%s.%s has %d methods", pkg.PkgPath, name, n)
			}
		}
	}
}

// loadLayered reads those packages, without their tests.
func loadLayered(t *testing.T) []*packages.Package {
	t.Helper()
	var paths []string
	for _, p := range layered() {
		paths = append(paths, module+p)
	}
	all, err := packages.Load(&packages.Config{Mode: packages.LoadSyntax, Dir: filepath.Join("..", "..")}, paths...)
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range all {
		for _, err := range pkg.Errors {
			t.Fatal(err)
		}
	}
	if len(all) != len(paths) {
		t.Fatalf("%d packages were found", len(all))
	}
	return all
}
