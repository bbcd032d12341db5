package fence

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// layer is a folder, and what of this repository the packages in it may
// import beside their own folder. Whatever is not named here may import
// nothing.
type layer struct {
	root string
	may  []string
}

// layers, the direction of imports: commands, the gateway and the dialer, the engine, the
// protocols. No protocol knows a sibling; the engine joins them.
func layers() []layer {
	return []layer{
		{"cmd", []string{"internal", "bench"}},
		{"bench", []string{"internal", "ike", "esp", "l2tp", "ppp", "tenant", "dataplane"}},
		{"internal/access", []string{"internal/config", "internal/store", "internal/eap", "ppp"}},
		{"internal/gateway", []string{"internal/engine", "internal/access", "internal/admin", "internal/bans", "internal/event", "internal/config", "internal/store", "internal/eap", "internal/revocation", "ike", "l2tp", "ppp", "tenant", "dataplane", "internal/x/aside", "internal/x/fault", "internal/x/deadline"}},
		{"internal/dialer", []string{"internal/engine", "internal/event", "internal/eap", "ike", "l2tp", "ppp", "tenant", "dataplane", "internal/x/aside", "internal/x/fault", "internal/x/deadline"}},
		{"internal/engine/tell", []string{"internal/engine", "internal/event", "internal/x/fault"}},
		{"internal/engine", []string{"ike", "esp", "l2tp", "ppp", "dataplane", "internal/x/fault", "internal/x/deadline"}}, // no user, tenant, file or store
		{"internal/quickstart", []string{"internal/config"}},
		{"internal/config", []string{"internal/secretfile", "internal/certificate", "tenant/policy"}},
		{"internal/bans", []string{"internal/store", "internal/x/deadline"}},
		{"internal/store", []string{"ppp/auth"}},
		{"internal/event", nil}, // values: what happens, not to whom it is told
		{"internal/fence", nil},
		{"internal/x", nil}, // leaves without a trade
		{"internal/ca", []string{"internal/secretfile"}},
		{"internal/secretfile", nil},                       // files that only their owner may read
		{"internal/certificate", nil},                      // X.509 as it is met with
		{"internal/admin", nil},                            // values and a socket: what is asked for, not who answers
		{"internal/eap", []string{"internal/certificate"}}, // below the protocols: IKEv2 and PPP both carry it
		{"internal/revocation", []string{"ike/auth", "internal/certificate", "internal/x/deadline"}},
		{"dataplane", []string{"internal/x/prefetch", "internal/x/largepages", "internal/x/gso", "internal/x/fault", "esp", "l2tp", "ppp", "tenant"}},
		{"ike", []string{"internal/eap", "internal/certificate", "internal/x/deadline"}},
		{"esp", []string{"internal/x/prefetch"}},
		{"l2tp", []string{"internal/x/deadline"}},
		{"ppp", []string{"internal/eap", "internal/x/deadline"}},
		{"tenant/policy", []string{"tenant/ipkt"}},
		{"tenant", []string{"internal/x/gso", "internal/x/fault"}},
	}
}

// cores are the protocols: machines without I/O.
func cores() []string { return []string{"ike", "l2tp", "ppp"} }

// views are the parts of packages that the data plane may use: headers,
// frames and the seam to devices, and no machine.
func views() map[string][]string {
	return map[string][]string{
		"l2tp":   {"AppendDataHeader", "CallID", "DataHeader", "DataHeaderLen", "IsControl", "MaxDataHeader", "ParseData", "TunnelID"},
		"ppp":    {"AppendHeader", "MaxHeader", "ParseFrame", "Protocol", "ProtocolIPv4", "ProtocolIPv6", "ProtocolLCP"},
		"tenant": {"Device", "Fault", "Headroom", "Peeker", "Source", "Tailroom", "Writer"},
	}
}

func TestImportsHaveOneDirection(t *testing.T) {
	for _, f := range wantRepository(t).files {
		if f.test {
			continue
		}
		i := slices.IndexFunc(layers(), func(l layer) bool { return within(f.dir, l.root) })
		if i < 0 {
			t.Errorf("%s: the layout has no folder %s", f.name, f.dir)
			continue
		}
		l := layers()[i]
		for p := range f.imports() {
			target, ours := strings.CutPrefix(p, module)
			if ours && !within(target, l.root) && !within(target, l.may...) {
				t.Errorf("%s imports %s: %s may import %v", f.name, target, l.root, l.may)
			}
		}
	}
}

// TestLeavesAreLeaves: what is in internal/x knows nothing of this repository, its
// neighbours there included.
func TestLeavesAreLeaves(t *testing.T) {
	for _, f := range wantRepository(t).files {
		if f.test || !within(f.dir, "internal/x") {
			continue
		}
		for p := range f.imports() {
			if target, ours := strings.CutPrefix(p, module); ours {
				t.Errorf("%s imports %s: a leaf imports nothing of ours", f.name, target)
			}
		}
	}
}

