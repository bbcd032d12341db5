package gateway

import (
	"time"

	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/internal/x/aside"
)

// finish ends what the control loop has left, and says so: what does not end in
// time is named, and left behind. stop ends what runs beside the loop.
func (g *Gateway) finish(stop func()) {
	began := time.Now()
	tenants, leases := g.server.tenants, g.server.collectLeases(g.server.tenants)
	patience := time.NewTimer(engine.StopPatience)
	defer patience.Stop()
	var late []string
	for _, part := range []struct {
		name  string
		ended <-chan struct{}
	}{
		{"state store", aside.Run(func() {
			_ = g.server.saveBans(g.server.bans.list.Changes) // the control loop has ended
			g.server.storeLeases(tenants, leases)
		})},
		{"sockets, devices, jobs", aside.Run(func() { stop(); g.Close(); g.server.engine.Wait(); g.server.running.Wait() })},
	} {
		select {
		case <-part.ended:
			continue
		default:
		}
		select {
		case <-part.ended:
		case <-patience.C:
			late = append(late, part.name)
			patience.Reset(0) // the others have had as long
		}
	}
	g.stopped(time.Since(began), late)
	if len(late) > 0 {
		return // what is left behind may still read the configurations
	}
	g.applier.zeroApplied()
}

// stopped says so.
func (g *Gateway) stopped(took time.Duration, late []string) {
	if len(late) > 0 {
		g.server.emit(event.LeftBehind{What: late, Hint: "every client was told; what did not end in time was not waited for, and clients may get other addresses than before"})
	}
	g.server.emit(event.Stopped{Took: took})
}
