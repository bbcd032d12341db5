package wiretest

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Flow is one recorded packet.
type Flow struct {
	Name   string // of the file, without its extension
	Client string
	What   string
	Origin string // "captured" or "reconstructed", and a remark
	Data   []byte
}

// Chain reports whether the packet is a chain of payloads without header.
func (f Flow) Chain() bool { return strings.HasPrefix(f.What, "quick mode") }

// Load returns the flow of that name. The test fails if there is none.
func Load(t testing.TB, name string) Flow {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "testdata", "flows", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(text), "\n")
	fields := strings.Split(strings.TrimPrefix(head, "# "), " | ")
	if len(fields) != 3 {
		t.Fatalf("%s: first line is not \"# client | what | origin\"", name)
	}
	data, err := hex.DecodeString(strings.Join(strings.Fields(body), ""))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return Flow{Name: name, Client: fields[0], What: fields[1], Origin: fields[2], Data: data}
}

// All returns every flow of IKE, in the order of their names.
func All(t testing.TB) []Flow {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root(t), "testdata", "flows", "*.hex"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no flows found: %v", err)
	}
	flows := make([]Flow, 0, len(paths))
	for _, p := range paths {
		flows = append(flows, Load(t, strings.TrimSuffix(filepath.Base(p), ".hex")))
	}
	return flows
}

// root finds the top of the module above the directory a test runs in.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("not inside the module")
		}
		dir = up
	}
}
