package gateway

import (
	"context"
	"crypto/x509"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/tenant"
)

// faultyDevice is a tenant's network in which a packet to poison meets a fault of
// the program: when it is committed, or with others of its batch when they are
// written.
type faultyDevice struct {
	*echoDevice
	flushing bool
}

var poison = netip.MustParseAddr("198.18.0.66")

func (d *faultyDevice) Writer() tenant.Writer { return &faultyWriter{echoWriter{d: d.echoDevice}, d} }

type faultyWriter struct {
	echoWriter
	of *faultyDevice
}

func (w *faultyWriter) Commit(pkt []byte) {
	if netip.AddrFrom4([4]byte(pkt[16:20])) == poison && !w.of.flushing {
		panic("poison")
	}
	w.echoWriter.Commit(pkt)
}

func (w *faultyWriter) Flush() error {
	for _, pkt := range w.pkts {
		if netip.AddrFrom4([4]byte(pkt[16:20])) == poison {
			w.echoWriter.Flush()
			return &tenant.Fault{Sources: []netip.Addr{netip.AddrFrom4([4]byte(pkt[12:16]))}}
		}
	}
	return w.echoWriter.Flush()
}

// inFaultyWorld is inWorld with such a network.
func inFaultyWorld(t *testing.T, flushing bool, f func(t *testing.T, w *world)) {
	inWorld(t, goodRoad, xauthConfig, func(t *testing.T, w *world) {
		w.stop()
		<-w.ended
		w.wrap = func(d *echoDevice) tenant.Device { return &faultyDevice{d, flushing} }
		w.start()
		f(t, w)
	})
}

// TestAPanicCostsItsSession: a packet that meets a fault of the program ends the
// session that it is of, with a reason, and an alarm with the stack; everybody else
// notices nothing, and the client can dial again. By L2TP and in tunnel mode.
func TestAPanicCostsItsSession(t *testing.T) {
	for name, flushing := range map[string]bool{"committed": false, "written": true} {
		for protocol, edit := range map[string]func(*dialer.DialConfig){"l2tp": func(*dialer.DialConfig) {}, "xauth": byXAUTH} {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				inFaultyWorld(t, flushing, func(t *testing.T, w *world) {
					bob := w.client(nil)
					other := bob.mustDial(func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
					c := w.client(nil)
					conn := c.mustDial(edit)
					c.wantPing(conn, "198.18.0.2") // or the control loop carries the packet, as an early one
					c.ping(conn, poison, time.Second)
					select {
					case <-conn.Done():
					case <-time.After(time.Minute):
						t.Fatal("the session goes on")
					}
					w.wantLog("session-down", "reason", engine.FaultReason)
					if !flushing && (w.log.FilterMessage("fault").Len() != 1 || w.server.server.faults.Count() != 1) {
						t.Errorf("%d alarms of %d panics", w.log.FilterMessage("fault").Len(), w.server.server.faults.Count())
					}
					synctest.Wait() // the worker counts when it has told
					if w.server.server.engine.Plane.Drops()[dataplane.DropFault] != 1 {
						t.Errorf("%v", w.server.server.engine.Plane.Drops())
					}
					bob.wantPing(other, "198.18.0.2")
					again := w.client(nil)
					again.wantPing(again.mustDial(edit), "198.18.0.2")
				})
			})
		}
	}
}

