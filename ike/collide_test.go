package ike

import (
	"fmt"
	"testing"
	"time"
)

// TestV1Collisions renews on both sides at once, and again before what that left
// is gone, with many orders of arrival, a third of them with losses and
// repetitions. IKEv1 has no rule for who wins, so whatever either side uses the
// other has: nothing ends, and traffic passes.
func TestV1Collisions(t *testing.T) {
	for name, phases := range map[string][]Phase{"phase 1": {Phase1}, "phase 2": {Phase2}, "both": {Phase1, Phase2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range collisionSeeds(t) {
				collideTwice(t, seed, phases)
			}
		})
	}
}

func collideTwice(t *testing.T, seed uint64, phases []Phase) {
	t.Helper()
	p := newProber(newPair(t, seed, Config{Candidates: psk("acme", "secret", fast())}))
	id := p.dial(dialConfig("secret"))
	p.spread = 60 * time.Millisecond
	lossy := seed%3 == 1
	if lossy {
		p.loss, p.dup = 0.2, 0.3
	}
	for range 2 {
		p.renewAtOnce(id, phases)
		p.ping(time.Duration(1+p.random.IntN(9)) * time.Second)
	}
	p.loss, p.dup = 0, 0
	p.ping(30 * time.Second)
	if len(p.client.closed)+len(p.server.closed) > 0 || !p.client.reaches(p.server) || !p.server.reaches(p.client) {
		t.Fatalf("seed %d: no traffic passes; closed: %v %v", seed, p.client.closed, p.server.closed)
	}
	if !lossy && p.lost > 0 {
		t.Errorf("seed %d: %d of %d packets lost: %v", seed, p.lost, p.sent, p.lostAt[:min(len(p.lostAt), 10)])
	}
	p.wantSettled()
	if !lossy { // a DELETE that was lost leaves an SA until it expires
		p.wantOneOfEach(id, fmt.Sprint("seed ", seed))
	}
	p.closeAll()
}

// renewAtOnce has both sides renew before either has heard of the other's.
func (p *prober) renewAtOnce(id Peer, phases []Phase) {
	for _, phase := range phases {
		_ = p.client.s.Rekey(p.now, id, phase)
	}
	p.run(time.Duration(p.random.IntN(40))*time.Millisecond, nil)
	for peer := range p.server.s.peers {
		for _, phase := range phases {
			_ = p.server.s.Rekey(p.now, peer, phase)
		}
	}
}

// wantOneOfEach has the client renew alone: that comes after all that is there.
func (p *prober) wantOneOfEach(id Peer, what string) {
	p.t.Helper()
	for _, phase := range []Phase{Phase1, Phase2} {
		if err := p.client.s.Rekey(p.now, id, phase); err != nil {
			p.t.Fatal(what, err)
		}
		p.ping(20 * time.Second)
	}
	for _, n := range []*node{p.client, p.server} {
		if st := n.s.Stats(); st.IKEs != 1 || st.Children != 1 || st.Peers != 1 {
			p.t.Errorf("%s: %s: %d IKE SAs, %d children, %d peers", what, n.name, st.IKEs, st.Children, st.Peers)
		}
	}
}

// TestPeerHasARuleOfItsOwn: of what both sides made at once, the other side deletes
// what it likes less, be it what we send on. We go on with what is left, and renew
// that in time.
func TestPeerHasARuleOfItsOwn(t *testing.T) {
	for _, first := range []bool{false, true} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprint("deletes the first ", first, " seed ", seed), func(t *testing.T) {
				p := newProber(newPair(t, seed, Config{Candidates: psk("acme", "secret", fast())}))
				d := dialConfig("secret")
				d.Policy = lifetimes(fast(), 4*time.Minute, 2*time.Minute, true)
				id := p.dial(d)
				p.ping(5 * time.Second)
				for _, phase := range []Phase{Phase1, Phase2} {
					_ = p.client.s.Rekey(p.now, id, phase)
					for peer := range p.server.s.peers {
						_ = p.server.s.Rekey(p.now, peer, phase)
					}
				}
				p.ping(20 * time.Second)
				p.serverDeletes(first)
				p.ping(time.Second)
				if p.client.s.peers[id].current().rekeyAt.IsZero() {
					t.Error("the ISAKMP SA that is left will not be renewed")
				}
				p.ping(7 * time.Minute)
				p.wantNoLoss()
				if len(p.client.closed)+len(p.server.closed) > 0 {
					t.Errorf("closed: %v %v", p.client.closed, p.server.closed)
				}
				p.closeAll()
			})
		}
	}
}

