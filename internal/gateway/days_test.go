package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/simnet"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/engine"
)

// twoHomed is a client on a host with two addresses, both behind one NAT.
func (w *world) twoHomed(nat *simnet.NAT) (c *client, second netip.Addr) {
	first, second := w.addr("10.77.9.1"), w.addr("10.77.9.2")
	conf := &config.Config{Listen: []netip.Addr{first, second}, Workers: 1, Ports: config.Ports{IKE: 500, NATT: 4500}}
	g, err := dialer.New(dialer.Config{Addresses: conf.Listen, IKEPort: conf.Ports.IKE, NATTPort: conf.Ports.NATT, Listen: nat.Listen})
	if err != nil {
		w.t.Fatal(err)
	}
	c = &client{w: w, local: first}
	c.g, c.stop, c.ended = run(g)
	w.clients = append(w.clients, c)
	return c, second
}

// move changes the client's address, by MOBIKE.
func (c *client) move(to netip.Addr) {
	c.w.t.Helper()
	err := c.g.Engine.Work.Do(context.Background(), func(now time.Time) {
		for id, p := range c.g.Engine.Table.Peers {
			path := p.Path
			path.Local = netip.AddrPortFrom(to, path.Local.Port())
			if err := c.g.Engine.IKE.Readdress(now, ike.Peer(id), path); err != nil {
				c.w.t.Error(err)
			}
		}
	})
	if err != nil {
		c.w.t.Fatal(err)
	}
}

// TestIKEv2Days: a day in the life of each system's client of IKEv2, behind a NAT:
// it logs in by EAP, is given its addresses and routes, renews its SAs when and as
// it does, moves to another address, and hangs up. Not one packet is lost, and the
// tenant has allowed nothing that is weak.
func TestIKEv2Days(t *testing.T) {
	for _, day := range []struct {
		persona, family string
		ike, child      int // renewals in four hours, at least
		liveness        time.Duration
	}{
		{"windows10-ikev2", "windows10", 1, 0, 0},
		{"macos-ikev2", "apple", 4, 8, 0},
		{"ios-ikev2", "apple", 4, 8, 0},
		{"android-ikev2", "android", 2, 4, 2 * time.Minute},
		{"strongswan-ikev2", "strongswan", 0, 2, 0},
		{"culvert-ikev2", "other", 0, 2, 0},
	} {
		t.Run(day.persona, func(t *testing.T) {
			a := newAuthority(t, "a")
			lines := strings.Replace(testConfig, "10.100.1.0/24]", `10.100.1.0/24, "2001:db8:1::/48"]`, 1) + "    routes: [10.0.0.0/8, 198.18.0.0/15]\n"
			o := &overheard{server: netip.MustParseAddr(serverAddr)}
			inWorld(t, goodRoad, lines+a.server(vpn), func(t *testing.T, w *world) {
				w.net.Tap(o.tap)
				c, second := w.twoHomed(w.net.NAT(w.addr("198.51.100.7")))
				conn := c.mustDial(a.trusts(vpn), func(d *dialer.DialConfig) {
					d.Persona, d.DPD = day.persona, day.liveness
					if day.persona == "windows10-ikev2" { // its own limits are in bytes
						d.IKELifetime, d.ChildLifetime = 2*time.Hour, time.Hour
					}
				})
				if !conn.Local.IsValid() || !conn.Local6.IsValid() || len(conn.DNS) == 0 {
					t.Errorf("assigned %+v", conn.Assigned)
				}
				w.wantLog("session-up", "family", day.family)
				for n := range 4 * 400 {
					if n == 500 {
						c.move(second)
					}
					c.wantPing(conn, "198.18.0.2")
					time.Sleep(9 * time.Second)
				}
				w.net.Tap(nil)
				if s := w.sessions(); len(s) != 1 || s[0].Rekeys < day.child {
					t.Errorf("%+v, want %d renewals of the child SA", s, day.child)
				}
				if ups, refused := w.log.FilterMessage("session-up").Len(), w.log.FilterMessage("ike-refused").All(); ups != 1 || len(refused) > 0 {
					t.Errorf("%d logins, refused: %v", ups, refused)
				}
				conn.Close(context.Background())
				<-conn.Done()
				time.Sleep(2 * time.Minute)
				w.wantEmpty()
			})
			if n := requests(o.up, wire.ExchangeCreateChild); n < day.ike+day.child {
				t.Errorf("the client renewed %d times, want %d and %d", n, day.ike, day.child)
			}
			if n := requests(o.down, wire.ExchangeCreateChild); n != 0 {
				t.Errorf("the server renewed %d times what is the client's to renew", n)
			}
		})
	}
}

// TestIKEv1Days: the same for L2TP. Apple's clients renew phase 1 after 48 minutes
// from port 4500, Windows its child SAs every hour.
func TestIKEv1Days(t *testing.T) {
	for _, day := range []struct {
		persona     string
		main, quick int // begun in four hours, the first ones with them
	}{
		{"windows7", 1, 4}, {"windows10", 1, 4}, {"macos", 5, 5}, {"ios", 5, 5}, {"android", 1, 1}, {"mikrotik", 1, 8},
		{"networkmanager", 1, 4}, {"chromeos", 1, 4},
	} {
		t.Run(day.persona, func(t *testing.T) {
			o := &overheard{server: netip.MustParseAddr(serverAddr)}
			inWorld(t, goodRoad, testConfig+"    legacy: true\n", func(t *testing.T, w *world) {
				w.net.Tap(o.tap)
				c := w.client(w.net.NAT(w.addr("198.51.100.7")))
				conn := c.mustDial(func(d *dialer.DialConfig) { d.Persona = day.persona })
				for range 4 * 400 {
					c.wantPing(conn, "198.18.0.2")
					time.Sleep(9 * time.Second)
				}
				w.net.Tap(nil)
				if n := w.log.FilterMessage("session-up").Len(); n != 1 {
					t.Errorf("%d logins", n)
				}
			})
			if main, quick := begun(o.up, wire.ExchangeMain), begun(o.up, wire.ExchangeQuick); main < day.main || quick < day.quick {
				t.Errorf("%d main modes and %d quick modes, want %d and %d", main, quick, day.main, day.quick)
			}
			if o.plain > 2 {
				t.Errorf("%d messages of the client came to port 500", o.plain)
			}
			if n := begun(o.down, wire.ExchangeMain) + begun(o.down, wire.ExchangeQuick); n != begun(o.up, wire.ExchangeMain)+begun(o.up, wire.ExchangeQuick) {
				t.Errorf("the server took part in %d exchanges", n)
			}
		})
	}
}

