package ike

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/persona"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// authority is a CA of the tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	k := newKey(t)
	x := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: start.Add(-time.Hour),
		NotAfter: start.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	return &authority{cert: sign(t, x, x, k, k), key: k}
}

func sign(t testing.TB, x, issuer *x509.Certificate, k, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, x, issuer, &k.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// issue makes a certificate for a name, with padding to make it long.
func (a *authority) issue(t testing.TB, name string, usage x509.ExtKeyUsage, long int) *Certificate {
	t.Helper()
	k := newKey(t)
	x := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name, Organization: []string{strings.Repeat("long ", long)}},
		NotBefore: start.Add(-time.Hour), NotAfter: start.AddDate(1, 0, 0), DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{usage}}
	return &Certificate{Chain: []*x509.Certificate{sign(t, x, a.cert, k, a.key)}, Signer: k}
}

// verifier trusts the authority.
func (a *authority) verifier(p auth.Purpose) Verifier {
	trust := &auth.Trust{Roots: []*x509.Certificate{a.cert}}
	return func(now time.Time, chain []*x509.Certificate, id wire.ID2) error {
		_, err := trust.Verify(now, chain, p)
		return err
	}
}

// only is a Candidates with one.
func only(c Candidate) func(netip.Addr, netip.Addr) []Candidate {
	return func(netip.Addr, netip.Addr) []Candidate { return []Candidate{c} }
}

func TestV2WithCertificates(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	server := ca.issue(t, "vpn.example.org", x509.ExtKeyUsageServerAuth, 0)
	tests := []struct {
		name    string
		client  *Certificate
		verify  Verifier
		wanted  string
		ok      bool
		details string
	}{
		{"good", ca.issue(t, "alice", x509.ExtKeyUsageClientAuth, 0), ca.verifier(auth.PurposeServer), "vpn.example.org", true, ""},
		{"unknown client", other.issue(t, "alice", x509.ExtKeyUsageClientAuth, 0), ca.verifier(auth.PurposeServer), "vpn.example.org", false, "unknown authority"},
		{"client with a server's purpose", ca.issue(t, "alice", x509.ExtKeyUsageServerAuth, 0), ca.verifier(auth.PurposeServer), "vpn.example.org", false, "purpose"},
		{"unknown server", ca.issue(t, "alice", x509.ExtKeyUsageClientAuth, 0), other.verifier(auth.PurposeServer), "vpn.example.org", false, "unknown authority"},
		{"server of another name", ca.issue(t, "alice", x509.ExtKeyUsageClientAuth, 0), ca.verifier(auth.PurposeServer), "evil.example.org", false, "not evil"},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			p := newPair(t, 1, Config{V2: true, Candidates: only(Candidate{Tenant: "acme", Certificate: server,
				Verify: ca.verifier(auth.PurposeClient), Authorities: []*x509.Certificate{ca.cert}})})
			c := dialV2("")
			c.PSK, c.V2.Certificate, c.V2.Verify, c.V2.RemoteIdentity = nil, x.client, x.verify, x.wanted
			id := p.dial(c)
			if x.ok {
				wantOneChild(t, p)
				p.closeAll()
				return
			}
			p.run(time.Minute, nil)
			if _, closed := p.client.closed[id]; !closed || len(p.client.children) != 0 {
				t.Fatal("the client is in")
			}
			said := ""
			for _, f := range append(p.server.failed, p.client.failed...) {
				said += f.Detail + "\n"
			}
			if !strings.Contains(said, x.details) {
				t.Fatalf("said %q", said)
			}
			p.closeAll()
		})
	}
}

// toy is an EAP method of the tests: the server asks who it is, and the key is
// made of the answer.
type toy struct{ deny bool }

func (y toy) server(e EAP) EAPReply {
	switch {
	case e.Packet == nil:
		return EAPReply{Packet: []byte{1, 1, 0, 5, 1}}
	case y.deny:
		return EAPReply{Packet: []byte{4, 1, 0, 4}, Done: true, Detail: "wrong password"}
	}
	return EAPReply{Packet: []byte{3, 1, 0, 4}, Done: true, OK: true, MSK: bytes.Repeat([]byte{7}, 64), Identity: string(e.Packet[5:])}
}

