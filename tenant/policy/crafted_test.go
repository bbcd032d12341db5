package policy

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

const (
	ann4, bob4, web4 = "10.1.0.7", "10.1.0.8", "10.20.0.5"
	ann6, web6       = "2001:db8:1:7::9", "2001:db8:20::5"
)

// tcpTo is the header of a segment of TCP to a port, with some bytes behind it.
func tcpTo(port uint16, flags byte, more int) []byte {
	b := make([]byte, 20+more)
	binary.BigEndian.PutUint16(b, 1000)
	binary.BigEndian.PutUint16(b[2:], port)
	b[12], b[13] = 5<<4, flags
	return b
}

// packet4 and packet6 are packets whose IP header is told.
func packet4(t *testing.T, from, to string, proto byte, up []byte, id uint32, offset int, more bool, options ...byte) *ipkt.Packet {
	t.Helper()
	return parsed(t, frame(netip.MustParseAddr(from), netip.MustParseAddr(to), proto, up, id, offset, more, options))
}

func packet6(t *testing.T, from, to string, proto byte, up ...byte) *ipkt.Packet {
	t.Helper()
	return parsed(t, frame(netip.MustParseAddr(from), netip.MustParseAddr(to), proto, up, 0, 0, false, nil))
}

func parsed(t *testing.T, b []byte) *ipkt.Packet {
	t.Helper()
	ip, err := ipkt.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return &ip
}

