package policy

import (
	"encoding/binary"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// flow is one flow that was allowed. It has no pointers, so that a million of them cost the
// garbage collector nothing; places of others are indexes of the same shard, 0 is none.
type flow struct {
	key          key
	up, down     uint64 // bytes from who began it, and to
	window       window // of TCP, once flowTracked
	next         uint32 // in the bucket
	newer, older uint32 // of the shard, by last
	after, prior uint32 // of the session, likewise
	seat         uint32 // whose it is
	generation   uint32 // of the rules that allowed it
	began, last  uint32 // seconds, monotonic
	hash         uint16 // as much as tells most others apart
	rule         int16
	set          uint8
	state        uint8
	scales       uint8 // how windows are shifted: of who began it in the upper half
}

// What has been seen of a flow.
const (
	flowLow      = 1 << iota // the smaller end of the key began it
	flowAnswered             // the other one has sent
	flowFINUp                // who began it sends no more
	flowFINDown
	flowReset
	flowRuled   // set and rule say what allowed it
	flowOpening // who began it has sent a SYN, of which there is no answer yet
	flowTracked // its window is known
)

// How long a flow may be silent, in seconds (RFC 5382 section 5, RFC 4787 section 4.3,
// RFC 5508 section 3.2).
const (
	idleTCP     = 7440
	idleOpening = 240
	idleClosing = 240
	idleReset   = 30
	idleUDP     = 300
	idleICMP    = 60
	idleOther   = 600
)

// idle returns after how many seconds of silence the flow is over.
func (f *flow) idle() uint32 {
	switch f.key[36] {
	case ipkt.ProtocolTCP:
		switch {
		case f.state&flowReset != 0:
			return idleReset
		case f.state&(flowFINUp|flowFINDown) == flowFINUp|flowFINDown:
			return idleClosing
		case f.state&flowAnswered == 0:
			return idleOpening
		}
		return idleTCP
	case ipkt.ProtocolUDP:
		return idleUDP
	case ipkt.ProtocolICMP, ipkt.ProtocolICMPv6:
		return idleICMP
	}
	return idleOther
}

// over reports whether the flow has been silent for too long.
func (f *flow) over(now uint32) bool { return now > f.last && now-f.last > f.idle() }

// first is the header of the packet that a flow began with, as far as rules see it.
func (f *flow) first() header {
	h := header{proto: f.key[36], six: f.key[37] == 1, begins: true}
	copy(h.src[:], f.key[:16])
	copy(h.dst[:], f.key[16:32])
	h.sport, h.dport = binary.BigEndian.Uint16(f.key[32:]), binary.BigEndian.Uint16(f.key[34:])
	if f.state&flowLow == 0 {
		return h.reversed()
	}
	return h
}

// allowed notes what allowed the flow.
func (f *flow) allowed(d Decision, generation uint32) {
	f.generation, f.set, f.rule = generation, uint8(d.Set), int16(d.Rule)
	f.state &^= flowRuled
	if d.Why == ByRule || d.Why == ByDefault {
		f.state |= flowRuled
	}
}

// seen notes a packet of the flow.
func (f *flow) seen(h *header, answer bool) {
	fin := uint8(flowFINUp)
	if answer {
		f.state |= flowAnswered
		f.down += uint64(h.size)
		fin = flowFINDown
	} else {
		f.up += uint64(h.size)
	}
	if h.proto != ipkt.ProtocolTCP {
		return
	}
	reset := f.resets(h, answer)
	f.follow(h, answer)
	if h.tcp&tcpFIN != 0 {
		f.state |= fin
	}
	if reset {
		f.state |= flowReset
	}
}
