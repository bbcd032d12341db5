package policy

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// Note is a new flow that an operator may want to hear of: one that was denied, or that a
// rule allows and has logged.
type Note struct {
	Allow       bool
	User        string // whose session it is of; empty: nobody's that rules name
	Set, Rule   string // what decided; Rule is empty for a default
	Source      netip.AddrPort
	Destination netip.AddrPort // of ICMP: the port is the type
	Protocol    uint8
}

// maxNotes are how many flows of a tenant are told of until there is room for others.
const maxNotes = 16

// notes are the flows to tell of, each once. What there is no room for is counted: a flood
// costs no more than that.
type notes struct {
	full   atomic.Bool
	untold atomic.Uint64
	mu     sync.Mutex
	kept   [maxNotes]Note
	n      int
	given  int // of them, to whoever asked
}

// note keeps a flow to be told of. What hosts send to groups by themselves, as mDNS, is
// denied without a word.
func (f *Flows) note(st *force, d Decision, from, to *Party, h *header) {
	dst := h.destination()
	if d.Allow && !d.Log || !d.Allow && (dst.IsMulticast() || dst == netip.AddrFrom4([4]byte{255, 255, 255, 255})) {
		return
	}
	if f.notes.full.Load() {
		f.notes.untold.Add(1)
		return
	}
	n := Note{
		Allow: d.Allow, Protocol: h.proto,
		Source: netip.AddrPortFrom(h.source(), h.sport), Destination: netip.AddrPortFrom(dst, h.dport),
	}
	n.Set, n.Rule = st.rules.Names(d)
	for _, p := range [...]*Party{to, from} {
		if p != nil && p.who() != nil {
			n.User = p.who().User
		}
	}
	f.notes.keep(&n)
}

// keep keeps a flow, unless there is one like it.
func (t *notes) keep(n *Note) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.kept[:t.n] {
		if t.kept[i].isLike(n) {
			return
		}
	}
	if t.n == maxNotes {
		t.untold.Add(1)
		return
	}
	t.kept[t.n] = *n
	t.n++
	t.full.Store(t.n == maxNotes)
}

// isLike reports whether two flows are of the same hosts, to the same port, and had the same
// said of them.
func (n *Note) isLike(other *Note) bool {
	same := *n
	same.Source = netip.AddrPortFrom(n.Source.Addr(), other.Source.Port())
	return same == *other
}

// Notes returns the flows to tell of since it was last called. With room, there is room for
// others from now on, and untold is for how many there was none.
func (f *Flows) Notes(room bool) (told []Note, untold uint64) {
	t := &f.notes
	t.mu.Lock()
	defer t.mu.Unlock()
	told = append(told, t.kept[t.given:t.n]...)
	t.given = t.n
	if room {
		clear(t.kept[:t.n])
		t.n, t.given = 0, 0
		t.full.Store(false)
		untold = t.untold.Swap(0)
	}
	return told, untold
}
