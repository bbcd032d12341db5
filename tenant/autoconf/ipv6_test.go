package autoconf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

var (
	hostLocal   = netip.MustParseAddr("fe80::3066:5a7e:8623:e95b")
	routersAll  = netip.MustParseAddr("ff02::2")
	unspecified = netip.IPv6Unspecified()
)

func solicitation(from netip.Addr) []byte {
	return icmp6(from, routersAll, []byte{routerSolicitation, 0, 0, 0, 0, 0, 0, 0})
}

// TestRouterAdvertisement compares an advertisement byte by byte.
func TestRouterAdvertisement(t *testing.T) {
	p := wantAnswer(t, wantResponder(t, nil), client(), solicitation(hostLocal))
	if p.Source() != client().Router || p.Destination() != hostLocal || p.Bytes[7] != 255 {
		t.Errorf("from %v to %v, hop limit %d", p.Source(), p.Destination(), p.Bytes[7])
	}
	want := "8600" + "0000" + "40" + "40" + "0000" + "00000000" + "00000000" + // no default router
		"0501000000000578" +
		"030440c0" + "00015180" + "00003840" + "00000000" + "20010db8000100050000000000000000" +
		"19030000" + "00000708" + "20010db8000100000000000000000001" +
		"1f050000" + "00000708" + "0461636d65076578616d706c6500" + "036c6162" + "0461636d65076578616d706c6500" +
		"18023000" + "00000708" + "20010db800020000" +
		"18023000" + "00000708" + "20010db800010000"
	got := bytes.Clone(p.Payload())
	got[2], got[3] = 0, 0
	if !bytes.Equal(got, unhex(t, want)) {
		t.Errorf("got  %x\nwant %s", got, want)
	}
}

// TestDefaultRouter: the lifetime is set where everything goes through the tunnel.
func TestDefaultRouter(t *testing.T) {
	r := wantResponder(t, func(c *Config) { c.Routes = nil })
	m := wantAnswer(t, r, client(), solicitation(unspecified))
	if m.Destination() != allNodes {
		t.Errorf("a host without address is answered at %v", m.Destination())
	}
	if got := binary.BigEndian.Uint16(m.Payload()[6:]); got != 1800 {
		t.Errorf("router lifetime %d", got)
	}
	if bytes.Contains(m.Payload(), []byte{optionRoute, 2, 48}) {
		t.Error("routes beside the default one")
	}
	p, err := ipkt.Parse(r.Advertisement(client()))
	if err != nil || p.Destination() != allNodes || !bytes.Equal(p.Payload()[4:], m.Payload()[4:]) {
		t.Errorf("unsolicited: %v to %v", err, p.Destination())
	}
}

// TestAdvertiseAfter: three at once, then so often that a lifetime outlasts two losses.
func TestAdvertiseAfter(t *testing.T) {
	if AdvertiseAfter(0) != 16*time.Second || AdvertiseAfter(1) != 16*time.Second {
		t.Error(AdvertiseAfter(0), AdvertiseAfter(1))
	}
	if d := AdvertiseAfter(2); 3*d > routerLifetime || d < time.Minute {
		t.Error(d)
	}
}

// TestLargerPrefix: the link has the first /64 of what the session has.
func TestLargerPrefix(t *testing.T) {
	c := client()
	c.Prefix = netip.MustParsePrefix("2001:db8:1:500::/56")
	p := wantAnswer(t, wantResponder(t, nil), c, solicitation(hostLocal))
	if !bytes.Contains(p.Payload(), unhex(t, "030440c00001518000003840000000002001 0db8 0001 0500 0000000000000000")) {
		t.Errorf("%x", p.Payload())
	}
}

