package ike

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// prober sends ESP over a pair all the time, as a gateway would: each side on the
// SA that it was last told to send on. A packet whose SPI the receiver does not
// know, or a side that has nothing to send on, is a loss.
type prober struct {
	*pair
	sending     map[*node][]SPI // outbound SAs in the order of activation, by inbound SPI
	seen        map[*node]int   // of events
	sent, lost  int
	lostAt      []string
	outstanding []probe
}

type probe struct {
	at  time.Time
	to  *node
	out SPI
}

func newProber(p *pair) *prober {
	return &prober{pair: p, sending: map[*node][]SPI{}, seen: map[*node]int{}}
}

// follow keeps the list of SAs to send on.
func (p *prober) follow(n *node) {
	for _, e := range n.events[p.seen[n]:] {
		switch e := e.(type) {
		case Installed:
			if e.Child.Active {
				p.sending[n] = append(p.sending[n], e.Child.In)
			}
		case Activated:
			p.sending[n] = append(p.sending[n], e.In)
		}
	}
	p.seen[n] = len(n.events)
}

// shoot sends one packet from n.
func (p *prober) shoot(n, to *node) {
	p.follow(n)
	p.sent++
	list := p.sending[n]
	for k := len(list) - 1; k >= 0; k-- {
		if c := n.children[list[k]]; c != nil {
			p.outstanding = append(p.outstanding, probe{at: p.now.Add(10 * time.Millisecond), to: to, out: c.Out})
			return
		}
	}
	p.lose(n.name + " has no SA to send on")
}

func (p *prober) lose(why string) {
	p.lost++
	p.lostAt = append(p.lostAt, fmt.Sprint(p.now.Sub(start), " ", why))
}

func (p *prober) arrive() {
	k := 0
	for _, o := range p.outstanding {
		if o.at.After(p.now) {
			p.outstanding[k] = o
			k++
			continue
		}
		if o.to.children[o.out] == nil {
			p.lose(fmt.Sprintf("%s does not receive on %08x", o.to.name, o.out))
		} else {
			o.to.received[o.out]++
		}
		for id := range o.to.s.peers {
			o.to.s.Alive(p.now, id)
		}
	}
	p.outstanding = p.outstanding[:k]
}

// ping runs for d with a packet each way every 100 ms.
func (p *prober) ping(d time.Duration) {
	for end := p.now.Add(d); p.now.Before(end); {
		p.shoot(p.client, p.server)
		p.shoot(p.server, p.client)
		p.run(20*time.Millisecond, nil)
		p.arrive()
		p.run(80*time.Millisecond, nil)
	}
}

func (p *prober) wantNoLoss() {
	p.t.Helper()
	if p.lost > 0 {
		p.t.Errorf("%d of %d packets lost: %v", p.lost, p.sent, p.lostAt[:min(len(p.lostAt), 10)])
	}
}

func lifetimes(base *Policy, ike, child time.Duration, rekey bool) *Policy {
	base.IKELifetime, base.ChildLifetime, base.Rekey = ike, child, rekey
	return base
}

// TestRekeyLossless renews both phases many times, by the client, by the server,
// and by both at once, while packets run.
func TestRekeyLossless(t *testing.T) {
	const ike, child = 60 * time.Second, 30 * time.Second
	cases := map[string]struct{ client, server *Policy }{
		"client": {lifetimes(fast(), ike, child, true), fast()},
		"server": {lifetimes(fast(), 8*time.Hour, time.Hour, true), lifetimes(fast(), ike, child, true)},
		"both":   {lifetimes(fast(), ike, child, true), lifetimes(fast(), 56*time.Second, 28*time.Second, true)},
	}
	for name, c := range cases {
		for seed := range uint64(20) {
			loss := float64(seed%3) / 10
			t.Run(fmt.Sprint(name, " loss ", loss, " seed ", seed), func(t *testing.T) {
				p := newProber(newPair(t, seed, Config{Candidates: psk("acme", "secret", c.server)}))
				d := dialConfig("secret")
				d.Policy = c.client
				id := p.dial(d)
				p.loss, p.dup, p.spread = loss, loss, time.Duration(loss*float64(time.Second))
				p.ping(4 * time.Minute)
				p.wantNoLoss()
				if r, closed := p.client.closed[id]; closed {
					t.Errorf("closed: %+v", r)
				}
				if n := installs(p.server); n < 8 {
					t.Errorf("only %d child SAs in 4 minutes", n)
				}
				p.wantSettled()
				p.loss, p.dup, p.spread = 0, 0, 0
				p.closeAll()
			})
		}
	}
}

func installs(n *node) int {
	count := 0
	for _, e := range n.events {
		if _, ok := e.(Installed); ok {
			count++
		}
	}
	return count
}

// wantSettled fails if SAs pile up.
func (p *prober) wantSettled() {
	p.t.Helper()
	for _, n := range []*node{p.client, p.server} {
		st := n.s.Stats()
		if st.Peers != 1 || st.IKEs > 4 || st.Children > 4 {
			p.t.Errorf("%s: %d peers, %d IKE SAs, %d children", n.name, st.Peers, st.IKEs, st.Children)
		}
	}
}

