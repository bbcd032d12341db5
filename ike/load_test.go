package ike

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// many are n tenants at one address, each with a key of its own.
func many(n int) []Candidate {
	list := make([]Candidate, n)
	for k := range list {
		list[k] = Candidate{Tenant: fmt.Sprint(k), PSK: fmt.Append(nil, "key of tenant ", k), Policy: fast()}
	}
	return list
}

func lookUp(list []Candidate) func(_, _ netip.Addr) []Candidate {
	return func(_, _ netip.Addr) []Candidate { return list }
}

// TestManyTenants: however many keys there are before a client's own, it gets in with
// the first dial, by both versions.
func TestManyTenants(t *testing.T) {
	list := many(5000)
	own := "key of tenant 4999"
	for name, c := range map[string]DialConfig{"IKEv1": dialConfig(own), "IKEv2": dialV2(own)} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, 1, Config{V2: true, Candidates: lookUp(list)})
			p.dial(c)
			if len(p.usable()) != 1 {
				t.Fatalf("not up: %+v, %+v", p.client.closed, p.server.failed)
			}
			if len(p.server.failed) != 0 {
				t.Errorf("not at once: %+v", p.server.failed)
			}
			for _, up := range p.server.up {
				if up.Tenant != "4999" {
					t.Errorf("it is %s", up.Tenant)
				}
			}
			p.closeAll()
		})
	}
}

// TestManyTenantsByCertificate: the same with a certificate that only the last takes.
func TestManyTenantsByCertificate(t *testing.T) {
	ca := newAuthority(t, "ca")
	server, client := ca.issue(t, "vpn.example.org", x509.ExtKeyUsageServerAuth, 0), ca.issue(t, "alice", x509.ExtKeyUsageClientAuth, 0)
	list := make([]Candidate, 3000)
	for n := range list {
		list[n] = Candidate{Tenant: fmt.Sprint(n), Certificate: server,
			Verify: func(time.Time, []*x509.Certificate, wire.ID2) error { return ErrAuth }}
	}
	list[len(list)-1].Verify = ca.verifier(auth.PurposeClient)
	d := dialV2("")
	d.PSK, d.V2.Verify, d.V2.RemoteIdentity, d.V2.Certificate = nil, ca.verifier(auth.PurposeServer), "vpn.example.org", client
	p := newPair(t, 1, Config{V2: true, Candidates: lookUp(list)})
	p.dial(d)
	if len(p.usable()) != 1 || len(p.server.failed) != 0 {
		t.Fatalf("not up: %+v, %+v", p.client.closed, p.server.failed)
	}
	p.closeAll()
}

// TestFirstMessageOfMany: a first message, which anybody can send, costs as much with
// thousands of tenants as with one.
func TestFirstMessageOfMany(t *testing.T) {
	for name, c := range map[string]DialConfig{"IKEv1": dialConfig("guess"), "IKEv2": dialV2("guess")} {
		var cost [2]float64
		for k, size := range []int{1, 5000} {
			p := newPair(t, 1, Config{V2: true, Candidates: lookUp(many(size)), Limits: Limits{HalfOpenPerSource: 1000}})
			p.filter = func(*node, []byte) bool { return false }
			p.dial(c)
			first, n := p.client.sent[0], 0
			cost[k] = testing.AllocsPerRun(20, func() {
				b := bytes.Clone(first)
				n++
				binary.BigEndian.PutUint64(b, uint64(n))
				if err := p.server.s.Input(start, pathFrom("198.51.100.9:500"), b); err != nil {
					t.Fatal(err)
				}
			})
			p.closeAll()
		}
		if cost[1] > cost[0]+2 {
			t.Errorf("%s: %v allocations with 5000 tenants, %v with one", name, cost[1], cost[0])
		}
	}
}

// TestKnownSourceUnderAttack: strangers use up the trials of everybody, and who was
// here before comes in with the key it had then.
func TestKnownSourceUnderAttack(t *testing.T) {
	list := many(50)
	p := newPair(t, 1, Config{Candidates: lookUp(list), Limits: Limits{Tries: 60}})
	id := p.dial(dialConfig("key of tenant 40"))
	p.client.s.Close(p.now, id, ReasonLocal)
	p.run(time.Second, nil)
	attack := func() {
		for n := range 100 {
			source := netip.AddrFrom4([4]byte{198, 51, 100, byte(n)})
			p.server.s.sources.try(p.now, source, p.server.s.config.Limits, len(list))
		}
	}
	p.filter = func(*node, []byte) bool { attack(); return true }
	again := p.dial(dialConfig("key of tenant 40"))
	if up := p.client.up[again]; up.Peer != again {
		t.Fatalf("not up: %+v, %+v", p.client.closed, p.server.failed)
	}
	p.filter = nil
	p.closeAll()
}

