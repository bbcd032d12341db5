package netstack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// bothFamilies runs a test with the client and two servers of either.
func bothFamilies(t *testing.T, test func(t *testing.T, n *nat, a, b netip.Addr)) {
	t.Run("IPv4", func(t *testing.T) { test(t, newNAT(t, nil), serverIP, serverIP2) })
	t.Run("IPv6", func(t *testing.T) { test(t, newNAT(t, nil), server6, server6b) })
}

// nat is a device with a client of which the test makes every packet.
type nat struct {
	*world
	t       *testing.T
	d       *Device
	packets chan []byte
}

func newNAT(t *testing.T, change func(*Config)) *nat {
	t.Helper()
	n := &nat{world: theWorld(t), t: t, packets: make(chan []byte, 1000)}
	n.d = newDevice(t, func(cfg *Config) {
		cfg.Addresses = append(cfg.Addresses, natGateway6)
		cfg.Pool = append(cfg.Pool, natGateway6.Masked())
		if change != nil {
			change(cfg)
		}
	})
	go lend(n.d, n.packets)
	return n
}

// datagram is a UDP datagram of the client.
type datagram struct {
	from uint16 // port
	to   netip.AddrPort
	hops uint8
	df   bool
	data []byte
}

func (g datagram) source() netip.Addr {
	if g.to.Addr().Is4() {
		return clientIP
	}
	return clientIP6
}

func (g datagram) packet() []byte {
	if g.hops == 0 {
		g.hops = 64
	}
	if g.from == 0 {
		g.from = 40000
	}
	b := quoteUDP(netip.AddrPortFrom(g.source(), g.from), g.to, g.data)
	setHopsLeft(b, g.hops)
	if g.to.Addr().Is4() {
		if g.df {
			b[6] = 0x40
		}
		ipkt.SetHeaderChecksum(b[:20])
		return b // without a checksum, as RFC 768 allows
	}
	p, _ := ipkt.Parse(b)
	udp := p.Payload()
	putWord(udp[6:], ^ipkt.Checksum(udp, p.PseudoChecksum(len(udp))))
	return b
}

func (n *nat) send(g datagram) {
	n.t.Helper()
	send(n.t, n.d.Writer(), g.packet())
}

// next is the next packet to the client.
func (n *nat) next() ipkt.Packet {
	n.t.Helper()
	select {
	case b := <-n.packets:
		p, err := ipkt.Parse(b)
		if err != nil {
			n.t.Fatalf("malformed packet % x", b)
		}
		return p
	case <-time.After(patience):
		n.t.Fatal("nothing comes")
		return ipkt.Packet{}
	}
}

// icmpOf is an ICMP error as a test wants it.
type icmpOf struct {
	by         netip.Addr
	kind, code uint8
}

// wantICMP checks that the next packet is an ICMP error of somebody about a datagram.
func (n *nat) wantICMP(g datagram, want icmpOf) ipkt.Packet {
	n.t.Helper()
	p := n.next()
	icmp := p.Payload()
	sum, about := uint16(0), 12
	if p.Protocol == ipkt.ProtocolICMPv6 {
		sum, about = p.PseudoChecksum(len(icmp)), 8
	}
	if p.Protocol != ipkt.ProtocolICMP && p.Protocol != ipkt.ProtocolICMPv6 || ipkt.Checksum(icmp, sum) != 0xffff {
		n.t.Fatalf("got % x, want an ICMP error", p.Bytes)
	}
	if got := (icmpOf{p.Source(), icmp[0], icmp[1]}); got != want {
		n.t.Errorf("ICMP %+v, want %+v", got, want)
	}
	quoted, sent := icmp[8:], g.packet()
	header := p.HeaderLen
	if !bytes.Equal(quoted[about:header], sent[about:header]) || !bytes.Equal(quoted[header:header+4], sent[header:header+4]) {
		n.t.Errorf("quotes % x, sent was % x", quoted, sent[:header+8])
	}
	return p
}

