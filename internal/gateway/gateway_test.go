package gateway

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/simnet"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/dialer"
	l2tppersona "github.com/culvert-vpn/culvert/l2tp/persona"
)

var goodRoad = simnet.Config{Latency: 10 * time.Millisecond}

func TestDialIn(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		began := time.Now()
		conn := c.mustDial()
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v: something waited for a timer", took)
		}
		c.wantPing(conn, "198.18.0.2")
		w.wantLog("session-up", "user", "alice")
	})
}

func TestPersonasBehindOneNAT(t *testing.T) {
	yaml := testConfig + "    legacy: true\n"
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		nat := w.net.NAT(w.addr("198.51.100.7"))
		for _, persona := range l2tppersona.Names() {
			c := w.client(nat)
			t.Log(persona)
			conn := c.mustDial(func(d *dialer.DialConfig) { d.Persona = persona })
			c.wantPing(conn, "198.18.0.2")
		}
	})
}

func TestHangUpLeavesNothing(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial()
		c.wantPing(conn, "198.18.0.2")
		conn.Close(context.Background())
		<-conn.Done()
		c.close()
		time.Sleep(2 * time.Minute)
		w.wantEmpty()
		w.wantLog("session-down", "user", "alice")
	})
}

func TestGoodbyeOfServerEndsClients(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial()
		began := time.Now()
		w.stop()
		<-conn.Done()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the client learned of it after %v", took)
		}
	})
}

func TestWrongPassword(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := c.dial(ctx, func(d *dialer.DialConfig) { d.Password = "wrong" }); err == nil || ctx.Err() != nil {
			t.Fatalf("dial: %v", err)
		}
		w.wantLog("login-refused", "cause", "wrong password")
	})
}

func TestWrongPSK(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if _, err := c.dial(ctx, func(d *dialer.DialConfig) { d.PSK = []byte("wrong") }); err == nil || ctx.Err() != nil {
			t.Fatalf("dial: %v", err)
		}
		w.wantLog("ike-refused", "cause", "wrong pre-shared key")
	})
}

func TestTunnelSecret(t *testing.T) {
	inWorld(t, goodRoad, testConfig+"    l2tp_secret: tunnel-secret\n", func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(func(d *dialer.DialConfig) { d.L2TPSecret = []byte("tunnel-secret") })
		c.wantPing(conn, "198.18.0.2")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := w.client(nil).dial(ctx); err == nil || ctx.Err() != nil {
			t.Errorf("without the secret: %v", err)
		}
	})
}

func TestRedialWithoutGoodbye(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		for range 3 {
			c := w.client(nil)
			w.hosts-- // the next one has the same address and port
			began := time.Now()
			conn := c.mustDial()
			c.wantPing(conn, "198.18.0.2")
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if want := w.addr("10.100.1.2"); conn.Local != want {
				t.Errorf("got %s, want %s again", conn.Local, want)
			}
			w.net.Tap(c.mute)
			c.close()
			w.net.Tap(nil)
		}
	})
}

func TestRekeyLosesNothing(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(func(d *dialer.DialConfig) { d.ChildLifetime, d.IKELifetime = 20*time.Second, 45*time.Second })
		w.wantLossless(c, conn)
	})
}

func TestServerRekeyLosesNothing(t *testing.T) {
	yaml := testConfig + "    ike: {lifetime: 45s, child_lifetime: 20s, rekey: {initiate: true}}\n"
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial(func(d *dialer.DialConfig) { d.ChildLifetime, d.IKELifetime = time.Hour, 8*time.Hour })
		w.wantLossless(c, conn)
	})
}

// wantLossless pings for three minutes, ten times a second, over child SAs that
// live 20 s and IKE SAs that live 45 s: none may be lost.
func (w *world) wantLossless(c *client, conn *dialer.Connection) {
	w.t.Helper()
	children := make(map[ike.SPI]bool)
	for i := range 1800 {
		if !c.ping(conn, w.addr("198.18.0.2"), time.Second) {
			w.t.Fatalf("ping %d lost", i)
		}
		time.Sleep(80 * time.Millisecond)
		w.server.server.engine.Work.Do(context.Background(), func(time.Time) {
			for _, p := range w.server.server.peers {
				children[p.Current.In] = true
			}
		})
	}
	if len(children) < 8 || len(w.log.FilterMessage("peer-up").All()) != 1 {
		w.t.Errorf("%d child SAs in three minutes, %d peers", len(children), len(w.log.FilterMessage("peer-up").All()))
	}
}

