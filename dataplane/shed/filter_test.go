package shed

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
)

// pressure is a worker, its socket, and clients that send more than it carries.
type pressure struct {
	shedder *Shedder
	rng     *rand.Rand
	now     time.Time
	clients []*pressing
	socket  []*pressing // a run of packets each
	streams map[uint32]float64
	leased  time.Time
	lost    int // runs, of the socket, since it was last looked at
	idle    time.Duration
	unable  bool // the system drops nothing
	changes int
}

// pressing is one client.
type pressing struct {
	spi  uint32
	data []byte
	rate float64 // packets a second
	run  int     // packets that the kernel joins
	due  float64 // runs

	sent, read, carried int
}

const (
	runsOfSocket = 400
	runsOfBatch  = 12
	costOfRead   = 50 * time.Nanosecond
	costOfCarry  = 950 * time.Nanosecond
	// capable is how many packets a second a worker carries that cuts none.
	capable = float64(time.Second) / float64(costOfRead+costOfCarry)
)

func newPressure() *pressure {
	return &pressure{shedder: newShedder(), rng: rand.New(rand.NewPCG(1, 2)), now: time.Now()}
}

func (p *pressure) join(rate float64, run int) *pressing {
	c := &pressing{spi: uint32(1000 + len(p.clients)), rate: rate, run: run, due: p.rng.Float64(), data: make([]byte, 64)}
	binary.BigEndian.PutUint32(c.data, c.spi)
	p.clients = append(p.clients, c)
	return c
}

// pass lets time pass, and what is sent meanwhile arrive.
func (p *pressure) pass(d time.Duration) {
	p.now = p.now.Add(d)
	var came []*pressing
	for _, c := range p.clients {
		c.due += c.rate * d.Seconds() / float64(c.run)
		for ; c.due >= 1; c.due-- {
			came = append(came, c)
		}
	}
	p.rng.Shuffle(len(came), func(i, j int) { came[i], came[j] = came[j], came[i] })
	for _, c := range came {
		c.sent += c.run
		part, thinned := p.streams[c.spi]
		switch {
		case thinned && p.now.Before(p.leased) && p.rng.Float64() >= part:
		case len(p.socket) >= runsOfSocket:
			p.lost++
		default:
			p.socket = append(p.socket, c)
		}
	}
}

// read reads a batch.
func (p *pressure) read() (batch []udp.Message, backlog float64) {
	n := min(len(p.socket), runsOfBatch)
	for _, c := range p.socket[:n] {
		c.read += c.run
		for range c.run {
			batch = append(batch, udp.Message{Data: c.data})
		}
	}
	p.socket = slices.Delete(p.socket, 0, n)
	if n == runsOfBatch {
		backlog = float64(len(p.socket)) / runsOfSocket
		if len(p.streams) > 0 && backlog+float64(n)/runsOfSocket > 0.95 || len(p.streams) == 0 && p.lost > 0 {
			backlog = max(backlog, 1)
		}
		p.lost = 0
	}
	return batch, backlog
}

// work has the worker do its work for some time.
func (p *pressure) work(d time.Duration) {
	for end := p.now.Add(d); p.now.Before(end); {
		if len(p.socket) == 0 {
			p.pass(20 * time.Microsecond)
			p.idle += 20 * time.Microsecond
			continue
		}
		batch, backlog := p.read()
		p.spend(len(batch), costOfRead)
		if !p.shedder.Idle(backlog) {
			batch = p.shedder.Cut(p.now, batch, Load{Backlog: backlog, Clients: 2, Filters: !p.unable})
			if !p.unable {
				p.filter(backlog)
			}
		}
		for i := range batch {
			p.clients[binary.BigEndian.Uint32(batch[i].Data)-1000].carried++
		}
		p.spend(len(batch), costOfCarry)
	}
}

// spend is the time that the worker needs for packets, in which others come.
func (p *pressure) spend(packets int, each time.Duration) {
	for ; packets > 0; packets -= 64 {
		p.pass(time.Duration(min(packets, 64)) * each)
	}
}

// filter has the system drop what it is told to.
func (p *pressure) filter(backlog float64) {
	f, tell := p.shedder.Filter(p.now, backlog)
	if !tell {
		return
	}
	p.changes++
	p.leased = p.now.Add(f.Lease)
	p.streams = make(map[uint32]float64)
	for _, s := range f.Streams {
		p.streams[s.Head] = s.Pass
	}
}

// measure works for some time and returns what was carried, in times of what
// the worker can do, and what was read beyond that.
func (p *pressure) measure(d time.Duration) (carried, wasted float64) {
	for _, c := range p.clients {
		c.sent, c.read, c.carried = 0, 0, 0
	}
	p.idle, p.changes = 0, 0
	began := p.now
	p.work(d)
	for _, c := range p.clients {
		carried += float64(c.carried)
		wasted += float64(c.read - c.carried)
	}
	all := capable * p.now.Sub(began).Seconds()
	return carried / all, wasted / all
}

