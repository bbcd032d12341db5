package udp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/x/nstest"
)

// TestUnresolved: a socket that has much in its buffer tells which addresses that waits
// for, and only these; one that has little does not care. It recovers when the flood is
// over.
func TestUnresolved(t *testing.T) {
	var s *Socket
	nstest.Silent(t, func() (err error) {
		s, err = Listen(Config{Addr: netip.AddrPortFrom(nstest.SilentNet.Addr(), 0), SendBuffer: 1 << 20})
		return err
	})
	defer s.Close()
	silent, other := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.240")
	w := s.NewWriter(1)
	for range 8 {
		w.Commit(make([]byte, 1200), netip.AddrPortFrom(silent, 500), netip.Addr{})
		w.Flush()
	}
	if wait(t, func() bool { return s.Unresolved(silent) }, 200*time.Millisecond) {
		t.Error("dropped for what hardly fills the buffer")
	}
	for end := time.Now().Add(20 * time.Second); !s.Unresolved(silent); {
		if time.Now().After(end) {
			t.Fatalf("nobody is told to be silent: %d in the buffer", s.queued())
		}
		sendAround(t, s, 256)
		if s.Unresolved(other) {
			t.Fatal("unresolved, and nothing waits for it")
		}
	}
	if stats := s.Stats(); stats.Sent == 0 || s.Unresolved(other) {
		t.Errorf("unresolved, and nothing waits for it: %+v", stats)
	}
	if !wait(t, func() bool { return !s.Unresolved(silent) }, 30*time.Second) {
		t.Errorf("still unresolved when the kernel gave up: %d in the buffer", s.queued())
	}
	s.Close()
	if s.Unresolved(silent) {
		t.Error("a closed socket has nothing in its buffer")
	}
}

// wait reports whether something becomes so in time.
func wait(t *testing.T, so func() bool, within time.Duration) bool {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if so() {
			return true
		}
	}
	return false
}
