package ike

import (
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// pending dials until the server has asked who it is, and nobody answers.
func pending(t *testing.T) (*pair, Peer, *isakmp) {
	p := newXAUTH(t, 1, watched())
	p.server.login = nil
	id, err := p.client.s.Dial(p.now, dialXAUTH("alice's"))
	if err != nil {
		t.Fatal(err)
	}
	p.run(5*time.Second, nil)
	i := p.client.s.peers[id].ikes[0]
	if i.state != extending {
		t.Fatalf("state %v", i.state)
	}
	return p, id, i
}

// TestNoPhase2BeforeLogin: whoever has the key of the group and does not say who
// he is gets neither an address nor a child SA.
func TestNoPhase2BeforeLogin(t *testing.T) {
	p, id, i := pending(t)
	i.setState(standing)
	i.requestConfig(p.now)
	peer := p.client.s.peers[id]
	peer.assignment = &Assignment{IPv4: aliceAddr}
	peer.dial.networks = []netip.Prefix{netA}
	peer.features = i.sa.Features
	peer.path = i.path
	peer.continueTunnels(p.now)
	p.run(10*time.Second, nil)
	if len(p.server.children)+len(p.server.up) != 0 || len(p.client.children) != 0 {
		t.Errorf("server: child SAs %v, up %v", p.server.children, p.server.up)
	}
	if p.server.assigns() != 0 {
		t.Error("an address was asked for")
	}
	if d := p.server.s.Stats().Dropped; d[ErrState.Error()] == 0 || d[ErrRefused.Error()] == 0 {
		t.Errorf("dropped %v", d)
	}
	p.closeAll()
}

// TestNoTransactionBeforePhase1: a half-open exchange has no attributes.
func TestNoTransactionBeforePhase1(t *testing.T) {
	p := newXAUTH(t, 1, watched())
	h := wire.Header{}
	p.filter = func(from *node, b []byte) bool {
		if x, _, _ := wire.ConsumeHeader(b); from == p.server {
			h = x
		}
		return true
	}
	if _, err := p.client.s.Dial(p.now, dialXAUTH("alice's")); err != nil {
		t.Fatal(err)
	}
	p.run(time.Minute, func() bool { return h != wire.Header{} })
	m := wire.StartMessage(nil, wire.Header{Initiator: h.Initiator, Responder: h.Responder, Version: wire.V1,
		Exchange: wire.ExchangeTransaction, Flags: wire.FlagEncryption, MessageID: 9})
	m.Add(wire.Hash(make([]byte, 32)))
	m.Add(wire.ModeConfig{Type: wire.ConfigRequest})
	if err := p.server.s.Input(p.now, Path{Local: serverIKE, Remote: clientIKE}, m.Finish()); err != ErrState {
		t.Errorf("%v", err)
	}
	p.closeAll()
}

// TestOthersAddress: a child SA is for the address that was given only, and no
// ports of it.
func TestOthersAddress(t *testing.T) {
	p := newXAUTH(t, 1, watched(), netA)
	id := p.dial(dialXAUTH("alice's"))
	peer := p.client.s.peers[id]
	for n, ids := range [][2]wire.ID{
		{wire.AddrID(netip.MustParseAddr("10.9.0.3"), 0, 0), wire.PrefixID(netA, 0, 0)},
		{wire.PrefixID(netip.MustParsePrefix("10.9.0.0/24"), 0, 0), wire.PrefixID(netA, 0, 0)},
		{wire.AddrID(aliceAddr, 17, 53), wire.PrefixID(netA, 0, 0)},
		{wire.AddrID(aliceAddr, 0, 0), {Type: wire.IDFQDN, Data: []byte("site")}},
		{wire.AddrID(netip.MustParseAddr("2001:db8::1"), 0, 0), wire.PrefixID(netA, 0, 0)},
	} {
		peer.launchQuick(p.now, peer.current(), peer.dial.requestTunnel(p.client.s.allocateSPI(), ids[0], ids[1]), nil)
		p.run(5*time.Second, nil)
		if f := p.server.failed; len(f) != n+1 || f[n].Cause != CauseTraffic {
			t.Fatalf("%v for %v: %+v", ids[0], ids[1], f)
		}
	}
	wantTunnel(t, p)
	p.closeAll()
}

// TestPlainKeyGetsNoTunnel: L2TP is for who has the key alone, and tunnel mode not.
func TestPlainKeyGetsNoTunnel(t *testing.T) {
	p := newXAUTH(t, 1, watched())
	id := p.dial(dialConfig("group key"))
	wantOneChild(t, p)
	peer := p.client.s.peers[id]
	i := peer.current()
	peer.dial.habits = v1.Own().Habits
	i.requestConfig(p.now)
	own := wire.AddrID(aliceAddr, 0, 0)
	peer.launchQuick(p.now, i, peer.dial.requestTunnel(p.client.s.allocateSPI(), own, wire.PrefixID(netA, 0, 0)), nil)
	p.run(5*time.Second, nil)
	if f := p.server.failed; len(f) != 1 || f[0].Cause != CauseTunnelMode || len(p.server.children) != 1 {
		t.Errorf("%+v, %d child SAs", f, len(p.server.children))
	}
	if d := p.server.s.Stats().Dropped; d[ErrRefused.Error()] < 2 {
		t.Errorf("dropped %v", d)
	}
	p.closeAll()
}

// TestGroupKeyTouchesNobody: who has the key of the group, and alice's address
// and port, cannot touch what she has.
func TestGroupKeyTouchesNobody(t *testing.T) {
	p := newXAUTH(t, 1, fast())
	p.dial(dialXAUTH("alice's"))
	in := wantTunnel(t, p)
	out := p.client.children[in].Out
	alice := p.client
	p.client = newNode(t, "mallory", Config{Rand: stream("mallory")})
	p.server.login = nil
	id, _ := p.client.s.Dial(p.now, dialXAUTH("a guess"))
	p.run(2*time.Second, nil)
	i := p.client.s.peers[id].ikes[0]
	i.inform(wire.Notify{DOI: wire.DOIIPsec, Protocol: wire.ProtocolISAKMP, SPI: wire.CookieSPI(i.key.i, i.key.r), Type: wire.NotifyInitialContact})
	i.inform(v1.DeleteESP(p.server.children[out].Out.bytes()))
	p.run(2*time.Minute, nil)
	if c := p.server.children[out]; c == nil || len(p.server.s.peers) != 1 {
		t.Errorf("child SA %v, %d peers", c, len(p.server.s.peers))
	}
	p.client = alice
	p.closeAll()
}

// TestTransactionFlood: what a client can make us remember is bounded, before and
// after it has logged in.
func TestTransactionFlood(t *testing.T) {
	p := newXAUTH(t, 1, watched())
	id := p.dial(dialXAUTH("alice's"))
	server := p.server.s.peers[onlyPeer(t, p.server)]
	server.assignment, server.assigning = nil, true // nobody answers
	i := p.client.s.peers[id].current()
	for range 400 {
		i.requestConfig(p.now)
		p.run(20*time.Millisecond, nil)
		for _, x := range i.transactions {
			x.done = true
		}
	}
	if n := len(server.current().transactions); n > maxTransactions || len(server.waiting) > maxTransactions {
		t.Errorf("%d exchanges, %d waiting", n, len(server.waiting))
	}
	if d := p.server.s.Stats().Dropped; d[ErrLimit.Error()] < 300 {
		t.Errorf("dropped %v", d)
	}
	server.assigning = true
	p.server.s.Assigned(p.now, server.id, Assignment{OK: true, IPv4: aliceAddr})
	p.run(time.Second, nil)
	p.closeAll()
}

// TestRequestRepeated: a repeated request gets the same answer, and asks nobody.
func TestRequestRepeated(t *testing.T) {
	p := newXAUTH(t, 1, watched())
	p.dup = 1
	p.dial(dialXAUTH("alice's"))
	wantTunnel(t, p)
	asked := map[string]int{}
	for _, e := range p.server.events {
		switch e.(type) {
		case Assign:
			asked["assign"]++
		case Login:
			asked["login"]++
		}
	}
	if asked["assign"] != 1 || asked["login"] != 1 {
		t.Errorf("asked %v", asked)
	}
	p.closeAll()
}
