package gateway

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/dataplane/simnet"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

const (
	// slowPacket is what the tenant's network takes over a packet, so that the
	// gateway carries 500 a second.
	slowPacket = 2 * time.Millisecond
	// floodBurst packets are sent in each floodPause: four times as much.
	floodBurst = 32
	floodPause = 16 * time.Millisecond
)

// shallowRoad has sockets that hold half a second of what the gateway carries.
var shallowRoad = simnet.Config{Latency: 10 * time.Millisecond, Queue: 256}

// flood has the client send UDP packets until stop is called.
func (c *client) flood(conn *dialer.Connection) (stop func()) {
	pkt := echoRequest(conn.Local, netip.MustParseAddr("198.18.0.2"), 0)
	pkt[9] = ipkt.ProtocolUDP
	ipkt.SetHeaderChecksum(pkt[:20])
	over := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			for range floodBurst {
				c.dev.send(pkt)
			}
			select {
			case <-over:
				return
			case <-time.After(floodPause):
			}
		}
	})
	return func() { close(over); running.Wait() }
}

// quiet looks at a client's control traffic for a time in which it has nothing
// else to send. Now and then it renews its child SA, or asks by an L2TP HELLO
// whether the server lives, as if that had been silent for long. It returns the
// highest number of LCP echo requests without an answer, of either end.
func (w *world) quiet(c *client, d time.Duration) (unanswered int) {
	w.t.Helper()
	for second := range int(d / time.Second) {
		time.Sleep(time.Second)
		w.within(c.g.Engine, func(now time.Time) {
			if second%10 == 5 {
				c.g.Engine.L2TP.Advance(now.Add(2 * time.Minute))
			}
			if second%40 != 20 {
				return
			}
			for id := range c.g.Engine.Table.Peers {
				if err := c.g.Engine.IKE.Rekey(now, ike.Peer(id), ike.Phase2); err != nil {
					w.t.Error(err)
				}
			}
		})
		for _, g := range []*engine.Engine{c.g.Engine, w.server.server.engine} {
			w.within(g, func(time.Time) {
				for _, s := range g.Table.Sessions {
					unanswered = max(unanswered, s.Link.Unanswered())
				}
			})
		}
	}
	return unanswered
}

// within runs f on the control loop of a gateway.
func (w *world) within(g *engine.Engine, f func(now time.Time)) {
	w.t.Helper()
	if err := g.Work.Do(context.Background(), f); err != nil {
		w.t.Fatal(err)
	}
}

// l2tpSent returns how many L2TP control messages a gateway has sent, and how
// many of them again.
func (w *world) l2tpSent(g *engine.Engine) (sent, repeated uint64) {
	w.t.Helper()
	w.within(g, func(time.Time) { sent, repeated = g.L2TP.Stats().Sent, g.L2TP.Stats().Repeated })
	return sent, repeated
}

// TestFloodStarvesNobody: one client sends four times what the gateway carries.
// Another one's packets and control traffic, LCP echoes, L2TP HELLOs, quick modes
// and DPD, arrive and are answered, without having to be sent again; and who comes
// anew gets in.
func TestFloodStarvesNobody(t *testing.T) {
	o := &overheard{server: netip.MustParseAddr(serverAddr)}
	inWorld(t, shallowRoad, testConfig, func(t *testing.T, w *world) {
		flooder, polite := w.client(nil), w.client(nil)
		flood := flooder.mustDial(func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
		conn := polite.mustDial(func(d *dialer.DialConfig) { d.DPD = 10 * time.Second })
		w.nets["acme"].takeOver(slowPacket)
		w.net.Tap(func(from, to netip.AddrPort, data []byte) bool {
			return from.Addr() != polite.local && to.Addr() != polite.local || o.tap(from, to, data)
		})
		sent, again := w.l2tpSent(polite.g.Engine)
		defer flooder.flood(flood)()
		if n := w.quiet(polite, 100*time.Second); n != 1 {
			t.Errorf("%d LCP echo requests in a row without an answer, want the one that is under way", n)
		}
		sentNow, againNow := w.l2tpSent(polite.g.Engine)
		if sentNow < sent+9 || againNow != again {
			t.Errorf("of %d L2TP messages %d were sent again", sentNow-sent, againNow-again)
		}
		answered := 0
		for range 50 {
			if polite.ping(conn, w.addr("198.18.0.2"), 5*time.Second) {
				answered++
			}
			time.Sleep(100 * time.Millisecond)
		}
		if answered < 49 {
			t.Errorf("%d of 50 echo requests were answered", answered)
		}
		newcomer := w.client(nil)
		newcomer.wantPing(newcomer.mustDial(), "198.18.0.2")
		if drops := w.server.server.engine.Plane.Drops(); drops[dataplane.DropShare] < 100_000 {
			t.Errorf("this was no flood: %v", drops)
		}
		w.net.Tap(nil)
	})
	o.wantOnce(t)
	if quick, dpd := begun(o.up, wire.ExchangeQuick), begun(o.up, wire.ExchangeInformational); quick < 2 || dpd < 5 {
		t.Errorf("%d quick modes, %d informational exchanges", quick, dpd)
	}
}

// wantOnce fails the test if a client sent an IKE message again.
func (o *overheard) wantOnce(t *testing.T) {
	t.Helper()
	seen := map[string]bool{}
	for _, msg := range o.up {
		if seen[string(msg)] {
			h, _, _ := wire.ConsumeHeader(msg)
			t.Errorf("message %x of exchange %v was sent again", h.MessageID, h.Exchange)
		}
		seen[string(msg)] = true
	}
}
