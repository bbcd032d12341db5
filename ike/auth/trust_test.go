package auth

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

var today = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

// authority issues certificates for a test.
type authority struct {
	t    *testing.T
	key  crypto.Signer
	cert *x509.Certificate
	last int64
}

func newAuthority(t *testing.T, name string, parent *authority) *authority {
	t.Helper()
	a := &authority{t: t, key: keysOnce()["p384"]}
	c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	if parent == nil {
		a.cert = issueCert(t, c, c, a.key, a.key, 1)
	} else {
		a.key = keysOnce()["p521"]
		a.cert = issueCert(t, c, parent.cert, a.key, parent.key, 77)
	}
	return a
}

func issueCert(t *testing.T, c, parent *x509.Certificate, key, parentKey crypto.Signer, serial int64) *x509.Certificate {
	t.Helper()
	c.SerialNumber, c.BasicConstraintsValid = big.NewInt(serial), true
	if c.NotBefore.IsZero() {
		c.NotBefore, c.NotAfter = today.AddDate(-1, 0, 0), today.AddDate(1, 0, 0)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (a *authority) issue(c *x509.Certificate) *x509.Certificate {
	a.last++
	return issueCert(a.t, c, a.cert, keysOnce()["p256"], a.key, 100+a.last)
}

func (a *authority) crl(until time.Time, revoked ...*x509.Certificate) *x509.RevocationList {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: today.AddDate(0, -1, 0), NextUpdate: until}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: today.AddDate(0, 0, -3)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	out, err := x509.ParseRevocationList(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

func wantFault(t *testing.T, err error, want Fault, words string) {
	t.Helper()
	var e *CertificateError
	if !errors.As(err, &e) || e.Fault != want || !errors.Is(err, ErrCertificate) || !strings.Contains(err.Error(), words) {
		t.Errorf("%v, want %v with %q", err, want, words)
	}
}

// TestTrust: every way to be refused has its own reason.
func TestTrust(t *testing.T) {
	root := newAuthority(t, "root", nil)
	inter := newAuthority(t, "intermediate", root)
	stranger := newAuthority(t, "stranger", nil)
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	named := func(name string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: client}
	}
	good, revoked := inter.issue(named("good")), inter.issue(named("revoked"))
	old, early := named("old"), named("early")
	old.NotBefore, old.NotAfter = today.AddDate(-2, 0, 0), today.AddDate(0, 0, -1)
	early.NotBefore, early.NotAfter = today.AddDate(0, 0, 1), today.AddDate(1, 0, 0)
	trust := &Trust{Roots: []*x509.Certificate{root.cert}, CRLs: []*x509.RevocationList{
		inter.crl(today.AddDate(0, 1, 0), revoked), stranger.crl(today.AddDate(0, 1, 0), good)}}
	chain := func(c *x509.Certificate) []*x509.Certificate { return []*x509.Certificate{c, inter.cert} }

	path, err := trust.Verify(today, chain(good), PurposeClient)
	if err != nil || len(path) != 3 || path[2] != root.cert && !path[2].Equal(root.cert) {
		t.Errorf("%v, %v", path, err)
	}
	for _, c := range []struct {
		sent  []*x509.Certificate
		p     Purpose
		want  Fault
		words string
	}{
		{nil, PurposeClient, FaultMissing, "no certificate"},
		{chain(inter.issue(old)), PurposeClient, FaultExpired, "2026-04-30"},
		{chain(inter.issue(early)), PurposeClient, FaultNotYetValid, "2026-05-02"},
		{[]*x509.Certificate{good}, PurposeClient, FaultUnknownCA, "intermediate"},
		{[]*x509.Certificate{stranger.issue(named("other"))}, PurposeClient, FaultUnknownCA, "stranger"},
		{chain(good), PurposeServer, FaultPurpose, "clientAuth, and serverAuth is needed"},
		{chain(revoked), PurposeClient, FaultRevoked, "2026-04-28"},
	} {
		_, err := trust.Verify(today, c.sent, c.p)
		wantFault(t, err, c.want, c.words)
	}
	trust.Intermediates = []*x509.Certificate{inter.cert}
	if _, err := trust.Verify(today, []*x509.Certificate{good}, PurposeClient); err != nil {
		t.Error(err)
	}
	trust.Strict = true // of the intermediate itself nothing is known
	_, err = trust.Verify(today, chain(good), PurposeClient)
	wantFault(t, err, FaultUnknown, "missing or out of date")
	trust.CRLs = append(trust.CRLs, root.crl(today.AddDate(0, 1, 0)))
	if _, err = trust.Verify(today, chain(good), PurposeClient); err != nil {
		t.Error(err)
	}
	_, err = trust.Verify(today.AddDate(0, 2, 0), chain(good), PurposeClient)
	wantFault(t, err, FaultUnknown, "out of date")
}

// asked answers for certificates by their names.
type asked map[string]error

func (a asked) Check(_ time.Time, c, _ *x509.Certificate) error { return a[c.Subject.CommonName] }

func TestRevocationIsAsked(t *testing.T) {
	root := newAuthority(t, "root", nil)
	trust := &Trust{Roots: []*x509.Certificate{root.cert}, Revocation: asked{
		"bad": fmt.Errorf("%w: key stolen", ErrRevoked), "silent": errors.New("no answer")}}
	verify := func(name string) error {
		_, err := trust.Verify(today, []*x509.Certificate{root.issue(&x509.Certificate{Subject: pkix.Name{CommonName: name}})}, PurposeClient)
		return err
	}
	if err := errors.Join(verify("good"), verify("silent")); err != nil {
		t.Error(err)
	}
	wantFault(t, verify("bad"), FaultRevoked, "key stolen")
	trust.Strict = true
	wantFault(t, verify("silent"), FaultUnknown, "no answer")
}

// TestPurposes: no usage, any, and the one for IKE will do; a server is no client.
func TestPurposes(t *testing.T) {
	root := newAuthority(t, "root", nil)
	trust := &Trust{Roots: []*x509.Certificate{root.cert}}
	for _, c := range []*x509.Certificate{
		{}, {ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}, {UnknownExtKeyUsage: []asn1.ObjectIdentifier{ikeIntermediate}},
		{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning, x509.ExtKeyUsageServerAuth}},
	} {
		if _, err := trust.Verify(today, []*x509.Certificate{root.issue(c)}, PurposeServer); err != nil {
			t.Error(err)
		}
	}
	_, err := trust.Verify(today, []*x509.Certificate{root.issue(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}})}, PurposeServer)
	wantFault(t, err, FaultPurpose, "codeSigning")

	server := root.issue(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{ikeIntermediate}})
	if _, err := trust.Verify(today, []*x509.Certificate{server}, PurposeServer); err != nil {
		t.Error(err)
	}
	_, err = trust.Verify(today, []*x509.Certificate{server}, PurposeClient)
	wantFault(t, err, FaultPurpose, "clientAuth")
}

