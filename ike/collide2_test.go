package ike

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// act is something that one side does in a collision.
type act struct {
	name string
	do   func(p *pair, n *node, id Peer)
}

func acts() []act {
	rekey := func(phase Phase) func(*pair, *node, Peer) {
		return func(p *pair, n *node, id Peer) { _ = n.s.Rekey(p.now, id, phase) }
	}
	child := func(p *pair, n *node) *session2 {
		for _, s := range n.s.sessions {
			return s
		}
		return nil
	}
	return []act{
		{"rekeys the child SA", rekey(Phase2)},
		{"rekeys the IKE SA", rekey(Phase1)},
		{"rekeys both", func(p *pair, n *node, id Peer) {
			rekey(Phase1)(p, n, id)
			rekey(Phase2)(p, n, id)
		}},
		{"rekeys both, the child SA first", func(p *pair, n *node, id Peer) {
			rekey(Phase2)(p, n, id)
			rekey(Phase1)(p, n, id)
		}},
		{"asks whether the other lives", func(p *pair, n *node, id Peer) {
			s := child(p, n)
			s.machine.Ask(p.now)
			s.arm()
		}},
	}
}

// collisionSeeds is how many orders of arrival each collision is tried with, a
// thousand where CULVERT_COLLISIONS says so: CI does.
func collisionSeeds(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(cmp.Or(os.Getenv("CULVERT_COLLISIONS"), "20"), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// renewals are the ways in which the SAs of a connection are renewed: with one key
// exchange or none, and with ML-KEM-768 in IKE_FOLLOWUP_KE exchanges on top.
func renewals(t *testing.T) map[string]func(*DialConfig) {
	t.Helper()
	one, err := suite.ParseIKE2Suite("aes256gcm16-prfsha256-curve25519")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]func(*DialConfig){
		"one key exchange": func(c *DialConfig) { c.V2.IKE = []suite.IKE2Suite{one} },
		"ML-KEM-768":       func(c *DialConfig) { c.PFS = true },
	}
}

// TestV2Collisions runs every pair of acts at once on both sides, with many
// orders of arrival, a third of them with losses and repetitions: RFC 7296,
// sections 2.8.1, 2.8.2 and 2.25. What is left is one IKE SA and one child SA over
// which traffic passes, at every moment.
func TestV2Collisions(t *testing.T) {
	for with, edit := range renewals(t) {
		for _, a := range acts() {
			for _, b := range acts() {
				t.Run(with+"/"+a.name+" while the other "+b.name, func(t *testing.T) {
					t.Parallel()
					for seed := range collisionSeeds(t) {
						collide(t, seed, a, b, edit)
					}
				})
			}
		}
	}
}

func collide(t *testing.T, seed uint64, a, b act, edit func(*DialConfig)) {
	t.Helper()
	p := newPair(t, seed, Config{V2: true, Candidates: psk("acme", "secret", nil), Retransmit: Retransmit{Tries: 12}})
	p.client.s.config.Retransmit.Tries = 12
	c := dialV2("secret")
	edit(&c)
	id := p.dial(c)
	wantOneChild(t, p)
	var peer Peer
	for n := range p.server.up {
		peer = n
	}
	p.spread = 60 * time.Millisecond
	if seed%3 == 1 {
		p.loss, p.dup = 0.2, 0.3
	}
	a.do(p, p.client, id)
	p.run(time.Duration(p.random.Int64N(int64(50*time.Millisecond))), nil)
	b.do(p, p.server, peer)
	gap := 0
	p.run(4*time.Minute, func() bool {
		if len(p.client.closed) == 0 && !(p.client.reaches(p.server) && p.server.reaches(p.client)) {
			gap++
		}
		return len(p.client.closed) > 0
	})
	if len(p.client.closed)+len(p.server.closed) > 0 {
		t.Fatalf("seed %d: closed: client %v, server %v; failed %v %v", seed, p.client.closed, p.server.closed, p.client.failed, p.server.failed)
	}
	if gap > 0 {
		t.Fatalf("seed %d: no traffic passes for a while", seed)
	}
	if len(p.usable()) != 1 {
		t.Errorf("seed %d", seed)
	}
	wantOneChild(t, p)
	if len(p.client.s.spis) != 1 || len(p.server.s.spis) != 1 {
		t.Fatalf("seed %d: %d and %d IKE SAs", seed, len(p.client.s.spis), len(p.server.s.spis))
	}
	p.loss, p.dup = 0, 0
	p.closeAll()
}

// TestV2DeletesThatCross closes both sides at once, in the middle of renewals.
func TestV2DeletesThatCross(t *testing.T) {
	for _, a := range acts() {
		for seed := range uint64(40) {
			p := newPair(t, seed, Config{V2: true, Candidates: psk("acme", "secret", nil)})
			id := p.dial(dialV2("secret"))
			wantOneChild(t, p)
			p.spread = 60 * time.Millisecond
			a.do(p, p.client, id)
			for n := range p.server.up {
				a.do(p, p.server, n)
			}
			p.run(time.Duration(p.random.Int64N(int64(120*time.Millisecond))), nil)
			if seed%2 == 0 {
				p.client.s.Close(p.now, id, ReasonLocal)
			}
			for n := range p.server.up {
				p.server.s.Close(p.now, n, ReasonLocal)
			}
			p.run(2*time.Minute, nil)
			if len(p.client.closed) != 1 || len(p.server.closed) != 1 {
				t.Fatalf("%s, seed %d: client %v, server %v", a.name, seed, p.client.closed, p.server.closed)
			}
			wantEmpty(t, p.client)
			wantEmpty(t, p.server)
		}
	}
}

// TestV2WindowOfOne: what comes again is answered again, without being done again,
// and what is outside the window is dropped (RFC 7296, sections 2.1 to 2.3).
func TestV2WindowOfOne(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	var requests [][]byte
	p.filter = func(from *node, data []byte) bool {
		if from == p.client {
			requests = append(requests, bytes.Clone(data))
		}
		return true
	}
	id := p.dial(dialV2("secret"))
	for range 3 {
		_ = p.client.s.Rekey(p.now, id, Phase2)
		p.run(10*time.Second, nil)
	}
	wantOneChild(t, p)
	children, events := len(p.server.children), len(p.server.events)
	path := Path{Local: serverNATT, Remote: clientNATT, NATT: true}
	for n, r := range requests[1:] {
		sent := len(p.server.sent)
		err := p.server.s.Input(p.now, path, bytes.Clone(r))
		p.drain(p.server)
		if err == nil {
			t.Fatalf("request %d is taken again", n)
		}
		if last := n == len(requests)-2; last != (len(p.server.sent) > sent) && n > 3 {
			t.Fatalf("request %d: answered again: %v", n, !last)
		}
	}
	if len(p.server.children) != children || len(p.server.events) != events {
		t.Fatal("a repetition had an effect")
	}
	p.closeAll()
}

func TestV2ForgeriesAreDropped(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	p.filter = func(from *node, data []byte) bool {
		if h, _, err := wire.ConsumeHeader(data); err != nil || h.Exchange == wire.ExchangeSAInit {
			return true
		}
		forged := bytes.Clone(data)
		forged[len(forged)-1] ^= 1
		to := p.server
		if from == p.server {
			to = p.client
		}
		if err := to.s.Input(p.now, Path{Local: serverNATT, Remote: clientNATT, NATT: true}, forged); err == nil && len(to.up) > 0 {
			t.Error("a forgery is taken")
		}
		return true
	}
	id := p.dial(dialV2("secret"))
	wantOneChild(t, p)
	_ = p.client.s.Rekey(p.now, id, Phase1)
	p.run(10*time.Second, nil)
	wantOneChild(t, p)
	p.filter = nil
	p.closeAll()
}

// TestV2EveryTruncation cuts every message of a login at every length.
func TestV2EveryTruncation(t *testing.T) {
	p, c := eapPair(t, 1, 300)
	p.filter = func(from *node, data []byte) bool {
		to := p.server
		if from == p.server {
			to = p.client
		}
		for n := 0; n < len(data); n += 7 {
			if to.s.Input(p.now, Path{Local: serverIKE, Remote: clientIKE}, bytes.Clone(data[:n])) == nil {
				t.Fatalf("%d of %d bytes are taken", n, len(data))
			}
		}
		return true
	}
	p.dial(c)
	wantOneChild(t, p)
	p.filter = nil
	p.closeAll()
}

// FuzzV2 gives a server well-formed messages, and not so well formed ones, in any
// order: whatever comes, nobody gets a child SA without having proved who it is.
func FuzzV2(f *testing.F) {
	for n := range 8 {
		f.Add(uint64(n), []byte{byte(n), 1, 2, 3, 250, 7, 9, 11, 13, 200, 100})
	}
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		if len(script) > 200 {
			return
		}
		key := "secret"
		if seed%2 == 1 {
			key = "wrong"
		}
		p := newPair(t, seed, Config{V2: true, Candidates: psk("acme", "secret", &Policy{Rekey: true, ChildLifetime: 30 * time.Second})})
		id, err := p.client.s.Dial(p.now, dialV2(key))
		if err != nil {
			t.Fatal(err)
		}
		var kept []packet
		p.filter = func(from *node, data []byte) bool {
			to := p.server
			if from == p.server {
				to = p.client
			}
			kept = append(kept, packet{to: to, data: bytes.Clone(data), path: Path{Local: serverNATT, Remote: clientNATT, NATT: true}})
			return true
		}
		for _, op := range script {
			p.fuzzStep(id, op, kept)
		}
		p.run(time.Minute, nil)
		if key == "wrong" && (len(p.server.up) > 0 || len(p.server.children) > 0 || len(p.client.children) > 0) {
			t.Fatal("a child SA without authentication")
		}
		p.filter = nil
		p.closeAll()
	})
}

