package gateway

import (
	"fmt"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/internal/event"
)

// grants is what the system gave the sockets of a gateway.
type grants struct {
	wanted, least int // bytes of a receive buffer; 0: unknown
}

// noting returns an opener of sockets that notes what it was granted. It is for
// one goroutine.
func (g *grants) noting(open func(udp.Config) (udp.Conn, error)) func(udp.Config) (udp.Conn, error) {
	return func(c udp.Config) (udp.Conn, error) {
		conn, err := open(c)
		if s, ok := conn.(interface{ Granted() udp.Granted }); ok && err == nil {
			got := s.Granted().ReceiveBuffer
			if g.wanted == 0 || got < g.least {
				g.wanted, g.least = c.ReceiveBuffer, got
			}
		}
		return conn, err
	}
}

// warn says in one line that the buffers are smaller than they should be.
func (g *grants) warn(to *Gateway) {
	if g.least >= g.wanted {
		return
	}
	to.emit(event.ReceiveBufferSmall{
		Granted: g.least, Wanted: g.wanted,
		Help: fmt.Sprintf("packets that come in a burst are lost: run sysctl -w net.core.rmem_max=%d, or give culvert CAP_NET_ADMIN", g.wanted),
	})
}