// TestAPanicOfTheControlLoop: of a message of a client it costs that client; of what
// nobody sent, or of a job of the pools, nobody anything. Whoever waits for the loop
// is let go.
func TestAPanicOfTheControlLoop(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		bob := w.client(nil)
		other := bob.mustDial(func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
		c := w.client(nil)
		conn := c.mustDial()
		if err := w.server.server.engine.Work.Do(context.Background(), func(time.Time) { panic("nobody's") }); err != nil {
			t.Error(err)
		}
		w.server.server.engine.Work.Do(context.Background(), func(time.Time) {
			w.server.server.engine.Work.Compute(func() { panic("a job's") })
			w.server.server.engine.Work.Later("", func() { panic("another job's") })
			for _, s := range w.server.server.sessions {
				if s.user == "alice" {
					t := s.tenant // of the half, tells is nil: the next question panics
					s.tenant = &tenantState{Name: t.Name, Tenant: t.Tenant, pools: t.pools, device: t.device, port: t.port, sessions: t.sessions, users: t.users}
				}
			}
		})
		c.wantPing(conn, "198.18.0.2")
		c.dev.send(datagram(netip.AddrPortFrom(conn.Local, 68), netip.MustParseAddrPort("10.100.1.1:67"), make([]byte, 300)))
		select {
		case <-conn.Done():
		case <-time.After(time.Minute):
			t.Fatal("the session goes on")
		}
		if n := w.server.server.faults.Count(); n < 4 {
			t.Errorf("%d panics", n)
		}
		bob.wantPing(other, "198.18.0.2")
	})
}

// faultyRevocation is who is asked about certificates, with a fault of the program.
type faultyRevocation struct{}

func (faultyRevocation) Check(time.Time, *x509.Certificate, *x509.Certificate) error { panic("poison") }

// awaited carries a login that nobody has sent.
type awaited struct {
	p       *peer
	answers chan access.Refusal
}

func (a awaited) peer() *peer                                          { return a.p }
func (a awaited) session() *session                                    { return nil }
func (a awaited) holds(*logins, *attempt) bool                         { return true }
func (a awaited) refused(*logins, time.Time, *attempt, access.Refusal) {}
func (a awaited) judged(_ *logins, _ time.Time, _ *attempt, j access.Judgement) {
	a.answers <- j.Refusal
}

// TestWhatAPanicInterruptsIsGivenBack: a computation, or a look at a password, that meets a
// fault of the program is counted against nobody any more, and its login is refused or given
// up in time.
func TestWhatAPanicInterruptsIsGivenBack(t *testing.T) {
	a := newAuthority(t, "a")
	trusts, alice, lines := a.trusts(vpn), with(a.client("alice")), a.server(vpn)
	inWorld(t, goodRoad, testConfig+lines, func(t *testing.T, w *world) {
		trust := w.server.server.tenants[0].trust
		right := trust.now.Load()
		wrong := *right
		wrong.CRLs, wrong.Revocation = nil, faultyRevocation{}
		trust.now.Store(&wrong)
		for range 3 {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			if _, err := w.client(nil).dial(ctx, trusts, alice); err == nil {
				t.Error("a certificate opens that nobody could look at")
			}
			cancel()
		}
		trust.now.Store(right)
		if n := w.log.FilterMessage("fault").Len(); n != 3 {
			t.Errorf("%d faults are told", n)
		}
		w.within(w.server.server.engine, func(time.Time) {
			if n := w.server.server.engine.IKE.Stats().Computations; n != 0 {
				t.Errorf("%d computations are under way for ever", n)
			}
		})
		answers := make(chan access.Refusal, 20)
		for n := range cap(answers) {
			w.within(w.server.server.engine, func(now time.Time) {
				a := &attempt{carrier: awaited{p: &peer{Peer: &engine.Peer{Path: ike.Path{Remote: netip.MustParseAddrPort("192.0.2.200:4500")}}}, answers: answers}}
				proof := access.Proof(access.Shown{})
				if n < cap(answers)-1 {
					proof = nil // which nobody can look at
				}
				a.proves(now, user(w.server.server.tenants[0], "carol"), proof, a.carrier.(awaited))
				w.server.logins.judge(now, a)
			})
			time.Sleep(time.Second)
		}
		if len(answers) != cap(answers) {
			t.Fatalf("%d of %d logins have an answer", len(answers), cap(answers))
		}
		for n := range cap(answers) {
			if why := <-answers; (why == access.None) != (n == cap(answers)-1) {
				t.Errorf("login %d: %v", n, why)
			}
		}
	})
}