// arrives reads a datagram at a server.
func (n *nat) arrives(at *net.UDPConn) ([]byte, netip.AddrPort) {
	n.t.Helper()
	b := make([]byte, 1<<16)
	at.SetReadDeadline(time.Now().Add(patience))
	size, from, err := at.ReadFromUDPAddrPort(b)
	if err != nil {
		n.t.Fatal(err)
	}
	return b[:size], netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

// wantDatagram checks that the next packet to the client is a datagram.
func (n *nat) wantDatagram(from *net.UDPConn, to uint16, data string) {
	n.t.Helper()
	p := n.next()
	udp := p.Payload()
	at := addrPort(from)
	if p.Protocol != ipkt.ProtocolUDP || p.Source() != at.Addr() || word(udp) != at.Port() || word(udp[2:]) != to || string(udp[8:]) != data {
		n.t.Errorf("got % x, want %q from %v", p.Bytes, data, at)
	}
}

// One port of a client is one port of the host, whoever is sent to (RFC 4787
// REQ-1), so that what a STUN server says holds for every peer.
func TestUDPMappingIsOneForAllDestinations(t *testing.T) {
	bothFamilies(t, func(t *testing.T, n *nat, a, b netip.Addr) {
		seen := map[netip.AddrPort]bool{}
		for _, server := range []*net.UDPConn{n.listen(t, a), n.listen(t, b), n.listen(t, a)} {
			n.send(datagram{to: addrPort(server), data: []byte("stun")})
			_, from := n.arrives(server)
			seen[from] = true
			server.WriteToUDPAddrPort([]byte("answer"), from)
			n.wantDatagram(server, 40000, "answer")
		}
		if len(seen) != 1 || n.d.Counters().Flows != 1 {
			t.Errorf("the client is seen at %v, with %d mappings", seen, n.d.Counters().Flows)
		}
	})
}

// Only those that a client has sent to reach it, of all ports of a host only the
// one that was sent to; and whoever was, whenever it likes.
func TestUDPAnswersOnlyOfThoseAsked(t *testing.T) {
	bothFamilies(t, func(t *testing.T, n *nat, a, b netip.Addr) {
		asked, samehost, other, later := n.listen(t, a), n.listen(t, a), n.listen(t, b), n.listen(t, b)
		n.send(datagram{to: addrPort(asked), data: []byte("?")})
		_, from := n.arrives(asked)
		samehost.WriteToUDPAddrPort([]byte("same host, other port"), from)
		other.WriteToUDPAddrPort([]byte("other host"), from)
		n.send(datagram{to: addrPort(later), data: []byte("?")})
		n.arrives(later)
		later.WriteToUDPAddrPort([]byte("second"), from)
		n.wantDatagram(later, 40000, "second")
		asked.WriteToUDPAddrPort([]byte("first"), from)
		n.wantDatagram(asked, 40000, "first")
	})
}

// What somebody on the way says about a datagram that was not sent is not passed on: anybody
// can make that up (RFC 5508 section 4.2).
func TestUDPErrorsAboutNothingAreNotPassedOn(t *testing.T) {
	n := newNAT(t, nil)
	s := n.listen(t, serverIP)
	sent := datagram{to: addrPort(s), data: []byte("?")}
	n.send(sent)
	n.arrives(s)
	m := n.d.udp.find(netip.AddrPortFrom(clientIP, 40000))
	for _, about := range []netip.AddrPort{netip.AddrPortFrom(serverIP2, 9), netip.AddrPortFrom(serverIP, 9), sent.to} {
		n.d.passOn(m, &said{about: about, by: routerIP, message: ipkt.Message{Type: 3, Code: 1}})
	}
	n.wantICMP(sent, icmpOf{routerIP, 3, 1})
}

// rewind makes a device's mappings as old as if nothing had come for so long.
func rewind(d *Device, by time.Duration) {
	d.udp.ports.mu.Lock()
	defer d.udp.ports.mu.Unlock()
	for _, m := range d.udp.all {
		m.used.Add(-int64(by))
		m.filter.mu.Lock()
		for _, p := range m.filter.recent.Values() {
			p.used -= int64(by)
		}
		m.filter.mu.Unlock()
	}
}

// A call that rings after minutes of silence comes through (RFC 4787 REQ-5), and
// what is forgotten is so for good.
func TestUDPMappingOutlastsSilence(t *testing.T) {
	if DefaultUDPIdle < 2*time.Minute {
		t.Errorf("mappings last %v, and RFC 4787 has them last two minutes at least", DefaultUDPIdle)
	}
	bothFamilies(t, func(t *testing.T, n *nat, a, _ netip.Addr) {
		s := n.listen(t, a)
		n.send(datagram{to: addrPort(s), data: []byte("register")})
		_, from := n.arrives(s)
		rewind(n.d, 4*time.Minute+50*time.Second)
		n.d.udp.sweep()
		s.WriteToUDPAddrPort([]byte("incoming call"), from)
		n.wantDatagram(s, 40000, "incoming call")
		rewind(n.d, DefaultUDPIdle)
		n.d.udp.sweep()
		wantFlows(t, n.d, 0)
	})
}

// A peer that was not sent to for that long is a stranger again, although the
// mapping is in use.
func TestUDPPeersAreForgotten(t *testing.T) {
	n := newNAT(t, nil)
	old, fresh := n.listen(t, serverIP), n.listen(t, serverIP2)
	n.send(datagram{to: addrPort(old), data: []byte("?")})
	_, from := n.arrives(old)
	rewind(n.d, DefaultUDPIdle)
	n.send(datagram{to: addrPort(fresh), data: []byte("?")})
	n.arrives(fresh)
	old.WriteToUDPAddrPort([]byte("late"), from)
	time.Sleep(50 * time.Millisecond)
	fresh.WriteToUDPAddrPort([]byte("in time"), from)
	n.wantDatagram(fresh, 40000, "in time")
}

// A mapping does not remember more destinations than its bound, and the latest.
func TestUDPPeersAreBounded(t *testing.T) {
	h := &holder{}
	cfg := &Config{UDPIdle: time.Minute}
	filters := make([]filter, 32)
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 9)
	}
	for f := range filters {
		filters[f].holder = h
		for i := range 2 * maxPeers {
			filters[f].sent(at(i), int64(i), cfg, true)
		}
	}
	if n := h.peers.Load(); n > maxPeersPerSource+int32(len(filters)) {
		t.Errorf("a client has %d peers", n)
	}
	if f := &filters[0]; f.recent.Len() != maxPeers || f.knows(at(0), 0, cfg) || !f.knows(at(2*maxPeers-1), 0, cfg) {
		t.Errorf("%d peers", f.recent.Len())
	}
	for f := range filters {
		filters[f].end()
	}
	if n := h.peers.Load(); n != 0 {
		t.Errorf("%d peers are left", n)
	}
}

