package netstack

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// request is an echo request of the client.
type request struct {
	to   netip.Addr
	hops uint8
	df   bool
	data string
}

func (r request) packet() []byte {
	e := echo{client: clientIP, target: r.to, id: 7, seq: 3}
	if r.to.Is6() {
		e.client = clientIP6
	}
	b := e.packet([]byte(r.data))
	setHopsLeft(b, r.hops)
	if r.df && r.to.Is4() {
		b[6] = 0x40
		ipkt.SetHeaderChecksum(b[:20])
	}
	p, _ := ipkt.Parse(b)
	icmp, sum := p.Payload(), uint16(0)
	if r.to.Is6() {
		sum = p.PseudoChecksum(len(icmp))
	}
	putWord(icmp[2:], ^ipkt.Checksum(icmp, sum))
	return b
}

// ping sends a request and returns the ICMP message that comes back, and whose it is.
func (n *nat) ping(r request) (message []byte, from netip.Addr) {
	n.t.Helper()
	send(n.t, n.d.Writer(), r.packet())
	p := n.next()
	icmp, sum := p.Payload(), uint16(0)
	if p.Protocol == ipkt.ProtocolICMPv6 {
		sum = p.PseudoChecksum(len(icmp))
	}
	if ipkt.Checksum(icmp, sum) != 0xffff {
		n.t.Fatalf("wrong checksum in % x", p.Bytes)
	}
	return icmp, p.Source()
}

// grantPing has the test's own namespace grant ICMP sockets to the test: to the only
// group that there is for certain.
func grantPing(t *testing.T) {
	t.Helper()
	if err := set("0 0", "ipv4/ping_group_range"); err != nil {
		t.Fatal(err)
	}
}

// withEachSocket runs a test with both kinds of ICMP sockets.
func withEachSocket(t *testing.T, test func(t *testing.T, n *nat)) {
	theWorld(t)
	grantPing(t)
	for name, networks := range map[string][]string{
		"ping": {family4.unprivileged, family6.unprivileged}, "raw": {family4.privileged, family6.privileged},
	} {
		t.Run(name, func(t *testing.T) {
			test(t, newNAT(t, func(cfg *Config) {
				cfg.ListenPacket = func(network, address string) (net.PacketConn, error) {
					if network != networks[0] && network != networks[1] {
						return nil, errors.New("not this one")
					}
					return listenICMP(network, address)
				}
			}))
		})
	}
}

// traceroute by ICMP: the gateway is the first hop, the router the second, and
// only then the destination answers.
func TestEchoHopsAreCounted(t *testing.T) {
	withEachSocket(t, func(t *testing.T, n *nat) {
		for _, way := range []struct {
			hops     []netip.Addr
			exceeded uint8
		}{
			{[]netip.Addr{gateway.Addr(), routerIP, serverIP}, 11},
			{[]netip.Addr{natGateway6.Addr(), routerIP6, server6}, 3},
		} {
			target := way.hops[2]
			for i, by := range way.hops {
				r := request{to: target, hops: uint8(1 + i), data: "probe"}
				got, from := n.ping(r)
				want := way.exceeded
				if by == target {
					want = map[bool]uint8{true: 0, false: 129}[target.Is4()]
				}
				if got[0] != want || from != by {
					t.Errorf("%d hops to %v: type %d from %v, want %d from %v", r.hops, target, got[0], from, want, by)
				}
				if by != target {
					wantQuoted(t, got[8:], r)
				}
			}
		}
	})
}

// traceroute by TCP: the gateway is the first hop.
func TestTCPHopsAreCounted(t *testing.T) {
	n := newNAT(t, nil)
	for _, to := range []netip.Addr{serverIP, server6} {
		syn := synWithOffset(to, 5)
		setHopsLeft(syn, 1)
		send(t, n.d.Writer(), syn)
		p := n.next()
		if is4 := to.Is4(); p.Payload()[0] != timeExceeded(is4) || p.Source() != n.d.ownAddr(is4, to) {
			t.Errorf("got % x", p.Bytes)
		}
	}
}

