package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// These run on every system.

func wantSocket(tb testing.TB, addr string) *Socket {
	tb.Helper()
	s, err := Listen(Config{Addr: netip.MustParseAddrPort(addr)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// collect reads n messages, copies of them, or fails after a time.
func collect(tb testing.TB, s *Socket, n int) []Message {
	tb.Helper()
	timer := time.AfterFunc(10*time.Second, func() { s.Close() })
	defer timer.Stop()
	r := s.NewReader(8)
	var all []Message
	for len(all) < n {
		ms, err := r.Read()
		if err != nil {
			tb.Fatalf("%d messages of %d: %v", len(all), n, err)
		}
		for _, m := range ms {
			if cap(m.Data) != len(m.Data) {
				tb.Errorf("%d bytes with a capacity of %d", len(m.Data), cap(m.Data))
			}
			m.Data = append([]byte(nil), m.Data...)
			all = append(all, m)
		}
	}
	if len(all) > n {
		tb.Fatalf("%d messages, want %d", len(all), n)
	}
	return all
}

func numbered(i, n int) []byte {
	b := make([]byte, n)
	for k := range b {
		b[k] = byte(i + k)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(host, func(t *testing.T) {
			a, b := wantSocket(t, host), wantSocket(t, host)
			w := a.NewWriter(16)
			for i := range 40 {
				w.Commit(numbered(i, 1+i%7*100), b.LocalAddr(), netip.Addr{})
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			for i, m := range collect(t, b, 40) {
				if string(m.Data) != string(numbered(i, 1+i%7*100)) {
					t.Fatalf("message %d is %d bytes of something else", i, len(m.Data))
				}
				if m.Remote != a.LocalAddr() || m.Local != b.LocalAddr().Addr() {
					t.Fatalf("from %v to %v", m.Remote, m.Local)
				}
			}
			if got := a.Stats(); got.Sent != 40 || got.Refused != 0 {
				t.Errorf("%+v", got)
			}
			if got := b.Stats(); got.Received != 40 || got.Truncated != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestMappedAddress(t *testing.T) {
	a, b := wantSocket(t, "127.0.0.1:0"), wantSocket(t, "127.0.0.1:0")
	mapped := netip.AddrPortFrom(netip.AddrFrom16(b.LocalAddr().Addr().As16()), b.LocalAddr().Port())
	w := a.NewWriter(1)
	w.Commit([]byte("x"), mapped, netip.Addr{})
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if m := collect(t, b, 1)[0]; m.Remote.Addr().Is4In6() {
		t.Errorf("from %v", m.Remote)
	}
}

func TestCloseUnblocksRead(t *testing.T) {
	s := wantSocket(t, "127.0.0.1:0")
	failed := make(chan error, 1)
	go func() {
		_, err := s.NewReader(4).Read()
		failed <- err
	}()
	time.Sleep(20 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		if err != net.ErrClosed {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Read still waits")
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if _, err := s.NewReader(4).Read(); err != net.ErrClosed {
		t.Errorf("Read after Close: %v", err)
	}
	w := s.NewWriter(4)
	w.Commit([]byte("x"), s.LocalAddr(), netip.Addr{})
	if err := w.Flush(); err != net.ErrClosed {
		t.Errorf("Flush after Close: %v", err)
	}
}

func TestConfig(t *testing.T) {
	ok := netip.MustParseAddrPort("127.0.0.1:0")
	for _, c := range []Config{{}, {Addr: ok, ReceiveBuffer: -1}, {Addr: ok, SendBuffer: -1}} {
		if _, err := Listen(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	s := wantSocket(t, "127.0.0.1:0")
	if _, err := Listen(Config{Addr: s.LocalAddr()}); err == nil || errors.Is(err, ErrConfig) {
		t.Errorf("a taken address: %v", err)
	}
}

// The wildcard of one family leaves the other's port free.
func TestWildcardsOfBothFamilies(t *testing.T) {
	v4 := wantSocket(t, "0.0.0.0:0")
	port := v4.LocalAddr().Port()
	v6 := wantSocket(t, fmt.Sprintf("[::]:%d", port))
	if v6.LocalAddr().Port() != port || !v6.LocalAddr().Addr().Is6() || !v4.LocalAddr().Addr().Is4() {
		t.Errorf("bound %v and %v", v4.LocalAddr(), v6.LocalAddr())
	}
}

func TestWrongFamilyIsRefused(t *testing.T) {
	s := wantSocket(t, "127.0.0.1:0")
	w := s.NewWriter(4)
	w.Commit([]byte("x"), netip.MustParseAddrPort("[::1]:9"), netip.Addr{})
	w.Commit([]byte("x"), netip.AddrPort{}, netip.Addr{})
	w.Commit([]byte("x"), s.LocalAddr(), netip.Addr{})
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats(); got.Refused != 2 || got.Sent != 1 {
		t.Errorf("%+v", got)
	}
	collect(t, s, 1)
}