func (y toy) client(e EAP) EAPReply {
	switch e.Packet[0] {
	case 1:
		return EAPReply{Packet: append([]byte{2, 1, 0, 10, 1}, "alice"...)}
	case 3:
		return EAPReply{Done: true, OK: true, MSK: bytes.Repeat([]byte{7}, 64)}
	}
	return EAPReply{Done: true, Detail: "refused"}
}

// eapPair is a server with a certificate that asks by EAP, and a client.
func eapPair(t *testing.T, seed uint64, long int) (*pair, DialConfig) {
	ca := newAuthority(t, "ca")
	p := newPair(t, seed, Config{V2: true, Candidates: only(Candidate{Tenant: "acme", EAP: true,
		Certificate: ca.issue(t, "vpn.example.org", x509.ExtKeyUsageServerAuth, long)})})
	p.server.eap, p.client.eap = toy{}.server, toy{}.client
	c := dialV2("")
	c.PSK, c.V2.EAP, c.V2.Verify, c.V2.RemoteIdentity = nil, true, ca.verifier(auth.PurposeServer), "vpn.example.org"
	return p, c
}

func TestV2WithEAP(t *testing.T) {
	p, c := eapPair(t, 1, 0)
	p.dial(c)
	wantOneChild(t, p)
	for _, up := range p.server.up {
		if up.Identity != "alice" || up.Tenant != "acme" {
			t.Fatalf("up as %+v", up)
		}
	}
	p.closeAll()
}

func TestV2EAPRefused(t *testing.T) {
	p, c := eapPair(t, 1, 0)
	p.server.eap = toy{deny: true}.server
	id := p.dial(c)
	p.run(time.Minute, nil)
	if _, closed := p.client.closed[id]; !closed || len(p.server.closed) != 1 || len(p.server.up) != 0 {
		t.Fatalf("client %v, server %v", p.client.closed, p.server.closed)
	}
	p.closeAll()
}

// TestV2EveryPersonaDials lets each of them in, with a chain so long that IKE_AUTH
// comes in fragments, on a bad road.
func TestV2EveryPersonaDials(t *testing.T) {
	want := map[string]string{"windows10-ikev2": "windows10", "macos-ikev2": "apple", "ios-ikev2": "apple",
		"android-ikev2": "android", "strongswan-ikev2": "strongswan", "culvert-ikev2": "other"}
	for _, name := range persona.NamesV2() {
		t.Run(name, func(t *testing.T) {
			p, c := eapPair(t, 3, 600)
			p.loss, p.dup, p.spread = 0.1, 0.1, 50*time.Millisecond
			c.V2.Persona = client2(name)
			p.dial(c)
			p.loss, p.dup, p.spread = 0, 0, 0
			wantOneChild(t, p)
			for _, up := range p.server.up {
				if string(up.Family) != want[name] {
					t.Errorf("taken for %s", up.Family)
				}
				t.Log(up.Suite)
			}
			for _, data := range p.server.sent {
				if len(data) > 1228 {
					t.Errorf("a message of %d bytes is not in fragments", len(data))
				}
			}
			p.closeAll()
		})
	}
}

func TestV2HybridKeyExchange(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	id := p.dial(dialV2("secret"))
	wantOneChild(t, p)
	if s := p.client.up[id].Suite; !strings.HasSuffix(s, "curve25519-mlkem768") {
		t.Fatal(s)
	}
	p.closeAll()
}

func TestV2WrongKey(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	id := p.dial(dialV2("guess"))
	if p.client.closed[id].Cause != CauseRefused || len(p.server.failed) != 1 || p.server.failed[0].Cause != CauseAuthentication {
		t.Fatalf("client %v, server %v", p.client.closed, p.server.failed)
	}
	p.closeAll()
}

func TestV2TransportModeForL2TP(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	c := dialV2("secret")
	c.V2 = &DialV2{Transport: true}
	p.dial(c)
	in := wantOneChild(t, p)
	s := p.server.children[p.client.children[in].Out]
	if !s.Transport || s.Local.Port != portL2TP || s.RemoteOriginal != clientIKE.Addr() {
		t.Fatalf("%+v", s)
	}
	p.closeAll()
}

