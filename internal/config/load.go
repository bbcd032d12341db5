package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile bounds what is read as a configuration, in bytes.
const maxFile = 8 << 20

// Load reads and checks a file. Secrets named by relative file: paths are
// looked for beside it. The error is Problems when the content is at fault.
func Load(path string) (*Config, error) {
	return load(path, surroundings(path))
}

// load reads and checks a file with a given outside world.
func load(path string, out outside) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("config: %s is larger than %d MiB; is it the right file?", path, maxFile>>20)
	}
	c, err := parse(path, data, out)
	if err != nil {
		return nil, err
	}
	c.warnReadable(f, path)
	return c, nil
}

// Again reads and checks the configuration as it was read once more, with what its Files
// hold by now: the file itself may be under the hands of somebody who is not done.
func (c *Config) Again() (*Config, error) {
	return parse(c.name, c.text, surroundings(c.name))
}

// LoadOutline is Load without the secrets: what file: and env: name is not
// looked at, and every secret of that kind is its own reference. It serves
// commands that run where the server's secrets are not to be had.
func LoadOutline(path string) (*Config, error) {
	return load(path, outside{
		file:    func(name string) ([]byte, error) { return []byte("file:" + name), nil },
		env:     func(name string) (string, bool) { return "env:" + name, true },
		outline: true,
	})
}

// StateOf is the state directory that a file names, which may have faults of any kind: a
// server that has read it before is still to be found. Without one, it is the default's.
func StateOf(path string) string {
	state := defaults().State
	data, _ := os.ReadFile(path)
	for line := range strings.Lines(string(data)) {
		var says struct{ State string }
		if strings.HasPrefix(line, "state:") && yaml.Unmarshal([]byte(line), &says) == nil && says.State != "" {
			state = says.State
		}
	}
	return state
}

// openError says what to do about a configuration that does not open.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("config: %s does not exist; `culvert config example` prints one to start from", path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("config: %s may not be read by this user; use sudo, or change its owner", path)
	}
	return fmt.Errorf("config: %w", err)
}

// warnReadable warns of a file that has secrets in it and that others read.
func (c *Config) warnReadable(f *os.File, path string) {
	info, err := f.Stat()
	if err != nil || info.Mode().Perm()&0o077 == 0 || !c.inline {
		return
	}
	c.Warnings = append(c.Warnings, &Problem{
		File: path, Line: 1, Column: 1,
		Text:   "the file has secrets in it, and others than its owner may read it",
		Remedy: "chmod 600 " + path,
	})
}

// Parse checks a configuration already in memory; name is used in messages,
// and relative file: paths are looked for in its directory. The error is
// always Problems.
func Parse(name string, data []byte) (*Config, error) {
	return parse(name, data, surroundings(name))
}

// reader is the state of reading one file.
type reader struct {
	file     string
	src      *source
	outside  outside
	anchors  map[string]ast.Node
	problems Problems
	warnings Problems
	config   *Config
	tenants  []*tenantValues

	rules, ends int // of all policies, as far as they were read
	large       int // sets that are too large to be compared
}

// parse reads a configuration with a given outside world.
func parse(name string, data []byte, out outside) (*Config, error) {
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	r := &reader{file: name, src: newSource(string(data)), outside: out, anchors: map[string]ast.Node{}}
	if root, ok := r.tree(data); ok {
		r.config = defaults()
		r.readConfig(root)
		r.check()
	}
	if len(r.problems) > 0 {
		if r.config != nil {
			r.config.Zero()
		}
		return nil, r.problems.finish(r.src)
	}
	r.config.Warnings = r.warnings.finish(r.src)
	r.config.name, r.config.text = name, bytes.Clone(data)
	return r.config, nil
}

// problem makes a problem at a place of this file.
func (r *reader) problem(at *token.Position, text, remedy string) *Problem {
	return &Problem{File: r.file, Line: at.Line, Column: at.Column, Text: text, Remedy: remedy}
}

// tree parses the file and collects its anchors.
func (r *reader) tree(data []byte) (value, bool) {
	start := &token.Position{Line: 1, Column: 1}
	if p := r.encoding(data); p != nil {
		r.problems = append(r.problems, p)
		return value{}, false
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		r.problems = append(r.problems, r.syntax(err))
		return value{}, false
	}
	switch {
	case len(file.Docs) == 0 || file.Docs[0].Body == nil:
		r.problems = append(r.problems, r.problem(start, "the file is empty", "`culvert config example` prints one to start from"))
		return value{}, false
	case len(file.Docs) > 1:
		at := start
		if t := file.Docs[1].Start; t != nil {
			at = t.Position
		}
		r.problems = append(r.problems, r.problem(at, "the file holds more than one document", "keep what is above the --- line, and drop the rest"))
		return value{}, false
	}
	ast.Walk(anchorVisitor(r.anchors), file.Docs[0].Body)
	return value{r: r}.child(file.Docs[0].Body, "", ""), true
}

// encoding is what is wrong with a file that is not written in UTF-8, and nil if it is:
// editors of Windows save what they call "Unicode" and "ANSI".
func (r *reader) encoding(data []byte) *Problem {
	if isUTF16(data) || bytes.IndexByte(data, 0) >= 0 {
		r.src.cutAt(1, 0)
		return r.problem(&token.Position{Line: 1, Column: 1}, "the file is written in UTF-16, or is no text", "save it as UTF-8")
	}
	if utf8.Valid(data) {
		return nil
	}
	before := data
	for n := 0; n < len(data); {
		c, size := utf8.DecodeRune(data[n:])
		if c == utf8.RuneError && size == 1 {
			before = data[:n]
			break
		}
		n += size
	}
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return r.problem(&token.Position{Line: line, Column: column}, "here is a byte that is not UTF-8", "save the file as UTF-8; a secret of other bytes goes into a file of its own, as file:PATH")
}

// syntax turns an error of the YAML parser into a problem.
func (r *reader) syntax(err error) *Problem {
	at, text := &token.Position{Line: 1, Column: 1}, "is not YAML"
	var y yaml.Error
	if errors.As(err, &y) {
		if t := y.GetToken(); t != nil && t.Position != nil {
			at = t.Position
		}
		text = y.GetMessage()
	}
	remedy := "indent with spaces, one key a line, a space behind its colon; text with : or # in it wants quotes"
	if strings.Contains(text, "already defined") {
		remedy = "keep one of the two"
	}
	return r.problem(at, text, remedy)
}

// anchorVisitor collects the nodes that aliases can name.
type anchorVisitor map[string]ast.Node

// Visit implements ast.Visitor.
func (a anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		a[anchor.Name.GetToken().Value] = anchor.Value
	}
	return a
}
