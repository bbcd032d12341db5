package netstack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTCPEcho(t *testing.T) {
	port := echoTCP(t)
	d := newDevice(t, nil)
	conn, err := newClient(t, d).dialTCP(netip.AddrPortFrom(serverIP, port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := make([]byte, 10<<20)
	rand.NewChaCha8([32]byte{1}).Read(sent)
	go func() {
		conn.Write(sent)
		conn.CloseWrite()
	}()
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d of %d bytes came back, equal %v, %v", len(got), len(sent), bytes.Equal(got, sent), err)
	}
}

// The client says that it sends no more; the server answers only then.
func TestTCPHalfClose(t *testing.T) {
	port := serveTCP(t, func(conn *net.TCPConn) {
		b, _ := io.ReadAll(conn)
		conn.Write(bytes.ToUpper(b))
	})
	conn, err := newClient(t, newDevice(t, nil)).dialTCP(netip.AddrPortFrom(serverIP, port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("hello"))
	conn.CloseWrite()
	conn.SetDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(conn); string(b) != "HELLO" || err != nil {
		t.Fatalf("%q, %v", b, err)
	}
}

func TestTCPRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).AddrPort().Port()
	ln.Close()
	d := newDevice(t, nil)
	if _, err := newClient(t, d).dialTCP(netip.AddrPortFrom(serverIP, port)); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("got %v, want connection refused", err)
	}
}

func TestTCPDenied(t *testing.T) {
	port := echoTCP(t)
	c := newClient(t, newDevice(t, func(cfg *Config) { cfg.Deny = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} }))
	for _, dst := range []string{"169.254.169.254", "10.100.1.1", "10.100.1.77", "203.0.113.9", "240.1.2.3"} {
		if _, err := c.dialTCP(netip.AddrPortFrom(netip.MustParseAddr(dst), port)); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: got %v, want connection refused", dst, err)
		}
	}
}

func TestTCPAllowed(t *testing.T) {
	port := echoTCP(t)
	c := newClient(t, newDevice(t, func(cfg *Config) { cfg.Allow = []netip.Prefix{netip.MustParsePrefix("169.254.1.1/32")} }))
	conn, err := c.dialTCP(netip.AddrPortFrom(netip.MustParseAddr("169.254.1.1"), port))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// What is closed while clients are there is closed for what begins from then on.
func TestReachChanges(t *testing.T) {
	port, cfg := echoTCP(t), Config{Addresses: prefixes("10.100.1.1/24")}
	d := newDevice(t, nil)
	c, at := newClient(t, d), netip.AddrPortFrom(serverIP, port)
	conn, err := c.dialTCP(at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, deny := range [][]netip.Prefix{prefixes(serverIP.String() + "/32"), nil} {
		cfg.Deny = deny
		reach, err := d.Reaching(cfg)
		if err != nil {
			t.Fatal(err)
		}
		d.SetReach(reach)
		other, err := c.dialTCP(at)
		if err == nil {
			other.Close()
		}
		if (err == nil) != (deny == nil) {
			t.Errorf("with %v denied: %v", deny, err)
		}
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Errorf("what was under way: %v", err)
		}
	}
}

func TestTCPUnreachable(t *testing.T) {
	c := newClient(t, newDevice(t, func(cfg *Config) {
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: unix.EHOSTUNREACH}
		}
	}))
	_, err := c.dialTCP(netip.AddrPortFrom(serverIP, 80))
	if err == nil || !strings.Contains(err.Error(), "no route") && !strings.Contains(err.Error(), "unreachable") {
		t.Fatalf("got %v, want host unreachable", err)
	}
}

// A destination that does not answer leaves the client to its own patience.
func TestTCPHandshakesBounded(t *testing.T) {
	dialled := make(chan struct{}, 100)
	d := newDevice(t, func(cfg *Config) {
		cfg.Handshakes = 2
		cfg.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled <- struct{}{}
			return neverThere(ctx, network, address)
		}
	})
	c := newClient(t, d)
	for i := range 5 {
		go c.dialTCP(netip.AddrPortFrom(serverIP, uint16(1000+i)))
	}
	<-dialled
	<-dialled
	wantSoon(t, func() bool { return d.Counters().FlowsRefused >= 3 })
	if n := len(dialled); n != 0 {
		t.Errorf("%d handshakes beyond the limit", n)
	}
	if got := d.Counters(); got.Flows != 2 {
		t.Errorf("%+v", got)
	}
}

func TestFlowsBoundedBySource(t *testing.T) {
	port := echoTCP(t)
	d := newDevice(t, func(cfg *Config) { cfg.FlowsPerSource = 3 })
	c := newClient(t, d)
	for range 3 {
		conn, err := c.dialTCP(netip.AddrPortFrom(serverIP, port))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if conn, err := dialContext(ctx, c, port); err == nil {
		conn.Close()
		t.Error("a fourth connection was made")
	}
}

func TestForgetEndsFlows(t *testing.T) {
	port := echoTCP(t)
	d := newDevice(t, nil)
	conn, err := newClient(t, d).dialTCP(netip.AddrPortFrom(serverIP, port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	d.Forget(clientIP)
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Fatalf("got %v, want a reset", err)
	}
	wantFlows(t, d, 0)
}

func TestIdleFlowsEnd(t *testing.T) {
	port := echoTCP(t)
	d := newDevice(t, func(cfg *Config) { cfg.TCPIdle = 100 * time.Millisecond })
	conn, err := newClient(t, d).dialTCP(netip.AddrPortFrom(serverIP, port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	wantFlows(t, d, 0)
}

func TestServerResetReachesClient(t *testing.T) {
	port := serveTCP(t, func(conn *net.TCPConn) {
		conn.Read(make([]byte, 1))
		conn.SetLinger(0)
	})
	d := newDevice(t, nil)
	conn, err := newClient(t, d).dialTCP(netip.AddrPortFrom(serverIP, port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("x"))
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Read(make([]byte, 1)); err == nil || err == io.EOF || isTimeout(err) {
		t.Fatalf("got %v, want a reset", err)
	}
	wantFlows(t, d, 0)
}

func wantFlows(t *testing.T, d *Device, want int) {
	t.Helper()
	wantSoon(t, func() bool { return d.Counters().Flows == want })
	if n := d.Counters().Flows; n != want {
		t.Fatalf("%d flows, want %d", n, want)
	}
}

// wantSoon waits until something is so, or a test has no patience left; the caller
// checks what it is about.
func wantSoon(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