// However much is sent, a worker does little else than carry, never waits, and
// stops nobody who asks for little.
func TestFilterKeepsAWorkerBusy(t *testing.T) {
	for _, times := range []float64{1.25, 3, 10} {
		p := newPressure()
		quiet := p.join(500, 1)
		p.join(times*capable*2/3, 64)
		p.join(times*capable/3, 64)
		p.work(200 * time.Millisecond)
		carried, wasted := p.measure(400 * time.Millisecond)
		if carried < 0.96 || wasted > 0.4 || p.idle > 10*time.Millisecond {
			t.Errorf("%g times: %.2f of what goes through is carried, %.2f is read in vain, and %v are idle", times, carried, wasted, p.idle)
		}
		if quiet.carried < quiet.sent-1 {
			t.Errorf("%g times: %d of %d of who sends little", times, quiet.carried, quiet.sent)
		}
		if p.changes > 20 {
			t.Errorf("%g times: the system was told %d times", times, p.changes)
		}
	}
}

// Without a system that drops, it is as it was.
func TestFilterIsNotNeeded(t *testing.T) {
	p := newPressure()
	p.unable = true
	quiet := p.join(500, 1)
	p.join(3*capable, 64)
	p.work(200 * time.Millisecond)
	if carried, wasted := p.measure(400 * time.Millisecond); carried < 0.85 || wasted < 1.5 || quiet.carried < quiet.sent-1 {
		t.Errorf("%.2f carried, %.2f read in vain, %d of %d of who sends little", carried, wasted, quiet.carried, quiet.sent)
	}
}

// Of many who send too much, some twice as much as others, all are carried alike.
func TestFilterIsForMany(t *testing.T) {
	p := newPressure()
	quiet := p.join(500, 1)
	for i := range 100 {
		p.join((2+float64(i%3))*capable/100, 16)
	}
	p.work(400 * time.Millisecond)
	carried, wasted := p.measure(400 * time.Millisecond)
	if carried < 0.95 || wasted > 0.5 || quiet.carried < quiet.sent-1 {
		t.Errorf("%.2f carried, %.2f read in vain, %d of %d of who sends little", carried, wasted, quiet.carried, quiet.sent)
	}
	var all []int
	for _, c := range p.clients[1:] {
		all = append(all, c.carried)
	}
	slices.Sort(all)
	if most, least := all[90], all[10]; float64(most) > 1.5*float64(least) {
		t.Errorf("many are carried %d packets, and many %d", least, most)
	}
}

// Where more send too much than the system knows, none of them is the worse for
// being known.
func TestFilterOfTooMany(t *testing.T) {
	p := newPressure()
	quiet := p.join(500, 1)
	for range udp.MaxStreams + 100 {
		p.join(3*capable/(udp.MaxStreams+100), 16)
	}
	p.work(400 * time.Millisecond)
	if carried, _ := p.measure(200 * time.Millisecond); carried < 0.8 || len(p.streams) > 0 || quiet.carried < quiet.sent-1 {
		t.Errorf("%.2f carried, %d are thinned, %d of %d of who sends little", carried, len(p.streams), quiet.carried, quiet.sent)
	}
}

// Who sends less gets all of it through before long, and at the end nobody is
// thinned.
func TestFilterEnds(t *testing.T) {
	p := newPressure()
	one, other := p.join(2*capable, 64), p.join(2*capable, 64)
	p.work(300 * time.Millisecond)
	if p.streams[one.spi] > 0.5 || p.streams[other.spi] > 0.5 {
		t.Fatalf("this is no flood: %v", p.streams)
	}
	one.rate = capable / 10
	p.work(600 * time.Millisecond)
	p.measure(200 * time.Millisecond)
	if one.carried < one.sent*9/10 {
		t.Errorf("of who became quiet %d of %d are carried", one.carried, one.sent)
	}
	other.rate = capable / 10
	p.work(600 * time.Millisecond)
	if p.measure(200 * time.Millisecond); len(p.streams) > 0 || one.carried+other.carried < one.sent+other.sent-64 {
		t.Errorf("after the flood %v are thinned, and %d of %d are carried", p.streams, one.carried+other.carried, one.sent+other.sent)
	}
}

// A worker that hears of nobody does not go on where it was.
func TestFilterForgets(t *testing.T) {
	var n filter
	now := time.Now()
	n.due(now, 1)
	n.note(1000, 1000, 100)
	if !n.due(now.Add(round), 1) || len(n.streams) != 1 || n.streams[0].Pass > 0.2 {
		t.Fatalf("%+v", n.streams)
	}
	if n.due(now.Add(2*round+lease), 1) || len(n.streams) != 0 {
		t.Errorf("%+v after the lease", n.streams)
	}
}

// Where a socket has no filter, nothing is kept of the SAs whose packets were cut.
func TestNothingIsKeptForNoFilter(t *testing.T) {
	s := newShedder()
	for i := range uint32(1000) {
		s.Cut(time.Now(), flood(map[uint32]int{1000 + i: 90, 5000 + i: 10}), Load{Backlog: 1, Clients: 2})
	}
	if n := len(s.filter.flows); n > 0 {
		t.Errorf("%d SAs are kept", n)
	}
}

func TestFilterAllocatesNothing(t *testing.T) {
	var n filter
	now := time.Now()
	once := func() {
		now = now.Add(round)
		for spi := range esp.SPI(2 * udp.MaxStreams) {
			n.note(spi, 1000, 100+int(spi))
		}
		n.due(now, 1)
	}
	once()
	once()
	if got := testing.AllocsPerRun(20, once); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
