package ike

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// victim is where a forged message says that it comes from.
var victim = addrPort("203.0.113.200:4500")

// meter counts what goes from and to an address, in bytes of IKE.
type meter struct {
	n       *node
	now     time.Time
	in, out int // of the victim
}

// give gives the server a message that says it is the victim's, times over.
func (m *meter) give(msg []byte, times int) {
	for range times {
		m.in += len(msg)
		_ = m.n.s.Input(m.now, Path{Local: serverNATT, Remote: victim, NATT: true}, bytes.Clone(msg))
		m.settle()
		m.now = m.now.Add(10 * time.Millisecond)
	}
}

// settle does what the server wants, and weighs what it sends to the victim.
func (m *meter) settle() {
	for e, ok := m.n.s.Next(); ok; e, ok = m.n.s.Next() {
		switch e := e.(type) {
		case Send:
			if e.Path.Remote.Addr() == victim.Addr() {
				m.out += len(e.Data)
			}
		case Compute:
			m.n.s.Computed(m.now, e.ID, e.Do())
		case EAP:
			m.n.s.EAPReply(m.now, e.Peer, EAPReply{Packet: []byte{1, 2, 0, 60, 26, 54: 1, 59: 0}})
		}
	}
}

// wait weighs all that is still to come.
func (m *meter) wait() {
	for end := m.now.Add(5 * time.Minute); ; m.settle() {
		at := m.n.s.Deadline()
		if at.IsZero() || at.After(end) {
			return
		}
		m.now = at
		m.n.s.Advance(at)
	}
}

// handshake is what a client sends in a dial of its own, of which the first messages
// are recorded and arrive.
func handshake(t *testing.T, c Config, d DialConfig, arrive int) (*pair, [][]byte) {
	p := newPair(t, 1, c)
	var sent [][]byte
	p.filter = func(from *node, b []byte) bool {
		if from == p.client {
			sent = append(sent, bytes.Clone(b))
			return len(sent) <= arrive
		}
		return true
	}
	if _, err := p.client.s.Dial(p.now, d); err != nil {
		t.Fatal(err)
	}
	p.drain(p.client)
	p.run(500*time.Millisecond, nil)
	if len(sent) <= arrive {
		t.Fatalf("the client has sent %d messages", len(sent))
	}
	return p, sent
}

