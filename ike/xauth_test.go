package ike

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/ike/persona"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

var (
	aliceAddr = netip.MustParseAddr("10.9.0.2")
	netA      = netip.MustParsePrefix("10.1.0.0/16")
	netB      = netip.MustParsePrefix("10.2.0.0/16")
)

// xauthTenant is a tenant whose users log in by extended authentication.
func xauthTenant(p *Policy) func(netip.Addr, netip.Addr) []Candidate {
	list := []Candidate{{Tenant: "acme", PSK: []byte("group key"), Policy: p, XAUTH: true}}
	return func(netip.Addr, netip.Addr) []Candidate { return list }
}

// newXAUTH is a pair whose server knows alice, and gives her the networks.
func newXAUTH(t testing.TB, seed uint64, policy *Policy, networks ...netip.Prefix) *pair {
	p := newPair(t, seed, Config{Candidates: xauthTenant(policy)})
	p.server.login = func(e Login) LoginReply {
		return LoginReply{OK: e.User == "alice" && string(e.Password) == "alice's", User: e.User, Detail: "wrong password"}
	}
	p.server.grant = func(e Assign) Assignment {
		return Assignment{OK: true, IPv4: aliceAddr, DNS: []netip.Addr{netip.MustParseAddr("10.9.0.1")},
			Domains: []string{"corp.example", "lab.example"}, Local: networks, Subnets: networks}
	}
	return p
}

func dialXAUTH(password string) DialConfig {
	c := dialConfig("group key")
	c.XAUTH = &DialXAUTH{User: "alice", Password: []byte(password)}
	return c
}

func watched() *Policy { p := fast(); p.DPD = 30 * time.Second; return p }

// wantTunnel fails unless there is one child SA, of tunnel mode, for alice's address.
func wantTunnel(t *testing.T, p *pair) SPI {
	t.Helper()
	in := wantOneChild(t, p)
	c := p.client.children[in]
	s := p.server.children[c.Out]
	if c.Transport || s.Transport || !s.UDPEncap || len(s.Inner) != 1 || s.Inner[0] != aliceAddr {
		t.Fatalf("child SA: client %+v, server %+v", c, s)
	}
	if r := s.RemoteTraffic; len(r) != 1 || r[0].From != aliceAddr || r[0].To != aliceAddr {
		t.Fatalf("the server lets the client be %v", r)
	}
	return in
}

func TestXAUTH(t *testing.T) {
	for _, push := range []bool{false, true} {
		p := newXAUTH(t, 1, watched())
		c := dialXAUTH("alice's")
		c.XAUTH.Push = push
		id := p.dial(c)
		wantTunnel(t, p)
		if g := p.client.granted; len(g) != 1 || g[0].IPv4 != aliceAddr || len(g[0].DNS) != 1 {
			t.Errorf("push %v: granted %+v", push, g)
		}
		if up := p.client.up[id]; up.Path.Remote != serverNATT {
			t.Errorf("push %v: %+v", push, up)
		}
		for _, up := range p.server.up {
			if up.Tenant != "acme" || up.Family != family.Cisco {
				t.Errorf("push %v: %+v", push, up)
			}
		}
		p.closeAll()
	}
}

// TestXAUTHRefused: another password, or none, is not let in, and nothing is left.
func TestXAUTHRefused(t *testing.T) {
	for _, password := range []string{"bob's", "", "alice's\x00\x00"} {
		p := newXAUTH(t, 1, fast())
		id := p.dial(dialXAUTH(password))
		if e := p.client.closed[id]; e.Cause != CauseAuthentication {
			t.Errorf("%q: %+v", password, e)
		}
		p.run(20*time.Second, nil)
		if len(p.server.up)+len(p.server.children) != 0 || len(p.server.closed) != 1 {
			t.Errorf("%q: up %v closed %v", password, p.server.up, p.server.closed)
		}
		wantEmpty(t, p.client)
		wantEmpty(t, p.server)
	}
}