// TestSimultaneousRekey starts renewals on both sides in the same instant.
func TestSimultaneousRekey(t *testing.T) {
	for seed := range uint64(50) {
		p := newProber(newPair(t, seed, Config{Candidates: psk("acme", "secret", fast())}))
		id := p.dial(dialConfig("secret"))
		r := rand.New(rand.NewPCG(seed, 1))
		for round := range 4 {
			phase := Phase1 + Phase(round%2)
			if err := p.client.s.Rekey(p.now, id, phase); err != nil {
				t.Fatal(err)
			}
			p.run(time.Duration(r.IntN(40))*time.Millisecond, nil)
			for id := range p.server.s.peers {
				if err := p.server.s.Rekey(p.now, id, phase); err != nil {
					t.Fatal(err)
				}
			}
			p.ping(30 * time.Second)
		}
		p.wantOneOfEach(id, fmt.Sprint("seed ", seed))
		p.wantNoLoss()
		p.closeAll()
	}
}

// TestRenewalsTakeTurns: what is agreed on under a phase 1 that is just being renewed is lost
// with it where the peer has moved its child SAs to the new one by then. A peer that never
// answers the main mode has its keys renewed all the same.
func TestRenewalsTakeTurns(t *testing.T) {
	for _, first := range []Phase{Phase1, Phase2} {
		p := newProber(newPair(t, 7, Config{Candidates: psk("acme", "secret", fast())}))
		p.dial(dialConfig("secret"))
		before := installs(p.server)
		for id, peer := range p.server.s.peers {
			for _, phase := range []Phase{first, Phase1 + Phase2 - first} {
				if err := p.server.s.Rekey(p.now, id, phase); err != nil {
					t.Fatal(err)
				}
			}
			if main, quick := peer.mainUnderWay(), peer.quicks.ours; main == (quick > 0) {
				t.Errorf("phase %d first: main mode under way: %v, %d quick modes", first, main, quick)
			}
			old := peer.current()
			p.ping(5 * time.Second)
			if peer.current() == old || installs(p.server) != before+1 {
				t.Errorf("phase %d first: phase 1 renewed: %v, %d child SAs more", first, peer.current() != old, installs(p.server)-before)
			}
		}
		p.wantNoLoss()
		p.closeAll()
	}
	p := newProber(newPair(t, 8, Config{Candidates: psk("acme", "secret", fast())}))
	p.dial(dialConfig("secret"))
	for id, peer := range p.server.s.peers {
		if err := p.server.s.Rekey(p.now, id, Phase1); err != nil {
			t.Fatal(err)
		}
		p.filter = func(*node, []byte) bool { return false }
		if err := p.server.s.Rekey(p.now, id, Phase2); err != nil {
			t.Fatal(err)
		}
		p.run(turnTime+turnLook, nil)
		if peer.quicks.ours != 1 {
			t.Errorf("after %v no quick mode is under way", turnTime+turnLook)
		}
	}
}

// TestLifeBeginsWhenItWasMade: the other side counts the life of a child SA from when it was
// agreed on, so it is renewed before that is over, however late we have begun to send on it.
func TestLifeBeginsWhenItWasMade(t *testing.T) {
	p := newProber(newPair(t, 9, Config{Candidates: psk("acme", "secret", lifetimes(fast(), 8*time.Hour, 16*time.Second, true))}))
	p.dial(dialConfig("secret"))
	for id, peer := range p.server.s.peers {
		if err := p.server.s.Rekey(p.now, id, Phase2); err != nil {
			t.Fatal(err)
		}
		p.ping(3 * time.Second)
		c := peer.newest()
		if c == nil || !c.initiator || !c.active {
			t.Fatal("no child SA of the server's is in use")
		}
		if after := c.renewAt.Sub(c.made); after > c.life*96/100 {
			t.Errorf("renewed after %v of %v", after, c.life)
		}
	}
	p.closeAll()
}

// TestChildOutlivesIKE deletes the ISAKMP SA alone, as some servers do.
func TestChildOutlivesIKE(t *testing.T) {
	p := newProber(newPair(t, 12, Config{Candidates: psk("acme", "secret", fast())}))
	id := p.dial(dialConfig("secret"))
	for _, peer := range p.server.s.peers {
		peer.ikes[0].tellDeleted()
		peer.ikes[0].drop(p.now, ReasonLocal)
	}
	p.ping(10 * time.Second)
	p.wantNoLoss()
	if p.client.s.peers[Peer(id)].current() == nil {
		t.Error("the client has not dialled again")
	}
	p.wantSettled()
	p.closeAll()
}