func TestV2Childless(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	c := dialV2("secret")
	c.V2 = &DialV2{Childless: true, Configure: true}
	id, err := p.client.s.Dial(p.now, c)
	if err != nil {
		t.Fatal(err)
	}
	p.run(5*time.Second, nil)
	if _, up := p.client.up[id]; !up || len(p.server.children) != 0 || len(p.server.up) != 1 {
		t.Fatalf("up %v, %v", p.client.up, p.server.failed)
	}
	if g := p.client.granted; len(g) != 1 || !g[0].IPv4.IsValid() {
		t.Errorf("granted %+v", g)
	}
	p.run(2*time.Minute, nil)
	if len(p.server.closed) != 1 || len(p.client.closed) != 1 {
		t.Fatalf("a connection without child SA stays: server %v, client %v", p.server.closed, p.client.closed)
	}
	p.closeAll()
}

func TestV2AssignRefuses(t *testing.T) {
	for name, a := range map[string]Assignment{"altogether": {Detail: "disabled"}, "an address": {OK: true, NoAddress: true, Detail: "pool exhausted"}} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
			p.server.grant = func(Assign) Assignment { return a }
			id := p.dial(dialV2("secret"))
			if _, closed := p.client.closed[id]; !closed || len(p.server.children) != 0 {
				t.Fatalf("client %v", p.client.closed)
			}
			p.closeAll()
		})
	}
}

func TestV2NarrowsToTheAddressGiven(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	p.server.grant = func(Assign) Assignment {
		return Assignment{OK: true, IPv4: netip.MustParseAddr("10.9.0.7"), Local: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Domains: []string{"corp.example"}}
	}
	p.dial(dialV2("secret"))
	in := wantOneChild(t, p)
	c := p.client.children[in]
	if len(c.LocalTraffic) != 1 || c.LocalTraffic[0].From != c.LocalTraffic[0].To || len(c.RemoteTraffic) != 1 ||
		c.RemoteTraffic[0].From != netip.MustParseAddr("10.0.0.0") || c.RemoteTraffic[0].To != netip.MustParseAddr("10.255.255.255") {
		t.Fatalf("%v to %v", c.LocalTraffic, c.RemoteTraffic)
	}
	if g := p.client.granted[0]; len(g.Subnets) != 1 || len(g.Domains) != 1 {
		t.Fatalf("%+v", g)
	}
	p.closeAll()
}

func TestV2CookiesUnderLoad(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil), Limits: Limits{Cookies: 3}})
	flood := newNode(t, "flood", Config{})
	for n := range 100 {
		c := dialV2("x")
		c.Path.Local = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}), 500)
		c.NATTPath.Local = c.Path.Local
		if _, err := flood.s.Dial(p.now, c); err != nil {
			t.Fatal(err)
		}
	}
	for {
		e, ok := flood.s.Next()
		if !ok {
			break
		}
		if e, ok := e.(Send); ok {
			err := p.server.s.Input(p.now, Path{Local: e.Path.Remote, Remote: e.Path.Local}, e.Data)
			if len(p.server.s.opening2) >= 3 && err != nil && !errors.Is(err, ErrCookie) {
				t.Fatal(err)
			}
		}
	}
	if got := p.server.s.Stats().HalfOpen; got != 3 || len(p.server.s.spis) != 3 {
		t.Fatalf("%d half-open", got)
	}
	p.dial(dialV2("secret"))
	if len(p.usable()) != 1 {
		t.Fatalf("an honest client is not let in: %v", p.client.failed)
	}
	p.closeAll()
}

func TestV2Redirect(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	asked := 0
	p.server.s.config.Redirect = func(local, _ netip.Addr) string {
		asked++
		if local == serverIKE.Addr() {
			return "203.0.113.77"
		}
		return ""
	}
	id := p.dial(dialV2("secret"))
	wantOneChild(t, p)
	if p.client.up[id].Path.Remote.Addr() != netip.MustParseAddr("203.0.113.77") {
		t.Fatalf("at %v", p.client.up[id].Path)
	}
	for peer := range p.server.up {
		if err := p.server.s.Redirect(p.now, peer, "other.example.org"); err != nil {
			t.Fatal(err)
		}
	}
	p.run(time.Second, nil)
	found := false
	for _, e := range p.client.events {
		r, ok := e.(Redirected)
		found = found || ok && r.Gateway == "other.example.org"
	}
	if !found {
		t.Fatal("the client was not told of the other gateway")
	}
	p.closeAll()
}