// TestXAUTHSilent: a client that never says its name is forgotten.
func TestXAUTHSilent(t *testing.T) {
	p := newXAUTH(t, 1, fast())
	p.filter = func(from *node, b []byte) bool {
		h, _, _ := wire.ConsumeHeader(b)
		return from == p.server || h.Exchange != wire.ExchangeTransaction
	}
	id, _ := p.client.s.Dial(p.now, dialXAUTH("alice's"))
	p.run(3*time.Minute, nil)
	if _, closed := p.client.closed[id]; !closed || len(p.server.failed) != 1 || p.server.failed[0].Cause != CauseTimeout {
		t.Errorf("%v %+v", closed, p.server.failed)
	}
	wantEmpty(t, p.client)
	wantEmpty(t, p.server)
}

// TestXAUTHNotAllowed: a tenant that does not allow it says what was asked for.
func TestXAUTHNotAllowed(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "group key", fast())})
	p.dial(dialXAUTH("alice's"))
	if f := p.server.failed; len(f) != 1 || f[0].Cause != CauseXAUTH {
		t.Errorf("%+v", f)
	}
	p.closeAll()
}

// TestXAUTHRekey renews both phases by both sides: the address stays, and there
// is a child SA all the time.
func TestXAUTHRekey(t *testing.T) {
	for _, persona := range []string{"culvert", "macos", "android"} {
		p := newXAUTH(t, 1, watched())
		c := dialXAUTH("alice's")
		c.Persona = client(persona)
		id := p.dial(c)
		in := wantTunnel(t, p)
		server := onlyPeer(t, p.server)
		for n, by := range []*node{p.client, p.server, p.client, p.server} {
			peer := map[*node]Peer{p.client: id, p.server: server}[by]
			phase := Phase(n/2 + 1)
			if err := by.s.Rekey(p.now, peer, phase); err != nil {
				t.Fatal(err)
			}
			p.run(30*time.Second, func() bool {
				if len(p.usable()) == 0 {
					t.Fatalf("%s: no child SA while phase %d is renewed by the %s", persona, phase, by.name)
				}
				return false
			})
			now := wantTunnel(t, p)
			if (now == in) != (phase == Phase1) {
				t.Fatalf("%s: phase %d: child SA %08x after %08x", persona, phase, now, in)
			}
			in = now
		}
		if onlyPeer(t, p.server) != server || len(p.client.granted) != 1 || len(p.client.closed) != 0 {
			t.Errorf("%s: peers %v, granted %v, closed %v", persona, p.server.s.peers, p.client.granted, p.client.closed)
		}
		if n := p.server.assigns(); n != 1 {
			t.Errorf("%s: %d addresses were asked for", persona, n)
		}
		p.closeAll()
	}
}

// TestXAUTHRekeyWithinWhatWasAgreed: a server that keeps less than we asked for names that
// when it renews the child SA, and traffic goes on; more, or something else, it does not get.
func TestXAUTHRekeyWithinWhatWasAgreed(t *testing.T) {
	for _, x := range []struct {
		name, local, remote string
		ok                  bool
	}{
		{"a network of all", "10.200.0.0/24", "10.9.0.2/32", true},
		{"as asked", "0.0.0.0/0", "10.9.0.2/32", true},
		{"another client's address", "10.200.0.0/24", "10.9.0.3/32", false},
		{"all for our side", "10.200.0.0/24", "0.0.0.0/0", false},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := newXAUTH(t, 1, watched())
			p.dial(dialXAUTH("alice's"))
			in := wantTunnel(t, p)
			server := onlyPeer(t, p.server)
			c := p.server.s.peers[server].children[0]
			c.local, c.remote = wire.PrefixID(netip.MustParsePrefix(x.local), 0, 0), wire.PrefixID(netip.MustParsePrefix(x.remote), 0, 0)
			if err := p.server.s.Rekey(p.now, server, Phase2); err != nil {
				t.Fatal(err)
			}
			p.run(30*time.Second, nil)
			now := wantOneChild(t, p)
			if renewed := now != in; renewed != x.ok {
				t.Fatalf("renewed: %v; client %v, server %v", renewed, p.client.failed, p.server.failed)
			}
			if r := p.client.children[now].RemoteTraffic; x.ok && (len(r) != 1 || r[0].From != netip.MustParsePrefix(x.local).Addr()) {
				t.Errorf("for %v", r)
			}
			p.closeAll()
		})
	}
}

// assigns counts the questions for an address.
func (n *node) assigns() (count int) {
	for _, e := range n.events {
		if _, ok := e.(Assign); ok {
			count++
		}
	}
	return count
}

