package dialer

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/eap"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant"
)

// call is one call under way; it belongs to the control loop.
type call struct {
	config  DialConfig
	peer    *engine.Peer // nil: IKE has not begun
	placed  bool         // in L2TP
	session *engine.Session
	local   netip.Addr     // that we were given
	user    string         // whose session it is, in tunnel mode
	eap     *eap.Client    // nil: the server has not asked by EAP
	granted ike.Assignment // in tunnel mode
	device  tenant.Device
	port    *dataplane.Port
	up      chan *Connection // gets the connection, once
	conn    *Connection
	err     error
	done    chan struct{} // closed at the end
	// elsewhere is where the server has sent us; nil: nowhere.
	elsewhere *RedirectedError

	id6       ppp.InterfaceID // ours, while IPv6 is up; 0: it is not
	addr      netip.Prefix    // of IPv6, as advertised
	solicited int             // how often we have asked for it
	solicitAt time.Time       // when we ask again; zero: not at all
}

// finish closes what the call had open. The first error is the reason.
func (c *call) finish(err error) {
	if c.err == nil {
		c.err = err
	}
	select {
	case <-c.done:
		return
	default:
	}
	if c.device != nil {
		c.device.Close()
	}
	close(c.done)
}

// endEAP gives up a login of ours, if there is one.
func (c *call) endEAP() {
	if c.eap != nil {
		c.eap.Close()
		c.eap = nil
	}
}

// closedBecause is why a call has ended.
func (c *call) closedBecause(e ike.Closed) error {
	switch {
	case e.Cause == ike.CauseRedirected && c.elsewhere != nil:
		return c.elsewhere
	case e.Cause != ike.CauseNone:
		return fmt.Errorf("%w: %s: %s: %s", ErrEnded, e.Reason, e.Cause, e.Detail)
	}
	return fmt.Errorf("%w: %s", ErrEnded, e.Reason)
}
