package dataplane

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

var (
	clientPrefix = netip.MustParsePrefix("2001:db8:1:5::/64")
	client6      = netip.MustParseAddr("2001:db8:1:5::aa")
	clientLocal  = netip.MustParseAddr("fe80::aa")
	internet6    = netip.MustParseAddr("2001:db8:ffff::2")
	gateway6     = netip.MustParseAddr("2001:db8:1::1")
)

// newRig6 is a rig whose session has IPv6 as well.
func newRig6(t testing.TB) *rig {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	r.plane.Bind6(r.session, r.link.port, clientPrefix, LinkOptions{MTU: 1400})
	return r
}

// packet6 makes an IPv6 packet with that payload.
func packet6(src, dst netip.Addr, next uint8, payload []byte) []byte {
	b := []byte{0x60, 0, 0, 0, byte(len(payload) >> 8), byte(len(payload)), next, 255}
	b = append(b, src.AsSlice()...)
	b = append(b, dst.AsSlice()...)
	return append(b, payload...)
}

// udpPacket makes an IPv4 packet to that port.
func udpPacket(src, dst netip.Addr, port uint16) []byte {
	b := ipPacket(src, dst, 60)
	binary.BigEndian.PutUint16(b[22:], port)
	binary.BigEndian.PutUint16(b[24:], 40)
	return b
}

// seal6 makes a datagram as the client would send it, around an IPv6 packet.
func (r *rig) seal6(ip []byte) []byte {
	frame := append(ppp.AppendHeader(nil, ppp.ProtocolIPv6, false, false), ip...)
	return r.sealL2TP(append(l2tp.AppendDataHeader(nil, l2tp.DataHeader{Tunnel: 7, Call: 9}, len(frame)), frame...))
}

// TestInformReachesTheInbox: what asks for the options of DHCP is for us, and
// nothing else is.
func TestInformReachesTheInbox(t *testing.T) {
	everybody, gateway := netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("10.100.1.1")
	for _, c := range []struct {
		dst  netip.Addr
		port uint16
		ours bool
	}{
		{everybody, 67, true}, {gateway, 67, true},
		{everybody, 68, false}, {gateway, 53, false}, {internet, 67, false},
	} {
		r := newRig(t, esp.EncryptionGCM16, 256, 0)
		ip := udpPacket(clientAddr, c.dst, c.port)
		r.worker.batch([]udp.Message{r.message(r.seal(ip))})
		if ours := len(r.plane.Inbox().Peers()) == 1; ours != c.ours || len(r.device.got) == 1 == c.ours {
			t.Errorf("to %v port %d: %v, and %d to the device", c.dst, c.port, ours, len(r.device.got))
			continue
		}
		if c.ours {
			if m := <-r.plane.Inbox().Peers(); m.Kind != Link || m.Session != r.session || !bytes.Equal(m.Data, ip) {
				t.Errorf("%+v", m)
			}
		}
	}
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	r.worker.batch([]udp.Message{r.message(r.seal(udpPacket(netip.MustParseAddr("10.100.1.3"), everybody, 67)))})
	if len(r.plane.Inbox().Peers()) != 0 || r.plane.Drops()[DropSource] != 1 {
		t.Errorf("another's source: %v", r.plane.Drops())
	}
}

func TestQuestionsAreBounded(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	for range maxWaiting + 10 {
		r.worker.batch([]udp.Message{r.message(r.seal(udpPacket(clientAddr, netip.MustParseAddr("10.100.1.1"), 67)))})
	}
	if n := len(r.plane.Inbox().Peers()); n != maxWaiting || r.plane.Drops()[DropPeerFull] != 10 {
		t.Errorf("%d in the inbox, %v", n, r.plane.Drops())
	}
}

func TestSendIP(t *testing.T) {
	r := newRig6(t)
	for proto, ip := range map[ppp.Protocol][]byte{
		ppp.ProtocolIPv4: ipPacket(netip.MustParseAddr("10.100.1.1"), clientAddr, 328),
		ppp.ProtocolIPv6: packet6(gateway6, client6, ipkt.ProtocolUDP, make([]byte, 100)),
	} {
		if err := r.plane.SendIP(r.session, ip); err != nil {
			t.Fatal(err)
		}
		r.plane.Flush()
		_, frame, err := l2tp.ParseData(r.open(r.wire.sent[len(r.wire.sent)-1])[8:])
		if got, payload, ok := ppp.ParseFrame(frame); err != nil || !ok || got != proto || !bytes.Equal(payload, ip) {
			t.Errorf("%v %v: %v, %d bytes", err, proto, got, len(payload))
		}
	}
	if err := r.plane.SendIP(r.session, ipPacket(internet, clientAddr, 1401)); !errors.Is(err, ErrTooLong) {
		t.Errorf("larger than the link: %v", err)
	}
	if err := r.plane.SendIP(r.session, nil); err == nil {
		t.Error("no packet")
	}
}

