package gateway

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
)

// restartWith starts the server anew, with sequence numbers that begin behind after.
func (w *world) restartWith(after uint64) {
	w.stop()
	<-w.ended
	w.after = after
	w.start()
}

// A child SA without extended sequence numbers is renewed before they run out, by L2TP
// and by IKEv2, and no packet is lost, even if it is not time yet.
func TestWornSAsAreRenewed(t *testing.T) {
	for name, persona := range map[string]string{"L2TP": "", "IKEv2": "macos-ikev2"} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t, "a")
			edit := func(d *dialer.DialConfig) {
				if d.Persona = persona; persona != "" {
					a.trusts(vpn)(d)
				}
			}
			inWorld(t, goodRoad, testConfig+a.server(vpn), func(t *testing.T, w *world) {
				w.restartWith(math.MaxUint32 - math.MaxUint32/8)
				c := w.client(nil)
				conn := c.mustDial(edit)
				for range 60 {
					c.wantPing(conn, "198.18.0.2")
					time.Sleep(time.Second)
				}
				if list := w.sessions(); len(list) != 1 || list[0].Rekeys == 0 {
					t.Errorf("sessions %+v", list)
				}
			})
		})
	}
}

// Where that does not help, the connection ends before it falls silent, and its client
// knows, so that it can dial again.
func TestWornSAsEndBeforeTheyFallSilent(t *testing.T) {
	for name, persona := range map[string]string{"L2TP": "", "IKEv2": "windows10-ikev2"} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t, "a")
			edit := func(d *dialer.DialConfig) {
				if d.Persona = persona; persona != "" {
					a.trusts(vpn)(d)
				}
			}
			inWorld(t, goodRoad, testConfig+a.server(vpn), func(t *testing.T, w *world) {
				w.restartWith(math.MaxUint32 - 1<<20)
				conn := w.client(nil).mustDial(edit)
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				err := w.server.server.engine.Work.Do(ctx, func(now time.Time) { w.server.server.engine.Sweep(now) }) // before the client looks
				if err != nil {
					t.Fatal(err)
				}
				select {
				case <-conn.Done():
				case <-ctx.Done():
					t.Error("the client is not told")
				}
				w.wantLog("sa-worn", "cause", "its sequence numbers are used up")
			})
		})
	}
}

// A volume that was agreed on counts: a client that has not renewed for a while after it
// was carried loses the connection, and is told.
func TestVolumeOfAnSAIsKept(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial()
		err := w.server.server.engine.Work.Do(context.Background(), func(time.Time) {
			for _, p := range w.server.server.peers {
				for _, x := range p.Children {
					x.LifeBytes = 1000
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			c.wantPing(conn, "198.18.0.2")
		}
		began := time.Now()
		<-conn.Done()
		if took := time.Since(began); took < (30*time.Second) || took > 2*(30*time.Second) {
			t.Errorf("it ends after %v", took)
		}
		w.wantLog("sa-worn", "cause", "it has carried the volume that was agreed on")
	})
}