// TestCraftedPackets: what no honest host sends is dropped and counted, whatever the rules,
// and begins no flow.
func TestCraftedPackets(t *testing.T) {
	open := func(port uint16) []byte { return tcpTo(port, syn, 0) }
	behind := func(kind byte, header []byte, up []byte) []byte { return slices.Concat([]byte{kind}, header, up) }
	routing := func(left byte) []byte {
		return behind(6, []byte{2, 0, left, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, open(80))
	}
	frag := []byte{0, 0, 1, 0, 0, 0, 1} // the first of several
	icmp := func(about []byte) []byte { return append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, about...) }
	for name, ip := range map[string]*ipkt.Packet{
		"loose source route":            packet4(t, ann4, web4, 6, open(80), 0, 0, false, 131, 7, 4, 10, 30, 0, 1, 0),
		"strict source route":           packet4(t, ann4, web4, 6, open(80), 0, 0, false, 137, 7, 4, 10, 30, 0, 1, 0),
		"source route behind others":    packet4(t, ann4, web4, 6, open(80), 0, 0, false, 1, 1, 148, 4, 0, 0, 131, 3, 4, 0, 0, 0),
		"an option beyond the header":   packet4(t, ann4, web4, 6, open(80), 0, 0, false, 7, 9, 4, 0),
		"an option of no length":        packet4(t, ann4, web4, 6, open(80), 0, 0, false, 7, 0, 4, 0),
		"half a header of TCP":          packet4(t, ann4, web4, 6, open(80)[:8], 0, 0, false),
		"a first fragment of 8 bytes":   packet4(t, ann4, web4, 6, open(80)[:8], 1, 0, true),
		"a fragment of no whole eights": packet4(t, ann4, web4, 6, tcpTo(80, syn, 5), 1, 0, true),
		"a fragment of nothing":         packet4(t, ann4, web4, 6, nil, 1, 0, true),
		"SYN and FIN":                   packet4(t, ann4, web4, 6, tcpTo(80, syn|tcpFIN, 0), 0, 0, false),
		"SYN and RST":                   packet4(t, ann4, web4, 6, tcpTo(80, syn|tcpRST, 0), 0, 0, false),
		"no flag":                       packet4(t, ann4, web4, 6, tcpTo(80, 0, 0), 0, 0, false),
		"FIN alone":                     packet4(t, ann4, web4, 6, tcpTo(80, tcpFIN, 0), 0, 0, false),
		"all flags":                     packet4(t, ann4, web4, 6, tcpTo(80, 0x3f, 0), 0, 0, false),
		"an offset within TCP's header": packet4(t, ann4, web4, 6, append(append(open(80)[:12:12], 4<<4, syn), make([]byte, 6)...), 0, 0, false),
		"UDP of 7 bytes":                packet4(t, ann4, web4, 17, make([]byte, 7), 0, 0, false),
		"ICMP of 7 bytes":               packet4(t, ann4, web4, 1, make([]byte, 7), 0, 0, false),
		"an ICMP error in fragments":    packet4(t, ann4, web4, 1, icmp(make([]byte, 32)), 1, 0, true),
		"a routing header with a way":   packet6(t, ann6, web6, 43, routing(1)...),
		"hop-by-hop behind another":     packet6(t, ann6, web6, 60, behind(0, make([]byte, 7), behind(6, make([]byte, 7), open(80)))...),
		"a fragment within a fragment":  packet6(t, ann6, web6, 44, behind(44, frag, behind(6, frag, tcpTo(80, syn, 4)))...),
		"an extension beyond the end":   packet6(t, ann6, web6, 60, 6, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		"an extension that is cut":      packet6(t, ann6, web6, 60, 6, 0, 0, 0),
		"nine extensions": packet6(t, ann6, web6, 60, slices.Concat(behind(60, make([]byte, 7), behind(60, make([]byte, 7), behind(60, make([]byte, 7), behind(60, make([]byte, 7), nil)))),
			behind(60, make([]byte, 7), behind(60, make([]byte, 7), behind(60, make([]byte, 7), behind(60, make([]byte, 7), behind(6, make([]byte, 7), open(80)))))))...),
		"a fragment of IPv6 beyond 64 KiB": packet6(t, ann6, web6, 44, behind(6, []byte{0, 0xff, 0xf8, 0, 0, 0, 1}, make([]byte, 64))...),
	} {
		ann, prefix := client(ann4, nil), netip.MustParsePrefix("2001:db8:1:7::/64")
		ann.addresses.Load().SetPrefix(&prefix)
		f := NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, Set{Allow: true}))
		for range 2 {
			if d := f.Judge(Now{1, 1}, ann, nil, ip); d.Allow || d.Why != Crafted {
				t.Errorf("%s: %+v", name, d)
			}
		}
		if c := f.Counts(); c.Forged != 2 || c.Live != 0 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// TestFragmentsFollowTheirFirst: and no other's, and overwrite nothing of it.
func TestFragmentsFollowTheirFirst(t *testing.T) {
	ann, bob := client(ann4, nil), client(bob4, nil)
	f := NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, web()))
	rest := func(from string, id uint32, offset int) *ipkt.Packet {
		return packet4(t, from, web4, 6, make([]byte, 16), id, offset, true)
	}
	for _, c := range []struct {
		name  string
		who   *Party
		ip    *ipkt.Packet
		up    uint32
		allow bool
	}{
		{"one that comes before it", ann, rest(ann4, 7, 40), 1, false},
		{"a first that is denied", ann, packet4(t, ann4, web4, 6, tcpTo(22, syn, 20), 8, 0, true), 1, false},
		{"what follows that", ann, rest(ann4, 8, 40), 1, false},
		{"a first that is allowed", ann, packet4(t, ann4, web4, 6, tcpTo(80, syn, 20), 7, 0, true), 1, true},
		{"what follows", ann, rest(ann4, 7, 40), 1, true},
		{"what comes once more", ann, rest(ann4, 7, 40), 1, true},
		{"what overwrites its ports", ann, rest(ann4, 7, 8), 1, false},
		{"what overwrites its end", ann, rest(ann4, 7, 32), 1, false},
		{"of another packet", ann, rest(ann4, 9, 40), 1, false},
		{"of another protocol", ann, packet4(t, ann4, web4, 17, make([]byte, 16), 7, 40, false), 1, false},
		{"of another client", bob, rest(bob4, 7, 40), 1, false},
		{"to another host", ann, packet4(t, ann4, "10.20.0.6", 6, make([]byte, 16), 7, 40, false), 1, false},
		{"too late", ann, rest(ann4, 7, 56), 2 + idleFragment, false},
	} {
		if d := f.Judge(Now{1, c.up}, c.who, nil, c.ip); d.Allow != c.allow {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
	if c := f.Counts(); c.Live != 1 {
		t.Errorf("%+v", c)
	}
}

// TestErrorsAboutOthers: what an ICMP error quotes must be whole enough to be known, of a flow
// of whom it is for, and no error itself; it neither begins a flow nor keeps one.
func TestErrorsAboutOthers(t *testing.T) {
	ann, bob := client(ann4, nil), client(bob4, nil)
	f := NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, web()))
	sent, others := segment(t, annWeb, webAnn, syn).Bytes, segment(t, "10.1.0.8:1000", webAnn, syn).Bytes
	f.Judge(Now{1, 1}, ann, nil, parsed(t, sent))
	f.Judge(Now{1, 1}, bob, nil, parsed(t, others))
	about := func(kind byte, quote []byte) []byte { return append([]byte{kind, 1, 0, 0, 0, 0, 0, 0}, quote...) }
	changed := func(change func(b []byte)) []byte {
		b := slices.Clone(sent)
		change(b)
		return b
	}
	for name, c := range map[string]struct {
		to    *Party
		dst   string
		icmp  []byte
		allow bool
	}{
		"her flow":                   {ann, ann4, about(3, sent), true},
		"her flow, time exceeded":    {ann, ann4, about(11, sent), true},
		"her flow, by 8 bytes":       {ann, ann4, about(3, sent[:28]), true},
		"less than that":             {ann, ann4, about(3, sent[:27]), false},
		"no header of IP":            {ann, ann4, about(3, sent[:19]), false},
		"nothing":                    {ann, ann4, about(3, nil), false},
		"another client's flow":      {ann, ann4, about(3, others), false},
		"another client's, to him":   {bob, bob4, about(3, sent), false},
		"another port":               {ann, ann4, about(3, changed(func(b []byte) { b[21]++ })), false},
		"another protocol":           {ann, ann4, about(3, changed(func(b []byte) { b[9] = 17 })), false},
		"a later fragment":           {ann, ann4, about(3, changed(func(b []byte) { b[7] = 4 })), false},
		"IPv6 within IPv4":           {ann, ann4, about(3, changed(func(b []byte) { b[0] = 0x65 })), false},
		"a header that is too short": {ann, ann4, about(3, changed(func(b []byte) { b[0] = 0x44 })), false},
		"an error":                   {ann, ann4, about(3, frame(netip.MustParseAddr(ann4), netip.MustParseAddr(web4), 1, about(3, sent), 0, 0, false, nil)), false},
		"a flow of ping, of none":    {ann, ann4, about(3, frame(netip.MustParseAddr(ann4), netip.MustParseAddr(web4), 1, make([]byte, 8), 0, 0, false, nil)), false},
	} {
		before := f.Counts()
		d := f.Judge(Now{1, 100}, nil, c.to, packet4(t, "192.0.2.1", c.dst, 1, c.icmp, 0, 0, false))
		if d.Allow != c.allow {
			t.Errorf("%s: %+v", name, d)
		}
		if now := f.Counts(); now.Live != before.Live || !c.allow && now.Stray+now.Forged == before.Stray+before.Forged {
			t.Errorf("%s: %+v, then %+v", name, before, now)
		}
	}
	late := Now{1, 2 + idleOpening}
	if d := f.Judge(late, nil, ann, packet4(t, "192.0.2.1", ann4, 1, about(3, sent), 0, 0, false)); d.Allow {
		t.Errorf("errors kept the flow: %+v", d)
	}
}