// begun counts the exchanges of IKEv1 that one side took part in.
func begun(list [][]byte, x wire.ExchangeType) int {
	seen := map[string]bool{}
	for _, msg := range list {
		if h, _, err := wire.ConsumeHeader(msg); err == nil && h.Exchange == x {
			seen[string(append(h.Initiator[:], byte(h.MessageID), byte(h.MessageID>>8), byte(h.MessageID>>16), byte(h.MessageID>>24)))] = true
		}
	}
	return len(seen)
}

// stream sends pings every 20 ms, without waiting for one another, until stop is
// called, which returns how many were lost.
func (c *client) stream(conn *dialer.Connection) (stop func() (lost, sent int)) {
	return c.streamTo(conn, "198.18.0.2")
}

// streamTo is stream to an address.
func (c *client) streamTo(conn *dialer.Connection, to string) (stop func() (lost, sent int)) {
	var pings sync.WaitGroup
	var lost atomic.Int32
	sent, end := 0, make(chan struct{})
	pings.Go(func() {
		for {
			sent++
			pings.Go(func() {
				if !c.ping(conn, netip.MustParseAddr(to), 5*time.Second) {
					lost.Add(1)
				}
			})
			select {
			case <-end:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return func() (int, int) {
		close(end)
		pings.Wait()
		return int(lost.Load()), sent
	}
}

// renew renews an SA of every peer of a gateway.
func renew(g *engine.Engine, t *testing.T, phase ike.Phase) {
	t.Helper()
	if err := g.Work.Do(context.Background(), func(now time.Time) {
		for id := range g.Table.Peers {
			if err := g.IKE.Rekey(now, ike.Peer(id), phase); err != nil {
				t.Error(err)
			}
		}
	}); err != nil {
		t.Error(err)
	}
}

// TestRenewals: both versions, both phases, with and without PFS, begun by the
// client, by the server, and by both at once, so that renewals and the deletes
// that follow them cross. No packet is lost, and nothing is left over.
func TestRenewals(t *testing.T) {
	a := newAuthority(t, "a")
	lines := a.server(vpn)
	v1 := func(d *dialer.DialConfig) {}
	unruly := simnet.Config{Latency: 20 * time.Millisecond, Jitter: 40 * time.Millisecond} // packets overtake one another
	for version, edit := range map[string]func(*dialer.DialConfig){"ikev1": v1, "ikev2": a.trusts(vpn)} {
		for phase, name := range map[ike.Phase]string{ike.Phase1: "phase1", ike.Phase2: "phase2"} {
			for _, pfs := range []bool{false, true} {
				for _, who := range []string{"client", "server", "both"} {
					t.Run(fmt.Sprintf("%s/%s/pfs=%v/%s", version, name, pfs, who), func(t *testing.T) {
						inWorld(t, unruly, testConfig+lines, func(t *testing.T, w *world) {
							c := w.client(nil)
							conn := c.mustDial(edit, func(d *dialer.DialConfig) { d.PFS = pfs })
							w.renewals(c, conn, phase, who)
						})
					})
				}
			}
		}
	}
}

// rekeys is how often the one session's child SA was renewed.
func (w *world) rekeys() int {
	w.t.Helper()
	list := w.sessions()
	if len(list) != 1 {
		for _, entry := range w.log.All() {
			w.t.Logf("%v %s %v", entry.Time, entry.Message, entry.ContextMap())
		}
		w.t.Fatalf("%d sessions", len(list))
	}
	return list[0].Rekeys
}

// renewals renews six times under traffic.
func (w *world) renewals(c *client, conn *dialer.Connection, phase ike.Phase, who string) {
	w.t.Helper()
	stop := c.stream(conn)
	for n := range 6 {
		before := w.rekeys()
		if who != "server" {
			renew(c.g.Engine, w.t, phase)
		}
		time.Sleep(time.Duration(n) * 3 * time.Millisecond) // the two cross at another place each time
		if who != "client" {
			renew(w.server.server.engine, w.t, phase)
		}
		time.Sleep(15 * time.Second)
		if after := w.rekeys(); phase == ike.Phase2 && after == before {
			w.t.Errorf("renewal %d did not happen", n)
		}
	}
	if lost, sent := stop(); lost > 0 || sent < 4000 {
		w.t.Errorf("%d of %d packets lost", lost, sent)
	}
	time.Sleep(10 * time.Minute)
	w.server.server.engine.Work.Do(context.Background(), func(time.Time) {
		for _, p := range w.server.server.peers {
			most := 1
			if who == "both" && !p.V2 {
				most = 2 // IKEv1 has no rule for which of two that were made at once goes
			}
			if len(p.Children) > most {
				w.t.Errorf("%d child SAs are left", len(p.Children))
			}
		}
	})
	c.wantPing(conn, "198.18.0.2")
}
