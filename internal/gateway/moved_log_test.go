package gateway

import (
	"testing"
	"time"
)

// A client that moves with each of its packets is a few lines in the log, in which all
// of its moves are counted.
func TestMovesAreFewLines(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		nat := w.net.NAT(w.addr("198.51.100.7"))
		c := w.client(nat)
		conn := c.mustDial()
		c.wantPing(conn, "198.18.0.2")
		const moves = 200
		for range moves {
			nat.Rebind()
			c.ping(conn, w.addr("198.18.0.2"), 10*time.Millisecond)
		}
		lines := w.log.FilterMessage("peer-moved").All()
		t.Logf("%d lines", len(lines))
		if len(lines) == 0 || len(lines) > moves/10 {
			t.Errorf("%d lines of %d moves", len(lines), moves)
		}
	})
}
