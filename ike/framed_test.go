package ike

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestNobodyIsLockedOutInHisName: somebody who cannot receive what goes to a client's
// address has first messages of both versions come from there, twice as many as one source
// may begin, and goes on with it. The client is in with its first dial, by both versions.
func TestNobodyIsLockedOutInHisName(t *testing.T) {
	for name, c := range map[string]DialConfig{"IKEv1": dialConfig("secret"), "IKEv2": dialV2("secret")} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
			victim := c.Path.Local.Addr()
			init2 := stranger2(t, p.server, 0, victim, p.now).hello()
			k := 0
			forge := func(times int) {
				for range times {
					k++
					from := netip.AddrPortFrom(victim, uint16(10000+k%20000))
					first := message1(t, k)
					if k%2 == 0 {
						first = bytes.Clone(init2)
						copy(first, fmt.Sprintf("%08d", k))
					}
					_ = p.server.s.Input(p.now, Path{Local: serverIKE, Remote: from}, first)
					p.drain(p.server)
				}
			}
			forge(1024)
			last := p.now
			p.filter = func(*node, []byte) bool {
				if p.now.Sub(last) >= 100*time.Millisecond {
					last = p.now
					forge(5)
				}
				return true
			}
			p.dial(c)
			if len(p.usable()) != 1 || p.now.Sub(start) > 5*time.Second {
				t.Fatalf("after %v not up: %v, %v", p.now.Sub(start), p.client.closed, p.server.failed)
			}
		})
	}
}

// TestAggressiveIsSharedOut: one source, or its network, that begins as many aggressive
// modes as it can, or sends nothing but rubbish, leaves room for others.
func TestAggressiveIsSharedOut(t *testing.T) {
	first := aggressive1(t, 1)
	for name, flood := range map[string]func(k int) (netip.AddrPort, []byte){
		"one source": func(int) (netip.AddrPort, []byte) { return addrPort("198.51.100.1:500"), bytes.Clone(first) },
		"a network": func(k int) (netip.AddrPort, []byte) {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(k)}), 500), bytes.Clone(first)
		},
		"rubbish": func(k int) (netip.AddrPort, []byte) {
			b := bytes.Clone(first[:40])
			b[26], b[27] = 0, 40
			return netipPath(k).Remote, b
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "s", Config{Candidates: only(Candidate{Tenant: "acme", PSK: []byte("secret"), Groups: []string{"sales"}})})
			for k := range 3000 {
				now := start.Add(time.Duration(k) * time.Millisecond)
				n.s.Advance(now)
				from, b := flood(k)
				copy(b, fmt.Sprintf("%08d", k))
				_ = n.s.Input(now, Path{Local: serverIKE, Remote: from}, b)
				n.settleComputations(now)
				if k%500 != 499 {
					continue
				}
				b = bytes.Clone(first)
				copy(b, fmt.Sprintf("client%02d", k/500))
				if err := n.s.Input(now, pathFrom("192.0.2.1:500"), b); err != nil {
					t.Errorf("after %v: %v", now.Sub(start), err)
				}
				n.settleComputations(now)
			}
		})
	}
}

// settleComputations brings back what is computed, and throws the other events away.
func (n *node) settleComputations(now time.Time) {
	for {
		e, ok := n.s.Next()
		if !ok {
			return
		}
		if c, ok := e.(Compute); ok {
			n.s.Computed(now, c.ID, nil)
		}
	}
}
