package policy

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// maker makes rules and packets by chance, of few addresses and ports, so that they meet.
type maker struct{ *rand.Rand }

func of[T any](m maker, list ...T) T { return list[m.IntN(len(list))] }

func (m maker) addr(six bool) netip.Addr {
	if six {
		return netip.MustParseAddr(of(m, "2001:db8:1:7::9", "2001:db8:1:8::9", "2001:db8:1::1", "2001:db8:20::5", "2001:db8:20::6", "2600::1",
			"64:ff9b::10.20.0.5", "2002:a14:5::1", "::ffff:10.20.0.5", "2001:db8:20::5efe:10.20.0.6"))
	}
	return netip.MustParseAddr(of(m, "10.1.0.7", "10.1.0.8", "10.1.0.1", "10.20.0.5", "10.20.0.6", "10.20.0.7", "198.18.0.1", "8.8.8.8"))
}

func (m maker) network() netip.Prefix {
	return netip.MustParsePrefix(of(m, "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.20.0.0/24", "10.20.0.5/32", "10.20.0.6/31", "198.18.0.0/15",
		"::/0", "2001:db8::/32", "2001:db8:1:7::/64", "2001:db8:20::/64", "2001:db8:20::5/128", "64:ff9b::/96", "2002::/16"))
}

func (m maker) peer() Peer {
	switch m.IntN(8) {
	case 0:
		return Peer{}
	case 1:
		return Peer{Kind: IsUser, Name: of(m, "ann", "bob", "nobody")}
	case 2:
		return Peer{Kind: InGroup, Name: of(m, "engineers", "guests")}
	case 3:
		return Peer{Kind: OfSite, Name: "office"}
	case 4:
		return Peer{Kind: UnderFilter, Name: "web-only"}
	}
	return Peer{Kind: InNetwork, Network: m.network()}
}

func (m maker) ports() (all []Ports) {
	for range m.IntN(3) {
		p := Ports{Protocol: of[uint8](m, 6, 17, 1, 58, 0, 6, 17, 132, 47)}
		switch p.First = of[uint16](m, 22, 53, 80, 443, 0, 8, 128); m.IntN(3) {
		case 0:
			p.All = true
		case 1:
			p.Last = p.First
		case 2:
			p.Last = p.First + uint16(m.IntN(400))
		}
		all = append(all, p)
	}
	return all
}

func (m maker) set(i int) Set {
	s := Set{Name: fmt.Sprint("set ", i), Allow: m.IntN(2) == 0}
	if i > 0 {
		s.Who = of(m, nil, []Peer{m.peer()}, []Peer{{Kind: IsUser, Name: "ann"}}, []Peer{{Kind: InGroup, Name: "guests"}, {Kind: IsUser, Name: "bob"}})
		s.Between = of(m, nil, nil, []netip.Prefix{m.network()})
		s.Who = withoutNetworks(s.Who)
	}
	rules := m.IntN(7)
	if m.IntN(12) == 0 {
		rules = 60 + m.IntN(80) // more than one word of bits
	}
	for n := range rules {
		r := Rule{Name: fmt.Sprint(n), Allow: m.IntN(2) == 0, Ports: m.ports()}
		for range m.IntN(3) {
			r.From = append(r.From, m.peer())
		}
		for range m.IntN(3) {
			r.To = append(r.To, Target{m.peer(), m.ports()})
		}
		if m.IntN(6) == 0 {
			when, err := ParseSchedule(of(m, "mon-fri 08:00-18:00 Europe/Berlin", "sat,sun 22:00-06:00 UTC", "sun-sat 00:00-24:00 UTC", "tue 10:00-10:30 America/New_York"))
			if err != nil {
				panic(err)
			}
			r.When = &when
		}
		s.Rules = append(s.Rules, r)
	}
	return s
}

func withoutNetworks(peers []Peer) (named []Peer) {
	for _, p := range peers {
		if p.Kind != InNetwork {
			named = append(named, p)
		}
	}
	return named
}

func (m maker) port() uint16 { return of[uint16](m, 22, 53, 80, 443, 1000, 1001) }

// upper is a transport header and some bytes.
func (m maker) upper(six bool) (proto byte, b []byte) {
	proto = of[byte](m, 6, 6, 6, 17, 17, 1, 58, 132, 47, 136, 59)
	b = make([]byte, 8*(3+m.IntN(4)))
	if m.IntN(12) == 0 {
		b = b[:m.IntN(len(b))]
	}
	if len(b) < 8 {
		return proto, b
	}
	binary.BigEndian.PutUint16(b, m.port())
	binary.BigEndian.PutUint16(b[2:], m.port())
	switch {
	case proto == 6 && len(b) >= 14:
		b[12], b[13] = 5<<4, of[byte](m, 2, 2, 0x12, 0x10, 0x18, 0x11, 4, 0x14, 2, byte(m.IntN(64)))
		if m.IntN(40) == 0 {
			b[12] = byte(m.IntN(256))
		}
	case proto == 1 || proto == 58:
		b[0], b[1] = of[byte](m, 8, 0, 13, 14, 128, 129, 9, 135), 0
		binary.BigEndian.PutUint16(b[4:], uint16(m.IntN(3)))
	}
	return proto, b
}