// fuzzStep does one thing of a script.
func (p *pair) fuzzStep(id Peer, op byte, kept []packet) {
	nodes := []*node{p.client, p.server}
	n := nodes[op&1]
	switch op >> 1 & 7 {
	case 0, 1:
		p.run(time.Duration(op)*time.Millisecond, nil)
	case 2:
		for peer := range n.s.sessions {
			_ = n.s.Rekey(p.now, peer, Phase(1+op>>4&1))
		}
	case 3:
		if len(kept) > 0 {
			k := kept[int(op)%len(kept)]
			_ = k.to.s.Input(p.now, k.path, bytes.Clone(k.data))
		}
	case 4:
		if len(kept) > 0 {
			k := kept[int(op)%len(kept)]
			b := bytes.Clone(k.data)
			b[int(op)*7%len(b)] ^= op | 1
			_ = k.to.s.Input(p.now, k.path, b)
		}
	case 5:
		for peer := range n.s.sessions {
			n.s.Alive(p.now, peer)
			n.s.EAPReply(p.now, peer, EAPReply{Packet: []byte{3, 1, 0, 4}, Done: true, OK: true})
			n.s.Assigned(p.now, peer, Assignment{OK: true})
		}
	case 6:
		p.run(time.Duration(op)*100*time.Millisecond, nil)
	case 7:
		if op > 240 {
			n.s.Close(p.now, id, ReasonLocal)
		}
	}
	p.drain(p.client)
	p.drain(p.server)
}

func TestV2ManyAtOnce(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	for n := range 200 {
		c := dialV2("secret")
		c.Path.Local, c.NATTPath.Local = addrPort(fmt.Sprintf("192.168.1.10:%d", 10000+n)), addrPort(fmt.Sprintf("192.168.1.10:%d", 20000+n))
		c.Identity = fmt.Sprintf("user%d@example.org", n)
		if _, err := p.client.s.Dial(p.now, c); err != nil {
			t.Fatal(err)
		}
	}
	p.run(10*time.Second, nil)
	if len(p.usable()) != 200 {
		t.Fatalf("%d of 200: %v", len(p.usable()), p.server.failed)
	}
	p.closeAll()
}
