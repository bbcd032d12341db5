package engine

import (
	"maps"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/l2tp"
)

// Figures is what the engine has, and has counted. It is for the control loop; what the data
// plane counts anybody may ask that.
type Figures struct {
	Peers              int
	Refused            map[string]uint64 // messages that a machine made nothing of, by machine
	IKE                ike.Stats
	L2TP               l2tp.Stats
	Computing, Waiting Jobs
	OfPeers, Strangers int // messages that wait in the inbox
}

// Figures returns what there is at the moment.
func (e *Engine) Figures() Figures {
	inbox := e.Plane.Inbox()
	return Figures{
		Peers: len(e.Table.Peers), Refused: maps.Clone(e.Refused), IKE: e.IKE.Stats(), L2TP: e.L2TP.Stats(),
		Computing: e.Work.computing.figures(), Waiting: e.Work.waiting.figures(),
		OfPeers: len(inbox.Peers()), Strangers: len(inbox.Strangers()),
	}
}

// Losses is what was dropped or refused until now, by what docs/log.md calls it: packets, and
// messages that a machine made nothing of.
func (e *machines) Losses() map[string]uint64 {
	all := make(map[string]uint64)
	for cause, n := range e.Plane.Drops() {
		all[cause.String()] = n
	}
	for machine, n := range e.Refused {
		all[machine+"-messages"] = n
	}
	return all
}