func TestNobodyImportsTheTop(t *testing.T) {
	for _, f := range wantRepository(t).files {
		for p := range f.imports() {
			target, ours := strings.CutPrefix(p, module)
			if ours && within(target, "internal/gateway") && !within(f.dir, "cmd", "bench", "internal/gateway") {
				t.Errorf("%s imports %s, which only commands and the bench may", f.name, target)
			}
			if tests := f.test && within(f.dir, "internal/gateway"); ours && within(target, "internal/dialer") && !tests && !within(f.dir, "cmd", "bench", "internal/dialer") {
				t.Errorf("%s imports %s, which only commands, the bench and tests of the gateway may", f.name, target)
			}
		}
	}
}

// TestCoresKnowNoClient: what a product does is in the persona packages, and only who
// dials asks for it by the product's name.
func TestCoresKnowNoClient(t *testing.T) {
	imported := 0
	for _, f := range wantRepository(t).files {
		for p := range f.imports() {
			target, ours := strings.CutPrefix(p, module)
			if !ours || !strings.HasSuffix(target, "/persona") || f.test {
				continue
			}
			imported++
			if !within(f.dir, "internal/dialer", "bench") {
				t.Errorf("%s imports %s, which is for who dials", f.name, target)
			}
		}
	}
	if imported == 0 {
		t.Error("nobody dials like a client")
	}
}

func TestDataPlaneSeesViewsOnly(t *testing.T) {
	r := wantRepository(t)
	for _, f := range r.files {
		if f.test || !within(f.dir, "dataplane") {
			continue
		}
		for p, name := range f.imports() {
			view, ok := views()[strings.TrimPrefix(p, module)]
			if !ok {
				continue
			}
			for _, sel := range selectors(f, name) {
				if !slices.Contains(view, sel.Sel.Name) && !strings.HasPrefix(sel.Sel.Name, "Err") {
					t.Errorf("%s uses %s.%s; the data plane may use %v", r.at(sel), name, sel.Sel.Name, view)
				}
			}
		}
	}
}

// selectors returns the uses of a package in a file.
func selectors(f *file, name string) (all []*ast.SelectorExpr) {
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == name && x.Obj == nil {
				all = append(all, sel)
			}
		}
		return true
	})
	return all
}

// TestCoresDoNoIO: the protocols open no socket, start no goroutine, read no
// clock, take no lock and log nothing; randomness is given to them.
func TestCoresDoNoIO(t *testing.T) {
	r := wantRepository(t)
	forbidden := []string{"net", "os", "os/exec", "syscall", "log", "log/slog", "sync/atomic", "crypto/rand", "math/rand", "math/rand/v2", "go.uber.org/zap", "golang.org/x/sys/unix", "context"}
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}
	for _, f := range r.files {
		if f.test || !within(f.dir, cores()...) || strings.HasSuffix(f.dir, "test") {
			continue
		}
		imports := f.imports()
		for p := range imports {
			if slices.Contains(forbidden, p) {
				t.Errorf("%s imports %s: a protocol does no I/O of its own", f.name, p)
			}
		}
		for _, sel := range selectors(f, imports["time"]) {
			if slices.Contains(clock, sel.Sel.Name) {
				t.Errorf("%s reads the clock with time.%s: time is an argument", r.at(sel), sel.Sel.Name)
			}
		}
		for _, sel := range selectors(f, imports["sync"]) {
			if !strings.HasPrefix(sel.Sel.Name, "Once") {
				t.Errorf("%s takes a lock with sync.%s: a protocol belongs to one goroutine", r.at(sel), sel.Sel.Name)
			}
		}
	}
}

// TestGoroutinesAreFew: goroutines are started where they are expected, and
// the list of them fits on a page.
func TestGoroutinesAreFew(t *testing.T) {
	r := wantRepository(t)
	const most = 28
	var all []string
	for _, f := range r.files {
		if f.test || within(f.dir, "internal/x/nstest") { // which only tests use
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if !starts(n) {
				return true
			}
			all = append(all, r.at(n))
			if within(f.dir, append(cores(), "esp", "internal/config", "internal/store", "internal/eap")...) {
				t.Errorf("%s starts a goroutine; only what runs does", r.at(n))
			}
			return true
		})
	}
	t.Logf("%d places start goroutines:\n%s", len(all), strings.Join(all, "\n"))
	if len(all) > most {
		t.Errorf("%d places start goroutines, and %d are enough:\n%s", len(all), most, strings.Join(all, "\n"))
	}
}

// starts reports whether a statement starts a goroutine, by itself or with
// sync.WaitGroup.Go.
func starts(n ast.Node) bool {
	if _, ok := n.(*ast.GoStmt); ok {
		return true
	}
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Go" && len(call.Args) == 1
}