// traceroute by UDP: the gateway is the first hop, the router the second, and the
// server gets what is left.
func TestUDPHopsAreCounted(t *testing.T) {
	rows := []struct {
		server, first, second netip.Addr
		exceeded              uint8
		level, receive, hops  int
	}{
		{serverIP, gateway.Addr(), routerIP, 11, unix.SOL_IP, unix.IP_RECVTTL, unix.IP_TTL},
		{server6, natGateway6.Addr(), routerIP6, 3, unix.SOL_IPV6, unix.IPV6_RECVHOPLIMIT, unix.IPV6_HOPLIMIT},
	}
	for _, row := range rows {
		t.Run(row.server.String(), func(t *testing.T) {
			n := newNAT(t, nil)
			s := n.listen(t, row.server)
			raw, _ := s.SyscallConn()
			raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), row.level, row.receive, 1) })
			for hops, by := range map[uint8]netip.Addr{1: row.first, 2: row.second} {
				g := datagram{from: 33434, to: addrPort(s), hops: hops, data: []byte("probe")}
				n.send(g)
				p := n.wantICMP(g, icmpOf{by, row.exceeded, 0})
				if quoted := p.Payload()[8:]; row.server.Is4() && quoted[8] != 1 || row.server.Is6() && quoted[7] != 1 {
					t.Errorf("hop %d quotes a packet that had not expired", hops)
				}
			}
			n.send(datagram{from: 33434, to: addrPort(s), hops: 3, data: []byte("there")})
			control := make([]byte, 100)
			s.SetReadDeadline(time.Now().Add(patience))
			b := make([]byte, 100)
			size, oob, _, _, err := s.ReadMsgUDPAddrPort(b, control)
			if err != nil || string(b[:size]) != "there" {
				t.Fatalf("%q, %v", b, err)
			}
			messages, _ := unix.ParseSocketControlMessage(control[:oob])
			if len(messages) != 1 || binary.NativeEndian.Uint32(messages[0].Data) != 1 {
				t.Errorf("came with %+v, want one hop left", messages)
			}
		})
	}
}