// TestSegmentsOfNoConnection: what only a connection has passes by one alone.
func TestSegmentsOfNoConnection(t *testing.T) {
	for name, flags := range map[string]byte{"an answer": synAck, "RST": tcpRST, "RST of an answer": tcpRST | ack} {
		for _, down := range []bool{false, true} {
			ann := client(ann4, nil)
			f := NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, Set{Allow: true}))
			from, to, ip := ann, (*Party)(nil), segment(t, annWeb, webAnn, flags)
			if down {
				from, to, ip = nil, ann, segment(t, webAnn, annWeb, flags)
			}
			if d := f.Judge(Now{1, 1}, from, to, ip); d.Allow || d.Why != NoFlow {
				t.Errorf("%s, down %v: %+v", name, down, d)
			}
			if c := f.Counts(); c.Live != 0 || c.Stray != 1 {
				t.Errorf("%s: %+v", name, c)
			}
		}
	}
}

// TestSuccessorInheritsNothing: a session that is over has no flow, and the next one with its
// address has none of it: no answer, no fragment and no error of it passes.
func TestSuccessorInheritsNothing(t *testing.T) {
	f := NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, web()))
	first := client(ann4, &Identity{User: "ann"})
	sent := segment(t, annWeb, webAnn, syn)
	f.Judge(Now{1, 1}, first, nil, sent)
	f.Judge(Now{1, 1}, first, nil, packet4(t, ann4, web4, 6, tcpTo(80, ack, 20), 7, 0, true))
	first.Leave()
	if c := f.Counts(); c.Live != 0 {
		t.Errorf("it leaves %+v", c)
	}
	next := client(ann4, &Identity{User: "eve"})
	for name, ip := range map[string]*ipkt.Packet{
		"an answer": segment(t, webAnn, annWeb, synAck), "what is sent": segment(t, webAnn, annWeb, ack),
		"an error": packet4(t, "192.0.2.1", ann4, 1, append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, sent.Bytes...), 0, 0, false),
	} {
		if d := f.Judge(Now{1, 1}, nil, next, ip); d.Allow {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if d := f.Judge(Now{1, 1}, next, nil, packet4(t, ann4, web4, 6, make([]byte, 16), 7, 40, false)); d.Allow {
		t.Errorf("a fragment: %+v", d)
	}
	if d := f.Judge(Now{1, 1}, first, nil, sent); d.Allow || d.Why != Full {
		t.Errorf("what is still under way of the former: %+v", d)
	}
	if c := f.Counts(); c.Live != 0 {
		t.Errorf("%+v", c)
	}
}
