package policy

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// maker makes rules and packets by chance, of few addresses and ports, so that they meet.
type maker struct{ *rand.Rand }

func of[T any](m maker, list ...T) T { return list[m.IntN(len(list))] }

func each[T any](parse func(string) T, list ...string) (all []T) {
	for _, s := range list {
		all = append(all, parse(s))
	}
	return all
}

// What packets and rules are made of.
var (
	makerAddr6 = each(netip.MustParseAddr, "2001:db8:1:7::9", "2001:db8:1:8::9", "2001:db8:1::1", "2001:db8:20::5", "2001:db8:20::6", "2600::1",
		"64:ff9b::10.20.0.5", "64:ff9b:1:a14::500:0:0", "2002:a14:5::1", "2002:a14:5:0:0:5efe:a14:6", "::ffff:10.20.0.5", "::10.20.0.5",
		"2001:0:a14:5::f5eb:fff9", "2001:db8:20::5efe:10.20.0.6")
	makerAddr4   = each(netip.MustParseAddr, "10.1.0.7", "10.1.0.8", "10.1.0.1", "10.1.0.99", "10.20.0.5", "10.20.0.6", "10.20.0.7", "198.18.0.1", "8.8.8.8")
	makerNetwork = each(netip.MustParsePrefix, "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.20.0.0/24", "10.20.0.5/32", "10.20.0.6/31", "198.18.0.0/15",
		"::/0", "2001:db8::/32", "2001:db8:1:7::/64", "2001:db8:20::/64", "2001:db8:20::5/128", "64:ff9b::/96", "2002::/16")
	makerSchedules = each(func(s string) *Schedule {
		when, err := ParseSchedule(s)
		if err != nil {
			panic(err)
		}
		return &when
	}, "mon-fri 08:00-18:00 Europe/Berlin", "sat,sun 22:00-06:00 UTC", "sun-sat 00:00-24:00 UTC", "tue 10:00-10:30 America/New_York")
)

func (m maker) addr(six bool) netip.Addr {
	if six {
		return of(m, makerAddr6...)
	}
	return of(m, makerAddr4...)
}

func (m maker) network() netip.Prefix { return of(m, makerNetwork...) }

func (m maker) peer() Peer {
	switch m.IntN(10) {
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
	case 5:
		return Peer{Kind: InPool, Name: of(m, "vip", "", "default")}
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
			r.When = of(m, makerSchedules...)
		}
		if m.IntN(6) == 0 {
			r.Log = LogFirst
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
		if m.IntN(4) == 0 {
			binary.BigEndian.PutUint32(b[of(m, 4, 8):], of(m, 1, 2, 100, 1<<16, 1<<17, 1<<18, ^uint32(0), m.Uint32()))
		}
		if m.IntN(40) == 0 {
			b[12] = byte(m.IntN(256))
		}
	case proto == 1 || proto == 58:
		b[0], b[1] = of[byte](m, 8, 0, 13, 14, 128, 129, 9, 135, 5, 137), 0
		binary.BigEndian.PutUint16(b[4:], of[uint16](m, 0, 1, 2, 8, 128))
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
	if whole < 8 {
		return b
	}
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
