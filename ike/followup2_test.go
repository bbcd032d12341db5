package ike

import (
	"slices"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// countExchanges counts the messages of each exchange that both sides send from
// now on.
func (p *pair) countExchanges() map[wire.ExchangeType]int {
	seen := map[wire.ExchangeType]int{}
	p.filter = func(_ *node, data []byte) bool {
		if h, _, err := wire.ConsumeHeader(data); err == nil && h.Next == wire.PayloadSK {
			seen[h.Exchange]++
		}
		return true
	}
	return seen
}

// TestV2FollowupKeyExchanges: SAs are renewed by either side with as many key
// exchanges as the first one had (RFC 9370, section 2.2.4).
func TestV2FollowupKeyExchanges(t *testing.T) {
	for name, more := range map[string]int{"curve25519": 0, "curve25519-mlkem768": 1, "ecp384-mlkem1024-mlkem768": 2, "ecp256-mlkem768-ecp384-mlkem1024": 3} {
		t.Run(name, func(t *testing.T) {
			ikeSuite, err := suite.ParseIKE2Suite("aes256gcm16-prfsha384-" + name)
			if err != nil {
				t.Fatal(err)
			}
			espSuite, err := suite.ParseESP2("aes256gcm16-" + name)
			if err != nil {
				t.Fatal(err)
			}
			policy := &Policy{IKE2: new(suite.IKE2Policy), ESP2: new(suite.ESP2Policy)}
			*policy.IKE2, *policy.ESP2 = suite.DefaultIKE2(false), suite.DefaultESP2(false)
			policy.IKE2.Additional = append(slices.Clone(policy.IKE2.Additional), suite.GroupECP384)
			policy.ESP2.Additional = policy.IKE2.Additional
			p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", policy), MaxDatagram: 60000})
			p.client.s.config.MaxDatagram = 60000
			c := dialV2("secret")
			c.Policy = policy
			c.V2.IKE, c.V2.ESP = []suite.IKE2Suite{ikeSuite}, []suite.ESP2{espSuite}
			id := p.dial(c)
			in := wantOneChild(t, p)
			for _, n := range []*node{p.client, p.server, p.client} {
				for _, phase := range []Phase{Phase1, Phase2} {
					seen := p.countExchanges()
					for peer := range n.up {
						if err := n.s.Rekey(p.now, peer, phase); err != nil {
							t.Fatal(err)
						}
					}
					p.run(20*time.Second, nil)
					if seen[wire.ExchangeCreateChild] != 2 || seen[wire.ExchangeFollowupKE] != 2*more {
						t.Fatalf("%s, phase %d: %v", n.name, phase, seen)
					}
					if got := p.client.s.sessions[id].machine.Suite(); got != ikeSuite.String() {
						t.Fatalf("the IKE SA has %s", got)
					}
					if now := wantOneChild(t, p); (now == in) != (phase == Phase1) {
						t.Fatalf("child SA %08x after %08x", now, in)
					} else {
						in = now
					}
				}
			}
			p.filter = nil
			p.closeAll()
		})
	}
}

// TestV2FollowupIsOptional: a server without policy for more key exchanges renews
// without, and nothing is lost.
func TestV2FollowupIsOptional(t *testing.T) {
	policy := &Policy{IKE2: new(suite.IKE2Policy), ESP2: new(suite.ESP2Policy)}
	*policy.IKE2, *policy.ESP2 = suite.DefaultIKE2(false), suite.DefaultESP2(false)
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", policy)})
	c := dialV2("secret")
	c.PFS = true
	id := p.dial(c)
	in := wantOneChild(t, p)
	policy.IKE2.Additional, policy.ESP2.Additional = nil, nil
	p.server.s.config.Candidates = nil // the session keeps its own
	for _, phase := range []Phase{Phase2, Phase1} {
		_ = p.client.s.Rekey(p.now, id, phase)
		p.run(20*time.Second, nil)
	}
	if wantOneChild(t, p) == in {
		t.Fatal("not renewed")
	}
	p.closeAll()
}