// Echoes that nobody answers take no place for longer than answers are waited for,
// and never that of one that waits.
func TestEchoesWaitAsLongAsTheyMay(t *testing.T) {
	s := newEchoSocket(family4)
	s.next, s.oldest = 65530, 65531
	begin := time.Unix(1000, 0)
	for i := range 65535 {
		if _, ok := s.keep(echo{sent: begin.Add(time.Duration(i) * time.Millisecond)}, DefaultICMPIdle+time.Hour); !ok {
			t.Fatalf("no place for echo %d", i)
		}
	}
	if _, ok := s.keep(echo{sent: begin.Add(DefaultICMPIdle)}, DefaultICMPIdle+time.Hour); ok {
		t.Error("one that waits lost its place")
	}
	for range 40000 {
		if _, ok := s.keep(echo{sent: begin.Add(DefaultICMPIdle + 70*time.Second)}, DefaultICMPIdle); !ok {
			t.Fatal("those that wait no more keep their places")
		}
	}
	if len(s.pending) > 45000 {
		t.Errorf("%d wait", len(s.pending))
	}
}

// wantQuoted checks that an error is about a request, by what clients look for.
func wantQuoted(t *testing.T, quoted []byte, r request) {
	t.Helper()
	q, sent := quoted, r.packet()
	at := 20
	if r.to.Is6() {
		at = 40
	}
	if len(q) < at+8 || q[at] != sent[at] || string(q[at+4:at+8]) != string(sent[at+4:at+8]) || string(q[at-8:at]) != string(sent[at-8:at]) {
		t.Errorf("quotes % x of % x", q, sent)
	}
}

// A ping hears that there is no way, or nobody there, from who says so; of this
// host from the gateway.
func TestEchoUnreachablesAreOfThoseWhoSaySo(t *testing.T) {
	theWorld(t)
	closeTo(t, "203.0.113.128/25", "2001:db8:dead::/48")
	withEachSocket(t, func(t *testing.T, n *nat) {
		for _, row := range []struct {
			to   string
			want icmpOf
		}{
			{"198.51.100.99", icmpOf{routerIP, 3, 1}},
			{"203.0.113.1", icmpOf{routerIP, 3, 0}},
			{"203.0.113.129", icmpOf{gateway.Addr(), 3, 1}},
			{"2001:db8:b::99", icmpOf{routerIP6, 1, 3}},
			{"2001:db8:ffff::1", icmpOf{routerIP6, 1, 0}},
			{"2001:db8:dead::1", icmpOf{natGateway6.Addr(), 1, 3}},
		} {
			r := request{to: netip.MustParseAddr(row.to), hops: 64, data: "anybody there?"}
			got, from := n.ping(r)
			if (icmpOf{from, got[0], got[1]}) != row.want {
				t.Errorf("%s: ICMP %d/%d from %v, want %+v", row.to, got[0], got[1], from, row.want)
			}
			wantQuoted(t, got[8:], r)
		}
		if got, from := n.ping(request{to: serverIP, hops: 64}); got[0] != 0 || from != serverIP {
			t.Errorf("then % x from %v", got, from)
		}
	})
}

// What finds out the MTU of a way by ping finds it out.
func TestEchoTooBigOnTheWay(t *testing.T) {
	withEachSocket(t, func(t *testing.T, n *nat) {
		a4, a6 := n.narrow(t)
		for _, to := range []netip.Addr{a4, a6} {
			got, _ := n.ping(request{to: to, hops: 64, df: true, data: string(make([]byte, narrowMTU))})
			if mtu := int(word(got[6:])); got[0] != 3 && got[0] != 2 || mtu != narrowMTU {
				t.Errorf("%v: type %d with MTU %d", to, got[0], mtu)
			}
		}
	})
}
