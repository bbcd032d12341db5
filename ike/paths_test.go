package ike

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// TestAddressChanges lets a phone's network give it another address and port for
// 4500 than for 500.
func TestAddressChanges(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	c := dialConfig("secret")
	c.Path.Local, c.NATTPath.Local = addrPort("166.137.183.221:3"), addrPort("62.133.64.13:19060")
	p.dial(c)
	if len(p.usable()) != 1 {
		t.Fatal("not up")
	}
	for _, up := range p.server.up {
		if up.Path.Remote != c.NATTPath.Local || !up.Path.NATT {
			t.Errorf("%+v", up.Path)
		}
	}
	p.closeAll()
}

// TestDialOn4500 begins on port 4500, as Apple's clients renew phase 1.
func TestDialOn4500(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	c := dialConfig("secret")
	c.Path = c.NATTPath
	p.dial(c)
	if len(p.usable()) != 1 {
		t.Fatal("not up")
	}
	p.closeAll()
}

// TestDraftNATT takes the RFC's vendor ID out of message 1: draft 02 remains.
func TestDraftNATT(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", nil)})
	p.filter = func(_ *node, b []byte) bool {
		if n := bytes.Index(b, wire.VendorRFC3947.ID()); n >= 0 {
			b[n] ^= 1
		}
		return true
	}
	c := dialConfig("secret")
	c.Persona, c.IKE = client("windows10"), nil
	id := p.dial(c)
	if len(p.usable()) != 1 {
		t.Fatalf("not up: %v", p.client.events)
	}
	if n := p.client.s.peers[id].features.NATT; n != v1.NATTDraft {
		t.Errorf("variant %d", n)
	}
	for _, c := range p.server.children {
		if !c.UDPEncap || c.RemoteOriginal != clientNATT.Addr() {
			t.Errorf("%+v", c)
		}
	}
	p.closeAll()
}

// TestNoNATT refuses, on both sides, a peer without NAT traversal where raw ESP
// is not to be had, and serves it where it is.
func TestNoNATT(t *testing.T) {
	for _, raw := range []bool{false, true} {
		p := newPair(t, 1, Config{Candidates: psk("acme", "secret", nil), RawESP: raw})
		p.client.s.config.RawESP = raw
		p.filter = func(_ *node, b []byte) bool {
			for _, v := range []wire.Vendor{wire.VendorRFC3947, wire.VendorNATTDraft02N} {
				if n := bytes.Index(b, v.ID()); n >= 0 {
					b[n] ^= 1
				}
			}
			return true
		}
		c := dialConfig("secret")
		c.Persona, c.IKE = client("windows10"), nil
		p.dial(c)
		if raw != (len(p.usable()) == 1) {
			t.Errorf("raw %v: %v %v", raw, p.client.events, p.server.events)
		}
		for _, c := range p.server.children {
			if c.UDPEncap {
				t.Errorf("%+v", c)
			}
		}
		if !raw && (len(p.server.failed) != 1 || p.server.failed[0].Cause != CauseNoNATT) {
			t.Errorf("%+v", p.server.failed)
		}
		p.closeAll()
	}
}

// TestSameNAT serves two clients with the same private address behind one public
// one.
func TestSameNAT(t *testing.T) {
	server := newNode(t, "server", Config{Candidates: psk("acme", "secret", fast())})
	var pairs []*pair
	for n := range 2 {
		p := newPair(t, uint64(n), Config{})
		p.server = server
		public := netip.MustParseAddr("198.51.100.1")
		c := dialConfig("secret")
		c.Path.Local = netip.AddrPortFrom(public, uint16(3+n))
		c.NATTPath.Local = netip.AddrPortFrom(public, uint16(60000+n))
		p.dial(c)
		if len(p.usable()) != 1 {
			t.Fatalf("client %d not up", n)
		}
		pairs = append(pairs, p)
	}
	if n := server.s.Stats().Peers; n != 2 {
		t.Errorf("%d peers", n)
	}
	for _, p := range pairs {
		if len(p.usable()) != 1 {
			t.Error("one client has thrown the other out")
		}
	}
}

