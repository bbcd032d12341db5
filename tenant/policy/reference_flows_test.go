package policy

import (
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// plainFlow is a flow: what it began with.
type plainFlow struct {
	src, dst     netip.Addr
	sport, dport int
	proto        int
	owner        *Party
	generation   int
	set, rule    int
	last         uint32
	tcp          flow // sequence numbers and flags of TCP, as the compiled one follows them
}

func (f *plainFlow) over(now uint32) bool {
	limit := uint32(600)
	switch f.proto {
	case 6:
		switch {
		case f.tcp.state&flowReset != 0:
			limit = 30
		case f.tcp.state&flowFINUp != 0 && f.tcp.state&flowFINDown != 0, f.tcp.state&flowAnswered == 0:
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

// is reports whether a packet is of the flow, and of which of its ends.
func (f *plainFlow) is(p plainPacket) (same, answer bool) {
	if f.proto != p.proto {
		return false, false
	}
	if f.src == p.src && f.dst == p.dst && f.sport == p.sport && f.dport == p.dport {
		return true, false
	}
	answer = f.src == p.dst && f.dst == p.src && f.sport == p.dport && f.dport == p.sport
	return answer, answer
}

// began is the packet that the flow began with.
func (f *plainFlow) began() plainPacket {
	return plainPacket{src: f.src, dst: f.dst, sport: f.sport, dport: f.dport, proto: f.proto}
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
	clients    []netip.Prefix
	open       bool
	deny       []netip.Prefix // by the tenant's network
	allow      []netip.Prefix
	bounds     Bounds
	budget     int // what all have besides Reserve
	others     int // what others have of it
	generation int
	active     []bool
	wall       int64 // for which active is
	began      bool  // rules of flows have come where there were none, and nobody was judged since
	adopts     uint32
	flows      []*plainFlow
	firsts     map[*Party][]plainFirst
	hits       map[[2]string]uint64 // by the names of set and rule; no rule: the default
	counts     Counts
}

// swap puts other rules in force.
func (w *plain) swap(sets []Set, open bool, deny, allow []netip.Prefix) {
	w.began = len(sets) > 0 && (w.began || len(w.sets) == 0)
	w.sets, w.open, w.deny, w.allow = sets, open, deny, allow
	w.generation, w.active, w.wall = w.generation+1, nil, -1
	kept := map[[2]string]uint64{}
	for _, s := range sets {
		kept[[2]string{s.Name, ""}] = w.hits[[2]string{s.Name, ""}]
		for _, r := range s.Rules {
			kept[[2]string{s.Name, r.Name}] = w.hits[[2]string{s.Name, r.Name}]
		}
	}
	w.hits = kept
}

// tick has schedules be what they are at a time.
func (w *plain) tick(now Now) {
	if now.Wall == w.wall {
		return
	}
	var active []bool
	for _, s := range w.sets {
		for _, r := range s.Rules {
			if r.When != nil {
				is, _ := r.When.active(time.Unix(now.Wall, 0))
				active = append(active, is)
			}
		}
	}
	if w.wall = now.Wall; !slices.Equal(active, w.active) {
		w.active, w.generation = active, w.generation+1
	}
	if w.began {
		w.began, w.adopts = false, now.Up+60
	}
}

// goes says where a packet may go before flows are asked about.
func (w *plain) goes(dir Direction, who *Party, src, dst netip.Addr) Verdict {
	client := func(a netip.Addr) bool {
		return !slices.Contains(w.gateways, a) && slices.ContainsFunc(w.clients, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	switch {
	case dir == Down && client(src) && !w.open:
		return Neighbour
	case dir == Down:
		return Deliver
	case !who.owns(src) && !ofLink(src):
		return Source
	case client(dst) && w.open:
		return Client
	case client(dst):
		return Neighbour
	case w.closed(dst):
		return Denied
	}
	return Network
}

// ofLink reports whether whoever has IPv6 may send with a source on its link.
func ofLink(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && (a.IsLinkLocalUnicast() || a.IsUnspecified())
}

// closed reports whether the tenant's network does not lead there, by any spelling.
func (w *plain) closed(dst netip.Addr) bool {
	own := longest(w.allow, dst)
	if longest(w.deny, dst) > own {
		return true
	}
	if own = max(own, longest(w.deny, dst)); dst.Is4() {
		return false
	}
	for _, f := range plainForms(dst) {
		denied := longest(w.deny, f.addr)
		if denied > longest(w.allow, f.addr) && f.end(denied) > own {
			return true
		}
	}
	return false
}

// plainTranslated are networks of addresses that end in one of IPv4; then come the one for
// translators of a site, Teredo and 6to4.
var plainTranslated = prefixes("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")

// plainForms are the IPv4 addresses that one of IPv6 stands for.
func plainForms(a netip.Addr) (all []form) {
	b := a.As16()
	four := func(at int, i ...int) {
		all = append(all, form{netip.AddrFrom4([4]byte{b[i[0]], b[i[1]], b[i[2]], b[i[3]]}), at})
	}
	in := slices.IndexFunc(plainTranslated, func(p netip.Prefix) bool { return p.Contains(a) })
	isatap := b[8]&0xfd == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
	switch {
	case in >= 0 && in < 4:
		four(96, 12, 13, 14, 15)
	case in == 4:
		four(48, 6, 7, 9, 10)
		four(56, 7, 9, 10, 11)
		four(72, 9, 10, 11, 12)
		four(96, 12, 13, 14, 15)
		all = slices.DeleteFunc(all, func(f form) bool { return f.addr.As4()[0] == 0 })
	case in == 5:
		four(32, 4, 5, 6, 7)
		for i := 12; i < 16; i++ {
			b[i] = 255 - b[i]
		}
		four(96, 12, 13, 14, 15)
	case in == 6:
		four(16, 2, 3, 4, 5)
		fallthrough
	default:
		if isatap {
			four(96, 12, 13, 14, 15)
		}
	}
	return all
}

// rule says whether a flow may begin, and by what.
func (w *plain) rule(from, to *Party, p plainPacket) Decision { return w.says(from, to, p, false) }

// says is rule; counted: the flow begins, and each set has said something of it.
func (w *plain) says(from, to *Party, p plainPacket, counted bool) Decision {
	icmp4, icmp6 := p.proto == 1 && p.src.Is4(), p.proto == 58 && p.src.Is6()
	d := Decision{Allow: true, New: true}
	if slices.Contains(w.gateways, p.dst) && ((p.proto == 6 || p.proto == 17) && p.dport == 53 || icmp4 && p.dport == 8 || icmp6 && p.dport == 128) {
		return d
	}
	if w.lost(from) || w.lost(to) {
		return Decision{Why: NoFilter, New: true}
	}
	when := 0
	for i, s := range w.sets {
		var active []bool
		for _, r := range s.Rules {
			if active = append(active, r.When == nil || w.active[when]); r.When != nil {
				when++
			}
		}
		if !w.isFor(s, from, to, p) {
			continue
		}
		n, allow := firstMatch(s, active, from, to, p)
		name, log := [2]string{s.Name, ""}, n >= 0 && s.Rules[n].Log == LogFirst
		if n >= 0 {
			name[1] = s.Rules[n].Name
		}
		if counted {
			w.hits[name]++
		}
		if !allow || d.Why == ByDesign {
			d.Why, d.Set, d.Rule = ByRule, int32(i), int32(n)
			if n < 0 {
				d.Why = ByDefault
			}
		}
		if d.Log = d.Log || log; !allow {
			d.Allow = false
			return d
		}
	}
	return d
}

// lost reports whether a session is under a filter that there is none of.
func (w *plain) lost(who *Party) bool {
	return who != nil && who.who() != nil && slices.ContainsFunc(who.who().Filters, func(name string) bool {
		return !slices.ContainsFunc(w.sets, func(s Set) bool { return slices.Contains(s.Who, Peer{Kind: UnderFilter, Name: name}) })
	})
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
	return p.Kind == IsUser && i.User == p.Name || p.Kind == InGroup && slices.Contains(i.Groups, p.Name) || p.Kind == OfSite && i.Site == p.Name ||
		p.Kind == InPool && i.Pool != "" && (p.Name == "" || p.Name == i.Pool)
}

// firstMatch returns the first rule of those in force that is about a flow; -1: none is.
func firstMatch(s Set, active []bool, from, to *Party, p plainPacket) (rule int, allow bool) {
	for i, r := range s.Rules {
		source := len(r.From) == 0
		for _, peer := range r.From {
			source = source || isEnd(peer, from, p.src, r.Allow)
		}
		target := len(r.To) == 0
		for _, t := range r.To {
			target = target || isEnd(t.Peer, to, p.dst, r.Allow) && ofPorts(t.Ports, p)
		}
		if active[i] && source && target && ofPorts(r.Ports, p) {
			return i, r.Allow
		}
	}
	return -1, s.Allow
}

func isEnd(p Peer, s *Party, a netip.Addr, allow bool) bool {
	if p.Kind != InNetwork {
		return isPeer(p, s)
	}
	if p.Network.Contains(a) {
		return true
	}
	if !allow && a.Is6() {
		for _, f := range plainForms(a) {
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
func (w *plain) judge(now Now, from, to *Party, b []byte) Decision {
	if len(w.sets) == 0 {
		return Decision{Allow: true}
	}
	w.tick(now)
	p, ok := plainParse(b)
	if !ok {
		w.counts.Forged++
		return Decision{Why: Crafted}
	}
	ip, _ := ipkt.Parse(b)
	p.header.read(&ip)
	owner := from
	if from == nil {
		owner = to
	}
	if p.offset > 0 {
		i := slices.IndexFunc(w.firsts[owner], p.sameWhole)
		if i < 0 || p.offset < w.firsts[owner][i].end || now.Up-w.firsts[owner][i].seen > 60 {
			return w.stray()
		}
		first := w.firsts[owner][i].packet
		p.proto, p.sport, p.dport = first.proto, first.sport, first.dport
	}
	if p.isError {
		return w.error(now, from, to, p)
	}
	d := w.flow(now, from, to, p)
	if d.Allow && p.more && p.offset == 0 {
		w.note(owner, p, now)
	}
	return d
}

func (w *plain) stray() Decision {
	w.counts.Stray++
	return Decision{Why: NoFlow}
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
			if owner == nil || f.owner != owner || f.over(now.Up) {
				continue
			}
			if same, answer := f.is(p); same {
				return f, answer
			}
		}
	}
	return nil, false
}

func (w *plain) drop(f *plainFlow) {
	w.flows = slices.DeleteFunc(w.flows, func(g *plainFlow) bool { return g == f })
}

// leave ends the flows of a session.
func (w *plain) leave(who *Party) {
	w.flows = slices.DeleteFunc(w.flows, func(f *plainFlow) bool { return f.owner == who })
	delete(w.firsts, who)
}

// still says whether a flow may go on by the rules in force.
func (w *plain) still(f *plainFlow, from, to *Party, answer bool) Decision {
	if f.generation != w.generation {
		if answer {
			from, to = to, from
		}
		d := w.rule(from, to, f.began())
		if !d.Allow {
			w.counts.Lost++
			w.drop(f)
			return d
		}
		f.generation, f.set, f.rule = w.generation, int(d.Set), int(d.Rule)
	}
	return Decision{Allow: true, Why: ByFlow, Set: int32(f.set), Rule: int32(f.rule)}
}

func (w *plain) error(now Now, from, to *Party, p plainPacket) Decision {
	q, ok := p.quoted()
	if !ok || from != nil && !from.owns(q.dst) {
		return w.stray()
	}
	f, answer := w.find(now, from, to, q)
	if f == nil || q.proto == 6 && !f.tcp.maySay(q.seq, answer) {
		return w.stray()
	}
	return w.still(f, from, to, !answer)
}

// asked is rule, of a packet that is there.
func (w *plain) asked(from, to *Party, p plainPacket) Decision {
	d := w.says(from, to, p, true)
	if !d.Allow {
		w.counts.Denied++
	}
	return d
}

func (w *plain) flow(now Now, from, to *Party, p plainPacket) Decision {
	f, answer := w.find(now, from, to, p)
	w.bury(now, f, from, to, p)
	opens := p.proto == 6 && p.offset == 0 && p.flags&0x12 == 2
	d := Decision{}
	switch {
	case f == nil:
		return w.first(now, from, to, p)
	case answer && (opens || p.asks):
		if d = w.asked(from, to, p); !d.Allow {
			return d
		}
		f.src, f.dst, f.sport, f.dport, f.generation, f.set, f.rule = p.src, p.dst, p.sport, p.dport, w.generation, int(d.Set), int(d.Rule)
		f.tcp.state, answer = 0, false
	default:
		if d = w.still(f, from, to, answer); !d.Allow {
			return d
		}
	}
	if !opens && !f.tcp.admits(&p.header, answer) {
		return w.stray()
	}
	if f.last != now.Up {
		w.drop(f)
		w.flows = append(w.flows, f)
		f.last = now.Up
	}
	f.tcp.seen(&p.header, answer)
	return Decision{Allow: true, Why: ByFlow, Set: int32(f.set), Rule: int32(f.rule)}
}

// bury drops flows that a packet would be of, were they not over: those of the sessions at
// its ends, up to the first that is not.
func (w *plain) bury(now Now, found *plainFlow, from, to *Party, p plainPacket) {
	for _, owner := range []*Party{from, to} {
		if found != nil && found.owner == owner {
			return
		}
		w.flows = slices.DeleteFunc(w.flows, func(f *plainFlow) bool {
			same, _ := f.is(p)
			return same && f.owner == owner && f.over(now.Up)
		})
	}
}

// first judges a packet of no flow.
func (w *plain) first(now Now, from, to *Party, p plainPacket) Decision {
	if now.Up < w.adopts && p.offset == 0 {
		pure := p.proto == 6 && p.flags&0x12 == 2
		middle := p.proto == 17 || p.proto == 6 && p.flags&4 == 0 && !pure
		back := plainPacket{src: p.dst, dst: p.src, sport: p.dport, dport: p.sport, proto: p.proto}
		if middle && !(p.begins && w.rule(from, to, p).Allow) {
			if d := w.rule(to, from, back); d.Allow && w.begin(now, to, from, back, d, p) {
				return Decision{Allow: true, Why: ByFlow}
			}
		}
	}
	if !p.begins {
		return w.stray()
	}
	d := w.asked(from, to, p)
	if !d.Allow {
		return d
	}
	if !w.begin(now, from, to, p, d, p) {
		return Decision{Why: Full}
	}
	w.counts.Begun++
	return d
}

// begin adds a flow, and makes room for it; false: there is none.
func (w *plain) begin(now Now, from, to *Party, p plainPacket, d Decision, seen plainPacket) bool {
	owner := from
	if from == nil {
		owner = to
	}
	theirs := func(f *plainFlow) bool { return f.owner == owner }
	for len(w.flows)-len(slices.DeleteFunc(slices.Clone(w.flows), theirs)) >= w.bounds.Session {
		i := slices.IndexFunc(w.flows, theirs)
		w.flows = slices.Delete(w.flows, i, i+1)
		w.counts.PushedBySession++
	}
	for w.full() {
		switch {
		case len(w.flows) == 0:
			w.counts.Full++
			return false
		case len(w.flows) >= w.bounds.Tenant:
			w.counts.PushedByTenant++
		default:
			w.counts.PushedByAll++
		}
		w.flows = w.flows[1:]
	}
	f := &plainFlow{
		src: p.src, dst: p.dst, sport: p.sport, dport: p.dport, proto: p.proto, owner: owner,
		generation: w.generation, set: int(d.Set), rule: int(d.Rule), last: now.Up,
	}
	f.tcp.key[36] = byte(p.proto)
	f.tcp.seen(&seen.header, false)
	w.flows = append(w.flows, f)
	return true
}

// full reports whether one flow must go before another may come.
func (w *plain) full() bool {
	left := w.budget - w.others - max(0, len(w.flows)-w.bounds.Reserve)
	return len(w.flows) >= w.bounds.Tenant || len(w.flows) >= w.bounds.Reserve && left <= 0
}
