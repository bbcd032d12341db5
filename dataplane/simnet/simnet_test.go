package simnet

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
)

func listen(t *testing.T, open func(udp.Config) (udp.Conn, error), addr string) udp.Conn {
	t.Helper()
	c, err := open(udp.Config{Addr: netip.MustParseAddrPort(addr)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func send(c udp.Conn, to netip.AddrPort, text string) {
	w := c.NewWriter(1)
	w.Commit([]byte(text), to, netip.Addr{})
	w.Flush()
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Config{Latency: 30 * time.Millisecond})
		a, b := listen(t, n.Listen, "192.0.2.1:500"), listen(t, n.Listen, "192.0.2.2:500")
		began := time.Now()
		send(a, b.LocalAddr(), "hello")
		got, err := b.NewReader(4).Read()
		if err != nil || len(got) != 1 || string(got[0].Data) != "hello" || got[0].Remote != a.LocalAddr() {
			t.Fatalf("%v %v", got, err)
		}
		if took := time.Since(began); took != 30*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

func TestNATMapsAndRebinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Config{})
		nat := n.NAT(netip.MustParseAddr("198.51.100.1"))
		server := listen(t, n.Listen, "192.0.2.1:500")
		one, two := listen(t, nat.Listen, "10.0.0.1:500"), listen(t, nat.Listen, "10.0.0.2:500")
		reader := server.NewReader(1)
		var seen []netip.AddrPort
		for _, c := range []udp.Conn{one, two, one} {
			send(c, server.LocalAddr(), "x")
			got, _ := reader.Read()
			seen = append(seen, got[0].Remote)
		}
		if seen[0] == seen[1] || seen[0] != seen[2] || seen[0].Addr() != nat.public {
			t.Fatalf("mappings %v", seen)
		}
		send(server, seen[1], "for two")
		if got, err := two.NewReader(1).Read(); err != nil || string(got[0].Data) != "for two" {
			t.Fatalf("%v %v", got, err)
		}
		nat.Rebind()
		send(one, server.LocalAddr(), "x")
		if got, _ := reader.Read(); got[0].Remote == seen[0] {
			t.Error("the mapping survived")
		}
	})
}

func TestLossDuplicationAndTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Config{Seed: 7, Loss: 0.2, Duplicate: 0.2})
		a, b := listen(t, n.Listen, "192.0.2.1:1"), listen(t, n.Listen, "192.0.2.2:1")
		for range 1000 {
			send(a, b.LocalAddr(), "x")
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if got := len(b.(*conn).queue); got < 900 || got > 1020 || n.Sent() != 1000 {
			t.Errorf("%d of %d arrived", got, n.Sent())
		}
		n.Tap(func(from, to netip.AddrPort, data []byte) bool { return false })
		before := len(b.(*conn).queue)
		send(a, b.LocalAddr(), "x")
		time.Sleep(time.Second)
		if len(b.(*conn).queue) != before {
			t.Error("what the tap refused arrived")
		}
	})
}

func TestCloseAndAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Config{})
		a := listen(t, n.Listen, "192.0.2.1:0")
		if a.LocalAddr().Port() == 0 {
			t.Error("no port chosen")
		}
		if _, err := n.Listen(udp.Config{Addr: a.LocalAddr()}); !errors.Is(err, ErrAddressInUse) {
			t.Errorf("second socket: %v", err)
		}
		failed := make(chan error)
		go func() {
			_, err := a.NewReader(1).Read()
			failed <- err
		}()
		synctest.Wait()
		a.Close()
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after Close: %v", err)
		}
		listen(t, n.Listen, a.LocalAddr().String())
	})
}
