package netstack

import (
	"testing"
	"time"
)

// A datagram of a client costs no allocation on its way to the host's socket.
func TestUDPUpDoesNotAllocate(t *testing.T) {
	n := newNAT(t, nil)
	for _, to := range []datagram{{to: addrPort(n.listen(t, serverIP))}} {
		to.data = make([]byte, 1000)
		packet, w := to.packet(), n.d.Writer()
		send(t, w, packet)
		wantSoon(t, func() bool { return n.known(to) })
		best := 1000.0
		for range 20 {
			best = min(best, testing.AllocsPerRun(10, func() {
				for range 64 {
					w.Commit(packet)
				}
				w.Flush()
			}))
			time.Sleep(time.Millisecond)
		}
		if best > 0 && !underRace { // where pools lose things on purpose
			t.Errorf("to %v: %v allocations for 64 datagrams", to.to, best)
		}
	}
}
