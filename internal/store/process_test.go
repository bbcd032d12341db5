package store

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be the other process: with a directory in the
// environment it adds users there, and says so one by one.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CULVERT_TEST_WRITER"); dir != "" {
		if err := write(dir, os.Getenv("CULVERT_TEST_PREFIX")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// write adds users, and says the name of each once it is written.
func write(dir, prefix string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	for i := range 30 {
		name := fmt.Sprintf("%s%d", prefix, i)
		if err := s.AddUser("acme", User{Name: name, Hash: Hash{byte(i)}}); err != nil {
			return err
		}
		fmt.Println(name)
	}
	return nil
}

// writer returns the other process, not started.
func writer(t *testing.T, dir, prefix string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CULVERT_TEST_WRITER="+dir, "CULVERT_TEST_PREFIX="+prefix)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestTwoProcesses(t *testing.T) {
	s := wantStore(t)
	dir := filepath.Dir(s.path)
	others := []*exec.Cmd{writer(t, dir, "a"), writer(t, dir, "b")}
	for _, o := range others {
		if err := o.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		if err := s.AddUser("acme", User{Name: fmt.Sprint("c", i)}); err != nil {
			t.Errorf("c%d: %v", i, err)
		}
		if _, err := s.User("acme", fmt.Sprint("c", i)); err != nil {
			t.Errorf("c%d: %v", i, err)
		}
	}
	for _, o := range others {
		if err := o.Wait(); err != nil {
			t.Error(err)
		}
	}
	if all, err := s.Users("acme"); err != nil || len(all) != 70 {
		t.Errorf("%d users, want 70: %v", len(all), err)
	}
}

// TestKilledWriter kills a process between and within its writes: what it said
// it had written is there, and the file serves the next one.
func TestKilledWriter(t *testing.T) {
	s := wantStore(t)
	for round := range 4 {
		cmd := writer(t, filepath.Dir(s.path), fmt.Sprintf("r%d.", round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		var said []string
		for len(said) < 3+round && lines.Scan() {
			said = append(said, lines.Text())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			said = append(said, lines.Text())
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Logf("round %d: the writer was done before it was killed: %v", round, err)
		}
		for _, name := range said {
			if u, err := s.User("acme", name); err != nil || u.Name != name {
				t.Errorf("%s was written, and is %+v, %v", name, u, err)
			}
		}
		if err := s.AddUser("acme", User{Name: fmt.Sprint("after", round)}); err != nil {
			t.Errorf("after round %d: %v", round, err)
		}
	}
}
