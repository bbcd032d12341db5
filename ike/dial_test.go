package ike

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/persona"
	"github.com/culvert-vpn/culvert/ike/suite"
)

func TestDial(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	id := p.dial(dialConfig("secret"))
	if len(p.usable()) != 1 {
		t.Fatalf("not up: %v %v", p.client.events, p.server.events)
	}
	up := p.client.up[id]
	if !up.Initiator || up.Suite != "aes256-sha256-curve25519" || !up.Path.NATT {
		t.Errorf("client: %+v", up)
	}
	for _, up := range p.server.up {
		if up.Tenant != "acme" || up.Identity != "192.168.1.10" || up.Path.Remote != clientNATT || up.Initiator {
			t.Errorf("server: %+v", up)
		}
	}
	c := p.client.children[p.usable()[0]]
	if !c.Transport || !c.UDPEncap || c.Encryption != uint8(suite.EncAESGCM16) || c.KeyBits != 256 || len(c.KeyIn.Encryption) != 36 {
		t.Errorf("child: %+v", c)
	}
	s := p.server.children[c.Out]
	if s.RemoteOriginal.String() != "192.168.1.10" || s.LocalOriginal.String() != "203.0.113.5" {
		t.Errorf("NAT-OA: %v %v", s.LocalOriginal, s.RemoteOriginal)
	}
	p.closeAll()
}

// TestPersonas dials as every client that we can imitate.
func TestPersonas(t *testing.T) {
	for _, name := range persona.NamesV1() {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, 2, Config{Candidates: psk("acme", "secret", &Policy{Legacy: true})})
			c := dialConfig("secret")
			c.Persona, c.IKE, c.LocalPort = client(name), nil, 51234
			p.dial(c)
			if len(p.usable()) != 1 {
				t.Fatalf("not up: client %v server %v", p.client.events, p.server.events)
			}
			for _, up := range p.server.up {
				t.Log(up.Family, up.Suite)
			}
			p.closeAll()
		})
	}
}

// TestSeeds dials over a bad network.
func TestSeeds(t *testing.T) {
	ups, seeds := 0, uint64(1000)
	if testing.Short() {
		seeds = 100
	}
	for seed := range seeds {
		p := newPair(t, seed, Config{Candidates: psk("acme", "secret", fast())})
		p.loss, p.dup, p.spread = 0.2, 0.2, 1500*time.Millisecond
		c := dialConfig("secret")
		if seed%4 == 1 {
			c.PFS = true
		}
		id := p.dial(c)
		if !p.ended(id) {
			t.Fatalf("seed %d: hangs: %v %v", seed, p.client.events, p.server.events)
		}
		if closed, ok := p.client.closed[id]; ok {
			if closed.Cause == CauseNone {
				t.Fatalf("seed %d: no reason: %+v", seed, closed)
			}
		} else {
			ups++
		}
		p.closeAll()
	}
	t.Logf("%d of %d up", ups, seeds)
	if ups < int(seeds)*9/10 {
		t.Errorf("only %d of %d dials came up", ups, seeds)
	}
}

func TestWrongPSK(t *testing.T) {
	p := newPair(t, 3, Config{Candidates: psk("acme", "secret", fast())})
	id := p.dial(dialConfig("guess"))
	closed := p.client.closed[id]
	if closed.Reason != ReasonFailed || closed.Cause != CauseWrongPSK {
		t.Errorf("client: %+v", closed)
	}
	if len(p.server.failed) != 1 || p.server.failed[0].Cause != CauseWrongPSK {
		t.Errorf("server: %+v", p.server.failed)
	}
	p.closeAll()
}

func TestNoProposal(t *testing.T) {
	p := newPair(t, 4, Config{Candidates: psk("acme", "secret", nil)})
	c := dialConfig("secret")
	c.IKE = []suite.IKESuite{{Encryption: suite.EncAESCBC, KeyBits: 256, Hash: suite.HashSHA1, Group: suite.GroupMODP1024}}
	id := p.dial(c)
	if closed := p.client.closed[id]; closed.Cause != CauseNoProposal {
		t.Errorf("client: %+v", closed)
	}
	if len(p.server.failed) != 1 || p.server.failed[0].Cause != CauseLegacy {
		t.Errorf("server: %+v", p.server.failed)
	}
	p.closeAll()
}

func TestNoESPProposal(t *testing.T) {
	policy := fast()
	policy.ESP = []suite.ESPSuite{{Encryption: suite.EncAESGCM16, KeyBits: 256}}
	p := newPair(t, 5, Config{Candidates: psk("acme", "secret", policy)})
	c := dialConfig("secret")
	c.ESP = []suite.ESPSuite{{Encryption: suite.EncAESCBC, KeyBits: 128, Integrity: suite.IntegSHA1}}
	id := p.dial(c)
	if closed := p.client.closed[id]; closed.Cause != CauseNoESPProposal {
		t.Errorf("client: %+v", closed)
	}
	if len(p.server.failed) != 1 || p.server.failed[0].Tenant != "acme" {
		t.Errorf("server: %+v", p.server.failed)
	}
	p.closeAll()
}

func TestSelectorsRefused(t *testing.T) {
	p := newPair(t, 6, Config{Candidates: psk("acme", "secret", fast())})
	c := dialConfig("secret")
	c.Remote = Selector{Proto: 6, Port: 22}
	id := p.dial(c)
	if closed := p.client.closed[id]; closed.Cause != CauseSelectors {
		t.Errorf("client: %+v", closed)
	}
	p.closeAll()
}

func TestNobodyAnswers(t *testing.T) {
	p := newPair(t, 7, Config{})
	p.filter = func(*node, []byte) bool { return false }
	id := p.dial(dialConfig("secret"))
	if closed := p.client.closed[id]; closed.Cause != CauseTimeout || closed.Cause.Hint() == "" {
		t.Errorf("%+v", closed)
	}
	p.closeAll()
}

// TestTenants finds the tenant among many by its key alone, and the second time
// at the first try.
func TestTenants(t *testing.T) {
	var list []Candidate
	for n := range 100 {
		list = append(list, Candidate{Tenant: fmt.Sprint("t", n), PSK: fmt.Append(nil, "key", n), Policy: fast()})
	}
	p := newPair(t, 8, Config{Candidates: func(_, _ netip.Addr) []Candidate { return list }})
	for range 2 {
		id := p.dial(dialConfig("key77"))
		if len(p.usable()) != 1 {
			t.Fatalf("not up: %v", p.server.events)
		}
		for _, up := range p.server.up {
			if up.Tenant != "t77" {
				t.Errorf("tenant %q", up.Tenant)
			}
		}
		p.client.s.Close(p.now, id, ReasonLocal)
		p.run(time.Minute, nil)
		delete(p.client.closed, id)
	}
	if w, _ := p.server.s.winners.Get(clientNATT.Addr()); w.tenant != "t77" {
		t.Errorf("winner %q", w.tenant)
	}
	p.closeAll()
}
