package policy

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
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
	quote        []byte
	fragment     bool
	offset, end  int
	more         bool
	id           uint32
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
	id, errors := int(binary.BigEndian.Uint16(b[4:])), []byte{3, 4, 5, 11, 12}
	requests, answers := map[byte]int{8: 8, 13: 13}, map[byte]int{0: 8, 14: 13}
	if p.src.Is6() {
		errors, requests, answers = nil, map[byte]int{128: 128}, map[byte]int{129: 128}
	}
	switch {
	case slices.Contains(errors, b[0]) || p.src.Is6() && b[0] < 128:
		p.isError, p.begins, p.quote = true, false, b[8:]
		return p, !p.fragment
	case requests[b[0]] > 0:
		p.sport, p.dport = id, requests[b[0]]
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
		q.sport, q.dport = int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
	}
	if q.proto == 1 && q.src.Is4() || q.proto == 58 && q.src.Is6() {
		if q, ok = q.icmp(b); !ok || q.isError {
			return q, false
		}
	}
	return q, true
}

// plainFlow is a flow: what it began with.
type plainFlow struct {
	src, dst      netip.Addr
	sport, dport  int
	proto         int
	owner         *Party
	generation    int
	last          uint32
	answered, rst bool
	fins          [2]bool
}

func (f *plainFlow) over(now uint32) bool {
	limit := uint32(600)
	switch f.proto {
	case 6:
		switch {
		case f.rst:
			limit = 30
		case f.fins[0] && f.fins[1], !f.answered:
			limit = 240
		default:
			limit = 7440
		}
	case 17:
		limit = 300
	case 1, 58:
		limit = 60
	}
	return now-f.last > limit
}

type plainFirst struct {
	packet plainPacket
	seen   uint32
	end    int
}

// plain is the whole of it: rules and flows, oldest first.
type plain struct {
	sets       []Set
	gateways   []netip.Addr
	bounds     Bounds
	generation int
	active     []bool
	flows      []*plainFlow
	firsts     map[*Party][]plainFirst
}

// rule says whether a flow may begin.
func (w *plain) rule(from, to *Party, p plainPacket, at time.Time) bool {
	icmp4, icmp6 := p.proto == 1 && p.src.Is4(), p.proto == 58 && p.src.Is6()
	if slices.Contains(w.gateways, p.dst) && ((p.proto == 6 || p.proto == 17) && p.dport == 53 || icmp4 && p.dport == 8 || icmp6 && p.dport == 128) {
		return true
	}
	for _, s := range []*Party{from, to} {
		if s != nil && s.who() != nil {
			for _, name := range s.who().Filters {
				if !slices.ContainsFunc(w.sets, func(s Set) bool { return slices.Contains(s.Who, Peer{Kind: UnderFilter, Name: name}) }) {
					return false
				}
			}
		}
	}
	for _, s := range w.sets {
		if w.isFor(s, from, to, p) && !firstMatch(s, from, to, p, at) {
			return false
		}
	}
	return true
}

func (w *plain) isFor(s Set, from, to *Party, p plainPacket) bool {
	who, between := len(s.Who) == 0, len(s.Between) == 0
	for _, peer := range s.Who {
		who = who || isPeer(peer, from) || isPeer(peer, to)
	}
	for _, n := range s.Between {
		between = between || n.Contains(p.src) || n.Contains(p.dst)
	}
	return who && between
}

func isPeer(p Peer, s *Party) bool {
	if p.Kind == Anybody {
		return true
	}
	if s == nil || s.who() == nil {
		return false
	}
	i := s.who()
	if p.Kind == UnderFilter {
		return slices.Contains(i.Filters, p.Name)
	}
	return p.Kind == IsUser && i.User == p.Name || p.Kind == InGroup && slices.Contains(i.Groups, p.Name) || p.Kind == OfSite && i.Site == p.Name
}

func firstMatch(s Set, from, to *Party, p plainPacket, at time.Time) bool {
	for _, r := range s.Rules {
		if r.When != nil {
			if is, _ := r.When.active(at); !is {
				continue
			}
		}
		source := len(r.From) == 0
		for _, peer := range r.From {
			source = source || isEnd(peer, from, p.src, r.Allow)
		}
		target := len(r.To) == 0
		for _, t := range r.To {
			target = target || isEnd(t.Peer, to, p.dst, r.Allow) && ofPorts(t.Ports, p)
		}
		if source && target && ofPorts(r.Ports, p) {
			return r.Allow
		}
	}
	return s.Allow
}

func isEnd(p Peer, s *Party, a netip.Addr, allow bool) bool {
	if p.Kind != InNetwork {
		return isPeer(p, s)
	}
	if p.Network.Contains(a) {
		return true
	}
	var forms [maxForms]form
	if !allow && a.Is6() {
		for _, f := range formsOf(&forms, a) {
			if p.Network.Contains(f.addr) {
				return true
			}
		}
	}
	return false
}

func ofPorts(ports []Ports, p plainPacket) bool {
	for _, q := range ports {
		if q.Protocol == 0 || int(q.Protocol) == p.proto && (q.All || p.dport >= int(q.First) && p.dport <= int(q.Last)) {
			return true
		}
	}
	return len(ports) == 0
}

