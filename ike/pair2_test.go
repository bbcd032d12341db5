package ike

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// dialV2 is a dial by IKEv2 with a pre-shared key.
func dialV2(key string) DialConfig {
	c := dialConfig(key)
	c.IKE = nil
	c.V2 = &DialV2{Configure: true}
	return c
}

// wantOneChild fails unless exactly one usable child SA is there.
func wantOneChild(t *testing.T, p *pair) SPI {
	t.Helper()
	list := p.usable()
	if len(list) != 1 || len(p.client.children) != 1 || len(p.server.children) != 1 {
		t.Fatalf("usable %d, client %d, server %d child SAs; client %v %v, server %v %v", len(list), len(p.client.children), len(p.server.children),
			p.client.failed, p.client.closed, p.server.failed, p.server.closed)
	}
	return list[0]
}

func TestV2WithPSK(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	id := p.dial(dialV2("secret"))
	in := wantOneChild(t, p)
	c := p.client.children[in]
	if c.Transport || len(c.Inner) != 2 || c.Inner[0] != netip.MustParseAddr("10.9.0.2") {
		t.Fatalf("child SA of the client: %+v", c)
	}
	s := p.server.children[c.Out]
	if len(s.RemoteTraffic) != 2 || s.RemoteTraffic[0].From != c.Inner[0] || s.RemoteTraffic[0].To != c.Inner[0] {
		t.Fatalf("the server lets the client be %v", s.RemoteTraffic)
	}
	if len(p.client.granted) != 1 || len(p.client.granted[0].DNS) != 1 {
		t.Fatalf("granted %v", p.client.granted)
	}
	if up := p.client.up[id]; up.Path.Remote != serverNATT || !up.Path.NATT {
		t.Fatalf("the client did not move to port 4500: %v", up.Path)
	}
	for phase := range Phase(2) {
		if err := p.client.s.Rekey(p.now, id, phase+1); err != nil {
			t.Fatal(err)
		}
		p.run(20*time.Second, nil)
		if now := wantOneChild(t, p); (now == in) != (phase+1 == Phase1) {
			t.Fatalf("phase %d: child SA %08x after %08x", phase+1, now, in)
		} else {
			in = now
		}
	}
	p.closeAll()
}

func TestV2WithPSKOnABadRoad(t *testing.T) {
	stood := 0
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			p := newPair(t, seed, Config{V2: true, Candidates: psk("acme", "secret", &Policy{Rekey: true, ChildLifetime: 20 * time.Second, IKELifetime: 50 * time.Second})})
			p.loss, p.dup, p.spread = 0.15, 0.2, 300*time.Millisecond
			c := dialV2("secret")
			c.Policy = &Policy{ChildLifetime: 21 * time.Second, IKELifetime: 52 * time.Second}
			id := p.dial(c)
			if _, closed := p.client.closed[id]; closed {
				return // the road was too bad
			}
			p.run(3*time.Minute, nil)
			p.loss, p.dup, p.spread = 0, 0, 0
			lost := len(p.client.closed)+len(p.server.closed) > 0
			one := p.run(2*time.Minute, func() bool {
				return len(p.usable()) == 1 && len(p.client.children) == 1 && len(p.server.children) == 1
			})
			if !lost && !one {
				t.Fatalf("%d child SAs: client %v, server %v", len(p.usable()), p.client.failed, p.server.failed)
			}
			if !lost {
				stood++
			}
			p.closeAll()
		})
	}
	if stood < 130 {
		t.Errorf("%d of 150 connections stood", stood)
	}
}