// TestBudget: trials are taken in advance, and paid back if there was no need.
func TestBudget(t *testing.T) {
	s, l := newSources(), Limits{TriesPerSource: 10, Tries: 1000}
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	if !s.try(start, a, l, 25) || s.try(start, a, l, 1) {
		t.Error("more than there are is not a debt")
	}
	if s.tryKnown(start, a, l) {
		t.Error("a known key is free of charge")
	}
	s.giveBack(a, l, 16)
	if !s.try(start, a, l, 1) || s.try(start, a, l, 1) {
		t.Error("after 9 of 10 there is not one left")
	}
	if s.try(start.Add(50*time.Millisecond), a, l, 1) || !s.try(start.Add(100*time.Millisecond), a, l, 1) {
		t.Error("there are not 10 a second")
	}
	if !s.try(start, b, l, 2000) || s.try(start, netip.MustParseAddr("192.0.2.3"), l, 1) {
		t.Error("the total is not bounded")
	}
	if !s.tryKnown(start, netip.MustParseAddr("192.0.2.3"), l) {
		t.Error("a known key depends on the total")
	}
}

// TestV2FirstKeyElsewhere: the key of an answer to IKE_SA_INIT is made elsewhere, once,
// and when as much is under way for strangers as may be by half, a cookie comes first.
func TestV2FirstKeyElsewhere(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil), Limits: Limits{Computations: 4}})
	p.filter = func(*node, []byte) bool { return false }
	p.dial(dialV2("secret"))
	input := func(n int) error {
		b := bytes.Clone(p.client.sent[0])
		binary.BigEndian.PutUint64(b, uint64(n))
		return p.server.s.Input(start, pathFrom("198.51.100.9:500"), b)
	}
	if err := input(1); err != nil {
		t.Fatal(err)
	}
	if err := input(1); !errors.Is(err, ErrDuplicate) {
		t.Errorf("the same again: %v", err)
	}
	e, _ := p.server.s.Next()
	c, ok := e.(Compute)
	if !ok {
		t.Fatalf("%T", e)
	}
	if e, more := p.server.s.Next(); more {
		t.Fatalf("and %T", e)
	}
	p.server.s.Computed(start, c.ID, c.Do())
	if sends, _ := drainAll(p.server); sends != 1 {
		t.Errorf("%d answers", sends)
	}
	for n := 2; n < 4; n++ {
		if err := input(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := input(4); !errors.Is(err, ErrCookie) {
		t.Errorf("two are under way: %v", err)
	}
	if have := p.server.s.Stats().HalfOpen; have != 3 {
		t.Errorf("%d half open", have)
	}
	p.server.s.Advance(start.Add(time.Hour))
	drainAll(p.server)
}

// TestNearlyInUnderLoad: strangers who have all the computations that they may have do
// not keep out who has come to the last message of main mode, and leave room for who
// has come to the second of IKEv2.
func TestNearlyInUnderLoad(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	p.filter = func(from *node, b []byte) bool {
		if h, _, _ := wire.ConsumeHeader(b); from == p.client && h.Exchange == wire.ExchangeMain && h.Flags&wire.FlagEncryption != 0 {
			p.server.s.strangers = p.server.s.config.Limits.Computations
		}
		return true
	}
	p.dial(dialConfig("secret"))
	wantOneChild(t, p)
	p.server.s.strangers, p.filter = 0, nil
	p.closeAll()

	p = newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	p.filter = func(from *node, b []byte) bool {
		p.server.s.strangers = 0
		if h, _, _ := wire.ConsumeHeader(b); from == p.client && h.Exchange == wire.ExchangeSAInit {
			p.server.s.strangers = p.server.s.config.Limits.Computations * 3 / 4
		}
		return true
	}
	p.dial(dialV2("secret"))
	if n := p.server.s.Stats(); n.HalfOpen != 0 || len(p.usable()) != 0 {
		t.Errorf("taken all the same: %+v", n)
	}
	if n := len(p.server.failed); n == 0 || p.server.failed[0].Cause != CauseTooMany {
		t.Errorf("%+v", p.server.failed)
	}
	p.server.s.strangers, p.filter = 0, nil
	p.closeAll()
}
