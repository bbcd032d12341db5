package policy

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// This is what the rules mean, written plainly: rules are read one by one, flows are a
// list. What is compiled must say the same of every packet.

// plainPacket is a packet as the plain decision sees it.
type plainPacket struct {
	src, dst     netip.Addr
	proto        int
	sport, dport int
	flags        byte
	begins       bool
	isError      bool
	asks         bool
	quote        []byte
	fragment     bool
	offset, end  int
	more         bool
	id           uint32
	seq          uint32 // of TCP, in what an error quotes
	header       header // as the compiled one reads it, for sequence numbers alone
}

// plainParse reads a whole packet; ok: it is one that an honest host sends.
func plainParse(b []byte) (p plainPacket, ok bool) {
	if b[0]>>4 == 4 {
		p.src, p.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		n := int(b[0]&15) * 4
		for o := b[20:n]; len(o) > 0; {
			if o[0] == 0 {
				break
			}
			if o[0] == 1 {
				o = o[1:]
				continue
			}
			if len(o) == 1 || o[1] < 2 || int(o[1]) > len(o) || o[0] == 131 || o[0] == 137 {
				return p, false
			}
			o = o[o[1]:]
		}
		p.proto, p.id = int(b[9]), uint32(binary.BigEndian.Uint16(b[4:]))
		p.more, p.offset = b[6]&0x20 != 0, (int(b[6]&31)<<8|int(b[7]))*8
		p.end = p.offset + len(b) - n
		p.fragment = p.more || p.offset > 0
		if p.more && (len(b) == n || (len(b)-n)%8 != 0) {
			return p, false
		}
		return p.upper(b[n:])
	}
	p.src, p.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	return p.extension(b[6], b[40:], 0, false)
}

func (p plainPacket) extension(kind byte, b []byte, depth int, framed bool) (plainPacket, bool) {
	known := slices.Contains([]byte{0, 43, 44, 51, 60, 135, 139, 140}, kind)
	p.proto = int(kind)
	if depth == 8 {
		return p, false
	}
	if !known {
		return p.upper(b)
	}
	if kind == 0 && depth > 0 || len(b) < 8 {
		return p, false
	}
	size := 8 + 8*int(b[1])
	if kind == 51 {
		size = 8 + 4*int(b[1])
	}
	if kind == 43 && b[3] > 0 {
		return p, false
	}
	if kind == 44 {
		size = 8
		if framed {
			return p, false
		}
		framed = true
		p.id = binary.BigEndian.Uint32(b[4:])
		p.offset, p.more = int(binary.BigEndian.Uint16(b[2:]))/8*8, b[3]&1 == 1
		p.end = p.offset + len(b) - 8
		p.fragment = p.more || p.offset > 0
		if p.end > 65535 || p.more && (len(b) == 8 || len(b)%8 != 0) {
			return p, false
		}
		if p.offset > 0 {
			return p, true
		}
	}
	if size > len(b) {
		return p, false
	}
	return p.extension(b[0], b[size:], depth+1, framed)
}

func (p plainPacket) upper(b []byte) (plainPacket, bool) {
	if p.offset > 0 {
		return p, true
	}
	least, ported := map[int]int{6: 20, 17: 8, 136: 8, 132: 12, 33: 12}[p.proto]
	if ported && len(b) < least {
		return p, false
	}
	p.begins = true
	if ported {
		p.sport, p.dport = int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
	}
	if p.proto == 6 {
		p.flags = b[13]
		fin, syn, rst, ack := p.flags&1 > 0, p.flags&2 > 0, p.flags&4 > 0, p.flags&16 > 0
		if b[12]>>4 < 5 || syn && (fin || rst) || !fin && !syn && !rst && !ack || fin && !ack && !rst {
			return p, false
		}
		p.begins = !rst && !(syn && ack)
	}
	if p.proto == 1 && p.src.Is4() || p.proto == 58 && p.src.Is6() {
		return p.icmp(b)
	}
	return p, true
}

func (p plainPacket) icmp(b []byte) (plainPacket, bool) {
	if len(b) < 8 {
		return p, false
	}
	id, errors := int(binary.BigEndian.Uint16(b[4:])), []byte{3, 11, 12}
	requests, answers := map[byte]int{8: 8, 13: 13}, map[byte]int{0: 8, 14: 13}
	if p.src.Is6() {
		errors, requests, answers = nil, map[byte]int{128: 128}, map[byte]int{129: 128}
	}
	switch {
	case p.src.Is4() && (b[0] == 4 || b[0] == 5), p.src.Is6() && b[0] == 137:
		return p, false
	case slices.Contains(errors, b[0]) || p.src.Is6() && b[0] < 128:
		p.isError, p.begins, p.quote = true, false, b[8:]
		return p, !p.fragment
	case requests[b[0]] > 0:
		p.sport, p.dport, p.asks = id, requests[b[0]], true
	case answers[b[0]] > 0:
		p.sport, p.dport, p.begins = answers[b[0]], id, false
	default:
		p.sport, p.dport = 0, int(b[0])
	}
	return p, true
}

// quoted reads what an error quotes.
func (p plainPacket) quoted() (q plainPacket, ok bool) {
	b := p.quote
	if p.src.Is4() {
		if len(b) < 20 || b[0]>>4 != 4 || b[0]&15 < 5 || len(b) < int(b[0]&15)*4+8 || b[6]&31 != 0 || b[7] != 0 {
			return q, false
		}
		q.src, q.dst, q.proto = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), int(b[9])
		b = b[int(b[0]&15)*4:]
	} else {
		if len(b) < 40 || b[0]>>4 != 6 {
			return q, false
		}
		q.src, q.dst, q.proto = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), int(b[6])
		b = b[40:]
		for depth := 0; slices.Contains([]int{0, 43, 44, 51, 60, 135, 139, 140}, q.proto); depth++ {
			if depth == 7 || len(b) < 8 {
				return q, false
			}
			size := map[bool]int{true: 8 + 4*int(b[1]), false: 8 + 8*int(b[1])}[q.proto == 51]
			if q.proto == 44 {
				if size = 8; binary.BigEndian.Uint16(b[2:]) >= 8 {
					return q, false
				}
			}
			if q.proto = int(b[0]); len(b) < size {
				return q, false
			}
			b = b[size:]
		}
	}
	if len(b) < 8 || q.src != p.dst {
		return q, false
	}
	if slices.Contains([]int{6, 17, 33, 132, 136}, q.proto) {
		q.sport, q.dport, q.seq = int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:])), binary.BigEndian.Uint32(b[4:])
	}
	if q.proto == 1 && q.src.Is4() || q.proto == 58 && q.src.Is6() {
		if q, ok = q.icmp(b); !ok || q.isError {
			return q, false
		}
	}
	return q, true
}
