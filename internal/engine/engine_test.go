package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/dataplane/simnet"
	"github.com/culvert-vpn/culvert/ike"
	ikepersona "github.com/culvert-vpn/culvert/ike/persona"
	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/l2tp"
	l2tppersona "github.com/culvert-vpn/culvert/l2tp/persona"
	"github.com/culvert-vpn/culvert/ppp"
	ppppersona "github.com/culvert-vpn/culvert/ppp/persona"
)

// driver drives an engine in a test: it notes what happens, and answers by a table.
type driver struct {
	e      *Engine
	said   []string
	answer func(now time.Time, e Event)
}

func (d *driver) Drain(now time.Time) {
	for {
		e, ok := d.e.Next(now)
		if !ok {
			return
		}
		d.said = append(d.said, fmt.Sprintf("%T", e)[len("engine."):])
		d.answer(now, e)
	}
}

func (d *driver) Advance(time.Time)     {}
func (d *driver) Deadline() time.Time   { return time.Time{} }
func (d *driver) Goodbye(now time.Time) { d.e.Goodbye(now) }

// engineAt makes an engine on a network in memory and runs it until the test is over.
func engineAt(t *testing.T, net *simnet.Network, c Config, answer func(d *driver, now time.Time, e Event)) *driver {
	t.Helper()
	c.IKEPort, c.NATTPort, c.Workers, c.Listen, c.Log = 500, 4500, 1, net.Listen, zap.NewNop()
	if c.Faults == nil {
		c.Faults = fault.New(func(r fault.Report) { t.Errorf("%s: %s\n%s", r.Where, r.What, r.Stack) })
	}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	d := &driver{e: e}
	d.answer = func(now time.Time, e Event) { answer(d, now, e) }
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); e.Run(ctx, d) }()
	t.Cleanup(func() { stop(); <-ended; e.Close(); e.Wait() })
	return d
}

// pair is a server that lets everybody in who has the key, and a client.
type pair struct{ server, client *driver }

var serverAddr, clientAddr = netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("192.0.2.1")

// pairUp makes them; judge is what the server answers to a login.
func pairUp(t *testing.T, judge func(d *driver, now time.Time, e Authenticate)) pair {
	net, key, policy := simnet.New(simnet.Config{Latency: time.Millisecond}), []byte("a key of both"), &ike.Policy{Legacy: true, DPD: time.Minute, DPDTries: 3}
	own, _ := ppppersona.Named("culvert")
	none := func(*Peer) []byte { return nil }
	server := engineAt(t, net, Config{
		Addresses: []netip.Addr{serverAddr}, L2TPSecret: none, Renews: func(*Peer) bool { return false },
		Candidates: func(_, _ netip.Addr) []ike.Candidate {
			return []ike.Candidate{{Tenant: "anybody", PSK: key, Policy: policy}}
		},
		Link: func(*Peer, int) (ppp.Config, error) {
			return ppp.Config{Role: ppp.Server, Rand: rand.Reader, Name: "server", MRU: 1400, Auth: ppp.AuthPolicy{PAP: true, MSCHAPv2: true}}, nil
		},
	}, func(d *driver, now time.Time, e Event) {
		switch e := e.(type) {
		case Authenticate:
			judge(d, now, e)
		case LinkUp:
			d.e.Opened(now, e.Session)
		}
	})
	client := engineAt(t, net, Config{
		Addresses: []netip.Addr{clientAddr}, L2TPSecret: none,
		Link: func(*Peer, int) (ppp.Config, error) {
			return ppp.Config{Role: ppp.Client, Rand: rand.Reader, Persona: own, MRU: 1400, User: "u", Password: []byte("p"), Auth: ppp.AuthPolicy{PAP: true}}, nil
		},
	}, func(d *driver, now time.Time, e Event) {
		if e, ok := e.(Ready); ok && len(e.Peer.Calls) == 0 {
			as, _ := l2tppersona.Named("culvert")
			if _, err := d.e.L2TP.Dial(now, l2tp.Peer(e.Peer.ID), l2tp.DialConfig{Persona: as}); err != nil {
				t.Error(err)
			}
		}
	})
	p := pair{server, client}
	p.do(t, client, func(now time.Time) {
		as, err := ikepersona.V1("culvert")
		if err != nil {
			t.Error(err)
		}
		_, err = client.e.Dial(now, ike.DialConfig{
			Path:     ike.Path{Local: client.e.LocalFor(clientAddr, false), Remote: netip.AddrPortFrom(serverAddr, 500)},
			NATTPath: ike.Path{Local: client.e.LocalFor(clientAddr, true), Remote: netip.AddrPortFrom(serverAddr, 4500), NATT: true},
			PSK:      key, Persona: &as, Policy: policy,
		})
		if err != nil {
			t.Error(err)
		}
	})
	return p
}

