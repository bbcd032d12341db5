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
		if isPart := name == "Peer" || name == "Session" || name == "Ban"; !isPart && len(at) != 1 {
			t.Errorf("event.%s is made at %d places: %v", name, len(at), at)
		}
	}
	if len(places) < 20 {
		t.Errorf("only %d events were found", len(places))
	}
}

// TestNoEventIsEmittedTwice: an event that is not made where it is emitted is emitted at one
// place all the same: who has it in hand does so, and nobody else. What is said of the engine
// by the server and by the client is put into words in package tell, and each says it once.
func TestNoEventIsEmittedTwice(t *testing.T) {
	r := wantRepository(t)
	held := map[string]string{"tellUp": "SessionUp", "sayRefused": "LoginRefused"}
	literals, elsewhere, told := 0, map[string]int{}, map[string]int{}
	for _, f := range r.files {
		if f.test || f.dir == "internal/event" {
			continue
		}
		for _, d := range f.tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Name.Name == "emit" {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !emits(call) {
					return true
				}
				last := call.Args[len(call.Args)-1]
				if _, made := last.(*ast.CompositeLit); made {
					literals++
				} else if name := wordsOf(last); name != "" {
					told[f.dir+" "+name]++
				} else if elsewhere[fn.Name.Name]++; held[fn.Name.Name] == "" {
					t.Errorf("%s emits an event that was made elsewhere", r.at(call))
				}
				return true
			})
		}
	}
	for name, event := range held {
		if elsewhere[name] != 1 {
			t.Errorf("%s emits %s at %d places", name, event, elsewhere[name])
		}
	}
	for at, n := range told {
		if n != 1 {
			t.Errorf("%s: emitted at %d places", at, n)
		}
	}
	if literals < 15 || told["internal/gateway Down"] == 0 || told["internal/dialer Down"] == 0 || len(told) < 10 {
		t.Errorf("only %d events are emitted, and of the engine %v", literals, told)
	}
}

// wordsOf is the function of package tell that makes an event; empty: none does.
func wordsOf(x ast.Expr) string {
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return ""
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if pkg, ok := sel.X.(*ast.Ident); !ok || pkg.Name != "tell" {
		return ""
	}
	return sel.Sel.Name
}

// emits reports whether a call tells the stream of an event.
func emits(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && len(call.Args) > 0 && (sel.Sel.Name == "emit" && hasStream(sel.X) || sel.Sel.Name == "Emit")
}

// hasStream reports whether something is called as the server, or the client, is: machines
// have an emit of their own.
func hasStream(x ast.Expr) bool {
	if held, ok := x.(*ast.SelectorExpr); ok && held.Sel.Name == "server" {
		x = held.X
	}
	name, ok := x.(*ast.Ident)
	return ok && (name.Name == "g" || name.Name == "d")
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
