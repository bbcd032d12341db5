package engine

import (
	"time"

	"github.com/culvert-vpn/culvert/l2tp"
)

// l2tpEvent carries out one thing that L2TP wants and reports whether there was any: with
// ikeEvent and linkEvents, it is all that the protocols can do to the world and one another.
func (e *Engine) l2tpEvent(now time.Time) bool {
	event, ok := e.L2TP.Next()
	if !ok {
		return false
	}
	switch x := event.(type) {
	case l2tp.Send:
		if p := e.Table.Peers[uint64(x.To)]; p != nil {
			e.unsent(e.Plane.SendL2TP(p.Plane, x.Data))
		}
	case l2tp.TunnelUp:
		e.Table.tunnelUp(x)
	case l2tp.TunnelDown:
		if p := e.Table.Peers[uint64(x.Peer)]; p != nil {
			e.happened.add(TunnelDown{p, x.Reason})
		}
	case l2tp.CallUp:
		e.callUp(now, x)
	case l2tp.CallDown:
		e.callDown(x)
	}
	return true
}

// tunnelUp notes who is at the other end of a tunnel.
func (t *Table) tunnelUp(u l2tp.TunnelUp) {
	if p := t.Peers[uint64(u.Peer)]; p != nil {
		p.Host = u.HostName
		p.Family = p.Family.Refine(u.HostName, u.Vendor, u.Firmware)
	}
}
