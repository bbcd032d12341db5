package dataplane

import (
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
)

// tunnelRig is a rig whose client is in tunnel mode, with an SA for what only says.
func tunnelRig(t testing.TB, only *Selectors) *rig {
	t.Helper()
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	port := r.session.port
	r.plane.RemoveSession(r.session)
	r.plane.RemoveSA(1000)
	out := r.peer.route.Load().Out
	r.session = r.plane.NewSession(SessionConfig{Peer: r.peer})
	r.plane.Bind(r.session, port, clientAddr, LinkOptions{MTU: 1400})
	transform := out.Transform()
	in, err := NewSA(r.peer, esp.InboundConfig{SPI: 1000, Transform: transform,
		Keys: esp.Keys{Encryption: make([]byte, transform.EncryptionKeyLen())}})
	if err != nil {
		t.Fatal(err)
	}
	in.TunnelMode = r.session
	e, _ := r.peer.Encapsulation()
	if only == nil {
		r.plane.AddSA(1000, in)
	} else {
		r.plane.AddNarrowSA(1000, in, only)
		e.Ways = []Way{{only, out}}
	}
	if err := r.plane.Route(r.peer, e); err != nil {
		t.Fatal(err)
	}
	return r
}

// up brings an IP packet of the client, and says whether its network got it.
func (r *rig) up(ip []byte) bool {
	r.t.Helper()
	pkt, err := r.theirs.Seal(make([]byte, 0, 2048), ip, protoIPv4)
	if err != nil {
		r.t.Fatal(err)
	}
	had := len(r.device.got)
	r.worker.batch([]udp.Message{r.message(pkt)})
	return len(r.device.got) > had
}

// down sends an IP packet to the client, and says whether it left.
func (r *rig) down(ip []byte) bool {
	r.t.Helper()
	had := len(r.wire.sent)
	buf, off := lend(ip)
	r.link.packet(buf, off)
	r.link.send.flush()
	return len(r.wire.sent) > had
}

// fromPort makes a UDP packet with ports.
func fromPort(src, dst netip.Addr, from, to uint16) []byte {
	pkt := udpPacket(src, dst, to)
	pkt[20], pkt[21] = byte(from>>8), byte(from)
	return pkt
}

// Traffic that was not agreed on passes in neither direction, whatever the client
// sends; what was does.
func TestSelectorsAreEnforced(t *testing.T) {
	inside, outside := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("10.2.0.1")
	own := rangeOf("10.100.1.2/32")
	web := rangeOf("10.2.0.0/16")
	web.Protocol, web.FromPort, web.ToPort = 17, 80, 90
	r := tunnelRig(t, &Selectors{[]Range{rangeOf("10.1.0.0/16"), web}, []Range{own}})
	for _, c := range []struct {
		what string
		pkt  []byte
		pass bool
	}{
		{"to a network that was agreed on", fromPort(clientAddr, inside, 5, 7), true},
		{"to another", fromPort(clientAddr, outside, 5, 7), false},
		{"to its port", fromPort(clientAddr, outside, 5, 85), true},
		{"to the port above", fromPort(clientAddr, outside, 5, 91), false},
	} {
		if got := r.up(c.pkt); got != c.pass {
			t.Errorf("%s: passes %v", c.what, got)
		}
	}
	for _, c := range []struct {
		what string
		pkt  []byte
		pass bool
	}{
		{"from a network that was agreed on", fromPort(inside, clientAddr, 7, 5), true},
		{"from another", fromPort(outside, clientAddr, 7, 5), false},
		{"from its port", fromPort(outside, clientAddr, 80, 5), true},
		{"from the port below", fromPort(outside, clientAddr, 79, 5), false},
	} {
		if got := r.down(c.pkt); got != c.pass {
			t.Errorf("%s: passes %v", c.what, got)
		}
	}
	if n := r.plane.Drops()[DropSelector]; n != 4 {
		t.Errorf("%d packets counted", n)
	}
	wide := tunnelRig(t, nil)
	if !wide.up(fromPort(clientAddr, outside, 5, 7)) || !wide.down(fromPort(outside, clientAddr, 7, 5)) {
		t.Error("an SA for everything does not take everything")
	}
}

// Selectors cost no memory.
func TestSelectorsAllocateNothing(t *testing.T) {
	only := &Selectors{[]Range{rangeOf("10.1.0.0/16"), rangeOf("10.2.0.0/16")}, []Range{rangeOf("10.100.1.2/32")}}
	pkt := fromPort(clientAddr, netip.MustParseAddr("10.2.2.3"), 5, 7)
	if n := testing.AllocsPerRun(100, func() {
		if !only.lets(pkt, true) {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Until a client has shown that it receives where its packets come from now, it, or
// whoever is there, gets no more than the trial, and everything afterwards.
func TestUnprovenPathGetsATrial(t *testing.T) {
	for _, tunnel := range []bool{false, true} {
		r := newRig(t, esp.EncryptionGCM16, 256, 0)
		if tunnel {
			r = tunnelRig(t, nil)
		}
		var trial Trial
		trial.Fill(10_000)
		r.rekeyed(func(e *Encapsulation) { e.Trial = &trial })
		passed := 0
		for range 100 {
			if r.down(ipPacket(internet, clientAddr, 1000)) {
				passed++
			}
		}
		if passed != 10 || r.plane.Drops()[DropUnproven] != 90 {
			t.Errorf("tunnel %v: %d packets of 1000 bytes passed, %d counted", tunnel, passed, r.plane.Drops()[DropUnproven])
		}
		r.rekeyed(func(e *Encapsulation) { e.Trial = nil })
		if !r.down(ipPacket(internet, clientAddr, 1000)) {
			t.Errorf("tunnel %v: nothing passes after it has answered", tunnel)
		}
	}
}