func onlyPeer(t *testing.T, n *node) Peer {
	t.Helper()
	if len(n.s.peers) != 1 {
		t.Fatalf("%s has %d peers", n.name, len(n.s.peers))
	}
	for id := range n.s.peers {
		return id
	}
	return 0
}

// TestXAUTHRekeyRefused: when phase 1 is renewed with another password, what
// stands goes on.
func TestXAUTHRekeyRefused(t *testing.T) {
	for _, by := range []string{"client", "server"} {
		p := newXAUTH(t, 1, watched())
		id := p.dial(dialXAUTH("alice's"))
		in := wantTunnel(t, p)
		p.server.login = func(Login) LoginReply { return LoginReply{Detail: "account disabled"} }
		if by == "client" {
			_ = p.client.s.Rekey(p.now, id, Phase1)
		} else {
			_ = p.server.s.Rekey(p.now, onlyPeer(t, p.server), Phase1)
		}
		p.run(time.Minute, nil)
		if now := wantTunnel(t, p); now != in || len(p.client.closed) != 0 {
			t.Errorf("by %s: child SA %08x after %08x, closed %v", by, now, in, p.client.closed)
		}
		if n := len(p.server.s.peers); n != 1 {
			t.Errorf("by %s: %d peers", by, n)
		}
		p.closeAll()
	}
}

// TestXAUTHBack: a client that lost everything dials again from the same address,
// and has the address it had, on the same peer.
func TestXAUTHBack(t *testing.T) {
	for _, persona := range []string{"culvert", "windows7"} { // with INITIAL_CONTACT and without
		p := newXAUTH(t, 1, watched())
		c := dialXAUTH("alice's")
		c.Persona = client(persona)
		p.dial(c)
		server := onlyPeer(t, p.server)
		p.client = newNode(t, "client", Config{Rand: stream("client anew")})
		p.dial(c)
		p.run(20*time.Second, nil)
		if onlyPeer(t, p.server) != server || len(p.usable()) != 1 || len(p.client.granted) != 1 || p.client.granted[0].IPv4 != aliceAddr {
			t.Errorf("%s: usable %d, granted %v, failed %v", persona, len(p.usable()), p.client.granted, p.server.failed)
		}
		if client(persona).InitialContact != (len(p.server.children) == 1) {
			t.Errorf("%s: %d child SAs", persona, len(p.server.children))
		}
		p.closeAll()
	}
}

// TestXAUTHTwoUsers: another user from the same address is another peer.
func TestXAUTHTwoUsers(t *testing.T) {
	p := newXAUTH(t, 1, watched())
	p.server.login = func(e Login) LoginReply { return LoginReply{OK: true, User: e.User} }
	p.dial(dialXAUTH("alice's"))
	p.client = newNode(t, "client", Config{Rand: stream("client anew")})
	c := dialXAUTH("bob's")
	c.XAUTH.User = "bob"
	p.dial(c)
	if len(p.server.s.peers) != 2 || len(p.server.children) != 2 {
		t.Errorf("%d peers, %d child SAs", len(p.server.s.peers), len(p.server.children))
	}
	p.closeAll()
}

