package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestBlock: files of addresses are found beside the configuration, for all and for a tenant, are
// not read with it, and are missed where they are not there; what follows the other files does
// not follow them.
func TestBlock(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.txt", "b.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no list"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Parse(filepath.Join(dir, "c.yaml"), []byte("block: [file:a.txt, file:/none]\ntenants:\n  - name: acme\n    psk: a-long-enough-key\n    pool: 10.1.0.0/24\n    block: file:b.txt\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{filepath.Join(dir, "a.txt"), "/none"}; !slices.Equal(c.Block, want) {
		t.Errorf("block: %v, want %v", c.Block, want)
	}
	if want := []string{filepath.Join(dir, "b.txt")}; !slices.Equal(c.Tenants[0].Block, want) || len(c.Files) != 0 {
		t.Errorf("block of the tenant: %v, want %v; files %v", c.Tenants[0].Block, want, c.Files)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].Error(), "/none cannot be read: nobody is refused for it") {
		t.Errorf("warnings: %v", c.Warnings)
	}
}
