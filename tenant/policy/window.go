package policy

import (
	"encoding/binary"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// sequence is what a TCP segment says of sequence numbers (RFC 9293 section 3.1).
type sequence struct {
	seq, end uint32 // its first one, and the one behind its last, SYN and FIN with them
	ack      uint32
	window   uint16
	scale    uint8 // of a SYN: the shift of windows to come, noScale without one
}

// window is which sequence numbers a connection is at: first those of who began it, then of
// the other end. The numbers run round, and are compared by their distance.
type window struct {
	ends   [2]uint32 // behind the last one that was sent
	limits [2]uint32 // behind the last one that the other end has room for
	widest [2]uint16 // the largest window that was said, in units of windowUnit, rounded up
}

const (
	noScale    = 15
	maxScale   = 14 // RFC 7323 section 2.3
	windowUnit = 1 << maxScale
	// minWindow is how far behind a segment may be at least, whatever its receiver says.
	minWindow = 1 << 17
	optionEnd = 0
	optionNop = 1
	// optionScale is Window Scale (RFC 7323 section 2.2).
	optionScale = 3
)

// read reads a header that is whole. What comes in fragments may be as long as any.
func (s *sequence) read(p []byte, more bool) {
	s.seq, s.ack = binary.BigEndian.Uint32(p[4:]), binary.BigEndian.Uint32(p[8:])
	s.window = binary.BigEndian.Uint16(p[14:])
	n := int(p[12]>>4) * 4
	s.end = s.seq + uint32(max(len(p)-n, 0))
	if more {
		s.end = s.seq + 0xffff
	}
	if p[13]&tcpFIN != 0 {
		s.end++
	}
	if p[13]&tcpSYN != 0 {
		s.end++
		s.scale = scaleOf(p[20:min(n, len(p))])
	}
}

// scaleOf finds Window Scale among options.
func scaleOf(options []byte) uint8 {
	for len(options) > 0 && options[0] != optionEnd {
		n := 1
		if options[0] != optionNop {
			if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
				break
			}
			n = int(options[1])
		}
		if options[0] == optionScale && n == 3 {
			return min(options[2], maxScale)
		}
		options = options[n:]
	}
	return noScale
}

// after returns how far behind b the number a is; less than 0: it is before it.
func after(a, b uint32) int32 { return int32(a - b) }

// scale returns how the windows of an end are shifted.
func (f *flow) scale(end int) uint8 { return f.scales >> (4 - 4*end) & 15 }

// said notes a window that an end has said, in bytes.
func (w *window) said(end int, bytes uint32) {
	w.widest[end] = max(w.widest[end], uint16((bytes+windowUnit-1)/windowUnit))
}

// behind returns how far behind the last one a number of what was sent to an end may be.
func (w *window) behind(end int) uint32 {
	return max((uint32(w.widest[end])+1)*windowUnit, minWindow)
}

// ends returns which end of a flow has sent, and which is the other one.
func ends(answer bool) (from, to int) {
	if answer {
		return 1, 0
	}
	return 0, 1
}

// admits reports whether a segment may be of the connection: no honest host sends beyond the
// room that the other end has said it has, repeats what is long acknowledged, or
// acknowledges what nobody has sent. Of a connection whose beginning was not seen every one
// may be.
func (f *flow) admits(h *header, answer bool) bool {
	if h.proto != ipkt.ProtocolTCP || h.offset > 0 || f.state&flowTracked == 0 && (f.state&flowOpening == 0 || !answer) {
		return true
	}
	w, s := &f.window, &h.sequence
	from, to := ends(answer)
	opens := h.tcp&tcpSYN != 0
	switch {
	case f.state&flowTracked == 0:
		// A SYN may have brought data along that is not acknowledged (RFC 7413), and whoever
		// has an old connection acknowledges that (RFC 5961 section 4).
		return h.tcp&tcpACK == 0 || h.tcp&(tcpSYN|tcpRST) == 0 || w.ends[to]-s.ack <= 0xffff
	case f.state&flowOpening != 0 && answer && (opens || h.tcp&tcpRST != 0):
		return true // the end that answers may have forgotten the old connection
	case h.tcp&tcpACK != 0 && (after(s.ack, w.ends[to]) > 0 || after(s.ack, w.ends[to]-w.behind(from)) < 0):
		return false
	case h.tcp&(tcpRST|tcpACK) == tcpRST|tcpACK && s.seq == 0:
		return true // to a segment without ACK (RFC 9293 section 3.10.7.1)
	}
	return after(s.seq, w.limits[from]) <= 1 && after(s.end, w.ends[from]-w.behind(to)) >= 0
}

