package gateway

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

const ipv6Config = `
listen: [203.0.113.1]
tenants:
  - name: acme
    default: true
    legacy: true
    psk: ["correct horse battery staple"]
    auth: {local: {users: [{name: alice, password: alicepw}, {name: bob, password: bobpw}]}}
    pool: [10.100.1.0/24, "2001:db8:1::/48"]
    domains: [acme.example]
`

var (
	linkLocal  = netip.MustParseAddr("fe80::aa")
	allRouters = netip.MustParseAddr("ff02::2")
	allServers = netip.MustParseAddr("ff02::1:2")
	far        = netip.MustParseAddr("2001:db8:ffff::1")
)

// packet6 makes an IPv6 packet; at is where in the payload its checksum stands.
func packet6(from, to netip.Addr, next uint8, payload []byte, at int) []byte {
	b := []byte{0x60, 0, 0, 0, byte(len(payload) >> 8), byte(len(payload)), next, 255}
	b = append(b, from.AsSlice()...)
	b = append(b, to.AsSlice()...)
	b = append(b, payload...)
	p := ipkt.Packet{Bytes: b, HeaderLen: 40, Protocol: next}
	binary.BigEndian.PutUint16(b[40+at:], ^ipkt.Checksum(p.Payload(), p.PseudoChecksum(len(payload))))
	return b
}

func datagram6(from, to netip.AddrPort, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return packet6(from.Addr(), to.Addr(), ipkt.ProtocolUDP, append(append(b, 0, 0), payload...), 6)
}

// wantPrefix solicits a router and returns the prefix it advertises.
func (c *client) wantPrefix(t *testing.T) netip.Prefix {
	t.Helper()
	ip := c.dev.catch(t, packet6(linkLocal, allRouters, ipkt.ProtocolICMPv6, []byte{133, 0, 0, 0, 0, 0, 0, 0}, 2))
	m := ip.Payload()
	if m[0] != 134 || ip.Bytes[7] != 255 || !ip.Source().IsLinkLocalUnicast() {
		t.Fatalf("no router advertisement: %x", ip.Bytes)
	}
	if binary.BigEndian.Uint16(m[6:]) == 0 {
		t.Error("no default router, and everything goes through the tunnel")
	}
	for o := m[16:]; len(o) >= 8; o = o[8*int(o[1]):] {
		if o[0] == 3 {
			return netip.PrefixFrom(netip.AddrFrom16([16]byte(o[16:])), int(o[2]))
		}
	}
	t.Fatalf("no prefix: %x", m)
	return netip.Prefix{}
}

// echo6 makes the tenant's network answer datagrams by sending them back.
func (d *echoDevice) echo6() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.other = func(pkt []byte) {
		if pkt[0]>>4 == 6 {
			var to [16]byte
			copy(to[:], pkt[8:24])
			copy(pkt[8:24], pkt[24:40])
			copy(pkt[24:40], to[:])
			d.send(pkt)
		}
	}
}

// TestIPv6: a client learns its prefix and reaches the tenant's network from
// an address in it; it gets the same prefix when it comes again.
func TestIPv6(t *testing.T) {
	inWorld(t, goodRoad, ipv6Config, func(t *testing.T, w *world) {
		w.nets["acme"].echo6()
		seen := map[string]netip.Prefix{}
		for _, user := range []string{"alice", "bob", "alice", "bob"} {
			for _, persona := range []string{"windows10", "macos"} {
				c := w.client(nil)
				conn := c.mustDial(func(d *dialer.DialConfig) { d.Persona, d.User, d.Password = persona, user, user+"pw" })
				time.Sleep(time.Second)
				prefix := c.wantPrefix(t)
				if before, ok := seen[user]; ok && before != prefix {
					t.Errorf("%s had %v and has %v", user, before, prefix)
				}
				seen[user] = prefix
				mine := netip.AddrPortFrom(prefix.Addr().Next(), 4000)
				ip := c.dev.catch(t, datagram6(mine, netip.AddrPortFrom(far, 7), []byte("hello")))
				if ip.Destination() != mine.Addr() || ip.Source() != far || string(ip.Payload()[8:]) != "hello" {
					t.Errorf("%x", ip.Bytes)
				}
				c.wantPing(conn, "198.18.0.2")
				conn.Close(context.Background())
				<-conn.Done()
				time.Sleep(time.Second)
			}
		}
		if seen["alice"] == seen["bob"] {
			t.Error("one prefix for two")
		}
		time.Sleep(2 * time.Minute)
		w.wantEmpty()
	})
}

// TestDHCPv6: what a client asks for beside its prefix.
func TestDHCPv6(t *testing.T) {
	inWorld(t, goodRoad, ipv6Config, func(t *testing.T, w *world) {
		c := w.client(nil)
		c.mustDial(func(d *dialer.DialConfig) { d.Persona = "windows10" })
		time.Sleep(time.Second)
		ask, err := dhcpv6.NewMessage()
		if err != nil {
			t.Fatal(err)
		}
		ask.MessageType = dhcpv6.MessageTypeInformationRequest
		ip := c.dev.catch(t, datagram6(netip.AddrPortFrom(linkLocal, 546), netip.AddrPortFrom(allServers, 547), ask.ToBytes()))
		reply, err := dhcpv6.MessageFromBytes(ip.Payload()[8:])
		if err != nil {
			t.Fatal(err)
		}
		if dns := reply.Options.DNS(); len(dns) != 1 || !dns[0].Equal(net.ParseIP("2001:db8:1::1")) || reply.Options.DomainSearchList().Labels[0] != "acme.example" {
			t.Error(reply.Summary())
		}
	})
}