// extensions puts headers of IPv6 before a transport header.
func (m maker) extensions(proto byte, b []byte) (byte, []byte) {
	for range m.IntN(4) * m.IntN(2) * (1 + 3*m.IntN(2)*m.IntN(2)) {
		kind := of[byte](m, 0, 60, 60, 43, 51, 135)
		h := make([]byte, 8*(1+m.IntN(2)))
		h[0], h[1] = proto, byte(len(h)/8-1)
		if kind == 51 {
			h[1] = byte(len(h)/4 - 2)
		}
		if kind == 43 && m.IntN(3) == 0 {
			h[3] = 1
		}
		proto, b = kind, append(h, b...)
	}
	return proto, b
}

// whole is one packet, or one fragment.
func (m maker) whole(src, dst netip.Addr) []byte {
	proto, up := m.upper(src.Is6())
	id, offset, more := uint32(m.IntN(3)), 0, false
	if m.IntN(5) == 0 {
		if offset, more = of(m, 0, 0, 8, 24, 32, 48, 64), m.IntN(2) == 0; offset > 0 {
			up = make([]byte, 8*m.IntN(5))
		}
	}
	if src.Is6() {
		proto, up = m.extensions(proto, up)
		if offset > 0 || more || m.IntN(20) == 0 {
			h := make([]byte, 8, 8+len(up))
			h[0] = proto
			binary.BigEndian.PutUint16(h[2:], uint16(offset)|uint16(map[bool]int{true: 1}[more]))
			binary.BigEndian.PutUint32(h[4:], id)
			proto, up = 44, append(h, up...)
			if m.IntN(5) == 0 {
				proto, up = m.extensions(proto, up)
			}
			if m.IntN(10) == 0 { // another
				proto, up = 44, append([]byte{proto, 0, 0, 0, 0, 0, 0, byte(id)}, up...)
			}
		}
	}
	return frame(src, dst, proto, up, id, offset, more, m.options())
}

func (m maker) options() []byte {
	if m.IntN(15) > 0 {
		return nil
	}
	return of(m, []byte{1, 1, 0, 0}, []byte{131, 4, 4, 0}, []byte{137, 3, 0, 0}, []byte{7, 4, 0, 0}, []byte{7, 9, 0, 0}, []byte{1, 1, 1, 7})
}

// frame puts an IP header before what it carries; the part of fragments in it is IPv4's.
func frame(src, dst netip.Addr, proto byte, up []byte, id uint32, offset int, more bool, options []byte) []byte {
	if src.Is6() {
		b := make([]byte, 40, 40+len(up))
		b[0], b[6], b[7] = 0x60, proto, 64
		binary.BigEndian.PutUint16(b[4:], uint16(len(up)))
		copy(b[8:], src.AsSlice())
		copy(b[24:], dst.AsSlice())
		return append(b, up...)
	}
	n := 20 + len(options)
	b := make([]byte, n, n+len(up))
	b[0], b[8], b[9] = byte(0x40|n/4), 64, proto
	binary.BigEndian.PutUint16(b[2:], uint16(n+len(up)))
	binary.BigEndian.PutUint16(b[4:], uint16(id))
	binary.BigEndian.PutUint16(b[6:], uint16(offset/8)|uint16(map[bool]int{true: 0x2000}[more]))
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	copy(b[20:], options)
	ipkt.SetHeaderChecksum(b)
	return append(b, up...)
}

// complaint is an ICMP error from somebody about a packet.
func (m maker) complaint(src netip.Addr, about []byte) []byte {
	six := about[0]>>4 == 6
	if src.Is6() != six {
		src = m.addr(six)
	}
	proto, kind, dst := byte(1), of[byte](m, 3, 3, 11, 12, 5), netip.Addr{}
	if six {
		proto, kind = 58, of[byte](m, 1, 2, 3, 4, 100)
		dst = netip.AddrFrom16([16]byte(about[8:24]))
	} else {
		dst = netip.AddrFrom4([4]byte(about[12:16]))
	}
	if m.IntN(8) == 0 {
		dst = m.addr(six)
	}
	if m.IntN(8) == 0 {
		about = about[:m.IntN(len(about))]
	}
	return frame(src, dst, proto, append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, about...), 0, 0, false, nil)
}