func TestMatchID(t *testing.T) {
	root := newAuthority(t, "root", nil)
	c := root.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "alice", Organization: []string{"acme"}},
		DNSNames: []string{"vpn.example.org", "*.example.net", "192.0.2.9"}, EmailAddresses: []string{"alice@example.org"},
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")}, SubjectKeyId: []byte{1, 2, 3}})
	utf8 := pkix.Name{CommonName: "alice", Organization: []string{"acme"}}.ToRDNSequence()
	dn, _ := asn1.Marshal(utf8)
	for _, x := range []struct {
		kind   wire.IDType
		data   string
		server bool
		client bool
	}{
		{wire.IDFQDN, "vpn.example.org", true, true}, {wire.IDFQDN, "VPN.Example.org", true, true},
		{wire.IDFQDN, "a.example.net", true, false}, {wire.IDFQDN, "*.example.net", true, true}, {wire.IDFQDN, "example.org", false, false},
		{wire.IDFQDN, "192.0.2.1", true, true}, {wire.IDFQDN, "192.0.2.9", true, true}, {wire.IDFQDN, "192.0.2.2", false, false},
		{wire.IDFQDN, "alice", false, true}, {wire.IDFQDN, "alice@example.org", false, true}, {wire.IDFQDN, "", false, false},
		{wire.IDUserFQDN, "Alice@example.org", true, true}, {wire.IDUserFQDN, "bob@example.org", false, false},
		{wire.IDIPv4Addr, "\xc0\x00\x02\x01", true, true}, {wire.IDIPv4Addr, "\xc0\x00\x02\x02", false, false},
		{wire.IDIPv6Addr, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", true, true},
		{wire.IDDERASN1DN, string(c.RawSubject), true, true}, {wire.IDDERASN1DN, string(dn), true, true},
		{wire.IDDERASN1DN, "\x30\x00", false, false}, {wire.IDDERASN1DN, "junk", false, false},
		{wire.IDKeyID, "\x01\x02\x03", true, true}, {wire.IDKeyID, "alice", false, true}, {wire.IDKeyID, "", false, false},
		{wire.IDIPv4AddrSubnet, "\xc0\x00\x02\x01\xff\xff\xff\xff", false, false},
	} {
		id := wire.ID2{Type: x.kind, Data: []byte(x.data)}
		for p, want := range map[Purpose]bool{PurposeServer: x.server, PurposeClient: x.client} {
			if err := MatchID(c, id, p); (err == nil) != want {
				t.Errorf("%v as %v: %v", id, p, err)
			} else if err != nil {
				wantFault(t, err, FaultName, "vpn.example.org")
			}
		}
	}
	if MatchHost(c, "vpn.example.org") != nil || MatchHost(c, "192.0.2.9") != nil || MatchHost(c, "alice") == nil {
		t.Error("MatchHost")
	}
	if Identity(c) != "alice@example.org" || Identity(root.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "bob"}})) != "bob" {
		t.Error("Identity")
	}
}

