package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manyTenants is a configuration of six tenants, and its state directory.
func manyTenants(t *testing.T) (conf, state string) {
	port, state := freePorts(t), t.TempDir()
	text := fmt.Sprintf("listen: [127.0.0.1]\nstate: %s\nports: {ike: %d, nat_t: %d}\ntenants:\n", state, port, port+1)
	for n := range 6 {
		text += fmt.Sprintf("  - {name: t%d, match: {realms: [t%d]}, psk: a-long-enough-key-%d, pool: 10.%d.0.0/24}\n", n, n, n, n+1)
	}
	return write(t, "c.yaml", text), state
}

// wantEnd ends a server, and fails if that takes longer than is promised: two seconds,
// and as many again for a machine that is busy.
func wantEnd(t *testing.T, stop func(), ended chan int) {
	t.Helper()
	at := time.Now()
	stop()
	select {
	case code := <-ended:
		if took := time.Since(at); code != exitOK || took > 4*time.Second {
			t.Errorf("code %d after %v", code, took)
		}
	case <-time.After(time.Minute):
		t.Fatal("the server is still there")
	}
}

// TestTheEndIsTold: a server of six tenants that is told to end says so, last of all.
func TestTheEndIsTold(t *testing.T) {
	conf, _ := manyTenants(t)
	stop, ended, log := startServe(t, conf)
	wantSoon(t, "serve", func() bool { return call(t, "", "sessions", "--config", conf).code == exitOK || len(ended) > 0 })
	wantEnd(t, stop, ended)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, "stopped") || strings.Contains(log.String(), "left-behind") {
		t.Errorf("the last line: %s", last)
	}
}

// TestTheEndWaitsForNoStore: another process holds the state store, in which the leases of
// each tenant are to be written down. The server ends in time, and says what it left behind.
func TestTheEndWaitsForNoStore(t *testing.T) {
	conf, state := manyTenants(t)
	stop, ended, log := startServe(t, conf)
	wantSoon(t, "serve", func() bool { return call(t, "", "sessions", "--config", conf).code == exitOK || len(ended) > 0 })
	store, err := os.OpenFile(filepath.Join(state, "state.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := syscall.Flock(int(store.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, stop, ended)
	if !strings.Contains(log.String(), "stopped") || !strings.Contains(log.String(), "left-behind") || !strings.Contains(log.String(), "state store") {
		t.Errorf("what was left behind is not told: %s", log)
	}
}

// TestTheEndWaitsForNoReader: nobody reads the log, and the pipe is full.
func TestTheEndWaitsForNoReader(t *testing.T) {
	conf, _ := manyTenants(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if err := w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for err == nil { // until it is full
		_, err = w.Write(make([]byte, 4096))
	}
	if err := w.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--config", conf}, streams{strings.NewReader(""), new(bytes.Buffer), w})
	}()
	wantSoon(t, "serve", func() bool { return call(t, "", "sessions", "--config", conf).code == exitOK || len(ended) > 0 })
	wantEnd(t, stop, ended)
}
