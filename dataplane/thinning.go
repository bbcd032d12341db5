package dataplane

import (
	"math"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
)

const (
	// thinRound is how often it is decided, and thinHaste how soon at the earliest
	// when a worker has nothing to do.
	thinRound = 50 * time.Millisecond
	thinHaste = 5 * time.Millisecond
	// thinLease is for how long the system goes on with what it was told: a client
	// whose flood is over gets through again although the worker hears of nobody.
	thinLease = 5 * thinRound
	// thinSurplus is how much more than what is carried comes through: so the worker
	// is never without work, and sees when clients ask for less.
	thinSurplus = 1.2
	// cutAtLeast is which part of what comes through is cut at least before less does.
	cutAtLeast = (thinSurplus - 1) / 2
	// thinGrowth is how much more comes through when too little was cut.
	thinGrowth = 1.25
	// leastPass is how little of a client comes through, and worthwhile how much at
	// most when anything is dropped of it.
	leastPass  = 1. / 256
	worthwhile = 0.9
)

// thinning decides what the system drops of the clients whose packets are cut. To
// read a packet only to cut it takes a tenth of what it takes to carry it, or more,
// so with several times as much as can be carried a worker would do little else.
// Now most of what a flooder sends in vain is lost before the socket. What others
// send, IKE, and whatever is never cut, is not touched.
//
// It takes down, in rounds, what of each SA came and was carried, reckons how much
// they send, and has each send no more than an equal share of a little more than
// what was carried of all. What is cut in the next round shows how that went.
type thinning struct {
	began   time.Time // of the round
	flows   []flow
	of      map[esp.SPI]int32
	streams []udp.Stream
	sizes   []float64
	spared  int // packets that the system is reckoned to have dropped in the last round
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
func (t *thinning) note(spi esp.SPI, seen, kept int) {
	n, ok := t.of[spi]
	switch {
	case !ok && kept == seen:
		return
	case !ok:
		if t.of == nil {
			t.of = make(map[esp.SPI]int32)
		}
		n = int32(len(t.flows))
		t.of[spi] = n
		t.flows = append(t.flows, flow{spi: spi, pass: 1})
	}
	t.flows[n].seen += seen
	t.flows[n].kept += kept
}

// due reports whether the system has to be told of t.streams: a round is over.
// backlog is how full the socket is.
func (t *thinning) due(now time.Time, backlog float64) bool {
	took := now.Sub(t.began)
	seen, kept := t.total()
	cutting := float64(seen-kept) > cutAtLeast*float64(seen)
	starved := backlog == 0 && !cutting && len(t.streams) > 0 && took > thinHaste
	if took < thinRound && !starved {
		return false
	}
	t.began = now
	before := len(t.streams)
	if took > thinLease {
		t.forget() // as the system has
		return false
	}
	t.reckon(took)
	switch {
	case cutting:
		t.divide(thinSurplus * float64(kept) / took.Seconds())
	case backlog < enough/2:
		t.grow()
	}
	t.choose()
	return before+len(t.streams) > 0
}

func (t *thinning) total() (seen, kept int) {
	for i := range t.flows {
		seen += t.flows[i].seen
		kept += t.flows[i].kept
	}
	return seen, kept
}

// reckon finds out how much was sent.
func (t *thinning) reckon(took time.Duration) {
	t.spared = 0
	for i := range t.flows {
		f := &t.flows[i]
		sent := float64(f.seen) / f.pass
		t.spared += int(sent) - f.seen
		if sent /= took.Seconds(); f.sent > 0 {
			sent = (sent + f.sent) / 2
		}
		f.sent = sent
	}
}

// divide has each flow send as much as the others, or all it sends if that is
// less, and all of them no more than total packets a second.
func (t *thinning) divide(total float64) {
	t.sizes = t.sizes[:0]
	for i := range t.flows {
		t.sizes = append(t.sizes, t.flows[i].sent)
	}
	slices.Sort(t.sizes)
	limit := math.Inf(1)
	for i, n := range t.sizes {
		if share := total / float64(len(t.sizes)-i); n > share {
			limit = share
			break
		}
		total -= n
	}
	for i := range t.flows {
		t.flows[i].pass = max(min(limit/t.flows[i].sent, 1), leastPass)
	}
}

// grow has more of each flow come through.
func (t *thinning) grow() {
	for i := range t.flows {
		t.flows[i].pass *= thinGrowth
	}
}

// choose begins a round with the flows that are thinned. When there are too many
// none is: whoever is not would get the better of the others.
func (t *thinning) choose() {
	t.flows = slices.DeleteFunc(t.flows, func(f flow) bool { return f.pass > worthwhile })
	if len(t.flows) > udp.MaxStreams {
		t.forget()
		return
	}
	clear(t.of)
	t.streams = t.streams[:0]
	for i := range t.flows {
		f := &t.flows[i]
		f.seen, f.kept = 0, 0
		t.of[f.spi] = int32(i)
		t.streams = append(t.streams, udp.Stream{Head: uint32(f.spi), Pass: f.pass})
	}
}

// forget has everything come through.
func (t *thinning) forget() {
	clear(t.of)
	t.flows, t.streams = t.flows[:0], t.streams[:0]
}
