package main

import (
	"os"
	"regexp"
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
