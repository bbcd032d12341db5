package dataplane

import (
	"net/netip"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/internal/x/prefetch"
	"github.com/culvert-vpn/culvert/tenant"
)

// With many clients, each packet needs some twenty lines of memory that no cache
// has, each found through the one before: one after another they take longer
// than the cryptography. But a batch says beforehand what will be needed. So the
// processor is asked for it in steps, each a pointer further than the one before,
// while it works on the packets in front: a step never waits for what it reads,
// nor for what it asks for. There are three steps and a fourth for ciphers that
// are several objects, so what is needed together lies together: see SA,
// peerBlock and Session.
//
// Packets come in runs: of one SA upwards, for one destination downwards. The
// steps are taken once a run. A batch of one run has nobody to look ahead for.

// stride is how many runs lie between two steps: long enough for memory to
// answer, and short enough that what came is still in the cache.
const stride = 2

// upRun is packets of a batch that have one SPI, one behind the other.
type upRun struct {
	first int // of the batch
	spi   esp.SPI
	more  bool // there is a further step
	sa    *SA  // nil: unknown, or not looked up yet
}

// upPlan is what to prefetch for a batch: its runs, and which one the worker is at.
type upPlan struct {
	kinds []esp.Kind // of the datagrams
	runs  []upRun
	begun int // runs that the worker has reached
}

// prepare finds the runs of a batch. The table stays as it is until forget.
func (c *upPlan) prepare(batch []udp.Message, sas *lines[SA]) {
	var last esp.SPI
	for i := range batch {
		kind, spi := esp.Classify(batch[i].Data)
		c.kinds = append(c.kinds, kind)
		if kind == esp.ESP && spi != last {
			last = spi
			c.runs = append(c.runs, upRun{first: i, spi: spi})
			prefetch.Line(sas.at(uint32(spi)))
		}
	}
	c.begun = 0
	if len(c.runs) == 1 {
		c.runs[0].sa = sas.get(uint32(last))
		return
	}
	for at := -3 * stride; at < 0; at++ {
		c.step(at, batch, sas)
	}
}

// forget lets go of the SAs.
func (c *upPlan) forget() {
	clear(c.runs)
	c.kinds, c.runs = c.kinds[:0], c.runs[:0]
}

// sa returns the SA of the n-th datagram, which is ESP; nil if it is unknown.
// It is asked for each of them in turn.
func (c *upPlan) sa(n int, batch []udp.Message, sas *lines[SA]) *SA {
	if c.begun < len(c.runs) && c.runs[c.begun].first == n {
		c.step(c.begun, batch, sas)
		c.begun++
	}
	return c.runs[c.begun-1].sa
}

// step takes the steps that are due when a run is reached.
func (c *upPlan) step(at int, batch []udp.Message, sas *lines[SA]) {
	if len(c.runs) == 1 {
		return
	}
	if n := at + 3*stride; n < len(c.runs) {
		r := &c.runs[n]
		r.sa = sas.get(uint32(r.spi))
		prefetch.Lines(r.sa, saLines)
	}
	if n := at + 2*stride; n >= 0 && n < len(c.runs) && c.runs[n].sa != nil {
		r := &c.runs[n]
		r.more = r.sa.In.Prefetch(0, batch[r.first].Data)
		prefetch.Lines(r.sa.Peer, upLines)
	}
	if n := at + stride; n >= 0 && n < len(c.runs) && c.runs[n].sa != nil {
		r := &c.runs[n]
		if r.more {
			r.sa.In.Prefetch(1, nil)
		}
		r.sa.Peer.prefetch()
	}
}

// prefetch asks for what packets upwards need beyond upLines: of who is reached by
// IPv6, and of who was bound more than once.
func (p *Peer) prefetch() {
	if r := p.route.Load(); r != nil && p.at.Load() == 0 {
		prefetch.Line(&r.path.Remote)
	}
	if s := p.first.Load(); s != nil && s.bound.Load() != &s.firstBinding {
		prefetch.Object(s.bound.Load())
	}
}

// downRun is packets of a batch that go to one destination, one behind the other.
type downRun struct {
	to      netip.Addr
	session *Session // nil: unknown, or not looked up yet
	out     *esp.Outbound
	more    bool // there is a further step
}

// downPlan is what to prefetch for a batch that its source shows beforehand: its
// runs, and which one the downlink is at.
type downPlan struct {
	runs  []downRun
	begun int // runs that the downlink has reached
}

// prepare finds the runs of a batch, if its source knows them. The routes stay as
// they are until the next prepare.
func (c *downPlan) prepare(peeker tenant.Peeker, routes *routeTable) {
	clear(c.runs)
	c.runs, c.begun = c.runs[:0], 0
	if peeker == nil {
		return
	}
	var last netip.Addr
	for i := 0; ; i++ {
		header := peeker.Peek(i)
		if header == nil {
			break
		}
		if to := destinationOf(header); to != last {
			last = to
			c.runs = append(c.runs, downRun{to: to})
			routes.prefetch(to)
		}
	}
	if len(c.runs) == 1 {
		c.runs[0].session = routes.lookup(last)
		return
	}
	for at := -4 * stride; at < 0; at++ {
		c.step(at, routes)
	}
}

// session returns the session that a packet is for, or nil.
func (c *downPlan) session(to netip.Addr, routes *routeTable) *Session {
	if c.begun > 0 && c.runs[c.begun-1].to == to {
		return c.runs[c.begun-1].session
	}
	// A packet that its source told of may have been none after all.
	for n := c.begun; n < min(c.begun+stride, len(c.runs)); n++ {
		if c.runs[n].to != to {
			continue
		}
		for ; c.begun <= n; c.begun++ {
			c.step(c.begun, routes)
		}
		return c.runs[n].session
	}
	return routes.lookup(to)
}

// step takes the steps that are due when a run is reached.
func (c *downPlan) step(at int, routes *routeTable) {
	if len(c.runs) == 1 {
		return
	}
	if n := at + 4*stride; n < len(c.runs) {
		r := &c.runs[n]
		r.session = routes.lookup(r.to)
		prefetch.Lines(r.session, downLines)
	}
	if n := at + 3*stride; n >= 0 && n < len(c.runs) && c.runs[n].session != nil {
		r := &c.runs[n]
		r.out = r.session.out.Load()
		prefetch.Object(r.out)
		if st := r.session.send.Load(); st != &r.session.firstSend { // the way has changed
			prefetch.Object(st)
		}
	}
	if n := at + 2*stride; n >= 0 && n < len(c.runs) && c.runs[n].out != nil {
		c.runs[n].more = c.runs[n].out.Prefetch(0)
	}
	if n := at + stride; n >= 0 && n < len(c.runs) && c.runs[n].more {
		c.runs[n].out.Prefetch(1)
	}
}

// destinationOf is where a packet goes whose header this is; if that is none,
// the zero Addr.
func destinationOf(header []byte) netip.Addr {
	switch {
	case len(header) >= ipv4HeaderLen && header[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(header[16:20]))
	case len(header) >= ipv6HeaderLen && header[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(header[24:40]))
	}
	return netip.Addr{}
}