// TestNobodyIsAnsweredLoudly: whatever a stranger sends in the name of somebody else,
// and however often, that one gets three times as much at most, repetitions and all.
func TestNobodyIsAnsweredLoudly(t *testing.T) {
	ca := newAuthority(t, "ca")
	var many []*x509.Certificate
	for k := range 32 {
		many = append(many, newAuthority(t, fmt.Sprintf("an authority with a long name, number %d", k)).cert)
	}
	tenant := Candidate{Tenant: "acme", PSK: []byte("secret"), Certificate: ca.issueRSA(t, "vpn.example.org", x509.ExtKeyUsageServerAuth, nil),
		EAP: true, Verify: ca.clientVerifier(), Authorities: append(many[:31:31], ca.cert)}
	tenant.Certificate.Chain = append(tenant.Certificate.Chain, many...)[:8] // as long as chains are
	group := Candidate{Tenant: "b", PSK: []byte("b"), Groups: []string{"sales"}}
	all := Config{V2: true, Candidates: lookUp([]Candidate{tenant, group})}
	few := Config{V2: true, Candidates: psk("acme", "secret", nil)}
	moved := all
	moved.Redirect = func(_, _ netip.Addr) string { return strings.Repeat("a", 200) + ".example.org" }
	short := func(more ...wire.Body) func(m *meter) {
		return func(m *meter) {
			r := &rogue{t: t, n: m.n, now: m.now, i: wire.Cookie{9}, ni: bytes.Repeat([]byte{7}, 16)}
			r.offer, _ = suite.ParseIKE2Suite(rogueSuite)
			m.give(r.hello(more...), 1)
		}
	}
	first := func(msg []byte, times int) func(m *meter) { return func(m *meter) { m.give(msg, times) } }
	header := func(version wire.Version, x wire.ExchangeType, f wire.Flags, r wire.Cookie) []byte {
		return wire.StartMessage(nil, wire.Header{Initiator: wire.Cookie{1}, Responder: r, Version: version, Exchange: x, Flags: f}).Finish()
	}
	// login has an IKE SA made from an address of one's own, and goes on in the victim's name.
	login := func(then func(m *meter, r *rogue, auth []byte)) func(m *meter) {
		return func(m *meter) {
			r := &rogue{t: t, n: m.n, now: m.now, path: Path{Local: serverNATT, Remote: clientNATT, NATT: true}, i: wire.Cookie{9}, ni: bytes.Repeat([]byte{7}, 16)}
			r.offer, _ = suite.ParseIKE2Suite(rogueSuite)
			m.n.eap = func(EAP) EAPReply { return EAPReply{Packet: []byte{1, 1, 0, 5, 1}} }
			if r.begin(); r.keys == nil {
				t.Fatal("no keys", m.n.failed)
			}
			then(m, r, r.sealed(wire.ExchangeAuth, 1, wire.ID2{Type: wire.IDFQDN, Data: []byte("x")}))
		}
	}
	tests := []struct {
		name string
		c    Config
		run  func(m *meter)
	}{
		{"main mode 1, taken", all, first(mainOffer(1, true, 0), 1)},
		{"main mode 1, taken, 1000 times", all, first(mainOffer(1, true, 0), 1000)},
		{"main mode 1, as Windows", all, first(message1(t, 1), 1)},
		{"main mode 1, refused", all, first(mainOffer(1, false, 0), 1)},
		{"main mode 1, a header", all, first(header(wire.V1, wire.ExchangeMain, 0, wire.Cookie{}), 1)},
		{"main mode 1, nobody there", Config{Candidates: lookUp(nil)}, first(mainOffer(1, true, 0), 1)},
		{"main mode 3, signatures", all, func(m *meter) {
			p, sent := handshake(t, all, dialSigned(ca.issueRSA(t, "a", x509.ExtKeyUsageClientAuth, nil), ca.verifier(auth.PurposeServer)), 1)
			m.n, m.now = p.server, p.now
			m.give(sent[1], 1)
		}},
		{"main mode 3, signatures, 1000 times", all, func(m *meter) {
			p, sent := handshake(t, all, dialSigned(ca.issueRSA(t, "a", x509.ExtKeyUsageClientAuth, nil), ca.verifier(auth.PurposeServer)), 1)
			m.n, m.now = p.server, p.now
			m.give(sent[1], 1000)
		}},
		{"main mode 3, recorded, 1000 times", all, func(m *meter) {
			p, sent := handshake(t, all, dialSigned(ca.issueRSA(t, "a", x509.ExtKeyUsageClientAuth, nil), ca.verifier(auth.PurposeServer)), 2)
			m.n, m.now = p.server, p.now
			m.give(sent[1], 1000)
		}},
		{"main mode 5, recorded, 1000 times", few, func(m *meter) {
			p, sent := handshake(t, few, dialConfig("secret"), 3)
			m.n, m.now = p.server, p.now
			m.give(sent[2], 1000)
		}},
		{"main mode 5, wrong key, 1000 times", few, func(m *meter) {
			p, sent := handshake(t, few, dialConfig("wrong"), 2)
			m.n, m.now = p.server, p.now
			m.give(sent[2], 1000)
		}},
		{"aggressive mode 1", all, first(aggressive1(t, 1), 1)},
		{"aggressive mode 1, 1000 times", all, first(aggressive1(t, 1), 1000)},
		{"aggressive mode 1, no groups", few, first(aggressive1(t, 1), 1)},
		{"IKE_SA_INIT, 32 authorities", all, short()},
		{"IKE_SA_INIT, 32 authorities, 1000 times", all, func(m *meter) {
			for range 1000 {
				short()(m)
			}
		}},
		{"IKE_SA_INIT, no authorities, 1000 times", few, func(m *meter) {
			for range 1000 {
				short()(m)
			}
		}},
		{"IKE_SA_INIT, redirected", moved, short(wire.Notify2{Type: wire.Notify2RedirectSupported})},
		{"IKE_SA_INIT, nothing acceptable", all, first(initOffer(4, 1, 1), 1)},
		{"IKE_SA_INIT, another group", all, first(initOffer(4, suite.GroupX25519, suite.GroupECP256), 1)},
		{"IKE_AUTH, unknown SPI", all, first(header(wire.V2, wire.ExchangeAuth, wire.FlagInitiator, wire.Cookie{5}), 1)},
		{"a version to come", all, first(header(0x30, wire.ExchangeAuth, wire.FlagInitiator, wire.Cookie{5}), 1)},
		{"IKE_AUTH, identity alone", all, login(func(m *meter, _ *rogue, auth []byte) { m.give(auth, 1) })},
		{"IKE_AUTH, identity alone, 1000 times", all, login(func(m *meter, _ *rogue, auth []byte) { m.give(auth, 1000) })},
		{"IKE_AUTH, recorded, 1000 times", all, login(func(m *meter, r *rogue, auth []byte) {
			_ = r.give(auth)
			m.give(auth, 1000)
		})},
		{"IKE_AUTH, EAP, second round", all, login(func(m *meter, r *rogue, auth []byte) {
			_ = r.give(auth)
			m.give(r.sealed(wire.ExchangeAuth, 2, wire.EAP{2, 1, 0, 6, 1, 'x'}), 1000)
		})},
		{"IKE_AUTH, wrong key, 1000 times", few, login(func(m *meter, r *rogue, _ []byte) {
			m.give(r.sealed(wire.ExchangeAuth, 1, append(r.proof("wrong"), wishes(1)...)...), 1000)
		})},
	}
	for _, tt := range tests {
		m := &meter{n: newNode(t, "server", tt.c), now: start}
		tt.run(m)
		m.wait()
		t.Logf("%-42s %8d bytes in, %8d out, x %.2f", tt.name, m.in, m.out, float64(m.out)/float64(m.in))
		if m.in == 0 || m.out > 3*m.in {
			t.Errorf("%s: %d bytes in another's name bring it %d", tt.name, m.in, m.out)
		}
	}
}

