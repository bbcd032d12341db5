package engine

import (
	"sync"

	"github.com/culvert-vpn/culvert/internal/x/fault"
)

// What is slow is done by two pools, so that what waits never holds up what computes: a
// login that waits for a disk, a directory or an authority takes no processor, and a key
// exchange waits for nothing else. Both are bounded.
const (
	// maxWaiting is how many jobs may wait for the world outside at once, and
	// maxWaitingEach how many of them for one tenant or one source: one whose server
	// is silent leaves room for the others.
	maxWaiting, maxWaitingEach = 256, 16
	// maxQueued is how many more may stand in line, and maxQueuedEach how many of one.
	maxQueued, maxQueuedEach = 8192, 1024
	// maxComputing is how many computations may stand in line before the control loop
	// takes no more messages of clients, who say again what was not heard. The machines
	// bound what one peer, and all strangers, can have computed.
	maxComputing = 4096
)

// pool does jobs on goroutines of its own, as many as there is work for and no more than
// it may have. Jobs of one owner are done in turn with those of the others.
type pool struct {
	most, each     int // jobs at once, in all and of one owner
	room, roomEach int // jobs in line, in all and of one owner; 0: no bound
	running        *sync.WaitGroup
	faults         *fault.Log
	mu             sync.Mutex
	owners         map[string]*line
	turns          []*line    // those that have jobs in line and may have one more done
	queued, busy   int        // jobs in line; goroutines
	refused        uint64     // jobs for which there was no room
	idle           int        // goroutines that wait for wake, of which none is under way
	wake           *sync.Cond // of mu
	closed         bool
}

// maxWaiters is how many goroutines of a pool wait for more to do: to begin and end one for
// each job of a login costs more than they take.
const maxWaiters = 4

// line is the jobs of one owner.
type line struct {
	owner  string
	jobs   []func()
	busy   int
	inTurn bool
}

// newPool returns a pool whose goroutines are counted by running.
func newPool(most, each, room, roomEach int, running *sync.WaitGroup) *pool {
	p := &pool{most: most, each: each, room: room, roomEach: roomEach, running: running, owners: map[string]*line{}}
	p.wake = sync.NewCond(&p.mu)
	return p
}

// do has f done for an owner, and reports whether it will be: false if too much stands in
// line, or the pool is closed.
func (p *pool) do(owner string, f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.owners[owner]
	if p.closed || p.room > 0 && (p.queued >= p.room || l != nil && len(l.jobs) >= p.roomEach) {
		p.refused++
		return false
	}
	if l == nil {
		l = &line{owner: owner}
		p.owners[owner] = l
	}
	l.jobs = append(l.jobs, f)
	p.queued++
	p.offer(l)
	switch {
	case len(p.turns) == 0:
	case p.idle > 0:
		p.idle--
		p.wake.Signal()
	case p.busy < p.most:
		p.busy++
		p.running.Add(1)
		go p.work()
	}
	return true
}

// offer puts the owner's line among those that wait for their turn, if it has reason to.
func (p *pool) offer(l *line) {
	if !l.inTurn && len(l.jobs) > 0 && l.busy < p.each {
		l.inTurn = true
		p.turns = append(p.turns, l)
	}
}

// work does jobs until none is left and enough others wait for more, or the pool closes.
func (p *pool) work() {
	defer p.running.Done()
	var done *line
	for {
		l, f := p.next(done)
		if f == nil {
			return
		}
		p.run(f)
		done = l
	}
}

// run does a job. One that panics gives no result: whoever waits for it is given up
// in time, as when nobody answers.
func (p *pool) run(f func()) {
	defer p.faults.Recover("a slow computation")
	f()
}

// next notes that a job of a line is done, and returns the next one, for which it may
// wait; nil: there is none, and the caller ends.
func (p *pool) next(done *line) (*line, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if done != nil {
		done.busy--
		p.offer(done)
		if done.busy == 0 && len(done.jobs) == 0 {
			delete(p.owners, done.owner)
		}
	}
	for len(p.turns) == 0 {
		if p.closed || p.idle >= min(maxWaiters, p.most) {
			p.busy--
			return nil, nil
		}
		p.idle++
		p.wake.Wait()
	}
	l := p.turns[0]
	p.turns = p.turns[1:]
	f := l.jobs[0]
	l.jobs[0], l.jobs = nil, l.jobs[1:]
	l.busy++
	l.inTurn = false
	p.queued--
	p.offer(l)
	return l, f
}

// inLine is how many jobs nobody has begun.
func (p *pool) inLine() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queued
}

// Jobs is what a pool of goroutines has to do.
type Jobs struct {
	InLine  int    // now: not begun
	AtWork  int    // now: under way
	Refused uint64 // for want of room
}

// figures are what it has to do.
func (p *pool) figures() Jobs {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Jobs{InLine: p.queued, AtWork: p.busy - p.idle, Refused: p.refused}
}

// close forgets what stands in line, and takes no more.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.queued, p.turns, p.idle = true, 0, nil, 0
	p.wake.Broadcast()
	for _, l := range p.owners {
		l.jobs = nil
	}
}