// reached are the networks that the client has child SAs for.
func (p *pair) reached() (list []netip.Prefix) {
	for _, in := range p.usable() {
		list = append(list, p.client.children[in].Remote.Addr)
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return list
}

// TestXAUTHSplit makes a child SA for each network, and renews each.
func TestXAUTHSplit(t *testing.T) {
	p := newXAUTH(t, 1, watched(), netA, netB)
	id := p.dial(dialXAUTH("alice's"))
	p.run(time.Second, nil)
	reach := p.reached
	if got := reach(); !slices.Equal(got, []netip.Prefix{netA, netB}) {
		t.Fatalf("networks %v", got)
	}
	for range 3 {
		_ = p.client.s.Rekey(p.now, id, Phase2)
		p.run(30*time.Second, nil)
		if got := reach(); !slices.Equal(got, []netip.Prefix{netA, netB}) {
			t.Fatalf("after a renewal networks %v", got)
		}
	}
	if len(p.server.children) != 2 {
		t.Errorf("%d child SAs", len(p.server.children))
	}
	p.closeAll()
}

// TestXAUTHOnABadRoad dials and renews under loss, repetition and disorder.
func TestXAUTHOnABadRoad(t *testing.T) {
	stood := 0
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			policy := watched()
			policy.Rekey, policy.ChildLifetime, policy.IKELifetime = true, 20*time.Second, 50*time.Second
			p := newXAUTH(t, seed, policy, netA, netB)
			p.loss, p.dup, p.spread = 0.15, 0.2, 300*time.Millisecond
			c := dialXAUTH("alice's")
			c.XAUTH.Push = seed%4 == 0
			c.Policy = &Policy{ChildLifetime: 21 * time.Second, IKELifetime: 52 * time.Second, DPD: 30 * time.Second}
			id := p.dial(c)
			if _, closed := p.client.closed[id]; closed {
				return // the road was too bad
			}
			p.run(3*time.Minute, nil)
			p.loss, p.dup, p.spread = 0, 0, 0
			lost := len(p.client.closed) > 0
			p.run(time.Minute, nil)
			p.run(30*time.Second, func() bool { return len(p.reached()) <= 4 }) // not amid a renewal
			if got := p.reached(); !lost && !slices.Equal(slices.Compact(slices.Clone(got)), []netip.Prefix{netA, netB}) || len(got) > 4 {
				t.Fatalf("child SAs for %v: client %v, server %v", got, p.client.failed, p.server.failed)
			}
			if !lost {
				stood++
			}
			p.closeAll()
		})
	}
	if stood < 70 {
		t.Errorf("%d of 100 connections stood", stood)
	}
}

// TestXAUTHPersonas dials as each client that has it.
func TestXAUTHPersonas(t *testing.T) {
	for _, persona := range []string{"macos", "ios", "android", "networkmanager", "chromeos"} {
		p := newXAUTH(t, 1, &Policy{Legacy: true, DPD: 30 * time.Second}, netA)
		c := dialXAUTH("alice's")
		c.IKE, c.Persona = nil, client(persona)
		id := p.dial(c)
		wantTunnel(t, p)
		want := map[string]family.Family{"macos": family.Apple, "ios": family.Apple, "android": family.Android}[persona]
		for _, up := range p.server.up {
			if want != "" && up.Family != want {
				t.Errorf("%s is taken for %s", persona, up.Family)
			}
		}
		split := slices.Contains(client(persona).Asks, wire.UnitySplitInclude)
		for _, c := range p.client.children {
			if (c.Remote.Addr == netA) != split {
				t.Errorf("%s: reaches %v", persona, c.Remote.Addr)
			}
		}
		if _, closed := p.client.closed[id]; closed {
			t.Errorf("%s: %+v", persona, p.client.closed)
		}
		p.closeAll()
	}
}

// TestXAUTHVendors: who does not do extended authentication is not told that we do.
func TestXAUTHVendors(t *testing.T) {
	for _, name := range persona.NamesV1() {
		p := newXAUTH(t, 1, &Policy{Legacy: true})
		c := dialConfig("group key")
		c.IKE, c.Persona = nil, client(name)
		p.dial(c)
		h, body, _ := wire.ConsumeHeader(p.server.sent[0])
		chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range chain {
			v, _ := wire.VendorID(x.Body).Known()
			if x.Type == wire.PayloadVendorID && (v == wire.VendorXAUTH || v == wire.VendorUnity) {
				t.Errorf("%s is told %v", name, v)
			}
		}
		p.closeAll()
	}
}

// The floor of algorithms is that of the tenant that the login names, not only of the one
// whose key or certificate phase 1 was about.
func TestXAUTHFloorOfTheLoginsTenant(t *testing.T) {
	weak := []suite.IKESuite{{Encryption: suite.Enc3DES, Hash: suite.HashSHA1, Group: suite.GroupMODP1024}}
	for _, legacy := range []bool{false, true} {
		p := newXAUTH(t, 1, &Policy{Legacy: true})
		p.server.login = func(e Login) LoginReply {
			return LoginReply{OK: true, User: e.User, Policy: &Policy{Legacy: legacy}}
		}
		c := dialXAUTH("alice's")
		c.IKE = weak
		p.dial(c)
		p.run(30*time.Second, nil)
		if got := len(p.server.children) > 0; got != legacy {
			t.Errorf("a tenant with legacy %v has a client with %v: %v", legacy, weak[0], got)
		}
	}
}
