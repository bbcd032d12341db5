package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// wantTerminal returns both ends of a new terminal: that of whoever types,
// and that of the program.
func wantTerminal(t *testing.T) (typist, program *os.File) {
	t.Helper()
	typist, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { typist.Close() })
	if err := unix.IoctlSetPointerInt(int(typist.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(typist.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return typist, program
}

func TestPasswordOnATerminal(t *testing.T) {
	for _, test := range []struct{ typed, want string }{
		{"hunter2\nhunter2\n", "hunter2"},
		{"hunter2\nhunter3\n", ""},
		{"\n", "made"},
	} {
		typist, program := wantTerminal(t)
		if _, err := io.WriteString(typist, test.typed); err != nil {
			t.Fatal(err)
		}
		var asked bytes.Buffer
		p, err := readPassword(streams{in: program, err: &asked}, "alice", false)
		switch {
		case test.want == "" && (err == nil || !strings.Contains(err.Error(), "nothing was changed")):
			t.Errorf("%q: %+v, %v", test.typed, p, err)
		case test.want == "made" && (err != nil || !p.made || len(p.text) != 19):
			t.Errorf("%q: %+v, %v", test.typed, p, err)
		case test.want == "hunter2" && (err != nil || p.made || p.text != test.want):
			t.Errorf("%q: %+v, %v", test.typed, p, err)
		}
		if !strings.Contains(asked.String(), "Password for alice") || strings.Contains(asked.String(), "hunter") {
			t.Errorf("asked %q", asked.String())
		}
	}
}
