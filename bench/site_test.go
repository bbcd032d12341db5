package bench

import (
	"os"
	"strings"
	"testing"
	"time"
)

type channelWriter chan string

func (c channelWriter) Write(b []byte) (int, error) { c <- string(b); return len(b), nil }

func TestSiteLeavesNothing(t *testing.T) {
	s, err := newSite("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.write("secret", "x"); err != nil {
		t.Fatal(err)
	}
	p, err := s.start(nil, "sleep", "sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	s.close()
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		t.Error("the process lives on")
	}
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestProcessSaysWhyItEnded(t *testing.T) {
	p, err := spawn(nil, nil, "shell", []string{"sh", "-c", "echo hello; echo trouble >&2; exit 3"})
	if err != nil {
		t.Fatal(err)
	}
	if line, err := p.wantLine(t.Context(), "hel"); err != nil || line != "hello" {
		t.Errorf("%q, %v", line, err)
	}
	if _, err := p.wantLine(t.Context(), "nothing"); err == nil || !strings.Contains(err.Error(), "trouble") {
		t.Errorf("%v", err)
	}
	if _, err := p.result(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%v", err)
	}
}

func TestCloseToKeepsWhatWasBefore(t *testing.T) {
	var undone []int
	s := &site{}
	s.later(func() { undone = append(undone, 1) })
	mark := s.mark()
	s.later(func() { undone = append(undone, 2) })
	s.later(func() { undone = append(undone, 3) })
	s.closeTo(mark)
	if len(undone) != 2 || undone[0] != 3 {
		t.Errorf("%v", undone)
	}
	s.close()
	if len(undone) != 3 {
		t.Errorf("%v", undone)
	}
}