// Who says that something is not to be reached is who the client hears it from,
// and what this host says is the gateway's.
func TestUDPUnreachablesAreOfThoseWhoSaySo(t *testing.T) {
	theWorld(t)
	closeTo(t, "203.0.113.128/25", "2001:db8:dead::/48")
	for _, row := range []struct {
		to   string
		want icmpOf
	}{
		{"198.51.100.7:1", icmpOf{serverIP, 3, 3}},
		{"203.0.113.1:7", icmpOf{routerIP, 3, 0}},
		{"203.0.113.129:7", icmpOf{gateway.Addr(), 3, 1}},
		{"[2001:db8:b::7]:1", icmpOf{server6, 1, 4}},
		{"[2001:db8:ffff::1]:7", icmpOf{routerIP6, 1, 0}},
		{"[2001:db8:dead::1]:7", icmpOf{natGateway6.Addr(), 1, 3}},
	} {
		t.Run(row.to, func(t *testing.T) {
			n := newNAT(t, nil)
			g := datagram{to: netip.MustParseAddrPort(row.to), data: []byte("anybody there?")}
			n.send(g)
			n.wantICMP(g, row.want)
			s := n.listen(t, map[bool]netip.Addr{true: serverIP, false: server6}[g.to.Addr().Is4()])
			n.send(datagram{to: addrPort(s), data: []byte("the mapping goes on")})
			n.arrives(s)
		})
	}
}

// closeTo has the host refuse to send to some networks, until the test ends.
func closeTo(t *testing.T, networks ...string) {
	t.Helper()
	for _, s := range networks {
		_, to, _ := net.ParseCIDR(s)
		route := &netlink.Route{Dst: to, Type: unix.RTN_UNREACHABLE}
		if err := netlink.RouteAdd(route); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { netlink.RouteDel(route) })
	}
}

// What one destination says does not keep a datagram to another from leaving.
func TestUDPErrorsCostOthersNothing(t *testing.T) {
	bothFamilies(t, func(t *testing.T, n *nat, a, b netip.Addr) {
		s := n.listen(t, b)
		for i := range 50 {
			g := datagram{to: netip.AddrPortFrom(a, 1), data: []byte("x")}
			n.send(g)
			n.send(datagram{to: addrPort(s), data: fmt.Append(nil, i)})
			if got, _ := n.arrives(s); string(got) != fmt.Sprint(i) {
				t.Fatalf("got %q at %d", got, i)
			}
		}
	})
}

// known reports whether a datagram's destination is one of its mapping's peers.
func (n *nat) known(g datagram) bool {
	m := n.d.udp.find(netip.AddrPortFrom(g.source(), 40000))
	return m != nil && m.filter.knows(g.to, n.d.flows.now(), &n.d.cfg)
}

// What a host says between its datagrams, or while others are sent, is heard.
func TestUDPErrorsAreHeardAmidTraffic(t *testing.T) {
	n := newNAT(t, nil)
	s := n.listen(t, serverIP2)
	g := datagram{to: netip.AddrPortFrom(serverIP, 1), data: []byte("x")}
	for i := range 20 {
		n.send(datagram{to: addrPort(s), data: []byte("?")})
		_, from := n.arrives(s)
		s.WriteToUDPAddrPort([]byte("answer"), from)
		n.wantDatagram(s, 40000, "answer")
		n.send(g)
		n.wantICMP(g, icmpOf{serverIP, 3, 3})
		if t.Failed() {
			t.Fatalf("in round %d", i)
		}
	}
}
