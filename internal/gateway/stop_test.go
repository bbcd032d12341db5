package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-vpn/culvert/tenant"
)

// slowDevice is a device whose end takes its time.
type slowDevice struct {
	tenant.Device
	end chan struct{}
}

func (d slowDevice) Close() error {
	<-d.end
	return d.Device.Close()
}

// TestTheEndIsBounded: a server that is told to end tells its clients, and is gone within
// two seconds whatever it waits for: a job that hears of no end, a device that does not
// close. The last line of the log says so. A server that waits for nothing ends at once.
func TestTheEndIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name      string
		job, slow bool
	}{{"nothing", false, false}, {"a job", true, false}, {"a device", false, true}} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
				never := make(chan struct{})
				c := w.client(nil)
				c.wantPing(c.mustDial(), "198.18.0.2")
				if tt.job && !w.server.server.later(nil, func() { <-never }) {
					t.Fatal("no job")
				}
				synctest.Wait()
				if tt.slow {
					for _, state := range w.server.server.tenants {
						state.device = slowDevice{state.device, never}
					}
				}
				at := time.Now()
				w.stop()
				<-w.ended
				took := time.Since(at)
				if took > 2*time.Second {
					t.Errorf("the end took %v", took)
				}
				all := w.log.All()
				last := all[len(all)-1]
				if left := w.log.FilterMessage("left-behind").Len() > 0; last.Message != "stopped" || left != (tt.job || tt.slow) {
					t.Errorf("the last line: %s %v; something is left behind: %v", last.Message, last.ContextMap(), left)
				}
				if n := w.log.FilterMessage("session-down").Len(); n != 1 {
					t.Errorf("%d sessions were ended", n)
				}
				close(never)
			})
		})
	}
}