// TestRejoin dials again from the same address without INITIAL_CONTACT: the peer
// stays the same; and with it: the old one goes.
func TestRejoin(t *testing.T) {
	for _, persona := range []string{"windows10", "macos"} {
		t.Run(persona, func(t *testing.T) {
			p := newPair(t, 13, Config{Candidates: psk("acme", "secret", &Policy{})})
			d := dialConfig("secret")
			d.Persona, d.IKE = client(persona), nil
			p.dial(d)
			p.client = newNode(t, "client", Config{Rand: stream("another")})
			d.PSK = []byte("secret")
			p.dial(d)
			if len(p.usable()) == 0 {
				t.Fatal("not up again")
			}
			if want := map[string]int{"windows10": 1, "macos": 2}[persona]; len(p.server.up) != want {
				t.Errorf("%d peers, want %d", len(p.server.up), want)
			}
			if n := p.server.s.Stats().Peers; n != 1 {
				t.Errorf("%d peers left", n)
			}
			if persona == "macos" && len(p.server.children) != 1 {
				t.Errorf("%d child SAs left", len(p.server.children))
			}
			p.closeAll()
		})
	}
}

// TestDPD finds out that the other side is dead, in both directions.
func TestDPD(t *testing.T) {
	for _, dead := range []string{"client", "server"} {
		policy := fast()
		policy.DPD = 10 * time.Second
		p := newPair(t, 14, Config{Candidates: psk("acme", "secret", policy)})
		d := dialConfig("secret")
		d.Policy = &Policy{DPD: 10 * time.Second}
		p.dial(d)
		p.run(2*time.Minute, nil)
		if len(p.client.closed)+len(p.server.closed) != 0 {
			t.Fatal("closed although both live")
		}
		p.filter = func(from *node, _ []byte) bool { return from.name != dead }
		p.run(2*time.Minute, nil)
		for _, n := range []*node{p.client, p.server} {
			if n.name == dead {
				continue
			}
			for _, c := range n.closed {
				if c.Reason != ReasonDead {
					t.Errorf("%s: %+v", n.name, c)
				}
			}
			if len(n.closed) != 1 {
				t.Errorf("%s: not closed", n.name)
			}
		}
		p.filter = nil
		p.closeAll()
	}
}

// TestExpiry lets everything end by itself: a client without DPD that vanished.
func TestExpiry(t *testing.T) {
	p := newPair(t, 15, Config{Candidates: psk("acme", "secret", fast())})
	d := dialConfig("secret")
	d.Policy = &Policy{ChildLifetime: time.Minute, IKELifetime: 2 * time.Minute}
	p.dial(d)
	p.client.s.Close(p.now, 1, ReasonLocal)
	p.filter = func(*node, []byte) bool { return false }
	p.run(10*time.Minute, nil)
	wantEmpty(t, p.client)
	p.fly = nil
	wantEmpty(t, p.server)
}

// TestMessage3Lost checks that message 2 is repeated until message 3 is here, and
// that until then nothing is sent on the new SA.
func TestMessage3Lost(t *testing.T) {
	p := newPair(t, 16, Config{Candidates: psk("acme", "secret", fast())})
	lost := 0
	p.filter = func(from *node, b []byte) bool {
		if from == p.client && b[18] == 32 && len(b) < 100 && lost < 3 {
			lost++
			return false
		}
		return true
	}
	p.dial(dialConfig("secret"))
	if len(p.usable()) != 1 || lost != 3 {
		t.Errorf("%d usable, %d lost", len(p.usable()), lost)
	}
	p.closeAll()
}

// TestMoved follows a client whose NAT gives it another port.
func TestMoved(t *testing.T) {
	p := newPair(t, 17, Config{Candidates: psk("acme", "secret", fast())})
	id := p.dial(dialConfig("secret"))
	moved := addrPort("198.51.100.77:62001")
	p.client.s.peers[id].path.Local = moved
	if err := p.client.s.Rekey(p.now, id, Phase2); err != nil {
		t.Fatal(err)
	}
	p.run(5*time.Second, nil)
	found := false
	for _, e := range p.server.events {
		if m, ok := e.(Moved); ok && m.Path.Remote == moved {
			found = true
		}
	}
	if !found {
		t.Errorf("no Moved: %v", p.server.events)
	}
	p.closeAll()
}

func exchangeOf(b []byte) (exchange byte, id uint32) {
	return b[18], binary.BigEndian.Uint32(b[20:])
}

// TestNewSAIsUsedWhenTheResponderHasIt: strongSwan receives on a new SA no sooner
// than it has worked on message 3 of quick mode. Who started it sends on the old
// one for so long, and keeps that until nothing on the way needs it.
func TestNewSAIsUsedWhenTheResponderHasIt(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", nil)})
	id := p.dial(dialConfig("secret"))
	old := p.server.sending
	for peer := range p.server.up {
		if err := p.server.s.Rekey(p.now, peer, Phase2); err != nil {
			t.Fatal(err)
		}
	}
	if !p.run(5*time.Second, func() bool { return len(p.server.children) == 2 && len(p.client.children) == 2 }) {
		t.Fatalf("peer %d is not renewed", id)
	}
	p.run(activateDelay/2, nil)
	if p.server.sending != old {
		t.Error("the server sends on the new SA at once")
	}
	p.run(activateDelay, nil)
	if p.server.sending == old || p.server.children[old] == nil {
		t.Errorf("the server still sends on the old SA, or receives on it no more: %v", p.server.children[old])
	}
	p.run(childDelay+2*childLinger, nil)
	wantOneChild(t, p)
	p.closeAll()
}