func TestUp6(t *testing.T) {
	r := newRig6(t)
	ip := packet6(client6, internet6, ipkt.ProtocolUDP, make([]byte, 100))
	r.worker.batch([]udp.Message{
		r.message(r.seal6(ip)),
		r.message(r.seal6(packet6(netip.MustParseAddr("2001:db8:1:6::1"), internet6, ipkt.ProtocolUDP, make([]byte, 100)))),
	})
	if len(r.device.got) != 1 || !bytes.Equal(r.device.got[0], ip) || r.plane.Drops()[DropSource] != 1 {
		t.Errorf("%d to the device, drops %v", len(r.device.got), r.plane.Drops())
	}
}

// TestLinkOnly: what is for the link goes to the control loop if that could
// answer it, and nowhere otherwise.
func TestLinkOnly(t *testing.T) {
	routers, mdns := netip.MustParseAddr("ff02::2"), netip.MustParseAddr("ff02::fb")
	relays, router := netip.MustParseAddr("ff02::1:2"), netip.MustParseAddr("fe80::1")
	to547, to5353 := []byte{2, 34, 2, 35, 0, 8, 0, 0}, []byte{20, 233, 20, 233, 0, 8, 0, 0}
	for name, c := range map[string]struct {
		ip   []byte
		want bool
	}{
		"router solicitation":        {packet6(clientLocal, routers, ipkt.ProtocolICMPv6, []byte{133, 0, 0, 0, 0, 0, 0, 0}), true},
		"of a host without address":  {packet6(netip.IPv6Unspecified(), routers, ipkt.ProtocolICMPv6, []byte{133, 0, 0, 0, 0, 0, 0, 0}), true},
		"neighbour solicitation":     {packet6(client6, router, ipkt.ProtocolICMPv6, make([]byte, 24)), false},
		"neighbour solicitation 135": {packet6(client6, router, ipkt.ProtocolICMPv6, append([]byte{135}, make([]byte, 23)...)), true},
		"ping":                       {packet6(clientLocal, router, ipkt.ProtocolICMPv6, []byte{128, 0, 0, 0, 0, 0, 0, 0}), true},
		"DHCPv6":                     {packet6(clientLocal, relays, ipkt.ProtocolUDP, to547), true},
		"mDNS":                       {packet6(clientLocal, mdns, ipkt.ProtocolUDP, to5353), false},
		"link-local to far":          {packet6(clientLocal, internet6, ipkt.ProtocolUDP, to5353), false},
		"multicast report":           {packet6(clientLocal, netip.MustParseAddr("ff02::16"), 0, make([]byte, 16)), false},
	} {
		r := newRig6(t)
		r.worker.batch([]udp.Message{r.message(r.seal6(c.ip))})
		if got := len(r.plane.Inbox().Peers()) == 1; got != c.want || len(r.device.got) != 0 {
			t.Errorf("%s: %v, and %d to the device", name, got, len(r.device.got))
		}
		if !c.want && r.plane.Drops()[DropLink] != 1 {
			t.Errorf("%s: %v", name, r.plane.Drops())
		}
	}
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	r.worker.packet(r.session, packet6(clientLocal, routers, ipkt.ProtocolICMPv6, []byte{133, 0, 0, 0, 0, 0, 0, 0}))
	if r.plane.Drops()[DropSource] != 1 {
		t.Errorf("a session without IPv6: %v", r.plane.Drops())
	}
}

