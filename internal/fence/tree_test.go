package fence

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// module is the path that imports of this repository begin with.
const module = "github.com/culvert-vpn/culvert/"

// file is one Go file of the repository.
type file struct {
	name   string // relative to the root, with slashes
	dir    string // "." for the root
	test   bool
	source []byte
	lines  int
	tree   *ast.File
}

// repository is every Go file, parsed once for all tests.
type repository struct {
	set   *token.FileSet
	files []*file
}

// readOnce reads the repository; tests of one run share it.
var readOnce = sync.OnceValues(read)

// wantRepository returns the repository.
func wantRepository(t *testing.T) *repository {
	t.Helper()
	r, err := readOnce()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.files) < 10 {
		t.Fatalf("found %d Go files only: is this run within the repository?", len(r.files))
	}
	return r
}

// read parses every Go file from the root down.
func read() (*repository, error) {
	r := &repository{set: token.NewFileSet()}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != root && skipped(d.Name()) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(d.Name(), ".go") || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		return r.add(p, filepath.ToSlash(rel))
	})
	return r, err
}

// skipped reports whether the go tool leaves a folder out.
func skipped(name string) bool {
	return name == "testdata" || name == "vendor" || name[0] == '.' || name[0] == '_'
}

// add reads and parses one file.
func (r *repository) add(p, rel string) error {
	source, err := os.ReadFile(p)
	if err != nil {
		return err
	}
	return r.addSource(rel, string(source))
}

// addSource parses the text of one file.
func (r *repository) addSource(rel, source string) error {
	tree, err := parser.ParseFile(r.set, rel, source, parser.ParseComments)
	if err != nil {
		return err
	}
	r.files = append(r.files, &file{
		name: rel, dir: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"),
		source: []byte(source), lines: strings.Count(source, "\n"), tree: tree,
	})
	return nil
}

// within reports whether a folder is one of the roots or below it.
func within(dir string, roots ...string) bool {
	for _, root := range roots {
		if dir == root || strings.HasPrefix(dir, root+"/") {
			return true
		}
	}
	return false
}

// imports returns the paths a file imports, and the name of each.
func (f *file) imports() map[string]string {
	all := map[string]string{}
	for _, i := range f.tree.Imports {
		p := strings.Trim(i.Path.Value, `"`)
		name := path.Base(p)
		if i.Name != nil {
			name = i.Name.Name
		}
		all[p] = name
	}
	return all
}

// at returns where a node is, as file:line.
func (r *repository) at(n ast.Node) string {
	p := r.set.Position(n.Pos())
	p.Column = 0
	return p.String()
}
