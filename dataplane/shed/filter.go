package shed

import (
	"math"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
)

const (
	// round is how often it is decided, and soonest after how long at the earliest when
	// a worker has nothing to do.
	round   = 50 * time.Millisecond
	soonest = 5 * time.Millisecond
	// lease is for how long the system goes on with what it was told: see Filter.
	lease = 5 * round
	// surplus is how much more than what is carried comes through: so the worker
	// is never without work, and sees when clients ask for less.
	surplus = 1.2
	// cutAtLeast is which part of what comes through is cut at least before less does.
	cutAtLeast = (surplus - 1) / 2
	// growth is how much more comes through when too little was cut.
	growth = 1.25
	// leastPass is how little of a client comes through, and worthwhile how much at
	// most when anything is dropped of it.
	leastPass  = 1. / 256
	worthwhile = 0.9
)

// filter decides what the system drops of the clients whose packets are cut. To
// read a packet only to cut it takes a tenth of what it takes to carry it, or more,
// so with several times as much as can be carried a worker would do little else.
// Now most of what a flooder sends in vain is lost before the socket. What others
// send, IKE, and whatever is never cut, is not touched.
//
// It takes down, in rounds, what of each SA came and was carried, reckons how much
// they send, and has each send no more than an equal share of a little more than
// what was carried of all. What is cut in the next round shows how that went.
type filter struct {
	began   time.Time // of the round
	flows   []flow
	of      map[esp.SPI]int32
	streams []udp.Stream
	sizes   []float64
	dropped int // packets that the system is reckoned to have dropped in the last round
}

// flow is an SA of which something was cut in this round, or that is thinned.
type flow struct {
	spi        esp.SPI
	pass       float64 // which part comes through; 1: all
	seen, kept int     // packets, in this round
	sent       float64 // packets a second, as what came through tells
}

// note takes down how many packets of an SA came in a batch, and how many of them
// are carried.
func (f *filter) note(spi esp.SPI, seen, kept int) {
	n, ok := f.of[spi]
	switch {
	case !ok && kept == seen:
		return
	case !ok:
		if f.of == nil {
			f.of = make(map[esp.SPI]int32)
		}
		n = int32(len(f.flows))
		f.of[spi] = n
		f.flows = append(f.flows, flow{spi: spi, pass: 1})
	}
	f.flows[n].seen += seen
	f.flows[n].kept += kept
}

// due reports whether the system has to be told of f.streams: a round is over.
// backlog is how full the socket is.
func (f *filter) due(now time.Time, backlog float64) bool {
	took := now.Sub(f.began)
	seen, kept := f.total()
	cutting := float64(seen-kept) > cutAtLeast*float64(seen)
	starved := backlog == 0 && !cutting && len(f.streams) > 0 && took > soonest
	if took < round && !starved {
		return false
	}
	f.began = now
	before := len(f.streams)
	if took > lease {
		f.forget() // as the system has
		return false
	}
	f.reckon(took)
	switch {
	case cutting:
		f.divide(surplus * float64(kept) / took.Seconds())
	case backlog < enough/2:
		f.grow()
	}
	f.choose()
	return before+len(f.streams) > 0
}

func (f *filter) total() (seen, kept int) {
	for i := range f.flows {
		seen += f.flows[i].seen
		kept += f.flows[i].kept
	}
	return seen, kept
}

// reckon finds out how much was sent.
func (f *filter) reckon(took time.Duration) {
	f.dropped = 0
	for i := range f.flows {
		one := &f.flows[i]
		sent := float64(one.seen) / one.pass
		f.dropped += int(sent) - one.seen
		if sent /= took.Seconds(); one.sent > 0 {
			sent = (sent + one.sent) / 2
		}
		one.sent = sent
	}
}

// divide has each flow send as much as the others, or all it sends if that is
// less, and all of them no more than total packets a second.
func (f *filter) divide(total float64) {
	f.sizes = f.sizes[:0]
	for i := range f.flows {
		f.sizes = append(f.sizes, f.flows[i].sent)
	}
	slices.Sort(f.sizes)
	limit := math.Inf(1)
	for i, n := range f.sizes {
		if share := total / float64(len(f.sizes)-i); n > share {
			limit = share
			break
		}
		total -= n
	}
	for i := range f.flows {
		f.flows[i].pass = max(min(limit/f.flows[i].sent, 1), leastPass)
	}
}

// grow has more of each flow come through.
func (f *filter) grow() {
	for i := range f.flows {
		f.flows[i].pass *= growth
	}
}

// choose begins a round with the flows that are thinned. When there are too many
// none is: whoever is not would get the better of the others.
func (f *filter) choose() {
	f.flows = slices.DeleteFunc(f.flows, func(one flow) bool { return one.pass > worthwhile })
	if len(f.flows) > udp.MaxStreams {
		f.forget()
		return
	}
	clear(f.of)
	f.streams = f.streams[:0]
	for i := range f.flows {
		one := &f.flows[i]
		one.seen, one.kept = 0, 0
		f.of[one.spi] = int32(i)
		f.streams = append(f.streams, udp.Stream{Head: uint32(one.spi), Pass: one.pass})
	}
}

// forget has everything come through.
func (f *filter) forget() {
	clear(f.of)
	f.flows, f.streams = f.flows[:0], f.streams[:0]
}
