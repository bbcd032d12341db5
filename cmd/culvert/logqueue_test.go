package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/internal/config"
)

// TestNobodyWaitsForTheLog: a pipe that nobody reads holds up nobody who logs; what
// there is no room for is dropped, and the log says how much when it is read again.
func TestNobodyWaitsForTheLog(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	log, err := newServerLog(w, config.Log{Level: "info", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	const lines = 20000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range lines {
			log.Info("login-failed", zap.String("user", strings.Repeat("x", 200)))
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("who logs waits for who reads")
	}
	var b bytes.Buffer
	ended := make(chan struct{})
	go func() { defer close(ended); b.ReadFrom(r) }()
	for range 30 {
		log.Sync()
	}
	w.Close()
	<-ended
	got := strings.Count(b.String(), "login-failed")
	if got == 0 || got == lines || b.Len() > 2*maxLogQueue+1024 || !strings.Contains(b.String(), `"event":"log-lines-lost"`) {
		t.Errorf("%d of %d lines, %d bytes", got, lines, b.Len())
	}
}

// TestTheLogIsWrittenToItsEnd: what was logged last is there when the program ends.
func TestTheLogIsWrittenToItsEnd(t *testing.T) {
	var b bytes.Buffer
	log, err := newServerLog(&b, config.Log{Level: "info", Format: "console"})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		log.Info("up")
	}
	log.Sync()
	if n := strings.Count(b.String(), "up"); n != 100 {
		t.Errorf("%d of 100 lines", n)
	}
}
