package netstack

import (
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// maxWaiting is how many connections of a device, and maxWaitingPerSource how many of
// one client, the stack keeps in TIME-WAIT.
const maxWaiting, maxWaitingPerSource = 4096, 128

// goodbyes are connections that are over, and which the stack keeps for a while in
// case the last acknowledgement was lost. They are no flows any more, but take
// memory like one; and a client that repeats its FIN has the stack keep them for as
// long as it goes on.
type goodbyes struct {
	mu      sync.Mutex
	total   int
	sources map[netip.Addr]int
}

// keep takes a connection whose flow has ended, unless there is none any more. The
// stack forgets it at once where the client has too many.
func (g *goodbyes) keep(source netip.Addr, ep tcpip.Endpoint) {
	if tcp.EndpointState(ep.State()) != tcp.StateTimeWait {
		return
	}
	if !g.enter(source) {
		ep.Abort()
		return
	}
	time.AfterFunc(timeWait+time.Second, func() {
		ep.Abort() // no more than that, whatever the client repeats
		g.leave(source)
	})
}

func (g *goodbyes) enter(source netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= maxWaiting || g.sources[source] >= maxWaitingPerSource {
		return false
	}
	g.total++
	g.sources[source]++
	return true
}

func (g *goodbyes) leave(source netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.sources[source]--; g.sources[source] == 0 {
		delete(g.sources, source)
	}
}