// TestAdvertisedUnasked: a client that never asks learns its prefix all the
// same, again and again.
func TestAdvertisedUnasked(t *testing.T) {
	inWorld(t, goodRoad, ipv6Config, func(t *testing.T, w *world) {
		c := w.client(nil)
		c.mustDial(func(d *dialer.DialConfig) { d.Persona = "macos" })
		var n atomic.Int32
		c.dev.mu.Lock()
		c.dev.other = func(pkt []byte) {
			if pkt[0]>>4 == 6 && pkt[6] == ipkt.ProtocolICMPv6 && pkt[40] == 134 {
				n.Add(1)
			}
		}
		c.dev.mu.Unlock()
		time.Sleep(30 * time.Minute)
		if got := n.Load(); got < 4 || got > 8 {
			t.Errorf("%d advertisements in half an hour", got)
		}
	})
}

// TestNoIPv6: a tenant without ranges refuses IPv6, and the client goes on without.
func TestNoIPv6(t *testing.T) {
	inWorld(t, goodRoad, testConfig+"    legacy: true\n", func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(func(d *dialer.DialConfig) { d.Persona = "windows10" })
		c.dev.send(packet6(linkLocal, allRouters, ipkt.ProtocolICMPv6, []byte{133, 0, 0, 0, 0, 0, 0, 0}, 2))
		c.wantPing(conn, "198.18.0.2")
		if w.log.FilterMessage("session-ipv6").Len() != 0 {
			t.Error("IPv6 is up")
		}
	})
}

// TestDialIPv6: a connection by L2TP makes an address of the prefix that it is
// told, though the first advertisements and solicitations are lost, and reaches
// the tenant's network from it; what routers advertise does not reach its device.
func TestDialIPv6(t *testing.T) {
	inWorld(t, goodRoad, ipv6Config, func(t *testing.T, w *world) {
		w.nets["acme"].echo6()
		c := w.client(nil)
		type told struct {
			addr netip.Addr
			dns  []netip.Addr
		}
		tell := make(chan told, 4)
		conn := c.mustDial(func(d *dialer.DialConfig) {
			d.IPv6 = true
			d.OnIPv6 = func(addr netip.Addr, dns []netip.Addr) { tell <- told{addr, dns} }
		})
		var got told
		select {
		case got = <-tell:
		case <-time.After(15 * time.Second):
			t.Fatal("no address of IPv6")
		}
		if s := w.sessions(); len(s) != 1 || !s[0].Prefix.Contains(got.addr) {
			t.Errorf("%v is not of %+v", got.addr, s)
		}
		if len(got.dns) != 1 || got.dns[0] != netip.MustParseAddr("2001:db8:1::1") {
			t.Errorf("DNS %v", got.dns)
		}
		mine := netip.AddrPortFrom(got.addr, 4000)
		ip := c.dev.catch(t, datagram6(mine, netip.AddrPortFrom(far, 7), []byte("hello")))
		if ip.Destination() != mine.Addr() || string(ip.Payload()[8:]) != "hello" {
			t.Errorf("%x", ip.Bytes)
		}
		c.dev.mu.Lock()
		c.dev.other = func(pkt []byte) { t.Errorf("the device got %x", pkt) }
		c.dev.mu.Unlock()
		time.Sleep(time.Hour)
		if len(tell) != 0 {
			t.Error("told again of the same address")
		}
		c.wantPing(conn, "198.18.0.2")
	})
}

// TestDialIPv6Refused: where the tenant has no IPv6 a connection that asks for it
// stands all the same, as fast as without.
func TestDialIPv6Refused(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		began := time.Now()
		conn := c.mustDial(func(d *dialer.DialConfig) {
			d.IPv6 = true
			d.OnIPv6 = func(addr netip.Addr, _ []netip.Addr) { t.Errorf("given %v", addr) }
		})
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
		c.wantPing(conn, "198.18.0.2")
		time.Sleep(time.Minute)
	})
}

// TestDialOverIPv6: clients that reach the server by IPv6, with IPv4 inside.
func TestDialOverIPv6(t *testing.T) {
	a := newAuthority(t, "a")
	lines := a.server(vpn)
	server := netip.MustParseAddr("2001:db8:f::1")
	yaml := strings.Replace(testConfig, "203.0.113.1", "2001:db8:f::1", 1)
	inWorld(t, goodRoad, strings.Replace(yaml, "listen: [2001:db8:f::1]", `listen: ["2001:db8:f::1"]`, 1)+lines, func(t *testing.T, w *world) {
		for n, edit := range []func(*dialer.DialConfig){func(*dialer.DialConfig) {}, a.trusts(vpn)} {
			c := w.clientAt(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(n + 2)}), w.net.Listen)
			conn := c.mustDial(edit, func(d *dialer.DialConfig) {
				d.Server, d.ServerNATT = netip.AddrPortFrom(server, 500), netip.AddrPortFrom(server, 4500)
			})
			c.wantPing(conn, "198.18.0.2")
			for _, s := range w.sessions() {
				if !s.Client.Addr().Is6() {
					t.Errorf("%+v", s)
				}
			}
			conn.Close(context.Background())
			<-conn.Done()
		}
	})
}