// TestSuccessorGoesFirst: the other side deletes what it has just agreed to. What
// that was to take the place of is kept.
func TestSuccessorGoesFirst(t *testing.T) {
	p := newProber(newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())}))
	id := p.dial(dialConfig("secret"))
	p.ping(5 * time.Second)
	client := p.client.s.peers[id]
	old, oldIKE := client.children[0], client.ikes[0]
	_ = p.client.s.Rekey(p.now, id, Phase1)
	_ = p.client.s.Rekey(p.now, id, Phase2)
	p.ping(2 * time.Second)
	p.serverDeletes(false)
	p.ping(time.Minute)
	p.wantNoLoss()
	if len(client.children) != 1 || client.children[0] != old || client.current() != oldIKE {
		t.Errorf("%d child SAs and %d ISAKMP SAs, not the old ones alone", len(client.children), len(client.ikes))
	}
	p.closeAll()
}

// TestPeerLosesWhatItAgreedTo: the other side answers our quick mode, and then has
// no SA of it, as strongSwan if it has begun to renew phase 1 meanwhile. We see
// that it goes on sending on the old one, do the same, and renew again.
func TestPeerLosesWhatItAgreedTo(t *testing.T) {
	for times := range 3 {
		p := newProber(newPair(t, uint64(times), Config{Candidates: psk("acme", "secret", lifetimes(fast(), time.Hour, time.Minute, true))}))
		d := dialConfig("secret")
		d.Policy = lifetimes(fast(), time.Hour, time.Hour, true)
		id := p.dial(d)
		p.filter = func(from *node, b []byte) bool { // message 3 of a quick mode
			return from != p.server || b[18] != 32 || len(b) > 100
		}
		lost := 0
		for range 240 {
			p.ping(time.Second)
			client := p.client.s.peers[id]
			if client == nil {
				break
			}
			for _, c := range client.children {
				if lost <= times && !c.active {
					c.remove()
					lost++
				}
			}
			if lost > times {
				p.filter = nil
			}
		}
		// From the server to the client, while it finds out.
		if most := (times + 1) * 5 * 10; lost <= times || p.lost > most || len(p.client.closed)+len(p.server.closed) > 0 {
			t.Errorf("%d SAs and %d of %d packets lost: %v; closed: %v %v", lost, p.lost, p.sent, p.lostAt[:min(len(p.lostAt), 10)], p.client.closed, p.server.closed)
		}
		p.wantSettled()
		p.closeAll()
	}
}

// serverDeletes has the server delete one ISAKMP SA and one child SA of two, the
// first or the second ones, and send on what is left.
func (p *prober) serverDeletes(first bool) {
	p.t.Helper()
	for _, peer := range p.server.s.peers {
		if len(peer.ikes) != 2 || len(peer.children) != 2 {
			p.t.Fatalf("%d IKE SAs and %d children, want two of each", len(peer.ikes), len(peer.children))
		}
		n := 1
		if first {
			n = 0
		}
		peer.children[n].tellDeleted()
		peer.children[n].deletedByPeer(p.now)
		peer.ikes[n].tellDeleted()
		peer.ikes[n].drop(p.now, ReasonLocal)
	}
}