func TestV2Mobike(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	id := p.dial(dialV2("secret"))
	in := wantOneChild(t, p)
	to := Path{Local: addrPort("192.168.77.3:4500"), Remote: serverNATT, NATT: true}
	if err := p.client.s.Readdress(p.now, id, to); err != nil {
		t.Fatal(err)
	}
	p.run(time.Second, nil)
	moved := false
	for _, e := range p.server.events {
		m, ok := e.(Moved)
		moved = moved || ok && m.Path.Remote == to.Local
	}
	if !moved || wantOneChild(t, p) != in {
		t.Fatal("the server does not know")
	}
	p.closeAll()
}

// replaced counts the peers that gave way to another connection.
func (n *node) replaced() (count int) {
	for _, e := range n.closed {
		if e.Reason == ReasonReplaced {
			count++
		}
	}
	return count
}

// dialFrom is a dial from other ports: by another device behind the same NAT, or by one
// that has lost its first.
func dialFrom(port uint16) DialConfig {
	c := dialV2("secret")
	c.Path.Local, c.NATTPath.Local = netip.AddrPortFrom(clientIKE.Addr(), port), netip.AddrPortFrom(clientIKE.Addr(), port+1)
	return c
}

// A client that has lost everything and dials again is served at once, although it comes
// from another port. Its first connection is asked, says nothing, and goes.
func TestV2InitialContactReplacesTheSilent(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	p.dial(dialV2("secret"))
	p.client = newNode(t, "client", Config{Rand: stream("reborn")})
	p.run(time.Second, nil)
	p.dial(dialFrom(1500))
	p.run(time.Second, nil)
	if len(p.server.children) != 2 || p.server.replaced() != 0 {
		t.Fatalf("at once: server %v, %d child SAs", p.server.closed, len(p.server.children))
	}
	p.run(15*time.Second, nil)
	if p.server.replaced() != 1 || len(p.server.children) != 1 || len(p.usable()) != 1 {
		t.Fatalf("server %v, %d child SAs", p.server.closed, len(p.server.children))
	}
	p.closeAll()
}

// From the very same port it can only be the same device, and nobody is asked.
func TestV2InitialContactReplacesTheSamePort(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	p.dial(dialV2("secret"))
	p.client = newNode(t, "client", Config{Rand: stream("reborn")})
	p.dial(dialV2("secret"))
	if p.server.replaced() != 1 || len(p.server.children) != 1 {
		t.Fatalf("server %v, %d child SAs", p.server.closed, len(p.server.children))
	}
	p.closeAll()
}

// A second device of one name behind one NAT does not throw the first out, although it
// says INITIAL_CONTACT.
func TestV2SecondDeviceStays(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	p.dial(dialV2("secret"))
	if _, err := p.client.s.Dial(p.now, dialFrom(1500)); err != nil {
		t.Fatal(err)
	}
	p.run(time.Minute, nil)
	if len(p.server.closed)+len(p.client.closed) != 0 || len(p.usable()) != 2 {
		t.Fatalf("server %v, client %v, %d usable child SAs", p.server.closed, p.client.closed, len(p.usable()))
	}
	p.closeAll()
}

func TestV2NoServerRekeyTowardsWindows(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", &Policy{Rekey: true, ChildLifetime: 10 * time.Second})})
	c := dialV2("secret")
	c.V2.Persona = client2("windows10-ikev2")
	p.dial(c)
	in := wantOneChild(t, p)
	p.run(5*time.Minute, nil)
	if wantOneChild(t, p) != in {
		t.Fatal("the server renewed a child SA of Windows")
	}
	p.closeAll()
}

func TestV2DeadPeer(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", &Policy{DPD: 10 * time.Second})})
	p.dial(dialV2("secret"))
	wantOneChild(t, p)
	p.run(time.Minute, nil)
	wantOneChild(t, p)
	p.filter = func(from *node, _ []byte) bool { return from == p.server }
	p.run(3*time.Minute, nil)
	for _, e := range p.server.closed {
		if e.Reason != ReasonDead {
			t.Fatalf("%+v", e)
		}
	}
	if len(p.server.closed) != 1 || len(p.server.children) != 0 {
		t.Fatalf("server %v", p.server.closed)
	}
	p.filter = nil
	p.closeAll()
}

