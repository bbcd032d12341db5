package policy

import "sync"

// fragments are the first ones of packets that a session has sent or been sent of late.
// Those that follow have no ports: they are of the flow that the first one was of.
type fragments struct {
	mu   sync.Mutex
	all  [maxFragments]fragment
	next int
}

// fragment is a first one.
type fragment struct {
	src, dst     [16]byte
	id           uint32
	seen         uint32 // seconds, monotonic
	end          int    // of its bytes in the whole
	sport, dport uint16
	proto        uint8
	six          bool
}

const (
	// maxFragments are how many packets of a session may be on their way in fragments.
	maxFragments = 16
	// idleFragment is how long the last of them may take, in seconds (RFC 8200 section 4.5).
	idleFragment = 60
)

// note remembers a first fragment that may go on.
func (f *fragments) note(h *header, now uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.find(h)
	if at < 0 {
		at, f.next = f.next, (f.next+1)%maxFragments
	}
	f.all[at] = fragment{h.src, h.dst, h.id, now, h.end, h.sport, h.dport, h.proto, h.six}
}

// follow gives a later fragment the ports of its first. It reports whether there is one,
// and the later one overwrites nothing of it (RFC 5722).
func (f *fragments) follow(h *header, now uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.find(h)
	if at < 0 {
		return false
	}
	first := &f.all[at]
	if now > first.seen && now-first.seen > idleFragment || h.offset < first.end {
		return false
	}
	h.proto, h.sport, h.dport = first.proto, first.sport, first.dport
	return true
}

// find returns which first fragment is of the same packet, -1: none. In IPv6 the
// protocol is no part of what identifies it (RFC 8200 section 4.5).
func (f *fragments) find(h *header) int {
	for i := range f.all {
		g := &f.all[i]
		if g.end != 0 && g.id == h.id && g.six == h.six && g.src == h.src && g.dst == h.dst && (h.six || g.proto == h.proto) {
			return i
		}
	}
	return -1
}

// parts returns the fragments of a session.
func (p *Party) parts() *fragments {
	if f := p.fragments.Load(); f != nil {
		return f
	}
	p.fragments.CompareAndSwap(nil, new(fragments))
	return p.fragments.Load()
}
