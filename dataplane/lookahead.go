package dataplane

import (
	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
)

// lookahead is how many datagrams are looked up before the first of them is
// carried. With many clients, each packet needs memory that no cache has; asked
// for one after another, the answers come together instead of one by one.
const lookahead = 64

// finding is what is known of a datagram before it is opened.
type finding struct {
	sa   *SA // of ESP; nil: unknown
	kind esp.Kind
}

// find looks up the SAs of datagrams and returns how many runs of one SA they
// are. Packets come in runs: mostly the SA is that of the packet before.
func (w *worker) find(part []udp.Message) (runs int) {
	w.found = w.found[:0]
	var last esp.SPI
	var sa *SA
	for i := range part {
		kind, spi := esp.Classify(part[i].Data)
		if kind == esp.ESP && spi != last {
			sa, last = w.table.sas[spi], spi
			runs++
		}
		w.found = append(w.found, finding{sa, kind})
	}
	return runs
}

// warm reads a little of all that the packets will need, a step further from
// the table in each round: no round waits for what it reads.
func warm(found []finding) (sum uint32) {
	for i := range found {
		if sa := found[i].sa; sa != nil {
			sum += sa.In.Warm()
			sum += sa.Peer.active.Load()
		}
	}
	for i := range found {
		if sa := found[i].sa; sa != nil {
			if s := sa.Peer.first.Load(); s != nil {
				sum += uint32(s.call)
			}
			if r := sa.Peer.route.Load(); r != nil {
				sum += uint32(r.Path.Remote.Port())
			}
		}
	}
	for i := range found {
		if sa := found[i].sa; sa != nil {
			if s := sa.Peer.first.Load(); s != nil {
				sum += uint32(s.Up.packets.Load()) + s.bound.Load().warm()
			}
		}
	}
	return sum
}

func (b *binding) warm() uint32 {
	if b == nil {
		return 0
	}
	return uint32(b.addr4[0])
}
