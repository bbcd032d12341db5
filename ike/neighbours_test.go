package ike

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// talkOfEAP is an answer that names a user, and leads nowhere.
var talkOfEAP = wire.EAP([]byte{2, 1, 0, 6, 1, 'x'})

// TestTalkingComesToAnEnd: who answers each question of EAP within the time that there is
// for it, and never gets anywhere, is let go after minutes, not hours.
func TestTalkingComesToAnEnd(t *testing.T) {
	n := eapServer(t, Limits{})
	r := stranger2(t, n, 1, netip.MustParseAddr("198.51.100.9"), start)
	if !r.beginEAP() || r.ask(wire.ExchangeAuth, talkOfEAP) == nil {
		t.Fatal(n.failed)
	}
	for r.now.Before(start.Add(4 * time.Minute)) { // a person who mistypes his password
		if r.wait(time.Minute); r.ask(wire.ExchangeAuth, talkOfEAP) == nil {
			t.Fatalf("let go after %v", r.now.Sub(start))
		}
	}
	for range 100 {
		if r.wait(time.Minute); len(n.failed) > 0 {
			break
		}
		r.ask(wire.ExchangeAuth, talkOfEAP)
	}
	if took := r.now.Sub(start); took > 10*time.Minute || n.failed[0].Cause != CauseTimeout {
		t.Errorf("let go after %v: %+v", took, n.failed)
	}
}

// TestSlowNeighboursLockNobodyOut: somebody behind a NAT holds all the exchanges that its
// address may have, with a message a minute and a half for each. Others behind it get in
// beside him, by either version; a crowd of them who are all quick do not push each other
// out.
func TestSlowNeighboursLockNobodyOut(t *testing.T) {
	n := eapServer(t, Limits{HalfOpenPerSource: 16})
	from := clientNATT.Addr() // of newPair, too
	var held []*rogue
	now := start
	attack := func() {
		for _, r := range held {
			if r.now = now; n.s.spis[r.r] != nil {
				r.ask(wire.ExchangeAuth, talkOfEAP)
			}
		}
		for n.s.halfOpen.count(netip.PrefixFrom(from, 32)) < 16 {
			r := stranger2(t, n, len(held), from, now)
			if !r.beginEAP() || r.ask(wire.ExchangeAuth, talkOfEAP) == nil {
				t.Fatalf("%+v", n.failed)
			}
			held = append(held, r)
		}
	}
	attack()
	now = now.Add(5 * time.Second)
	late := stranger2(t, n, 1<<20, from, now)
	if late.begin(); late.keys != nil {
		t.Error("one who is quick is pushed out by the next")
	}
	for k := range 5 {
		held[0].now = now
		held[0].wait(85 * time.Second)
		now = held[0].now
		h := stranger2(t, n, 1<<21+k, from, now)
		if h.begin(); h.keys == nil || h.login("secret") == nil || len(n.up) != k+1 {
			t.Fatalf("at +%v not in: %+v", now.Sub(start), n.failed[len(n.failed)-1])
		}
		attack()
	}
	held[0].now = now
	held[0].wait(time.Minute)
	p := newPair(t, 1, Config{})
	p.server, p.now = n, held[0].now
	had := len(n.up)
	if _, err := p.client.s.Dial(p.now, dialConfig("secret")); err != nil {
		t.Fatal(err)
	}
	p.drain(p.client)
	if p.run(2*time.Second, nil); len(n.up) != had+1 {
		t.Errorf("by IKEv1 not in: %+v", n.failed[len(n.failed)-1])
	}
}

// TestRubbishMovesNoLogin: while the keys of an IKE SA are computed, nothing tells who has
// written what comes for it. Rubbish from elsewhere, whose writer has seen the first
// messages, neither takes the login there nor keeps the client from its answer.
func TestRubbishMovesNoLogin(t *testing.T) {
	for _, before := range []bool{true, false} {
		r := mustRogue(t, Config{Candidates: psk("acme", "secret", nil)})
		login := r.sealed(wire.ExchangeAuth, 1, append(r.proof("secret"), wishes(1)...)...)
		rubbish := bytes.Clone(login)
		rubbish[len(rubbish)-1] ^= 1
		elsewhere := Path{Local: serverNATT, Remote: netip.MustParseAddrPort("203.0.113.66:4500"), NATT: true}
		give := func(p Path, msg []byte) {
			if err := r.n.s.Input(r.now, p, msg); err != nil {
				t.Error(err)
			}
		}
		if before {
			give(elsewhere, rubbish)
			give(r.path, login)
		} else {
			give(r.path, login)
			give(elsewhere, rubbish)
		}
		answers := 0
		for {
			e, ok := r.n.s.Next()
			if !ok {
				break
			}
			switch e := e.(type) {
			case Send:
				if answers++; e.Path != r.path {
					t.Errorf("rubbish first %v: %d bytes are sent to %v", before, len(e.Data), e.Path.Remote)
				}
			case Compute:
				r.n.s.Computed(r.now, e.ID, e.Do())
			case Assign:
				r.n.s.Assigned(r.now, e.Peer, r.n.assign(e))
			case Up:
				r.n.take(e)
				if e.Path != r.path {
					t.Errorf("rubbish first %v: the client is up at %v", before, e.Path.Remote)
				}
			}
		}
		if answers != 1 || len(r.n.up) != 1 {
			t.Errorf("rubbish first %v: %d answers, %d up", before, answers, len(r.n.up))
		}
	}
}

// TestOneNetworkHasNotAllComputations: one customer's /48 begins more than can be computed,
// from addresses that are all real, and so does another. Some is left for everybody
// else.
func TestOneNetworkHasNotAllComputations(t *testing.T) {
	n := eapServer(t, Limits{})
	begin := func(k int, from string) (begun bool) {
		r := stranger2(t, n, k, netip.MustParseAddr(from), start)
		had, msg := n.s.strangers, r.hello()
		for range 2 {
			_ = n.s.Input(start, r.path, msg)
			for {
				e, ok := n.s.Next()
				if !ok {
					break
				}
				if s, ok := e.(Send); ok {
					_, chain := r.parse(s.Data)
					if cookie, asked := notifyOf(chain, wire.Notify2Cookie); asked {
						msg = r.hello(cookie)
					}
				} // and what is to be computed takes its time
			}
		}
		return n.s.strangers > had
	}
	for k := range 2000 {
		begin(k, fmt.Sprintf("2001:db8:%x:%x::1", k%2, k/2))
	}
	if have := n.s.strangers; have < n.s.config.Limits.Computations/2 {
		t.Errorf("the two have %d computations", have)
	}
	for k, from := range []string{"192.0.2.1", "2001:db8:2::1", "198.51.100.7"} {
		if !begin(1<<20+k, from) {
			t.Errorf("nothing is left for %s: %d are under way", from, n.s.strangers)
		}
	}
	for id := range n.s.computes {
		n.s.Computed(start, id, ErrFault)
	}
	if n.s.strangers != 0 || len(n.s.computing) != 0 {
		t.Errorf("%d are counted when all are over, in %d networks", n.s.strangers, len(n.s.computing))
	}
}
