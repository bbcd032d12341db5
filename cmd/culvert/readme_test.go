package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-vpn/culvert/internal/config"
)

// readme returns the README.
func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReadmeConfiguration: what the README shows is accepted.
func TestReadmeConfiguration(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readme(t), -1)
	if len(blocks) == 0 {
		t.Fatal("the README shows no configuration")
	}
	for _, b := range blocks {
		c, err := config.LoadOutline(write(t, "readme.yaml", b[1]))
		if err != nil || len(c.Warnings) > 0 {
			t.Errorf("%v %v", err, c)
		}
	}
}

// TestReadmeCommands: every command that the README names is there, and every
// one that is there is named.
func TestReadmeCommands(t *testing.T) {
	text := readme(t)
	root := newRoot(streams{strings.NewReader(""), nil, nil})
	for _, m := range regexp.MustCompile("`culvert ([a-z]+)(?: ([a-z]+))?").FindAllStringSubmatch(text, -1) {
		c, rest, err := root.Find(strings.Fields(m[1] + " " + m[2]))
		if err != nil || c == root || len(rest) > 0 && c.HasSubCommands() {
			t.Errorf("the README names culvert %s %s: %v", m[1], m[2], err)
		}
	}
	for _, c := range root.Commands() {
		if c.Name() != "help" && c.Name() != "completion" && !strings.Contains(text, "culvert "+c.Name()) {
			t.Errorf("the README does not name culvert %s", c.Name())
		}
	}
}
