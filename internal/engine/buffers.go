package engine

import "github.com/culvert-vpn/culvert/dataplane/udp"

// grants is what the system gave the sockets of an engine.
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
