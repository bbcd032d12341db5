package netstack

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/culvert-vpn/culvert/tenant"
)

// path is a way through a network, one way: a bottleneck with a queue before
// it, then a delay. It loses what the queue has no room for, and some besides.
type path struct {
	rate  float64 // bytes a second; 0: no bottleneck
	delay time.Duration
	queue int // bytes before the bottleneck
	loss  float64

	mu      sync.Mutex
	free    time.Time // when the bottleneck has nothing left to send
	flights []flight
	more    chan struct{}
	random  *rand.Rand
}

// flight is a packet under way.
type flight struct {
	due time.Time
	pkt []byte
}

// start makes a path ready to carry.
func (p *path) start() *path {
	p.more, p.random = make(chan struct{}, 1), rand.New(rand.NewPCG(7, 8))
	return p
}

// enter takes a packet, or loses it.
func (p *path) enter(now time.Time, pkt []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free.Before(now) {
		p.free = now
	}
	full := p.rate > 0 && p.free.Sub(now).Seconds()*p.rate > float64(p.queue)
	if full || p.random.Float64() < p.loss {
		return
	}
	if p.rate > 0 {
		p.free = p.free.Add(time.Duration(float64(len(pkt)) / p.rate * 1e9))
	}
	p.flights = append(p.flights, flight{p.free.Add(p.delay), append([]byte(nil), pkt...)})
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// arrived takes the packets that are due, or says how long to wait.
func (p *path) arrived(now time.Time) ([]flight, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.flights) && !p.flights[n].due.After(now) {
		n++
	}
	due := p.flights[:n:n]
	p.flights = p.flights[n:]
	if len(p.flights) == 0 {
		return due, time.Hour
	}
	return due, p.flights[0].due.Sub(now)
}

// carry moves packets from a source over the path to a writer, until the source
// is closed.
func (p *path) carry(from tenant.Source, to tenant.Writer) {
	ended := make(chan struct{})
	var arriving sync.WaitGroup
	arriving.Go(func() { p.arrive(to, ended) })
	for from.Read() == nil {
		now := time.Now()
		for buf, off, ok := from.Next(); ok; buf, off, ok = from.Next() {
			p.enter(now, buf[off:])
		}
	}
	close(ended)
	arriving.Wait()
}

func (p *path) arrive(to tenant.Writer, ended chan struct{}) {
	for {
		due, wait := p.arrived(time.Now())
		for _, f := range due {
			to.Commit(f.pkt)
		}
		if len(due) > 0 {
			to.Flush()
			continue
		}
		select {
		case <-time.After(wait):
		case <-p.more:
		case <-ended:
			return
		}
	}
}
