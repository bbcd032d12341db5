package fence

import (
	"go/ast"
	"regexp"
	"testing"
)

// TestWhereIsWhat: whoever looks for a behaviour finds it where ARCHITECTURE says.
func TestWhereIsWhat(t *testing.T) {
	r := wantRepository(t)
	rows := regexp.MustCompile("(?m)^\\| [^|]+ \\| `([^`]+\\.go)` \\| `([^`]+)` \\|$").FindAllStringSubmatch(document(t, "ARCHITECTURE.md"), -1)
	if len(rows) < 10 {
		t.Fatalf("%d rows were found", len(rows))
	}
	for _, row := range rows {
		if !declares(r, row[1], row[2]) {
			t.Errorf("%s has no function %s", row[1], row[2])
		}
	}
}

// declares reports whether a file has a function of that name.
func declares(r *repository, file, name string) bool {
	for _, f := range r.files {
		if f.name != file {
			continue
		}
		for _, d := range f.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == name {
				return true
			}
		}
	}
	return false
}
