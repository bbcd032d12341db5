package ike

import (
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// certified logs in with a certificate, under the
// identity that it likes.
func (r *rogue) certified(c *Certificate, id wire.ID2, more ...wire.Body) []wire.Payload {
	r.t.Helper()
	octets := auth.Octets{Message: r.init[0], Nonce: r.nr, ID: id.AppendBody(nil), PRF: r.suite.PRF, SKp: r.keys.Pi}
	proof, err := auth.Sign(stream("sig"), c.Signer, octets.Bytes(), auth.SignPolicy{Hashes: []auth.HashAlgorithm{auth.HashSHA256}})
	if err != nil {
		r.t.Fatal(err)
	}
	cert := wire.Cert2{Encoding: wire.CertX509Signature, Data: c.Chain[0].Raw}
	return r.ask(wire.ExchangeAuth, append(append([]wire.Body{id, cert, proof}, more...), wishes(1)...)...)
}

// TestV2CertificateDecidesWhoItIs: where the certificate alone decides, a client may call
// itself what it likes, its address as Apple's do or another user's name, and is whom its
// certificate names.
func TestV2CertificateDecidesWhoItIs(t *testing.T) {
	ca := newAuthority(t, "ca")
	server := Candidate{Tenant: "acme", Certificate: ca.issue(t, "vpn.example.org", x509.ExtKeyUsageServerAuth, 0),
		Verify: ca.verifier(auth.PurposeClient), Authorities: []*x509.Certificate{ca.cert}}
	mallory := ca.issue(t, "mallory", x509.ExtKeyUsageClientAuth, 0)
	address := wire.AddrID(netip.MustParseAddr("192.168.3.111"), 0, 0)
	for _, id := range []wire.ID2{
		{Type: address.Type, Data: address.Data}, {Type: wire.IDFQDN, Data: []byte("alice")}, {Type: wire.IDUserFQDN, Data: []byte("alice")},
		{Type: wire.IDKeyID, Data: []byte("alice")}, {Type: wire.IDDERASN1DN, Data: ca.cert.RawSubject},
		{Type: wire.IDFQDN, Data: []byte("mallory")}, {Type: wire.IDDERASN1DN, Data: mallory.Chain[0].RawSubject},
	} {
		r := mustRogue(t, Config{Candidates: only(server)})
		r.certified(mallory, id)
		r.wantUp(1)
		for _, e := range r.n.events {
			if a, ok := e.(Assign); ok && a.Identity != "mallory" {
				t.Errorf("%v: is %q", id, a.Identity)
			}
		}
		r.wantEmpty()
	}
}

// TestV2ImpostorEndsNobodysConnection: whoever has a certificate and calls himself by
// another's name, with INITIAL_CONTACT and from the same address, does not throw the other
// out.
func TestV2ImpostorEndsNobodysConnection(t *testing.T) {
	ca := newAuthority(t, "ca")
	server := Candidate{Tenant: "acme", Certificate: ca.issue(t, "vpn.example.org", x509.ExtKeyUsageServerAuth, 0),
		Verify: ca.verifier(auth.PurposeClient), Authorities: []*x509.Certificate{ca.cert}}
	alice := mustRogue(t, Config{Candidates: only(server)})
	dn := func(c *Certificate) wire.ID2 { return wire.ID2{Type: wire.IDDERASN1DN, Data: c.Chain[0].RawSubject} }
	hers := ca.issue(t, "alice", x509.ExtKeyUsageClientAuth, 0)
	alice.certified(hers, dn(hers))
	alice.wantUp(1)
	mallory := *alice
	mallory.i, mallory.ni, mallory.got = wire.Cookie{6, 6, 6}, []byte("another nonce of thirty-two byte"), nil
	mallory.path.Remote = netip.AddrPortFrom(mallory.path.Remote.Addr(), 4501)
	mallory.begin()
	mallory.certified(ca.issue(t, "mallory", x509.ExtKeyUsageClientAuth, 0), dn(hers), wire.Notify2{Type: wire.Notify2InitialContact})
	if len(alice.n.closed) != 0 || len(alice.n.children) != 2 {
		t.Fatalf("closed %v, %d child SAs; failed %v", alice.n.closed, len(alice.n.children), alice.n.failed)
	}
	mallory.wantEmpty()
}

// TestV1CertificateDecidesWhoItIs is the same in IKEv1.
func TestV1CertificateDecidesWhoItIs(t *testing.T) {
	ca := newAuthority(t, "ca")
	server := signedCandidate(t, "acme", ca)
	server.Verify = ca.verifier(auth.PurposeClient)
	for _, name := range []string{"alice", "192.168.3.111", "mallory"} {
		p := newPair(t, 1, Config{Candidates: only(server)})
		d := dialSigned(ca.issueRSA(t, "mallory", x509.ExtKeyUsageClientAuth, nil), ca.verifier(auth.PurposeServer))
		d.Identity = name
		p.dial(d)
		wantOneChild(t, p)
		for _, up := range p.server.up {
			if !strings.Contains(up.Identity, "mallory") {
				t.Errorf("who calls himself %s is %q", name, up.Identity)
			}
		}
		p.run(time.Second, nil)
		p.closeAll()
	}
}

// TestV2SaysWhichCertificateCannotBeRead: the log tells an operator what is wrong with it.
func TestV2SaysWhichCertificateCannotBeRead(t *testing.T) {
	ca := newAuthority(t, "ca")
	server := Candidate{Tenant: "acme", Certificate: ca.issue(t, "vpn.example.org", x509.ExtKeyUsageServerAuth, 0), Verify: ca.verifier(auth.PurposeClient)}
	c := ca.issue(t, "alice", x509.ExtKeyUsageClientAuth, 0)
	broken := *c.Chain[0]
	broken.Raw = broken.Raw[:len(broken.Raw)-1]
	c.Chain[0] = &broken
	r := mustRogue(t, Config{Candidates: only(server)})
	r.wantNotify(r.certified(c, wire.ID2{Type: wire.IDDERASN1DN, Data: broken.RawSubject}), wire.Notify2AuthenticationFailed)
	if said := r.n.failed[0].Detail; !strings.Contains(said, "certificate 1 of those sent cannot be read: x509: ") {
		t.Errorf("said %q", said)
	}
	r.wantEmpty()
}
