package gateway

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike"
)

// TestFloodOfRefusals: strangers who begin to log in by EAP and refuse whatever they are
// asked need no key and no password for that. They do not fill the log: a few lines a
// second, and a sum of the others.
func TestFloodOfRefusals(t *testing.T) {
	a := newAuthority(t, "a")
	eve := a.client("eve")
	inWorld(t, goodRoad, testConfig+a.server(vpn), func(t *testing.T, w *world) {
		began := time.Now()
		const clients, each = 20, 20
		w.refusedByTLS(a, eve, clients, each)
		time.Sleep(15 * time.Second)
		seconds := time.Since(began).Seconds()
		lines, untold := 0, uint64(0)
		for _, e := range w.log.All() {
			switch e.Message {
			case "login-refused", "ike-refused":
				lines++
			case "ike-refused-untold":
				untold += e.ContextMap()["attempts"].(uint64)
			}
		}
		t.Logf("%d attempts in %.0f s: %d lines, %d in sums", clients*each, seconds, lines, untold)
		if lines == 0 || float64(lines) > 40+5*seconds {
			t.Errorf("%d lines in %.0f s", lines, seconds)
		}
		if lines+int(untold) < clients*each {
			t.Errorf("of %d attempts the log has %d, and %d in sums", clients*each, lines, untold)
		}
	})
}

// refusedByTLS has clients log in at once, each so often, by a certificate that opens
// nothing.
func (w *world) refusedByTLS(a *authority, certificate *ike.Certificate, clients, each int) {
	var all sync.WaitGroup
	for range clients {
		c := w.client(nil)
		all.Go(func() {
			for range each {
				if _, err := c.dial(context.Background(), a.trusts(vpn), a.byTLS(certificate)); err == nil {
					w.t.Error("a certificate opens that is for nothing")
				}
			}
		})
	}
	all.Wait()
}