// TestKeepalive wants a NAT keepalive from the dialler alone.
func TestKeepalive(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	p.dial(dialConfig("secret"))
	p.run(65*time.Second, nil)
	count := func(n *node) (k int) {
		for _, e := range n.events {
			if _, ok := e.(Keepalive); ok {
				k++
			}
		}
		return k
	}
	if count(p.client) != 3 || count(p.server) != 0 {
		t.Errorf("client %d, server %d", count(p.client), count(p.server))
	}
	p.closeAll()
}

// TestChildless lets go of a client that makes no child SA.
func TestChildless(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	p.filter = func(_ *node, b []byte) bool {
		x, _ := exchangeOf(b)
		return x != byte(wire.ExchangeQuick)
	}
	id := p.dial(dialConfig("secret"))
	if c := p.client.closed[id]; c.Cause != CauseTimeout {
		t.Errorf("%+v", c)
	}
	p.run(2*time.Minute, nil)
	p.closeAll()
}

// TestDialErrors are the configurations that Dial refuses.
func TestDialErrors(t *testing.T) {
	s := newNode(t, "s", Config{}).s
	for name, change := range map[string]func(*DialConfig){
		"psk":    func(c *DialConfig) { c.PSK = nil },
		"local":  func(c *DialConfig) { c.Path.Local = addrPort("0.0.0.0:500") },
		"remote": func(c *DialConfig) { c.NATTPath.Remote = netip.AddrPort{} },
	} {
		c := dialConfig("secret")
		change(&c)
		if _, err := s.Dial(start, c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewServer(Config{}); err == nil {
		t.Error("a Server without randomness")
	}
}

// TestWords checks that every cause and reason can be shown to somebody.
func TestWords(t *testing.T) {
	for c := CauseNone + 1; c < numCauses; c++ {
		if c.String() == "" || c.Hint() == "" {
			t.Errorf("cause %d has no words", c)
		}
	}
	if numCauses.String() != "unknown cause" || ReasonFailed.String() == "" || Reason(99).String() != "unknown reason" {
		t.Error("words")
	}
}

// TestAcceptableIdentities: what clients behind a NAT call themselves in quick mode
// is taken whatever it is, as long as it is UDP to our port of L2TP.
func TestAcceptableIdentities(t *testing.T) {
	ours := wire.AddrID(serverIKE.Addr(), 17, 1701)
	private := netip.MustParseAddr("192.168.1.10")
	subnet := wire.ID{Type: wire.IDIPv4AddrSubnet, Protocol: 17, Port: 1701, Data: []byte{192, 168, 1, 10, 255, 255, 255, 255}}
	for _, tt := range []struct {
		name     string
		ci, cr   wire.ID
		accepted bool
	}{
		{"Windows", wire.AddrID(private, 17, 1701), ours, true},
		{"Apple, with a port of its own", wire.AddrID(private, 17, 51302), ours, true},
		{"Android, any port", wire.AddrID(private, 17, 0), ours, true},
		{"everything between the two", wire.AddrID(private, 0, 0), wire.AddrID(serverIKE.Addr(), 0, 0), true},
		{"a network of one", subnet, ours, true},
		{"Windows 2000, a name", wire.ID{Type: wire.IDFQDN, Protocol: 17, Port: 1701, Data: []byte("pc.example")}, ours, true},
		{"TCP", wire.AddrID(private, 6, 1701), ours, false},
		{"another port of ours", wire.AddrID(private, 17, 1701), wire.AddrID(serverIKE.Addr(), 17, 53), false},
	} {
		if got := acceptable(v1.Request{IDci: tt.ci, IDcr: tt.cr, HasIDs: true}); got != tt.accepted {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
