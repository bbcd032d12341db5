package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"runtime/debug"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// faultyRand is randomness that panics once, when it is asked for anything while it
// is armed.
type faultyRand struct{ armed func() bool }

func (r *faultyRand) Read(b []byte) (int, error) {
	if r.armed != nil && r.armed() {
		r.armed = nil
		panic("poison")
	}
	return rand.Read(b)
}

// TestAPanicEndsItsExchange: one at a message of a login that is under way ends that,
// at once, and the next login is served.
func TestAPanicEndsItsExchange(t *testing.T) {
	for name, edit := range map[string]func(*dialer.DialConfig){"ikev1": func(*dialer.DialConfig) {}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, neighboursConfig, func(t *testing.T, w *world) {
				g, random := w.server, &faultyRand{}
				g.server.engine.Work.Do(context.Background(), func(time.Time) {
					var err error
					if g.server.engine.IKE, err = ike.NewServer(ike.Config{Rand: random, Candidates: g.server.candidates, V2: true, Received: g.server.engine.Table.Received}); err != nil {
						t.Error(err)
					}
					random.armed = func() bool {
						return bytes.Contains(debug.Stack(), []byte(".ikeMessage(")) && g.server.engine.IKE.Stats().HalfOpen > 0
					}
				})
				c := w.client(nil)
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				_, err := c.dial(ctx, edit)
				armed := true
				g.server.engine.Work.Do(context.Background(), func(time.Time) { armed = random.armed != nil })
				if err == nil || armed {
					t.Fatalf("no panic: %v", err)
				}
				c.close()
				w.clients = nil
				g.server.engine.Work.Do(context.Background(), func(time.Time) {
					if s := g.server.engine.IKE.Stats(); g.server.faults.Count() != 1 || s.HalfOpen != 0 || s.IKEs != 0 {
						t.Errorf("%d panics, %d half open, %d IKE SAs", g.server.faults.Count(), s.HalfOpen, s.IKEs)
					}
				})
				again := w.client(nil)
				again.wantPing(again.mustDial(edit), "198.18.0.2")
			})
		})
	}
}

// TestAPanicBesideClients: at the files that a configuration names, or at a reload,
// nobody notices, and both go on.
func TestAPanicBesideClients(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		w.stop()
		<-w.ended
		w.conf.Tenants[0].CRLFiles = []string{"none"}
		w.start()
		c := w.client(nil)
		conn := c.mustDial()
		if _, err := w.server.Apply(context.Background(), nil); !errors.Is(err, errApply) {
			t.Errorf("reload: %v", err)
		}
		if n := w.server.server.faults.Count(); n != 1 {
			t.Errorf("%d panics at a reload", n)
		}
		seen := new(sight) // without a place for lists, which is a fault
		for range 2 {
			w.server.applier.look(context.Background(), seen)
		}
		if n := w.server.server.faults.Count(); n != 3 {
			t.Errorf("%d panics", n)
		}
		next, err := config.Parse("test.yaml", []byte(testConfig))
		if err != nil {
			t.Fatal(err)
		}
		next.Workers = 1
		if _, err := w.server.Apply(context.Background(), next); err != nil {
			t.Error(err)
		}
		c.wantPing(conn, "198.18.0.2")
	})
}

// TestExchangesAreAbandoned: what is half open is gone at once, by the message that
// names it, of both versions of IKE.
func TestExchangesAreAbandoned(t *testing.T) {
	for name, edit := range map[string]func(*dialer.DialConfig){"ikev1": func(*dialer.DialConfig) {}, "ikev2": byKeyAs("carol")} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, neighboursConfig, func(t *testing.T, w *world) {
				var first []byte
				w.net.Tap(func(from, to netip.AddrPort, b []byte) bool {
					if first != nil {
						return false
					}
					first = bytes.Clone(b)
					return true
				})
				c := w.client(nil)
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				c.dial(ctx, edit)
				path := c.pathTo(500)
				w.server.server.engine.Work.Do(context.Background(), func(now time.Time) {
					if n := w.server.server.engine.IKE.Stats().HalfOpen; n != 1 {
						t.Errorf("%d half open", n)
					}
					w.server.server.engine.AbandonExchange(now, ike.Path{Local: path.Remote, Remote: path.Local}, first)
					if s := w.server.server.engine.IKE.Stats(); s.HalfOpen != 0 || s.IKEs != 0 {
						t.Errorf("%d half open, %d IKE SAs", s.HalfOpen, s.IKEs)
					}
				})
			})
		})
	}
}