// TestAnswersAreRepeatedToWhoAsked: an answer goes again to where it went before, eight
// times at most, by both versions.
func TestAnswersAreRepeatedToWhoAsked(t *testing.T) {
	ca := newAuthority(t, "ca")
	v2 := Config{V2: true, Candidates: only(Candidate{Tenant: "acme", Certificate: ca.issue(t, "vpn", x509.ExtKeyUsageServerAuth, 100), EAP: true})}
	r := mustRogue(t, v2)
	r.n.eap = func(EAP) EAPReply { return EAPReply{Packet: []byte{1, 1, 0, 5, 1}} }
	repeats := func(what string, n *node, path Path, msg []byte, most int) {
		t.Helper()
		had := 0
		for range 100 {
			_ = n.s.Input(start.Add(time.Second), path, bytes.Clone(msg))
			sends, _ := drainAll(n)
			had += sends
		}
		if had != most {
			t.Errorf("%s: answered %d times", what, had)
		}
	}
	elsewhere := Path{Local: serverNATT, Remote: victim, NATT: true}
	repeats("IKE_SA_INIT", r.n, r.path, r.init[0], 8)
	login := r.sealed(wire.ExchangeAuth, 1, wire.ID2{Type: wire.IDFQDN, Data: []byte("x")})
	had := len(r.got)
	_ = r.give(login)
	datagrams := len(r.got) - had
	if datagrams == 0 {
		t.Fatal(r.n.failed)
	}
	repeats("IKE_AUTH from elsewhere", r.n, elsewhere, login, 0)
	otherPort := r.path
	otherPort.Remote = netip.AddrPortFrom(r.path.Remote.Addr(), 1234)
	repeats("IKE_AUTH from another port", r.n, otherPort, login, 8*datagrams)
	repeats("IKE_AUTH again", r.n, r.path, login, 0)

	p, sent := handshake(t, Config{Candidates: psk("acme", "secret", nil)}, dialConfig("secret"), 2)
	drainAll(p.server)
	own := Path{Local: serverIKE, Remote: clientIKE}
	repeats("main mode 3 from elsewhere", p.server, elsewhere, sent[1], 0)
	repeats("main mode 3", p.server, own, sent[1], 8)
	repeats("main mode 1 when 3 was there", p.server, own, sent[0], 8)
}
