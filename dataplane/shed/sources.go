package shed

import (
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
)

// remembered is for how long somebody who was heard of counts as a client that is
// coming.
const remembered = 30 * time.Second

// Source is who sent something, and when.
type Source struct {
	Addr netip.Addr
	At   time.Time
}

// others is what a worker knows about other clients, when all that it reads comes
// from one. Who sends little, an echo request twice a minute, would not get through a
// socket that another keeps full: it has to be known before.
type others struct {
	heard time.Time // when another than the one whose packets come was heard of
}

// none reports whether a batch is of one client, and there is no other: none with an
// SA, and none that has sent an IKE message of late from another address.
func (o *others) none(now time.Time, batch []udp.Message, load Load) bool {
	switch {
	case load.Clients > 1:
		return false
	case ofSeveral(batch):
		o.heard = now
	case load.IKE != nil && load.IKE.Addr != batch[0].Remote.Addr() && load.IKE.At.After(o.heard):
		o.heard = load.IKE.At
	}
	return now.Sub(o.heard) > remembered
}

// ofSeveral reports whether a batch is of more than one client.
func ofSeveral(batch []udp.Message) bool {
	for i := range batch {
		if batch[i].Remote != batch[0].Remote {
			return true
		}
	}
	return false
}