func TestV2LegacyIsNamed(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	c := dialV2("secret")
	c.V2.Persona = client2("windows10-ikev2")
	p.server.s.config.Candidates = psk("acme", "secret", &Policy{IKE2: &suite.IKE2Policy{
		Ciphers: []suite.Cipher{{Encryption: suite.EncAESGCM16, KeyBits: 256}}, PRFs: []suite.Hash{suite.HashSHA256}, Groups: []suite.Group{suite.GroupX25519}}})
	id := p.dial(c)
	if p.client.closed[id].Cause != CauseNoProposal || len(p.server.failed) == 0 || !strings.Contains(p.server.failed[0].Detail, "modp2048") {
		t.Fatalf("client %v, server %v", p.client.closed, p.server.failed)
	}
	p.closeAll()
}

func TestV2PerfectForwardSecrecy(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	c := dialV2("secret")
	c.PFS = true
	id := p.dial(c)
	in := wantOneChild(t, p)
	for range 3 {
		_ = p.client.s.Rekey(p.now, id, Phase2)
		p.run(10*time.Second, nil)
		for peer := range p.server.up {
			_ = p.server.s.Rekey(p.now, peer, Phase2)
		}
		p.run(10*time.Second, nil)
		if now := wantOneChild(t, p); now == in {
			t.Fatal("not renewed")
		} else {
			in = now
		}
	}
	p.closeAll()
}

// TestV2ServerRenewsAsTheClientWants: the first child SA does not say whether the
// client wants PFS. A server that renews without is refused and tries again with.
func TestV2ServerRenewsAsTheClientWants(t *testing.T) {
	for _, pfs := range []bool{false, true} {
		p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", &Policy{Rekey: true, ChildLifetime: 20 * time.Second})})
		c := dialV2("secret")
		c.PFS = pfs
		p.dial(c)
		in := wantOneChild(t, p)
		for range 3 {
			if !p.run(time.Minute, func() bool { return len(p.usable()) == 1 && p.usable()[0] != in }) {
				t.Fatalf("PFS %v: not renewed: client %v, server %v", pfs, p.client.failed, p.server.failed)
			}
			in = p.usable()[0]
		}
		if refused := len(p.client.failed); refused > 0 != pfs || len(p.server.failed) > 0 {
			t.Errorf("PFS %v: client refused %v, server failed %v", pfs, p.client.failed, p.server.failed)
		}
		p.closeAll()
	}
}

// TestV2TellsTheClientOfANAT: whatever the truth, the hash of the client's address
// does not match and ours does, so that the client moves to port 4500 and believes
// the server to be in the open.
func TestV2TellsTheClientOfANAT(t *testing.T) {
	p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", nil)})
	p.dial(dialV2("secret"))
	h, body, err := wire.ConsumeHeader(p.server.sent[0])
	if err != nil {
		t.Fatal(err)
	}
	chain, err := wire.ParsePayloads(nil, wire.V2, h.Next, body)
	if err != nil {
		t.Fatal(err)
	}
	hash := func(a netip.AddrPort) []byte {
		sum := sha1.New()
		sum.Write(h.Initiator[:])
		sum.Write(h.Responder[:])
		sum.Write(a.Addr().AsSlice())
		sum.Write([]byte{byte(a.Port() >> 8), byte(a.Port())})
		return sum.Sum(nil)
	}
	for _, x := range chain {
		n, err := wire.ConsumeNotify2(x.Body)
		if x.Type != wire.PayloadNotify2 || err != nil {
			continue
		}
		switch n.Type {
		case wire.Notify2NATDetectionSource:
			if !bytes.Equal(n.Data, hash(serverIKE)) {
				t.Error("our own address is hidden")
			}
		case wire.Notify2NATDetectionDestination:
			if bytes.Equal(n.Data, hash(clientIKE)) || len(n.Data) != sha1.Size {
				t.Error("the client's address is not hidden")
			}
		}
	}
	p.closeAll()
}