func TestParseCertificates(t *testing.T) {
	root := newAuthority(t, "root", nil)
	c := root.issue(&x509.Certificate{})
	list := root.crl(today)
	file := slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}),
		pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.cert.Raw}))
	if got, err := ParseCertificates(file); err != nil || len(got) != 2 || !got[0].Equal(c) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseCRLs(file); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseCertificates(c.Raw); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	_, err := ParseCertificates([]byte("junk"))
	wantFault(t, err, FaultMalformed, "neither PEM nor DER")
	_, err = ParseCRLs(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	wantFault(t, err, FaultMissing, "X509 CRL")
	payloads := []wire.Cert2{{Encoding: wire.CertX509Signature, Data: c.Raw}, {Encoding: wire.CertHashAndURL, Data: []byte{1}}}
	if got, err := ParseCerts(payloads); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	_, err = ParseCerts(append(payloads, wire.Cert2{Encoding: wire.CertX509Signature, Data: c.Raw[:9]}))
	wantFault(t, err, FaultMalformed, "number 2")
}

// A certificate without names is nobody's who says nothing.
func TestEmptyIdentityIsNobody(t *testing.T) {
	nameless := newAuthority(t, "root", nil).issue(&x509.Certificate{Subject: pkix.Name{Organization: []string{"acme"}}})
	for _, kind := range []wire.IDType{wire.IDFQDN, wire.IDUserFQDN, wire.IDKeyID, wire.IDDERASN1DN} {
		if MatchID(nameless, wire.ID2{Type: kind}, PurposeClient) == nil {
			t.Errorf("an empty %v is the certificate's", kind)
		}
	}
}

// TestClientName: a client is called by its certificate, in the certificate's spelling; which
// of its names it is, it may say.
func TestClientName(t *testing.T) {
	root := newAuthority(t, "root", nil)
	full := root.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "alice"}, DNSNames: []string{"alice.example.org", "*.example.net"},
		EmailAddresses: []string{"alice@example.org"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}, SubjectKeyId: []byte("bob")})
	mail := root.issue(&x509.Certificate{EmailAddresses: []string{"carol@example.org"}})
	bare := root.issue(&x509.Certificate{})
	for _, x := range []struct {
		c    *x509.Certificate
		kind wire.IDType
		said string
		want string
	}{
		{full, wire.IDDERASN1DN, string(full.RawSubject), "alice"},
		{full, wire.IDFQDN, "alice", "alice"}, {full, wire.IDKeyID, "alice", "alice"},
		{full, wire.IDFQDN, "ALICE.example.org", "alice.example.org"},
		{full, wire.IDUserFQDN, "Alice@Example.org", "alice@example.org"},
		{full, wire.IDIPv4Addr, "\xc0\x00\x02\x01", "192.0.2.1"},
		// What the certificate does not say.
		{full, wire.IDIPv4Addr, "\xc0\x00\x02\x02", "alice"}, {full, wire.IDFQDN, "bob", "alice"},
		{full, wire.IDKeyID, "bob", "alice"}, {full, wire.IDUserFQDN, "bob@example.org", "alice"},
		{full, wire.IDFQDN, "bob.example.net", "alice"}, {full, wire.IDFQDN, "ALICE", "alice"},
		{full, wire.IDDERASN1DN, string(root.cert.RawSubject), "alice"}, {full, wire.IDFQDN, "", "alice"},
		{mail, wire.IDFQDN, "bob", "carol@example.org"}, {mail, wire.IDDERASN1DN, "\x30\x00", "carol@example.org"},
		{bare, wire.IDFQDN, "bob", fmt.Sprintf("serial number %v of CN=root", bare.SerialNumber)},
	} {
		if got := ClientName(x.c, wire.ID2{Type: x.kind, Data: []byte(x.said)}); got != x.want {
			t.Errorf("%v %q: %q, want %q", x.kind, x.said, got, x.want)
		}
	}
}

// TestListsCountWithinTheirScope: a list of the authority's that is about the certificates of
// authorities only, or has nothing but changes, does not say that a client's is good.
func TestListsCountWithinTheirScope(t *testing.T) {
	root := newAuthority(t, "root", nil)
	client := root.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "alice"}})
	for name, x := range map[string]struct {
		extension pkix.Extension
		good      bool
	}{
		"users only":       {pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x81, 1, 0xff}}, true},
		"authorities only": {pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x82, 1, 0xff}}, false},
		"changes only":     {pkix.Extension{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}, false},
	} {
		list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: today.AddDate(0, 0, -1), NextUpdate: today.AddDate(0, 0, 1), ExtraExtensions: []pkix.Extension{x.extension}}
		der, err := x509.CreateRevocationList(rand.Reader, list, root.cert, root.key)
		if err == nil {
			list, err = x509.ParseRevocationList(der)
		}
		if err != nil {
			t.Fatal(err)
		}
		trust := &Trust{Roots: []*x509.Certificate{root.cert}, CRLs: []*x509.RevocationList{list}, Strict: true}
		if _, err := trust.Verify(today, []*x509.Certificate{client}, PurposeClient); (err == nil) != x.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
