package netstack

import (
	"context"
	"net/netip"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// maxJudged is how many datagrams to new destinations wait at once, and
// maxJudgedPerSource how many of one client.
const maxJudged, maxJudgedPerSource = 1024, 32

// first is a datagram to a destination that its mapping has not sent to before.
type first struct {
	m       *mapping
	heading heading
	payload []byte
}

// judge is where datagrams to new destinations wait: what the kernel knows of
// one is asked by a goroutine of the device, not by who delivers packets.
type judge struct {
	d       *Device
	waiting chan first
}

func newJudge(d *Device) *judge {
	return &judge{d: d, waiting: make(chan first, maxJudged)}
}

// ask takes a copy of a datagram, or loses it where too many wait.
func (j *judge) ask(m *mapping, h heading, payload []byte) {
	if n := m.holder.judged.Add(1); n <= maxJudgedPerSource && tenant.Room(int(n)-1, len(j.waiting), maxJudged) {
		select {
		case j.waiting <- first{m, h, append([]byte(nil), payload...)}:
			return
		default:
		}
	}
	m.holder.judged.Add(-1)
	j.d.udp.refused.Add(1)
}

// run judges until ctx is done.
func (j *judge) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-j.waiting:
			j.decide(f)
			if len(j.waiting) == 0 {
				j.d.link.outbox.flush()
			}
		}
	}
}

// decide sends a datagram on, after which its destination is a peer, or refuses it.
func (j *judge) decide(f first) {
	defer f.m.holder.judged.Add(-1)
	d, now := j.d, j.d.flows.now()
	defer d.cfg.Faults.Recover("netstack: a datagram to a new destination")
	if !d.leadsOut(f.heading.to) {
		if d.errors.admit(f.m.holder.client) {
			d.sendErrorPacket(quoteUDP(f.m.client, f.heading.to, f.payload[:min(len(f.payload), maxQuoted)]), ipkt.ReasonPort)
		}
		return
	}
	if idle, ok := f.m.filter.sent(f.heading.to, now, &d.cfg, true); ok {
		var way udpWay
		if way.lead(d.stack, f.heading.to, f.m.client) {
			f.m.filter.hold(way)
		}
		f.m.touch(now, idle)
		f.m.sender.send(f.heading, f.payload)
	}
}

// leadsOut reports whether clients may send to an address, by what the kernel
// makes of it: not to the host itself, nor by way of it to each other.
func (d *Device) leadsOut(to netip.AddrPort) bool {
	if of, hairpin := d.cfg.Ports.hairpins(to); hairpin {
		return d.hairpin.Load() && of == d.udp
	}
	return !closed(d.reach.Load(), to.Addr())
}
