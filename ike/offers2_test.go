package ike

import (
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// TestV2DefaultOfferIsTakenByEveryServer: what `culvert connect --ikev2` offers without
// being told stands with servers that have ML-KEM, that have none, and that want another
// group than the first; both sides renew it; and its first message fits into a datagram.
func TestV2DefaultOfferIsTakenByEveryServer(t *testing.T) {
	for _, x := range []struct {
		name, want string
		change     func(p *suite.IKE2Policy)
	}{
		{"with ML-KEM", "aes256gcm16-prfsha256-curve25519-mlkem768", func(*suite.IKE2Policy) {}},
		{"without", "aes256gcm16-prfsha256-curve25519", func(p *suite.IKE2Policy) { p.Additional = nil }},
		{"without, and with MODP2048 only", "aes256gcm16-prfsha256-modp2048", func(p *suite.IKE2Policy) {
			p.Additional, p.Groups = nil, []suite.Group{suite.GroupMODP2048}
		}},
		{"with ML-KEM, and with MODP2048 only", "aes256gcm16-prfsha256-modp2048-mlkem768", func(p *suite.IKE2Policy) {
			p.Groups = []suite.Group{suite.GroupMODP2048}
		}},
		{"CBC only", "aes256-sha256-modp2048", func(p *suite.IKE2Policy) {
			p.Additional, p.Groups = nil, []suite.Group{suite.GroupMODP2048}
			p.Ciphers = []suite.Cipher{{Encryption: suite.EncAESCBC, KeyBits: 256}}
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			policy := &Policy{IKE2: new(suite.IKE2Policy)}
			*policy.IKE2 = suite.DefaultIKE2(false)
			x.change(policy.IKE2)
			p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", policy)})
			largest := 0
			p.filter = func(from *node, data []byte) bool {
				if h, _, err := wire.ConsumeHeader(data); err == nil && h.Exchange == wire.ExchangeSAInit && from == p.client {
					largest = max(largest, len(data))
				}
				return true
			}
			id := p.dial(dialV2("secret"))
			wantOneChild(t, p)
			if got := p.client.s.sessions[id].machine.Suite(); got != x.want {
				t.Errorf("the IKE SA has %s, not %s", got, x.want)
			}
			if largest == 0 || largest > 1200 {
				t.Errorf("IKE_SA_INIT has %d bytes", largest)
			}
			for _, n := range []*node{p.client, p.server} {
				for peer := range n.up {
					for phase := range Phase(2) {
						if err := n.s.Rekey(p.now, peer, phase+1); err != nil {
							t.Fatal(err)
						}
						p.run(20*time.Second, nil)
						wantOneChild(t, p)
					}
				}
			}
			if len(p.client.failed)+len(p.server.failed) > 0 {
				t.Errorf("client %v, server %v", p.client.failed, p.server.failed)
			}
			p.closeAll()
		})
	}
}