// first makes a packet a first fragment, and rest one that follows it, mostly behind it.
func (m maker) first(b []byte) []byte {
	if b[0]>>4 == 6 {
		return b
	}
	b = append([]byte(nil), b...)
	b[5], b[6], b[7] = byte(m.IntN(40)), 0x20, 0
	ipkt.SetHeaderChecksum(b[:int(b[0]&15)*4])
	return b
}

func (m maker) rest(b []byte) []byte {
	n, at := int(b[0]&15)*4, 6
	if b[0]>>4 == 6 {
		if n, at = 48, 42; b[6] != 44 || len(b) < n || b[43] == 0 {
			return b
		}
	} else if b[6]&0x20 == 0 {
		return m.first(b)
	}
	whole := len(b) - n
	b = append([]byte(nil), b[:n+8]...)
	offset := whole + 8*of(m, 0, 0, 0, 1, 5, -1)
	if b[0]>>4 == 6 {
		binary.BigEndian.PutUint16(b[4:], 16)
		binary.BigEndian.PutUint16(b[at:], uint16(offset))
		return b
	}
	binary.BigEndian.PutUint16(b[2:], uint16(n+8))
	binary.BigEndian.PutUint16(b[at:], uint16(offset/8))
	ipkt.SetHeaderChecksum(b[:n])
	return b
}

// answer turns a packet round.
func answer(b []byte) []byte {
	c := append([]byte(nil), b...)
	at := 40
	if c[0]>>4 == 4 {
		copy(c[12:16], b[16:20])
		copy(c[16:20], b[12:16])
		at = int(c[0]&15) * 4
		ipkt.SetHeaderChecksum(c[:at])
	} else {
		copy(c[8:24], b[24:40])
		copy(c[24:40], b[8:24])
	}
	if len(c) >= at+4 {
		copy(c[at:], b[at+2:at+4])
		copy(c[at+2:], b[at:at+2])
	}
	return c
}

// ring is a tenant with two clients, compiled and plain.
type ring struct {
	m        maker
	clients  []*Party
	compiled *Flows
	plain    *plain
	now      Now
	sent     [][]byte
}

var (
	ringPrefixes = prefixes("2001:db8:1:7::/64", "2001:db8:1:8::/64")
	ringGateways = []netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("2001:db8:1::1")}
)

func newRing(t testing.TB, m maker) *ring {
	r := &ring{m: m, now: Now{1_700_000_000 + int64(m.IntN(14*86400)), 1000}}
	for i, who := range []*Identity{{User: "ann", Groups: []string{"engineers"}}, {User: "bob", Groups: []string{"guests", "engineers"}, Site: "office"}} {
		s := new(Subject)
		s.SetAddress(netip.AddrFrom4([4]byte{10, 1, 0, byte(7 + i)}))
		s.SetPrefix(&ringPrefixes[i])
		p := new(Party)
		p.SetAddresses(s)
		if m.IntN(3) == 0 {
			who.Filters = []string{"web-only"}
		}
		p.SetIdentity(who, nil)
		r.clients = append(r.clients, p)
	}
	bounds := Bounds{Session: 2 + m.IntN(8), Tenant: 4 + m.IntN(10), Shards: 1}
	r.plain = &plain{gateways: ringGateways, bounds: bounds, firsts: map[*Party][]plainFirst{}}
	r.compiled = NewFlows(bounds, r.rules(t))
	return r
}

// rules makes others.
func (r *ring) rules(t testing.TB) *Rules {
	var sets []Set
	for i := range 1 + r.m.IntN(3) {
		sets = append(sets, r.m.set(i))
	}
	if r.m.IntN(4) > 0 { // else whoever is under it may do nothing
		filter := r.m.set(0)
		filter.Who = []Peer{{Kind: UnderFilter, Name: "web-only"}}
		sets = append(sets, filter)
	}
	rules, err := Compile(Config{Clients: prefixes("10.1.0.0/24", "2001:db8:1::/48"), Gateways: ringGateways, Sets: sets})
	if err != nil {
		t.Fatal(err)
	}
	r.plain.sets, r.plain.generation, r.plain.active = sets, r.plain.generation+1, nil
	return rules
}

// owner is the client that has an address; nil: none.
func (r *ring) owner(a netip.Addr) *Party {
	for _, c := range r.clients {
		if c.owns(a) {
			return c
		}
	}
	return nil
}

// next is a packet that may follow what was sent, by chance.
func (r *ring) next() []byte {
	m := r.m
	if len(r.sent) > 0 && m.IntN(3) > 0 {
		b := of(m, r.sent...)
		switch m.IntN(6) {
		case 0, 1:
			return b
		case 2, 3:
			return answer(b)
		case 4:
			return m.complaint(m.addr(b[0]>>4 == 6), of(m, b, answer(b)))
		case 5:
			return m.rest(b)
		}
	}
	six := m.IntN(2) == 0
	b := m.whole(m.addr(six), m.addr(six))
	if m.IntN(10) == 0 && len(b) > 40 { // crafted
		for range 1 + m.IntN(3) {
			b[m.IntN(len(b))] = byte(m.IntN(256))
		}
		if b[0]>>4 == 4 && int(b[0]&15)*4 <= len(b) && b[0]&15 >= 5 {
			ipkt.SetHeaderChecksum(b[:int(b[0]&15)*4])
		}
	}
	return b
}

