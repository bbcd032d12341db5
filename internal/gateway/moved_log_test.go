package gateway

import (
	"testing"
	"time"
)

// A client that moves with each of its packets is a few lines in the log, in which all
// of its moves are counted, and the last one says where it is.
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
		time.Sleep(time.Minute)
		lines, said := w.log.FilterMessage("peer-moved").All(), int64(0)
		for _, l := range lines {
			said += l.ContextMap()["moves"].(int64)
		}
		t.Logf("%d lines", len(lines))
		if len(lines) == 0 || len(lines) > moves/10 || said < moves*9/10 {
			t.Errorf("%d lines of %d moves, which tell of %d", len(lines), moves, said)
		}
		if to := lines[len(lines)-1].ContextMap()["to"]; to != w.sessions()[0].Client.String() {
			t.Errorf("the last line has it at %s, and it is at %s", to, w.sessions()[0].Client)
		}
	})
}

// A client that moves a few times is a line each, at once.
func TestAFewMovesAreTold(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		nat := w.net.NAT(w.addr("198.51.100.7"))
		c := w.client(nat)
		conn := c.mustDial()
		c.wantPing(conn, "198.18.0.2")
		for n := range 4 {
			nat.Rebind()
			for tries := 0; tries < 50 && !c.ping(conn, w.addr("198.18.0.2"), 100*time.Millisecond); tries++ {
			}
			if lines := w.log.FilterMessage("peer-moved").Len(); lines != n+1 {
				t.Errorf("%d lines of %d moves", lines, n+1)
			}
		}
	})
}
