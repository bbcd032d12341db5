package netstack

import (
	"math"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	// windowRounds is for how many rounds the best rate counts.
	windowRounds = 8
	// windowSlack is what may be under way besides what the road holds, so that
	// it can turn out to hold more.
	windowSlack = 16 << 10
	// A window is so many times what the road holds: at first, while the rate
	// grows; and later, between most and, where packets are lost, least.
	startGain, mostGain, leastGain = 2, 1.25, 1
	// growth is the factor by which the rate grows while there is no end in
	// sight; after flatRounds without it the road is full.
	growth, flatRounds = 1.25, 3
	// lossLimit is the share of lost packets above which a road is crowded; what
	// is lost below it is a matter of the road.
	lossLimit = 0.02
	// shortRoad is how long a round trip is taken to be at least: with processors
	// busy, packets wait for them for so long.
	shortRoad = 4 * time.Millisecond
	// nearShare is the part of the queue, one in so many, that the buffer of one
	// connection over a short road may be: there the whole of it can come to wait.
	nearShare = 8
	// rttMemory is how long the shortest round trip counts, at least.
	rttMemory = 15 * time.Second
)

// window sizes the send buffer of a connection, which bounds what is under
// way: some times the best rate that was seen, by the shortest round trip. So a
// connection fills its road soon, and no queue on it for long; and one packet
// lost in a hundred does not slow it down as much as it would if the stack's
// congestion control were alone. Where more is lost the stack's is heeded, and
// the window becomes smaller.
//
// The stack's is Reno. Its CUBIC leaves slow start on the first burst of
// acknowledgements that lasts, and then hardly grows where each of them stands
// for few packets: 20 Mbit/s over 100 ms were never filled.
//
// The writer of the connection has it, and tells it what it writes and when the
// buffer is full: what was written less the buffer is what was acknowledged.
type window struct {
	ep      tcpip.Endpoint
	mss     int // payload of a packet
	near    int // what the buffer may be over a short road
	size    int // of the buffer
	written uint64
	seen    uint64 // written when the buffer was full last

	began time.Time // of the round; zero: there was none
	acked uint64    // then
	lost  uint64    // then, in packets

	rates  [windowRounds]float64 // bytes a second
	round  int
	gain   float64
	peak   float64          // the rate when it last had grown much
	flat   int              // rounds since
	rtt    [2]time.Duration // the shortest before turned, 0: unknown; and since
	turned time.Time
}

func newWindow(ep tcpip.Endpoint, mss, near int) window {
	w := window{ep: ep, mss: mss, near: near, gain: startGain}
	w.set(int(ep.SocketOptions().GetSendBufferSize()))
	return w
}

// set makes the buffer so large. A small one is of whole packets, since what is
// written before anything is acknowledged fills it.
func (w *window) set(size int) {
	if size < defaultBuffer/2 && size > w.mss {
		size -= size % w.mss
	}
	w.ep.SocketOptions().SetSendBufferSize(int64(size), true)
	w.size = size
}

// bound makes the buffer no larger than most.
func (w *window) bound(most int) {
	if w.size > most {
		w.set(most)
	}
}

// full says that the buffer is full, which may become most bytes large. A round
// ends when it has lasted for a round trip.
func (w *window) full(now time.Time, most int) {
	if w.written == w.seen || w.written < uint64(w.size) {
		return // nothing was acknowledged
	}
	w.seen = w.written
	if w.size < defaultBuffer/2 { // it is as it began, or as it was bound
		if w.written > uint64(w.size) && w.size < most { // something was acknowledged
			w.set(min(defaultBuffer, most))
		}
		return
	}
	var info tcpip.TCPInfoOption
	took := now.Sub(w.began)
	if w.ep.GetSockOpt(&info) != nil || !w.began.IsZero() && took < max(info.RTT, time.Millisecond) {
		return
	}
	acked, lost := w.written-uint64(w.size), w.retransmitted()
	if !w.began.IsZero() && acked >= w.acked {
		w.measure(now, info.RTT, float64(acked-w.acked)/took.Seconds())
		w.judge(&info, float64(lost-w.lost)*float64(w.mss) > lossLimit*float64(acked-w.acked))
		w.resize(most)
	}
	w.began, w.acked, w.lost = now, acked, lost
}

func (w *window) retransmitted() uint64 {
	if s, ok := w.ep.Stats().(*tcp.Stats); ok {
		return s.SendErrors.Retransmits.Value()
	}
	return 0
}

// measure notes the rate and the round trip of a round.
func (w *window) measure(now time.Time, rtt time.Duration, rate float64) {
	w.round = (w.round + 1) % windowRounds
	w.rates[w.round] = rate
	if w.turned.IsZero() || now.Sub(w.turned) > rttMemory {
		w.turned, w.rtt[0], w.rtt[1] = now, w.rtt[1], rtt
	}
	w.rtt[1] = min(w.rtt[1], rtt)
	if rate > growth*w.peak {
		w.peak, w.flat = rate, 0
	} else {
		w.flat++
	}
}

// judge looks at how a round went.
func (w *window) judge(info *tcpip.TCPInfoOption, crowded bool) {
	switch {
	case crowded:
		w.gain = max(leastGain, min(mostGain, w.gain*0.85))
		return
	case w.gain > mostGain && w.flat >= flatRounds:
		w.gain = mostGain
	case w.gain < mostGain:
		w.gain = min(mostGain, w.gain+0.01)
	}
	limited := info.SndSsthresh < math.MaxUint32 && int(info.SndCwnd)*w.mss < w.size
	if limited && info.CcState == tcpip.Open {
		// The loss was the road's: another slow start, in which what is under way
		// is acknowledged, is over in one round trip.
		again := tcpip.CongestionControlOption("reno")
		w.ep.SetSockOpt(&again)
	}
}

func (w *window) resize(most int) {
	best := 0.0
	for _, r := range w.rates {
		best = max(best, r)
	}
	gain, rtt := w.gain, w.shortest()
	if rtt <= shortRoad {
		gain, rtt, most = startGain, shortRoad, min(most, w.near)
	}
	size := min(max(int(gain*best*rtt.Seconds())+windowSlack, defaultBuffer), most)
	if size != w.size {
		w.set(size)
	}
}

// shortest is the shortest round trip; 0: unknown.
func (w *window) shortest() time.Duration {
	if w.rtt[0] > 0 {
		return min(w.rtt[0], w.rtt[1])
	}
	return w.rtt[1]
}

// pause is how long to wait for the stack to say that there is room; 0: until
// it does, when half of the buffer is free. On a long road that would send half
// a window in one gust.
func (w *window) pause() time.Duration {
	if rtt := w.shortest(); rtt > shortRoad {
		return rtt / 8
	}
	return 0
}