// maySay reports whether an ICMP error may quote a segment of the connection, from whom the
// error is for, by its first sequence number.
func (f *flow) maySay(seq uint32, answer bool) bool {
	if f.state&flowTracked == 0 || f.key[36] != ipkt.ProtocolTCP {
		return true
	}
	from, to := ends(answer)
	w := &f.window
	return after(seq, w.ends[from]) <= 0 && after(seq, w.ends[from]-w.behind(to)) >= 0
}

// follow notes where a segment takes the connection.
func (f *flow) follow(h *header, answer bool) {
	if h.offset > 0 {
		return
	}
	switch {
	case h.tcp&(tcpSYN|tcpACK) == tcpSYN:
		f.opens(&h.sequence)
	case h.tcp&tcpSYN != 0 && answer && f.state&flowOpening != 0:
		f.opened(&h.sequence)
	case f.state&flowTracked != 0:
		from, _ := ends(answer)
		f.window.moves(&h.sequence, from, f.scale(from), h.tcp&tcpACK != 0)
	}
}

// resets reports whether the receiver of a reset believes it: of a SYN, if it acknowledges
// that, and later if it has the next number (RFC 5961 section 3.2). Others, which anybody may
// have made up, end nothing.
func (f *flow) resets(h *header, answer bool) bool {
	from, _ := ends(answer)
	switch {
	case h.tcp&tcpRST == 0:
		return false
	case f.state&flowTracked != 0:
		return h.sequence.seq == f.window.ends[from]
	}
	return f.state&flowOpening != 0 && (h.tcp&tcpACK != 0 || !answer)
}

// opens notes the SYN of who began the flow. In a connection that is open it changes nothing
// before the other end agrees: anybody could have sent it. One that is said again may be
// without the data and the options of the first, which may be what is answered.
func (f *flow) opens(s *sequence) {
	w := &f.window
	over := f.state&flowReset != 0 || f.state&(flowFINUp|flowFINDown) == flowFINUp|flowFINDown
	again := !over && f.state&(flowTracked|flowOpening) != 0 && w.ends[0]-s.end <= 0xffff
	switch {
	case again && f.state&flowTracked != 0 && w.ends[0] != s.end:
		return // a late duplicate: the connection has gone on since
	case over || f.state&flowTracked == 0 && !again:
		f.state &= flowLow | flowRuled
		*w, f.scales = window{ends: [2]uint32{s.end}}, s.scale<<4
	}
	f.state |= flowOpening
	w.said(0, uint32(s.window))
	if old := f.scale(0); old == noScale || s.scale != noScale && s.scale > old {
		f.scales = f.scales&15 | s.scale<<4
	}
}

// opened notes the SYN that answers another.
func (f *flow) opened(s *sequence) {
	w := &f.window
	up, down := f.scale(0), s.scale
	if up == noScale || down == noScale { // both say one, or there is none (RFC 7323 section 2.2)
		up, down = 0, 0
	}
	first := [2]uint32{s.ack, s.end}
	if after(w.ends[0], s.ack) > 0 && f.state&flowTracked == 0 {
		first[0] = w.ends[0] // data of the SYN
	}
	w.ends, f.scales = first, up<<4|down
	w.limits = [2]uint32{s.ack + uint32(s.window), s.end + uint32(w.widest[0])*windowUnit}
	w.said(1, uint32(s.window))
	f.state = f.state&(flowLow|flowRuled|flowAnswered) | flowTracked
}

// moves notes a segment of a connection that is open.
func (w *window) moves(s *sequence, from int, scale uint8, acknowledges bool) {
	to := 1 - from
	if after(s.end, w.ends[from]) > 0 {
		w.ends[from] = s.end
	}
	if after(s.end, w.limits[from]) > 0 {
		w.limits[from] = s.end
	}
	room := uint32(s.window) << scale
	w.said(from, room)
	if acknowledges && after(s.ack+room, w.limits[to]) > 0 {
		w.limits[to] = s.ack + room
	}
}
