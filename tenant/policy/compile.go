package policy

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// mask has one bit for each entry of a set; what is behind its end is 0.
type mask []uint64

func (m mask) word(i int) uint64 {
	if i < len(m) {
		return m[i]
	}
	return 0
}

func (m mask) set(bit int) { m[bit/64] |= 1 << (bit % 64) }

// hits is what a rule was asked, and outlives the rules that it is of.
type hits struct {
	count atomic.Uint64
	last  atomic.Int64 // Unix seconds
}

// entry is a rule, or what it says of targets with the same ports.
type entry struct {
	rule   int32
	when   int32 // index of a schedule; -1: always
	allow  bool
	ports  []Ports
	target []Ports
}

// ruleSet is a Set compiled: for either end, which entries an address, and which a
// session is of.
type ruleSet struct {
	Set
	entries  []entry
	from, to side
	denies   mask
	between  *bart.Lite // nil: everything
	hits     []*hits    // of each rule, and of none
	plain    setView    // of a session that no rule names
}

// side is one end of the flows that entries are about.
type side struct {
	networks bart.Table[mask] // the longest prefix has the bits of the shorter ones
	named    []namedMask
	any      mask
}

type namedMask struct {
	peer Peer
	mask mask
}

// compiler adds to one side of a set.
type compiler struct {
	words    int
	networks map[netip.Prefix]mask
	named    map[Peer]mask
	any      mask
}

func newCompiler(words int) *compiler {
	return &compiler{words, map[netip.Prefix]mask{}, map[Peer]mask{}, make(mask, words)}
}

func (c *compiler) add(p Peer, bit int) {
	switch p.Kind {
	case Anybody:
		c.any.set(bit)
	case InNetwork:
		if c.networks[p.Network] == nil {
			c.networks[p.Network] = make(mask, c.words)
		}
		c.networks[p.Network].set(bit)
	default:
		if c.named[p] == nil {
			c.named[p] = make(mask, c.words)
		}
		c.named[p].set(bit)
	}
}

