package gateway

import (
	"context"
	"crypto/rand"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/eap"
	"github.com/culvert-vpn/culvert/ppp/auth"
)

// relay gives a client's packets to a server elsewhere, which takes its time.
type relay struct {
	far   *eap.Server
	queue []eap.Event
	delay time.Duration
}

// hop is one answer of the server elsewhere.
type hop []eap.Event

const farPassword, farDelay = "known elsewhere", 300 * time.Millisecond

func newRelay(EAPClient) eap.Authenticator {
	far, err := eap.NewServer(eap.ServerConfig{Rand: rand.Reader, Name: "far", Methods: []eap.Type{eap.TypeMSCHAPv2}})
	if err != nil {
		return nil
	}
	return &relay{far: far, delay: farDelay}
}

func (r *relay) Start()               { r.ask(func() error { r.far.Start(); return nil }) }
func (r *relay) Repeat()              { r.far.Repeat(); r.queue = append(r.queue, r.answer()...) }
func (r *relay) Verified(eap.Verdict) {}
func (r *relay) Close()               {}

func (r *relay) Input(now time.Time, packet []byte) error {
	packet = append([]byte(nil), packet...)
	r.ask(func() error { return r.far.Input(now, packet) })
	return nil
}

// ask is slow: it leaves as a Compute.
func (r *relay) ask(f func() error) {
	r.queue = append(r.queue, eap.Compute{Do: func() any {
		time.Sleep(r.delay)
		if f() != nil {
			r.far.Repeat()
		}
		return r.answer()
	}})
}

// answer has the far server judge by a password that is not in our configuration.
func (r *relay) answer() hop {
	var out hop
	for e, ok := r.far.Next(); ok; e, ok = r.far.Next() {
		v, ask := e.(eap.Verify)
		if !ask {
			out = append(out, e)
			continue
		}
		hash := auth.NTHash(farPassword)
		proof, right := auth.Verify(hash, v.Challenge, v.PeerChallenge, v.NTResponse, v.User)
		r.far.Verified(eap.Verdict{OK: right, Success: proof, MSK: auth.MasterSession(hash, v.NTResponse)})
	}
	return out
}

func (r *relay) Computed(result any) { r.queue = append(r.queue, result.(hop)...) }

func (r *relay) Next() (eap.Event, bool) {
	if len(r.queue) == 0 {
		return nil, false
	}
	e := r.queue[0]
	r.queue = r.queue[1:]
	return e, true
}

// TestEAPRelayed: what a server elsewhere says of a client counts, in PPP and in
// IKEv2, and its key is the one that proves both sides.
func TestEAPRelayed(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, eapConfig+a.server(vpn), func(t *testing.T, w *world) {
		w.stop()
		<-w.ended
		var asked []EAPClient
		w.eap = func(c EAPClient) eap.Authenticator {
			asked = append(asked, c)
			return newRelay(c)
		}
		w.start()
		known := func(d *dialer.DialConfig) { d.User, d.Password, d.AllowEAP = "dora@acme", farPassword, true }
		for _, carrier := range []func(*dialer.DialConfig){func(*dialer.DialConfig) {}, a.trusts(vpn)} {
			c := w.client(nil)
			conn := c.mustDial(carrier, known)
			c.wantPing(conn, "198.18.0.2")
			conn.Close(context.Background())
			<-conn.Done()
			w.client(nil).wantRefused(carrier, allowEAP) // alice's password of the configuration
			if who := asked[len(asked)-1]; len(who.Tenants) != 1 || who.Tenants[0] != "acme" || !who.Client.IsValid() || who.Family == "" {
				t.Errorf("asked for %+v", who)
			}
		}
		w.wantLog("session-up", "user", "dora")
		w.wantRefusal("EAP failed", "")
		time.Sleep(3 * time.Minute)
		w.wantEmpty()
	})
}

// TestWaitingHoldsUpNobody: logins that wait for a server elsewhere, more of them than the
// machine has processors, keep nobody else from exchanging keys and logging in.
func TestWaitingHoldsUpNobody(t *testing.T) {
	a := newAuthority(t, "a")
	inWorld(t, goodRoad, eapConfig+a.server(vpn), func(t *testing.T, w *world) {
		w.stop()
		<-w.ended
		waiting, asked := 3*runtime.GOMAXPROCS(0), 0
		w.eap = func(c EAPClient) eap.Authenticator {
			if asked++; asked > waiting {
				return nil // served here
			}
			r := newRelay(c).(*relay)
			r.delay = 20 * time.Second
			return r
		}
		w.start()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var dials sync.WaitGroup
		for range waiting {
			c := w.client(nil)
			dials.Go(func() {
				_, _ = c.dial(ctx, func(d *dialer.DialConfig) { d.User, d.Password, d.AllowEAP = "dora@acme", farPassword, true })
			})
		}
		time.Sleep(5 * time.Second)
		began := time.Now()
		c := w.client(nil)
		conn := c.mustDial(allowEAP)
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("a login beside %d that wait took %v", waiting, d)
		}
		c.wantPing(conn, "198.18.0.2")
		conn.Close(context.Background())
		<-conn.Done()
		dials.Wait()
	})
}
