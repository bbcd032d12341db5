package fence

import (
	"go/ast"
	"go/token"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// said is a line that the program can write to its log.
type said struct{ name, level string }

// saidBy finds the lines that a file writes, and the places that name theirs otherwise
// than by a literal.
func saidBy(r *repository, f *file) (all []said, hidden []string) {
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || len(n.Args) == 0 || !slices.Contains([]string{"Debug", "Info", "Warn", "Error", "DPanic", "Panic", "Fatal", "Log", "Check"}, sel.Sel.Name) {
				return true
			}
			if name, ok := literal(n.Args[0]); ok {
				all = append(all, said{name, strings.ToLower(sel.Sel.Name)})
			} else if isLog(sel.X) && f.dir != "internal/event" { // which writes those of its types
				hidden = append(hidden, r.set.Position(n.Pos()).String())
			}
		case *ast.TypeSpec: // an event, which is a line
			if e, ok := eventLine(n); ok && f.dir == "internal/event" {
				all = append(all, e)
			}
		case *ast.CompositeLit: // zapcore.Entry
			if sel, ok := n.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "Entry" {
				all = append(all, entry(n))
			}
		}
		return true
	})
	return all, hidden
}

// isLog reports whether something is called a log.
func isLog(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name == "log"
	case *ast.SelectorExpr:
		return x.Sel.Name == "log" || x.Sel.Name == "Log"
	}
	return false
}

func literal(x ast.Expr) (string, bool) {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// entry is the line that a literal of zap's makes.
func entry(lit *ast.CompositeLit) (s said) {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			switch key, _ := kv.Key.(*ast.Ident); key.Name {
			case "Message":
				s.name, _ = literal(kv.Value)
			case "Level":
				s.level = strings.ToLower(strings.TrimSuffix(kv.Value.(*ast.SelectorExpr).Sel.Name, "Level"))
			}
		}
	}
	return s
}

// eventLine is the line that a type of event is.
func eventLine(spec *ast.TypeSpec) (said, bool) {
	tag := reflect.StructTag(strings.Trim(tagOf(spec), "`"))
	name, ok := tag.Lookup("event")
	if !ok {
		return said{}, false
	}
	embedded := spec.Type.(*ast.StructType).Fields.List[0].Type.(*ast.Ident).Name
	return said{name, map[string]string{"info": "info", "warning": "warn", "failure": "error"}[embedded]}, true
}

// TestLogLinesAreExplained: an operator finds each line that the program can write in
// docs/log.md, with its level, and none that it cannot.
func TestLogLinesAreExplained(t *testing.T) {
	r, written := wantRepository(t), map[said]bool{}
	for _, f := range r.files {
		if f.test || strings.HasSuffix(f.dir, "test") || strings.HasPrefix(f.dir, "esp/internal/_asm") { // not in the program
			continue
		}
		all, hidden := saidBy(r, f)
		for _, s := range all {
			written[s] = true
		}
		for _, at := range hidden {
			t.Errorf("%s: a line of the log without a name", at)
		}
	}
	if len(written) < 30 {
		t.Fatalf("found %d lines only", len(written))
	}
	text, _, _ := strings.Cut(document(t, "docs/log.md"), "## Causes")
	explained := map[said]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| (\\w+) \\| \\S.* \\| .*\\|$").FindAllStringSubmatch(text, -1) {
		explained[said{m[1], m[2]}] = true
	}
	for s := range written {
		if !explained[s] {
			t.Errorf("docs/log.md does not explain %s, level %s", s.name, s.level)
		}
	}
	for s := range explained {
		if !written[s] {
			t.Errorf("docs/log.md explains %s, level %s, which nothing writes", s.name, s.level)
		}
	}
}