func TestNATRebinds(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		nat := w.net.NAT(w.addr("198.51.100.7"))
		c := w.client(nat)
		conn := c.mustDial()
		c.wantPing(conn, "198.18.0.2")
		nat.Rebind()
		c.ping(conn, w.addr("198.18.0.2"), time.Second)
		c.wantPing(conn, "198.18.0.2")
	})
}

func TestTwoTenantsOneAddress(t *testing.T) {
	const yaml = `
listen: [203.0.113.1]
tenants:
  - name: acme
    match: {realms: [acme]}
    psk: ["the first tenant's key"]
    auth: {local: {users: [{name: alice, password: one}]}}
    pool: [10.0.0.0/24]
  - name: globex
    match: {realms: [globex]}
    psk: ["the second tenant's key"]
    auth: {local: {users: [{name: alice, password: two}]}}
    pool: [10.0.0.0/24]
`
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		a, b := w.client(nil), w.client(nil)
		one := a.mustDial(func(d *dialer.DialConfig) { d.PSK, d.Password = []byte("the first tenant's key"), "one" })
		two := b.mustDial(func(d *dialer.DialConfig) {
			d.PSK, d.User, d.Password = []byte("the second tenant's key"), `globex\alice`, "two"
		})
		if one.Local != two.Local {
			t.Fatalf("%s and %s: the tenants' networks should overlap", one.Local, two.Local)
		}
		a.wantPing(one, "198.18.0.2")
		b.wantPing(two, "198.18.0.2")
		if n, m := w.nets["acme"].count(), w.nets["globex"].count(); n != 1 || m != 1 {
			t.Errorf("acme's network saw %d packets, globex' %d; want one each", n, m)
		}
	})
}

// Whole dial-ins on a road that loses a fifth of everything, doubles a tenth and
// lets datagrams overtake one another: each ends up, or with a reason; none
// hangs, and nothing is left of any.
func TestBadRoad(t *testing.T) {
	road := simnet.Config{Latency: 20 * time.Millisecond, Jitter: 60 * time.Millisecond, Loss: 0.2, Duplicate: 0.1}
	seeds := uint64(1000)
	if testing.Short() {
		seeds = 50
	}
	ups := 0
	for road.Seed = range seeds {
		inWorld(t, road, testConfig+"    legacy: true\n", func(t *testing.T, w *world) {
			names := l2tppersona.Names()
			c := w.client(nil)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
			defer cancel()
			conn, err := c.dial(ctx, func(d *dialer.DialConfig) { d.Persona = names[road.Seed%uint64(len(names))] })
			if ctx.Err() != nil {
				t.Fatalf("seed %d: hangs: %v", road.Seed, err)
			}
			if err == nil {
				ups++
				conn.Close(context.Background())
				<-conn.Done()
			}
			c.wantNothing()
			w.net.SetLoss(0, 0)
			time.Sleep(25 * time.Hour)
			w.wantEmpty()
		})
		if t.Failed() {
			t.Fatalf("seed %d", road.Seed)
		}
	}
	t.Logf("%d of %d dials came up", ups, seeds)
	if ups < int(seeds)*9/10 {
		t.Errorf("only %d of %d dials came up", ups, seeds)
	}
}

// manySessions lets one user have as many sessions as a test makes.
const manySessions = "    limits: {sessions_per_user: 0}\n"

// 200 clients of every family behind one address: all up, all echo.
func TestFleetBehindOneNAT(t *testing.T) {
	inWorld(t, goodRoad, testConfig+"    legacy: true\n"+manySessions, func(t *testing.T, w *world) {
		nat := w.net.NAT(w.addr("198.51.100.7"))
		names := l2tppersona.Names()
		var fleet sync.WaitGroup
		for i := range 200 {
			c := w.client(nat)
			fleet.Go(func() {
				conn := c.mustDial(func(d *dialer.DialConfig) { d.Persona = names[i%len(names)] })
				c.wantPing(conn, "198.18.0.2")
			})
		}
		fleet.Wait()
		if n := len(w.log.FilterMessage("session-up").All()); n != 200 {
			t.Errorf("%d sessions", n)
		}
	})
}