// step has one packet judged by both.
func (r *ring) step(t testing.TB) (judged bool) {
	switch r.m.IntN(40) {
	case 0:
		r.compiled.SetRules(r.rules(t))
	case 1:
		n := of(r.m, 31, 31, 31, 61, 250, 301, 601, 3600, 7500)
		r.now.Up, r.now.Wall = r.now.Up+uint32(n), r.now.Wall+int64(n)
	case 2, 3, 4, 5:
		r.now.Up, r.now.Wall = r.now.Up+1, r.now.Wall+1
	}
	b := r.next()
	ip, err := ipkt.Parse(b)
	if err != nil {
		return false
	}
	from, to := r.owner(ip.Source()), r.owner(ip.Destination())
	if from == nil && to == nil {
		return false
	}
	before := append([]byte(nil), ip.Bytes...)
	want := r.plain.judge(r.now, from, to, before)
	got := r.compiled.Judge(r.now, from, to, &ip)
	if got.Allow != want {
		t.Fatalf("%x: allowed %v (%+v), want %v", b, got.Allow, got, want)
	}
	if live := int(r.compiled.counted().live); live != len(r.plain.flows) {
		t.Fatalf("%x: %d flows, want %d", b, live, len(r.plain.flows))
	}
	if got.Allow && len(r.sent) < 64 {
		r.sent = append(r.sent, before)
	}
	return true
}

// worlds is how many tenants TestCompiledIsPlain makes; each judges hundreds of packets.
var worlds = flag.Int("worlds", 300, "tenants to compare with the plain decision")

// TestCompiledIsPlain: whatever the rules, whatever the packets.
func TestCompiledIsPlain(t *testing.T) {
	allowed, judged := 0, 0
	const packets = 300
	for i := range *worlds {
		r := newRing(t, maker{rand.New(rand.NewPCG(uint64(i), 7))})
		for range packets {
			if r.step(t) {
				judged++
			}
		}
		c := r.compiled.counted()
		allowed += int(c.begun)
	}
	t.Logf("%d packets judged, %d flows begun", judged, allowed)
	if judged < *worlds*packets/4 || allowed < judged/100 {
		t.Error("the packets are too dull")
	}
}

// FuzzCompiledIsPlain is TestCompiledIsPlain from any seed.
func FuzzCompiledIsPlain(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := newRing(t, maker{rand.New(rand.NewPCG(a, b))})
		for range 200 {
			r.step(t)
		}
	})
}

// TestAskIsJudge: what is said of a flow that nobody has sent becomes of one that is.
func TestAskIsJudge(t *testing.T) {
	allowed := 0
	for i := range 10000 {
		m := maker{rand.New(rand.NewPCG(uint64(i), 11))}
		r := newRing(t, m)
		six := m.IntN(2) == 0
		q := Question{Source: m.addr(six), Destination: m.addr(six), Protocol: of[uint8](m, 6, 17, 1, 58, 47, 132), At: time.Unix(r.now.Wall, 0)}
		if q.Source == q.Destination {
			continue
		}
		q.Port = m.port()
		up := make([]byte, 32)
		binary.BigEndian.PutUint16(up, 999)
		binary.BigEndian.PutUint16(up[2:], q.Port)
		up[12], up[13] = 5<<4, tcpSYN
		switch {
		case q.Protocol == 1 && !six:
			q.Port, up[0] = 8, 8
		case q.Protocol == 58 && six:
			q.Port, up[0] = 128, 128
		case q.Protocol == 1, q.Protocol == 58, q.Protocol == 47:
			q.Port = 0
		}
		q.From, q.To = r.owner(q.Source), r.owner(q.Destination)
		if q.From == nil && q.To == nil {
			continue
		}
		ip, err := ipkt.Parse(frame(q.Source, q.Destination, q.Protocol, up, 0, 0, false, nil))
		if err != nil {
			t.Fatal(err)
		}
		rules := r.compiled.force.Load().rules
		verdict := rules.Judge(q.direction(), &Subject{any: true}, &ip)
		want := verdict != Neighbour && r.compiled.Judge(r.now, q.From, q.To, &ip).Allow
		if got := rules.Ask(q); got.Allow != want {
			t.Fatalf("%+v: asked %+v, judged %v", q, got, want)
		}
		if want {
			allowed++
		}
	}
	if allowed < 500 {
		t.Errorf("only %d are allowed", allowed)
	}
}