// do runs f in the control loop of one of them.
func (pair) do(t *testing.T, d *driver, f func(time.Time)) {
	t.Helper()
	if err := d.e.Work.Do(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

// welcome lets a login in.
func welcome(d *driver, now time.Time, e Authenticate) {
	d.e.Authenticated(now, e.Session, e.ID, ppp.Verdict{OK: true, Local: netip.MustParseAddr("10.0.0.1"), Peer: netip.MustParseAddr("10.0.0.2")})
}

// wantSaid fails the test unless these have happened, in this order, whatever else has.
func (d *driver) wantSaid(t *testing.T, names ...string) {
	t.Helper()
	var rest []string
	pair{}.do(t, d, func(time.Time) { rest = slices.Clone(d.said) })
	all := rest
	for _, name := range names {
		i := slices.Index(rest, name)
		if i < 0 {
			t.Fatalf("%s is missing, or out of order; there were %v, wanted %v", name, all, names)
		}
		rest = rest[i+1:]
	}
}

// TestWhatHappensIsSaidInOrder: who drives an engine hears of a call from its beginning to its
// end, on both sides, and answers a login by a verb; nothing is left afterwards.
func TestWhatHappensIsSaidInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pairUp(t, welcome)
		time.Sleep(10 * time.Second)
		p.server.wantSaid(t, "Secured", "Ready", "Authenticate", "LinkUp")
		p.client.wantSaid(t, "Secured", "Ready", "LinkUp")
		p.do(t, p.client, p.client.e.Goodbye)
		time.Sleep(2 * time.Minute)
		for name, d := range map[string]*driver{"server": p.server, "client": p.client} {
			d.wantSaid(t, "LinkUp", "Ended", "Closed")
			p.do(t, d, func(time.Time) {
				if n := len(d.e.Table.Peers) + len(d.e.Table.Sessions) + d.e.Deadlines.Len(); n != 0 {
					t.Errorf("%s: %d peers, %d sessions, %d deadlines are left", name, len(d.e.Table.Peers), len(d.e.Table.Sessions), d.e.Deadlines.Len())
				}
			})
		}
	})
}

// TestAPanicOfWhoDrivesCostsWhoItServed: what goes wrong while an event is carried out ends its
// peer, is told, and keeps nobody else.
func TestAPanicOfWhoDrivesCostsWhoItServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faulty := true
		p := pairUp(t, func(d *driver, now time.Time, e Authenticate) {
			if faulty {
				faulty = false
				panic("poison")
			}
			welcome(d, now, e)
		})
		told := 0
		p.do(t, p.server, func(time.Time) { p.server.e.Config.Faults = fault.New(func(fault.Report) { told++ }) })
		time.Sleep(time.Minute)
		p.server.wantSaid(t, "Secured", "Authenticate", "Ended", "Closed")
		p.do(t, p.server, func(time.Time) {
			if told != 1 || len(p.server.e.Table.Peers) != 0 {
				t.Errorf("told of %d panics; %d peers are still there", told, len(p.server.e.Table.Peers))
			}
		})
	})
}

// TestLimitsEndASession: how long a session may last holds from when it is open.
func TestLimitsEndASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pairUp(t, func(d *driver, now time.Time, e Authenticate) {
			d.e.Limit(e.Session, Limits{Session: time.Minute})
			welcome(d, now, e)
		})
		time.Sleep(50 * time.Second)
		p.server.wantSaid(t, "LinkUp")
		p.do(t, p.server, func(time.Time) {
			if slices.Contains(p.server.said, "Ended") {
				t.Error("it has ended before its time")
			}
		})
		time.Sleep(30 * time.Second)
		p.server.wantSaid(t, "LinkUp", "Ended")
	})
}

// TestWhoAsksAnEngineThatHasEnded is told so, and does not wait.
func TestWhoAsksAnEngineThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(nil)
		close(w.ended)
		if err := w.Do(context.Background(), func(time.Time) { t.Error("it is done all the same") }); !errors.Is(err, ErrEnded) {
			t.Errorf("%v", err)
		}
		w.Post(func(time.Time) { t.Error("it is done all the same") })
	})
}