// TestManyRoutes6: no advertisement is larger than the link.
func TestManyRoutes6(t *testing.T) {
	r := wantResponder(t, func(c *Config) {
		for i := range 500 {
			c.Routes = append(c.Routes, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb9, byte(i >> 8), byte(i)}), 64))
			c.DNS = append(c.DNS, netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}))
		}
		c.Domains = append(c.Domains, strings.Repeat("x.", 120)+"example")
	})
	c := client()
	c.MTU = 1280
	wantAnswer(t, r, c, solicitation(hostLocal))
	wantAnswer(t, r, c, question6(information6, nil))
}

func neighbourQuestion(from, to, target netip.Addr) []byte {
	return icmp6(from, to, append([]byte{neighbourSolicitation, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice()...))
}

// TestNeighbour: our address is told, by the rules for a host that has one and
// for one that looks whether it may have it.
func TestNeighbour(t *testing.T) {
	router := client().Router
	node := netip.MustParseAddr("ff02::1:ff03:4")
	for from, want := range map[netip.Addr]struct {
		to    netip.Addr
		flags byte
	}{hostLocal: {hostLocal, 0xe0}, unspecified: {allNodes, 0xa0}} {
		p := wantAnswer(t, wantResponder(t, nil), client(), neighbourQuestion(from, node, router))
		m := p.Payload()
		if p.Source() != router || p.Destination() != want.to || m[0] != neighbourAdvert || m[4] != want.flags || !bytes.Equal(m[8:24], router.AsSlice()) {
			t.Errorf("%v: to %v: %x", from, p.Destination(), m)
		}
	}
	_, err := wantResponder(t, nil).Answer(client(), neighbourQuestion(unspecified, node, hostLocal))
	if !errors.Is(err, ErrIgnored) {
		t.Errorf("a host that looks whether its own address is free: %v", err)
	}
}

func TestPing(t *testing.T) {
	p := wantAnswer(t, wantResponder(t, nil), client(), icmp6(hostLocal, client().Router, []byte{echoRequest, 0, 0, 0, 1, 2, 3, 4, 5}))
	if m := p.Payload(); m[0] != echoReply || !bytes.Equal(m[4:], []byte{1, 2, 3, 4, 5}) || p.Destination() != hostLocal {
		t.Errorf("%x", m)
	}
}

// TestDiscoveryRefuses: the checks of RFC 4861 sections 6.1.1 and 7.1.1.
func TestDiscoveryRefuses(t *testing.T) {
	fix := func(b []byte) []byte {
		b[42], b[43] = 0, 0
		return withChecksum(b, ipv6HeaderLen, ipkt.ProtocolICMPv6, 2)
	}
	tests := map[string][]byte{
		"hop limit":        func() []byte { b := solicitation(hostLocal); b[7] = 64; return b }(),
		"checksum":         func() []byte { b := solicitation(hostLocal); b[42] ^= 1; return b }(),
		"code":             func() []byte { b := solicitation(hostLocal); b[41] = 1; return fix(b) }(),
		"empty option":     icmp6(hostLocal, routersAll, append(make([]byte, 0), 133, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)),
		"short option":     icmp6(hostLocal, routersAll, append(make([]byte, 0), 133, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0)),
		"short":            icmp6(hostLocal, routersAll, []byte{133, 0, 0, 0}),
		"short question":   icmp6(hostLocal, routersAll, []byte{135, 0, 0, 0, 0, 0, 0, 0}),
		"multicast target": neighbourQuestion(hostLocal, routersAll, allNodes),
	}
	for name, b := range tests {
		if _, err := wantResponder(t, nil).Answer(client(), b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	none := client()
	none.Prefix = netip.Prefix{}
	if _, err := wantResponder(t, nil).Answer(none, solicitation(hostLocal)); !errors.Is(err, ErrIgnored) {
		t.Errorf("a session without IPv6: %v", err)
	}
}

var clientDUID = []byte{0, 3, 0, 1, 2, 0, 0, 0, 0, 1}

// question6 makes a DHCPv6 message with those options behind the client's identifier.
func question6(kind byte, options []byte) []byte {
	b := appendOption6([]byte{kind, 1, 2, 3}, option6Client, clientDUID)
	return udp6(netip.AddrPortFrom(hostLocal, portClient6), netip.MustParseAddrPort("[ff02::1:2]:547"), append(b, options...))
}

// given is the prefix of the client that asks.
var given = client().Prefix

func wantReply6(t testing.TB, r *Responder, packet []byte) *dhcpv6.Message {
	t.Helper()
	c := client()
	c.Prefix = given
	p := wantAnswer(t, r, c, packet)
	if p.Source() != client().Router || p.Destination() != hostLocal || binary.BigEndian.Uint16(p.Payload()[2:]) != portClient6 {
		t.Errorf("from %v to %v", p.Source(), p.Destination())
	}
	m, err := dhcpv6.MessageFromBytes(p.Payload()[udpHeaderLen:])
	if err != nil {
		t.Fatal(err)
	}
	if m.TransactionID != [3]byte{1, 2, 3} || m.Options.ServerID() == nil || !bytes.Equal(m.Options.ClientID().ToBytes(), clientDUID) {
		t.Error(m.Summary())
	}
	return m
}

// TestStateless: a DHCPv6 that is not ours reads servers and domains.
func TestStateless(t *testing.T) {
	m := wantReply6(t, wantResponder(t, nil), question6(information6, appendOption6(nil, option6Wanted, []byte{0, 23, 0, 24, 0, 32})))
	if m.MessageType != dhcpv6.MessageTypeReply || len(m.Options.DNS()) != 1 || !m.Options.DNS()[0].Equal(net.ParseIP("2001:db8:1::1")) {
		t.Error(m.Summary())
	}
	if got := strings.Join(m.Options.DomainSearchList().Labels, " "); got != "acme.example lab.acme.example" {
		t.Error(got)
	}
	if m.Options.InformationRefreshTime(0) != time.Hour {
		t.Error(m.Summary())
	}
	m = wantReply6(t, wantResponder(t, nil), question6(information6, appendOption6(nil, option6Wanted, []byte{0, 24})))
	if len(m.Options.DNS()) != 0 || m.Options.DomainSearchList() == nil {
		t.Errorf("more or less than asked for: %s", m.Summary())
	}
}

func pd(id byte) []byte {
	return appendOption6(nil, option6PD, append([]byte{0, 0, 0, id}, make([]byte, 8)...))
}

// TestDelegation: solicit, advertise, request, reply; once a client, and only
// where the tenant does.
func TestDelegation(t *testing.T) {
	r := wantResponder(t, func(c *Config) { c.Delegate = true })
	if m := wantReply6(t, r, question6(solicit6, pd(1))); m.Options.IAPD()[0].Options.Status() == nil {
		t.Errorf("nothing but the link's /64, and delegated: %s", m.Summary())
	}
	given = netip.MustParsePrefix("2001:db8:1:400::/55")
	defer func() { given = client().Prefix }()
	na := appendOption6(nil, option6NA, make([]byte, 12))
	m := wantReply6(t, r, question6(solicit6, append(append(pd(1), pd(2)...), na...)))
	if m.MessageType != dhcpv6.MessageTypeAdvertise {
		t.Error(m.Summary())
	}
	pds := m.Options.IAPD()
	if len(pds) != 2 || len(pds[0].Options.Prefixes()) != 1 || pds[0].Options.Prefixes()[0].Prefix.String() != "2001:db8:1:500::/56" {
		t.Fatal(m.Summary())
	}
	if pds[0].T1 >= pds[0].T2 || pds[1].Options.Status() == nil || m.Options.OneIANA().Options.Status() == nil {
		t.Error(m.Summary())
	}
	server := appendOption6(nil, option6Server, r.duid)
	for _, kind := range []byte{request6, renew6} {
		if m = wantReply6(t, r, question6(kind, append(server, pd(1)...))); m.MessageType != dhcpv6.MessageTypeReply || len(m.Options.IAPD()[0].Options.Prefixes()) != 1 {
			t.Error(m.Summary())
		}
	}
	if m = wantReply6(t, r, question6(solicit6, append(pd(1), 0, 14, 0, 0))); m.MessageType != dhcpv6.MessageTypeReply {
		t.Errorf("rapid commit: %s", m.Summary())
	}
	if m = wantReply6(t, r, question6(release6, append(server, pd(1)...))); m.Options.Status() == nil {
		t.Error(m.Summary())
	}
	if m = wantReply6(t, wantResponder(t, nil), question6(solicit6, pd(1))); m.Options.IAPD()[0].Options.Status() == nil {
		t.Errorf("delegated without leave: %s", m.Summary())
	}
}

// TestDHCPv6Ignored: the rules of RFC 8415 section 16.
func TestDHCPv6Ignored(t *testing.T) {
	r := wantResponder(t, nil)
	other := appendOption6(nil, option6Server, []byte{0, 4, 1})
	tests := map[string][]byte{
		"solicit to a server":     question6(solicit6, other),
		"request to another":      question6(request6, other),
		"request to none":         question6(request6, nil),
		"information to another":  question6(information6, other),
		"information with an IA":  question6(information6, pd(1)),
		"a server's message":      question6(reply6, nil),
		"from a global address":   udp6(netip.MustParseAddrPort("[2001:db8:1:5::2]:546"), netip.MustParseAddrPort("[ff02::1:2]:547"), []byte{11, 0, 0, 0}),
		"to another port":         udp6(netip.AddrPortFrom(hostLocal, 546), netip.MustParseAddrPort("[ff02::1:2]:548"), []byte{11, 0, 0, 0}),
		"of another message type": question6(4, nil),
	}
	for name, b := range tests {
		if _, err := r.Answer(client(), b); !errors.Is(err, ErrIgnored) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDHCPv6Truncated: no part of an option is one.
func TestDHCPv6Truncated(t *testing.T) {
	whole := question6(information6, nil)[48:]
	for n := range len(whole) {
		if _, err := parse6(whole[:n]); n != message6 && !errors.Is(err, ErrMalformed) {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	if _, err := parse6(append([]byte{1, 0, 0, 0}, 0, 25, 0, 4, 1, 2, 3, 4)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a short IA_PD: %v", err)
	}
}

// TestParseAdvertisement: what our own router says is understood, and nothing that
// was changed on the way or comes from afar is.
func TestParseAdvertisement(t *testing.T) {
	r := wantResponder(t, nil)
	packet := r.Advertisement(client())
	a, err := ParseAdvertisement(packet)
	if err != nil || a.Prefix != netip.MustParsePrefix("2001:db8:1:5::/64") || len(a.DNS) != 1 || a.DNS[0] != netip.MustParseAddr("2001:db8:1::1") {
		t.Errorf("%+v %v", a, err)
	}
	for n := range packet {
		if _, err := ParseAdvertisement(packet[:n]); err == nil {
			t.Errorf("%d bytes are taken", n)
		}
		bad := bytes.Clone(packet)
		bad[n] ^= 0x41
		if got, err := ParseAdvertisement(bad); err == nil && (n >= 8 || got.Prefix != a.Prefix) {
			t.Errorf("byte %d changed: %+v", n, got)
		}
	}
	if _, err := ParseAdvertisement(Solicit(hostLocal)); err == nil {
		t.Error("a solicitation is an advertisement")
	}
	if p := wantAnswer(t, r, client(), Solicit(hostLocal)); p.Destination() != hostLocal {
		t.Errorf("our own solicitation is answered to %v", p.Destination())
	}
}

// FuzzAdvertisement: whatever a server of somebody's says, what is understood of
// it is a prefix of 64 bits and a few servers.
func FuzzAdvertisement(f *testing.F) {
	f.Add([]byte{0x60})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAdvertisement(b)
		if err == nil && (len(a.DNS) > maxDNS || a.Prefix.IsValid() && a.Prefix.Bits() != 64) {
			t.Errorf("%+v", a)
		}
	})
}