// judge says whether a packet goes on.
func (w *plain) judge(now Now, from, to *Party, b []byte) bool {
	at := time.Unix(now.Wall, 0)
	var active []bool
	for _, s := range w.sets {
		for _, r := range s.Rules {
			if r.When != nil {
				is, _ := r.When.active(at)
				active = append(active, is)
			}
		}
	}
	if !slices.Equal(active, w.active) {
		w.active, w.generation = active, w.generation+1
	}
	p, ok := plainParse(b)
	if !ok {
		return false
	}
	owner := from
	if from == nil {
		owner = to
	}
	if p.offset > 0 {
		i := slices.IndexFunc(w.firsts[owner], p.sameWhole)
		if i < 0 || p.offset < w.firsts[owner][i].end || now.Up-w.firsts[owner][i].seen > 60 {
			return false
		}
		first := w.firsts[owner][i].packet
		p.proto, p.sport, p.dport = first.proto, first.sport, first.dport
	}
	if p.isError {
		return w.error(now, from, to, p, at)
	}
	if !w.flow(now, from, to, p, at, len(b)) {
		return false
	}
	if p.more && p.offset == 0 {
		w.note(owner, p, now)
	}
	return true
}

func (p plainPacket) sameWhole(f plainFirst) bool {
	q := f.packet
	return q.id == p.id && q.src == p.src && q.dst == p.dst && (p.src.Is6() || p.proto == q.proto)
}

// note remembers a first fragment, in the place of one of the same packet, or of the
// sixteenth before.
func (w *plain) note(owner *Party, p plainPacket, now Now) {
	all, first := w.firsts[owner], plainFirst{p, now.Up, p.end}
	if i := slices.IndexFunc(all, p.sameWhole); i >= 0 {
		all[i] = first
		return
	}
	all = append(all, first)
	w.firsts[owner] = all[max(0, len(all)-16):]
}

// find returns a flow of one of two sessions that a packet is of.
func (w *plain) find(now Now, from, to *Party, p plainPacket) (f *plainFlow, answer bool) {
	for _, owner := range []*Party{from, to} {
		for _, f := range w.flows {
			if owner == nil || f.owner != owner || f.proto != p.proto || f.over(now.Up) {
				continue
			}
			if f.src == p.src && f.dst == p.dst && f.sport == p.sport && f.dport == p.dport {
				return f, false
			}
			if f.src == p.dst && f.dst == p.src && f.sport == p.dport && f.dport == p.sport {
				return f, true
			}
		}
	}
	return nil, false
}

func (w *plain) drop(f *plainFlow) {
	w.flows = slices.DeleteFunc(w.flows, func(g *plainFlow) bool { return g == f })
}

func (w *plain) still(f *plainFlow, from, to *Party, answer bool, at time.Time) bool {
	if f.generation == w.generation {
		return true
	}
	if answer {
		from, to = to, from
	}
	if !w.rule(from, to, plainPacket{src: f.src, dst: f.dst, sport: f.sport, dport: f.dport, proto: f.proto}, at) {
		w.drop(f)
		return false
	}
	f.generation = w.generation
	return true
}

func (w *plain) error(now Now, from, to *Party, p plainPacket, at time.Time) bool {
	q, ok := p.quoted()
	if !ok || from != nil && !from.owns(q.dst) {
		return false
	}
	f, answer := w.find(now, from, to, q)
	return f != nil && w.still(f, from, to, !answer, at)
}

func (w *plain) flow(now Now, from, to *Party, p plainPacket, at time.Time, size int) bool {
	w.flows = slices.DeleteFunc(w.flows, func(f *plainFlow) bool {
		same := f.proto == p.proto && (f.src == p.src && f.dst == p.dst && f.sport == p.sport && f.dport == p.dport || f.src == p.dst && f.dst == p.src && f.sport == p.dport && f.dport == p.sport)
		return same && (f.owner == from || f.owner == to) && f.over(now.Up)
	})
	f, answer := w.find(now, from, to, p)
	opens := p.proto == 6 && p.offset == 0 && p.flags&0x12 == 2
	switch {
	case f == nil:
		if !p.begins || !w.rule(from, to, p, at) {
			return false
		}
		f = w.begin(now, from, to, p)
	case opens && answer:
		if !w.rule(from, to, p, at) {
			return false
		}
		f.src, f.dst, f.sport, f.dport, f.generation = p.src, p.dst, p.sport, p.dport, w.generation
		answer = false
	case !w.still(f, from, to, answer, at):
		return false
	}
	if opens {
		f.answered, f.rst, f.fins = false, false, [2]bool{}
	}
	if f.last != now.Up {
		w.drop(f)
		w.flows = append(w.flows, f)
		f.last = now.Up
	}
	f.answered = f.answered || answer
	if p.proto == 6 {
		f.rst = f.rst || p.flags&4 > 0
		f.fins[map[bool]int{false: 0, true: 1}[answer]] = f.fins[map[bool]int{false: 0, true: 1}[answer]] || p.flags&1 > 0
	}
	return true
}

// begin adds a flow, and makes room for it.
func (w *plain) begin(now Now, from, to *Party, p plainPacket) *plainFlow {
	owner := from
	if from == nil {
		owner = to
	}
	theirs := 0
	for _, f := range w.flows {
		if f.owner == owner {
			theirs++
		}
	}
	if theirs >= w.bounds.Session {
		i := slices.IndexFunc(w.flows, func(f *plainFlow) bool { return f.owner == owner })
		w.flows = slices.Delete(w.flows, i, i+1)
	}
	if len(w.flows) >= w.bounds.Tenant {
		w.flows = w.flows[1:]
	}
	f := &plainFlow{src: p.src, dst: p.dst, sport: p.sport, dport: p.dport, proto: p.proto, owner: owner, generation: w.generation, last: now.Up}
	w.flows = append(w.flows, f)
	return f
}
