package fence

import (
	"go/ast"
	"strings"
	"testing"
)

// TestEachEventHasOnePlace: whatever happens is said at one place, so that the log, the
// counters and whoever else is told hear of it once, and with the same words.
func TestEachEventHasOnePlace(t *testing.T) {
	places := make(map[string][]string)
	r := wantRepository(t)
	for _, f := range r.files {
		if f.test {
			continue
		}
		for _, spec := range typesIn(f) {
			if f.dir == "internal/event" && strings.Contains(tagOf(spec), `event:"`) {
				places[spec.Name.Name] = append([]string{}, places[spec.Name.Name]...)
			}
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if sel, ok := lit.Type.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "event" {
					places[sel.Sel.Name] = append(places[sel.Sel.Name], r.at(lit))
				}
			}
			return true
		})
	}
	for name, at := range places {
		if isPart := name == "Peer" || name == "Session"; !isPart && len(at) != 1 {
			t.Errorf("event.%s is made at %d places: %v", name, len(at), at)
		}
	}
	if len(places) < 20 {
		t.Errorf("only %d events were found", len(places))
	}
}

// typesIn are the types that a file declares.
func typesIn(f *file) (all []*ast.TypeSpec) {
	for _, d := range f.tree.Decls {
		if g, ok := d.(*ast.GenDecl); ok {
			for _, s := range g.Specs {
				if spec, ok := s.(*ast.TypeSpec); ok {
					all = append(all, spec)
				}
			}
		}
	}
	return all
}

// tagOf is the tag of the first field of a struct.
func tagOf(spec *ast.TypeSpec) string {
	if s, ok := spec.Type.(*ast.StructType); ok && len(s.Fields.List) > 0 && s.Fields.List[0].Tag != nil {
		return s.Fields.List[0].Tag.Value
	}
	return ""
}