func TestDown6(t *testing.T) {
	r := newRig6(t)
	ip := packet6(internet6, client6, ipkt.ProtocolUDP, make([]byte, 1000))
	for _, pfc := range []bool{false, true} {
		r.plane.Bind6(r.session, r.link.port, clientPrefix, LinkOptions{MTU: 1400, PFC: pfc, ACFC: pfc})
		buf, off := lend(ip)
		r.link.packet(buf, off)
		r.link.send.flush()
		_, frame, err := l2tp.ParseData(r.open(r.wire.sent[len(r.wire.sent)-1])[8:])
		if proto, payload, ok := ppp.ParseFrame(frame); err != nil || !ok || proto != ppp.ProtocolIPv6 || !bytes.Equal(payload, ip) {
			t.Errorf("%v: PPP %v %v, %d bytes", err, proto, ok, len(payload))
		}
	}
	buf, off := lend(packet6(internet6, netip.MustParseAddr("2001:db8:1:6::aa"), ipkt.ProtocolUDP, make([]byte, 10)))
	r.link.packet(buf, off)
	if r.plane.Drops()[DropNoRoute] != 1 {
		t.Errorf("nobody's prefix: %v", r.plane.Drops())
	}
	buf, off = lend(packet6(internet6, client6, ipkt.ProtocolUDP, make([]byte, 1400)))
	r.link.packet(buf, off)
	if len(r.device.got) != 1 {
		t.Fatalf("%d errors, drops %v", len(r.device.got), r.plane.Drops())
	}
	icmp, err := ipkt.Parse(r.device.got[0])
	if err != nil || icmp.Source() != gateway6 || icmp.Payload()[0] != 2 || binary.BigEndian.Uint32(icmp.Payload()[4:]) != 1400 {
		t.Errorf("packet too big: %v %x", err, icmp.Bytes)
	}
}

// TestFamiliesApart: either family comes and goes without the other.
func TestFamiliesApart(t *testing.T) {
	r := newRig6(t)
	four, six := ipPacket(clientAddr, internet, 100), packet6(client6, internet6, ipkt.ProtocolUDP, make([]byte, 20))
	port := r.link.port
	count := func() int {
		r.device.got = nil
		r.worker.batch([]udp.Message{r.message(r.seal(four)), r.message(r.seal6(six))})
		return len(r.device.got)
	}
	r.plane.Unbind(r.session)
	if n := count(); n != 1 {
		t.Errorf("without IPv4: %d", n)
	}
	r.plane.Unbind6(r.session)
	if n := count(); n != 0 || r.session.bound.Load() != nil {
		t.Errorf("without both: %d", n)
	}
	r.plane.Bind(r.session, port, clientAddr, LinkOptions{MTU: 1400})
	if n := count(); n != 1 {
		t.Errorf("without IPv6: %d", n)
	}
	// A new session with the prefix is not undone by the old one's end.
	other := r.plane.NewSession(SessionConfig{Peer: r.peer, Tunnel: 7, Call: 10})
	r.plane.Bind6(r.session, port, clientPrefix, LinkOptions{})
	r.plane.Bind6(other, port, clientPrefix, LinkOptions{})
	r.plane.RemoveSession(r.session)
	to := ipkt.Packet{Bytes: packet6(internet6, client6, ipkt.ProtocolUDP, make([]byte, 20))}
	if port.routes.lookup(to.Destination()) != other {
		t.Error("the newer session lost its prefix")
	}
}

// TestLate6: an IPv6 packet right behind the end of the negotiation is not lost.
func TestLate6(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	ip := packet6(client6, internet6, ipkt.ProtocolUDP, make([]byte, 20))
	r.worker.batch([]udp.Message{r.message(r.seal6(ip))})
	r.plane.Bind6(r.session, r.link.port, clientPrefix, LinkOptions{MTU: 1400})
	m := <-r.plane.Inbox().Peers()
	if m.Kind != PPP || !r.plane.Late(m.Session, m.Data) || len(r.device.got) != 1 {
		t.Errorf("the device got %d packets, drops %v", len(r.device.got), r.plane.Drops())
	}
}

// TestNoAllocations6: the packet path of IPv6 allocates nothing either.
func TestNoAllocations6(t *testing.T) {
	const runs = 200
	r := newRig6(t)
	r.device.discard, r.wire.discard = true, true
	batches := make([][]udp.Message, runs+1)
	for i := range batches {
		batches[i] = []udp.Message{r.message(r.seal6(packet6(client6, internet6, ipkt.ProtocolUDP, make([]byte, 1000))))}
	}
	i := 0
	up := testing.AllocsPerRun(runs, func() { r.worker.batch(batches[i]); i++ })
	ip := packet6(internet6, client6, ipkt.ProtocolUDP, make([]byte, 1000))
	buf, off := lend(ip)
	down := testing.AllocsPerRun(runs, func() {
		copy(buf[off:], ip)
		r.link.packet(buf, off)
		r.link.send.flush()
	})
	if up != 0 || down != 0 || r.session.Up.Packets() != runs+1 || r.session.Down.Packets() != runs+1 {
		t.Errorf("%v allocations up, %v down; %d up, %d down: %v", up, down, r.session.Up.Packets(), r.session.Down.Packets(), r.plane.Drops())
	}
}
