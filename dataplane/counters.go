package dataplane

import (
	"slices"
	"sync/atomic"

	"github.com/culvert-vpn/culvert/dataplane/udp"
)

// Cause says why a packet was dropped.
type Cause uint8

// The causes, in the order of the road a packet takes.
const (
	DropMalformed  Cause = iota // neither ESP, IKE nor a keepalive
	DropShare                   // beyond a client's share of a worker that cannot keep up
	DropUnknownSPI              // no SA has that SPI: often the rest of a session that ended
	DropAuth                    // the ICV is wrong
	DropReplay                  // the sequence number was seen, or is older than the window
	DropInner                   // what was inside the ESP packet is not UDP to our L2TP port
	DropL2TP                    // the L2TP data header is malformed
	DropNoSession               // no call of that SA has these ids
	DropPPP                     // the PPP header is malformed
	DropSource                  // the source is not the address that the session was given
	DropIP                      // the IP header is malformed
	DropInboxFull               // the control loop has too much to do
	DropPeerFull                // one peer has too many control messages waiting
	DropSelector                // in tunnel mode: the SA, or none of them, is for such packets
	DropUnproven                // the client has moved, and has not shown yet that it receives there
	DropNoRoute                 // no session has that destination
	DropTooBig                  // larger than the path carries, and may not be fragmented
	DropSend                    // sealing or sending failed
	DropDevice                  // the tenant's device refused
	DropDummy                   // next header 59: traffic flow padding, RFC 4303 2.6
	DropLink                    // for our end of the link, where nobody listens to it: mDNS and the like
	DropFull                    // the socket's send buffer is full
	DropNeighbour               // from one client of a tenant to another, where that is closed
	DropDenied                  // to where the tenant does not reach
	DropUnresolved              // for an address of our own link that nobody answers for, while the send buffer fills
	DropNoFlow                  // an answer, a fragment or an ICMP error of no flow that the policy has allowed
	DropCrafted                 // such as no honest host sends: with a route in it, or without the ports
	DropBanned                  // from a source that is refused
	DropFault                   // it met a fault of the program, of which there is a line in the log
	causes
)

var causeNames = [causes]string{
	"malformed", "share", "unknown-spi", "auth", "replay", "inner", "l2tp", "no-session", "ppp",
	"source", "ip", "inbox-full", "peer-full", "selector", "unproven", "no-route", "too-big", "send", "device", "dummy", "link", "full", "neighbour", "denied", "unresolved", "no-flow", "crafted", "banned", "fault",
}

// String returns the cause as metrics name it.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return "unknown"
}

// counters belong to one goroutine that moves packets, or to a tenant, whose packets any
// of them may drop; anyone may read them.
type counters struct {
	drops [causes]atomic.Uint64
	_     [64]byte
}

func (c *counters) drop(why Cause) { c.drops[why].Add(1) }

// dropOf counts a packet of a tenant, for it as well; nil: nobody's that is known.
func (c *counters) dropOf(p *Port, why Cause) {
	c.drop(why)
	if p != nil {
		p.dropped.drop(why)
	}
}

func (c *counters) dropMany(why Cause, n int) {
	if n > 0 {
		c.drops[why].Add(uint64(n))
	}
}

// flushed counts what a socket did not take.
func (c *counters) flushed(err error) {
	if full, ok := err.(udp.Full); ok {
		c.dropMany(DropFull, int(full))
	} else if err != nil {
		c.drop(DropSend)
	}
}

// Drops returns how many packets were dropped since the start, by cause: those of all
// tenants and those that are nobody's. It may be called by any goroutine.
func (p *Plane) Drops() map[Cause]uint64 {
	sums := make(map[Cause]uint64)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range append(slices.Clip(p.counters), &p.retired) {
		c.addTo(sums)
	}
	return sums
}

// Drops returns how many of the tenant's packets were dropped since the start, by cause,
// as far as it was known whose they were. It may be called by any goroutine.
func (p *Port) Drops() map[Cause]uint64 {
	sums := make(map[Cause]uint64)
	p.dropped.addTo(sums)
	return sums
}

func (c *counters) addTo(sums map[Cause]uint64) {
	for why := Cause(0); why < causes; why++ {
		if n := c.drops[why].Load(); n > 0 {
			sums[why] += n
		}
	}
}

// place is the port that the session is bound to; nil: none.
func (s *Session) place() *Port {
	if b := s.bound.Load(); b != nil {
		return b.port
	}
	return nil
}

// place is the port that all sessions of the peer are bound to; nil: none, or not one.
func (p *Peer) place() (port *Port) {
	for _, s := range *p.sessions.Load() {
		of := s.place()
		if of == nil || port != nil && of != port {
			return nil
		}
		port = of
	}
	return port
}

// retire keeps what counters have counted whose goroutine has ended, and forgets them.
func (p *Plane) retire(c *counters) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.counters, c)
	if i < 0 {
		return
	}
	p.counters = slices.Delete(p.counters, i, i+1)
	for why := range c.drops {
		p.retired.drops[why].Add(c.drops[why].Load())
	}
}

func (p *Plane) newCounters() *counters {
	c := new(counters)
	p.mu.Lock()
	p.counters = append(p.counters, c)
	p.mu.Unlock()
	return c
}

// Traffic counts one direction of one session.
type Traffic struct {
	packets, bytes atomic.Uint64
}

// tally adds up what one goroutine moves for one session, so that a run of
// packets costs one update of what everybody reads.
type tally struct {
	of             *Traffic
	packets, bytes uint64
}

// add counts a packet of n bytes.
func (t *tally) add(of *Traffic, n int) {
	if t.of != of {
		t.flush()
		t.of = of
	}
	t.packets++
	t.bytes += uint64(n)
}

// flush passes on what was counted. It is called at the end of every batch.
func (t *tally) flush() {
	if t.packets > 0 {
		t.of.packets.Add(t.packets)
		t.of.bytes.Add(t.bytes)
	}
	*t = tally{}
}

// Packets returns the packets moved; inner IP packets, not their fragments on the outside.
func (t *Traffic) Packets() uint64 { return t.packets.Load() }

// Bytes returns the bytes moved, counted as inner IP packets.
func (t *Traffic) Bytes() uint64 { return t.bytes.Load() }
