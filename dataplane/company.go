package dataplane

import (
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
)

// remembered is for how long somebody who was heard of counts as a client that is
// coming.
const remembered = 30 * time.Second

// visitor is who sent an IKE message last, to any worker.
type visitor struct {
	addr netip.Addr
	at   time.Time
}

// company is what a worker knows about who else there is, when all that it reads
// comes from one client. Who sends little, an echo request twice a minute, would
// not get through a socket that another keeps full: it has to be known before.
type company struct {
	others time.Time // when another than the one whose packets come was heard of
}

// alone reports whether a batch is of one client, and there is no other: none with
// an SA, and none that has sent an IKE message of late from another address.
func (c *company) alone(batch []udp.Message, peers int, last *visitor) bool {
	now := time.Now()
	switch {
	case peers > 1:
		return false
	case amongOthers(batch):
		c.others = now
	case last != nil && last.addr != batch[0].Remote.Addr() && last.at.After(c.others):
		c.others = last.at
	}
	return now.Sub(c.others) > remembered
}

// amongOthers reports whether a batch is of more than one client.
func amongOthers(batch []udp.Message) bool {
	for i := range batch {
		if batch[i].Remote != batch[0].Remote {
			return true
		}
	}
	return false
}