// finish puts the bits of each network into those within it.
func (c *compiler) finish(s *side) {
	s.any = c.any
	for p, m := range c.named {
		s.named = append(s.named, namedMask{p, m})
	}
	all := make([]netip.Prefix, 0, len(c.networks))
	for p := range c.networks {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
	for _, p := range all {
		m := c.networks[p]
		if outer, ok := s.networks.LookupPrefix(p); ok {
			for i := range m {
				m[i] |= outer[i]
			}
		}
		s.networks.Insert(p, m)
	}
}

// subject returns the bits of a session, which are any where it is named nowhere.
func (s *side) subject(who *Identity) mask {
	all, own := s.any, false
	for _, n := range s.named {
		if who.is(n.peer) {
			if !own {
				all, own = slices.Clone(all), true
			}
			for i := range all {
				all[i] |= n.mask[i]
			}
		}
	}
	return all
}

// at returns the bits of an address.
func (s *side) at(a netip.Addr) mask {
	m, _ := s.networks.Lookup(a)
	return m
}

// compileSet compiles one set; schedules are those of all sets so far.
func compileSet(set Set, schedules *[]*Schedule) (*ruleSet, error) {
	s := &ruleSet{Set: set}
	var peers [][2][]Peer // of each entry
	for i := 0; i < len(set.Rules) && len(s.entries) <= MaxRules; i++ {
		s.addRule(i, schedules, &peers)
	}
	if len(s.entries) > MaxRules {
		return nil, fmt.Errorf("%w: %s has more than %d", ErrTooMany, set.Name, MaxRules)
	}
	words := (len(s.entries) + 63) / 64
	from, to := newCompiler(words), newCompiler(words)
	s.denies = make(mask, words)
	for bit, p := range peers {
		if !s.entries[bit].allow {
			s.denies.set(bit)
		}
		for _, peer := range p[0] {
			from.add(peer, bit)
		}
		for _, peer := range p[1] {
			to.add(peer, bit)
		}
	}
	if len(from.networks)+len(to.networks) > maxNetworks {
		return nil, fmt.Errorf("%w: %s has more than %d networks", ErrTooMany, set.Name, maxNetworks)
	}
	from.finish(&s.from)
	to.finish(&s.to)
	s.plain = setView{s.from.any, s.to.any}
	if len(set.Between) > 0 {
		s.between = new(bart.Lite)
		for _, p := range set.Between {
			s.between.Insert(p)
		}
	}
	for range len(set.Rules) + 1 {
		s.hits = append(s.hits, new(hits))
	}
	return s, nil
}

// addRule adds a rule as one entry for all targets with the same ports.
func (s *ruleSet) addRule(i int, schedules *[]*Schedule, peers *[][2][]Peer) {
	r := &s.Rules[i]
	when := int32(-1)
	if r.When != nil {
		when = int32(len(*schedules))
		*schedules = append(*schedules, r.When)
	}
	from, first := r.From, len(s.entries)
	if len(from) == 0 {
		from = []Peer{{}}
	}
	targets := r.To
	if len(targets) == 0 {
		targets = []Target{{}}
	}
	for _, t := range targets {
		if len(s.entries) > MaxRules {
			return
		}
		at := slices.IndexFunc(s.entries[first:], func(e entry) bool { return slices.Equal(e.target, t.Ports) })
		if at < 0 {
			at = len(s.entries) - first
			s.entries = append(s.entries, entry{int32(i), when, r.Allow, r.Ports, t.Ports})
			*peers = append(*peers, [2][]Peer{from, nil})
		}
		(*peers)[first+at][1] = append((*peers)[first+at][1], t.Peer)
	}
}

// reachMasks are the bits of an address and of those that it stands for: a rule that
// denies holds in every spelling, one that allows in the one that it is written in.
type reachMasks struct {
	own   mask
	forms [maxForms]mask
	count int
}

func (s *side) masks(into *reachMasks, a netip.Addr) {
	into.own, into.count = s.at(a), 0
	if a.Is4() {
		return
	}
	var forms [maxForms]form
	for _, f := range formsOf(&forms, a) {
		into.forms[into.count] = s.at(f.addr)
		into.count++
	}
}

func (r *reachMasks) word(i int, denies uint64) uint64 {
	w := r.own.word(i)
	for _, m := range r.forms[:r.count] {
		w |= m.word(i) & denies
	}
	return w
}

// judge returns the rule that decides on a new flow, -1 if none is about it, and whether
// it may be. from and to are the bits of the sessions at its ends.
func (s *ruleSet) judge(from, to mask, h *header, src, dst netip.Addr, active mask) (rule int, allow bool) {
	var sources, destinations reachMasks
	s.from.masks(&sources, src)
	s.to.masks(&destinations, dst)
	for i, denies := range s.denies {
		w := (from.word(i) | sources.word(i, denies)) & (to.word(i) | destinations.word(i, denies))
		for ; w != 0; w &= w - 1 {
			e := &s.entries[i*64+bits.TrailingZeros64(w)]
			if e.when >= 0 && active.word(int(e.when)/64)&(1<<(e.when%64)) == 0 {
				continue
			}
			if anyHolds(e.ports, h) && anyHolds(e.target, h) {
				return int(e.rule), e.allow
			}
		}
	}
	return -1, s.Allow
}

func anyHolds(ports []Ports, h *header) bool {
	for _, p := range ports {
		if p.holds(h.proto, h.dport) {
			return true
		}
	}
	return len(ports) == 0
}

// joins reports whether the set is for flows between these ends.
func (s *ruleSet) joins(src, dst netip.Addr) bool {
	return s.between == nil || s.between.Contains(src) || s.between.Contains(dst)
}

// isFor reports whether the set is for a session.
func (s *ruleSet) isFor(who *Identity) bool {
	return len(s.Who) == 0 || slices.ContainsFunc(s.Who, who.is)
}
