package v1

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// certify makes a certificate of a name by itself.
func certify(t testing.TB, name string) *Certificate {
	t.Helper()
	key, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, x, x, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Certificate{Chain: []*x509.Certificate{c}, Signer: key}
}

// nameIs accepts who shows a certificate of that common name.
func nameIs(name string) Verifier {
	return func(_ time.Time, chain []*x509.Certificate, _ wire.ID2) error {
		if chain[0].Subject.CommonName != name {
			return &auth.CertificateError{Fault: auth.FaultName}
		}
		return nil
	}
}

var signedPolicy = suite.DefaultIKE(false, suite.AuthRSASignature)

// startSigned runs a main mode with signatures up to message 5.
func startSigned(t testing.TB) (i, r *Phase1, messages [][]byte) {
	t.Helper()
	alice := certify(t, "alice")
	c := initiator("", rfc3947)
	p := suite.Own()
	p.IKE = p.IKE[:1]
	p.IKE[0].Auth = suite.AuthRSASignature
	c.Offer, c.PSK, c.Certificate = p.OfferIKE(), nil, alice
	c.Identity = wire.ID{Type: wire.IDDERASN1DN, Data: alice.Chain[0].RawSubject}
	i, m1, err := StartMain(c)
	if err != nil {
		t.Fatal(err)
	}
	h, body, _ := wire.ConsumeHeader(m1)
	r, m2, err := AnswerMain(stream("r"), h, body, signedPolicy)
	if err != nil {
		t.Fatal(err)
	}
	r.Trust(alice.Chain)
	messages = [][]byte{m1, m2}
	for _, to := range []*Phase1{i, r, i} {
		h, body, _ := wire.ConsumeHeader(bytes.Clone(messages[len(messages)-1]))
		out, err := input(to, h, body, Ends{Local: server, Remote: client, HideRemote: true})
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, out.Send)
	}
	return i, r, messages
}

// types lists the payloads of a message.
func types(chain []wire.Payload) (list []wire.PayloadType) {
	for _, p := range chain {
		list = append(list, p.Type)
	}
	return list
}

func wantTypes(t *testing.T, what string, chain []wire.Payload, want ...wire.PayloadType) {
	t.Helper()
	if got := types(chain); !slices.Equal(got, want) {
		t.Errorf("%s has %v, want %v", what, got, want)
	}
}

// take gives message 5 to the responder and has it judged.
func take(t *testing.T, r *Phase1, msg []byte, list ...Verifier) *Verdict {
	t.Helper()
	h, body, err := wire.ConsumeHeader(bytes.Clone(msg))
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.Input(h, body, Ends{})
	if err != nil {
		return &Verdict{Err: err}
	}
	if !out.Search || try(r, "") {
		t.Fatal("a claim is not to be opened by a key")
	}
	return r.Judge(time.Now(), list)().(*Verdict)
}

// TestSignedMainMode goes through the messages of RFC 2409, section 5.1.
func TestSignedMainMode(t *testing.T) {
	i, r, messages := startSigned(t)
	h, body, _ := wire.ConsumeHeader(messages[3])
	chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
	if err != nil {
		t.Fatal(err)
	}
	wantTypes(t, "message 4", chain, wire.PayloadKE, wire.PayloadNonce, wire.PayloadCertRequest, wire.PayloadNATD, wire.PayloadNATD)
	if cr := chain[2].Body; cr[0] != byte(wire.CertX509Signature) || !bytes.Equal(cr[1:], i.own.Chain[0].RawSubject) {
		t.Errorf("asks for %x", cr)
	}
	h, body, _ = wire.ConsumeHeader(bytes.Clone(messages[4]))
	if chain, _, err = r.decrypt(h, body); err != nil {
		t.Fatal(err)
	}
	wantTypes(t, "message 5", chain, wire.PayloadID, wire.PayloadCert, wire.PayloadSignature, wire.PayloadCertRequest)

	if v := take(t, r, messages[4], nameIs("bob"), nameIs("carol")); v.Err == nil {
		t.Fatal("believed")
	}
	r.Reject()
	if v := take(t, r, messages[4], nameIs("bob"), nameIs("alice")); v.Err != nil || v.Index != 1 {
		t.Fatal(v)
	}
	vpn := certify(t, "vpn")
	out, err := r.Accept(wire.ID{Type: wire.IDFQDN, Data: []byte("vpn")}, vpn)
	if err != nil {
		t.Fatal(err)
	}
	if out, err = r.Computed(out.Compute()); err != nil || !out.Done {
		t.Fatal(err)
	}
	h, body, _ = wire.ConsumeHeader(out.Send)
	if out, err = i.Input(h, body, Ends{}); err != nil || !out.Search {
		t.Fatal(err)
	}
	if out, err = i.Computed(i.Judge(time.Now(), []Verifier{nameIs("vpn")})()); err != nil || !out.Done {
		t.Fatal(err)
	}
	a, b := i.SA(), r.SA()
	if !bytes.Equal(a.keys.d, b.keys.d) || !bytes.Equal(a.last, b.last) || r.Identity().Type != wire.IDDERASN1DN {
		t.Errorf("the sides differ, or %v", r.Identity())
	}
}

// TestSignedTampered: message 5 with any of its bits changed is not believed.
func TestSignedTampered(t *testing.T) {
	i, r, messages := startSigned(t)
	m5 := messages[4]
	alice := func(_ time.Time, chain []*x509.Certificate, _ wire.ID2) error {
		if !chain[0].Equal(i.own.Chain[0]) {
			return ErrAuth
		}
		return nil
	}
	for n := wire.HeaderLen; n < len(m5); n += 5 {
		bad := bytes.Clone(m5)
		bad[n] ^= 0x20
		// What follows the signature is not signed; it asks for certificates.
		if v := take(t, r, bad, alice); v.Err == nil && n < len(m5)-32 {
			t.Errorf("byte %d of %d changed, and believed", n, len(m5))
		}
		r.Reject()
	}
	if v := take(t, r, m5, alice); v.Err != nil {
		t.Error(v.Err)
	}
}

// TestSignedRefusal: each side reads why the other does not believe it.
func TestSignedRefusal(t *testing.T) {
	i, r, messages := startSigned(t)
	if v := take(t, r, messages[4], nameIs("bob")); v.Err == nil {
		t.Fatal("believed")
	}
	h, body, _ := wire.ConsumeHeader(r.Refuse(7, wire.NotifyAuthenticationFailed))
	chain, err := i.OpenRefusal(h, bytes.Clone(body))
	if err != nil || len(chain) != 1 || chain[0].Type != wire.PayloadNotify {
		t.Fatal(chain, err)
	}
	body[len(body)-1] ^= 1
	if _, err := i.OpenRefusal(h, body); err == nil {
		t.Error("a refusal by somebody else is believed")
	}
}

// pkcs7 wraps certificates as Windows does, in a set.
func pkcs7(t testing.TB, certs ...*x509.Certificate) []byte {
	t.Helper()
	wrap := func(class, tag int, parts ...[]byte) []byte {
		b, err := asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: slices.Concat(parts...)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var all []byte
	for _, c := range certs {
		all = append(all, c.Raw...)
	}
	data, _ := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1})
	signed, _ := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2})
	inner := wrap(0, asn1.TagSequence, []byte{2, 1, 1}, wrap(0, asn1.TagSet), wrap(0, asn1.TagSequence, data), wrap(2, 0, all), wrap(0, asn1.TagSet))
	return wrap(0, asn1.TagSequence, signed, wrap(2, 0, inner))
}

// TestClaims looks at claims in the forms that clients have them in.
func TestClaims(t *testing.T) {
	key, _ := rsaKey()
	hash := bytes.Repeat([]byte{7}, 20)
	sig, err := auth.SignHash(rand.Reader, key, hash)
	if err != nil {
		t.Fatal(err)
	}
	alice, other := certify(t, "alice").Chain[0], foreign(t)
	x := func(c *x509.Certificate) wire.Cert { return wire.Cert{Encoding: wire.CertX509Signature, Data: c.Raw} }
	tests := map[string]struct {
		certs []wire.Cert
		sig   []byte
		ok    bool
	}{
		"a leaf, as Apple":           {[]wire.Cert{x(alice)}, sig, true},
		"a chain, as strongSwan":     {[]wire.Cert{x(alice), x(other)}, sig, true},
		"PKCS#7, as Windows":         {[]wire.Cert{{Encoding: wire.CertPKCS7, Data: pkcs7(t, other, alice)}}, sig, true},
		"none":                       {nil, sig, false},
		"another's":                  {[]wire.Cert{x(other)}, sig, false},
		"another's signature":        {[]wire.Cert{x(alice)}, bytes.Repeat([]byte{1}, 256), false},
		"not a certificate":          {[]wire.Cert{{Encoding: wire.CertX509Signature, Data: []byte("no")}}, sig, false},
		"too many in PKCS#7":         {[]wire.Cert{{Encoding: wire.CertPKCS7, Data: pkcs7(t, slices.Repeat([]*x509.Certificate{alice}, 13)...)}}, sig, false},
		"PKCS#7 that cannot be read": {[]wire.Cert{{Encoding: wire.CertPKCS7, Data: []byte{0x30}}}, sig, false},
	}
	for name, x := range tests {
		c := &claim{certs: x.certs, sig: x.sig}
		if v := c.judge(time.Now(), hash, []Verifier{nameIs("alice")}); (v.Err == nil) != x.ok {
			t.Errorf("%s: %v", name, v.Err)
		}
	}
}

// foreign is a certificate of another key.
func foreign(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour)}
	der, _ := x509.CreateCertificate(rand.Reader, x, x, &key.PublicKey, key)
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestMostTellingError: of several authorities, the one that knows the client says
// what is wrong with it.
func TestMostTellingError(t *testing.T) {
	key, _ := rsaKey()
	hash := bytes.Repeat([]byte{7}, 20)
	sig, _ := auth.SignHash(rand.Reader, key, hash)
	says := func(f auth.Fault) Verifier {
		return func(time.Time, []*x509.Certificate, wire.ID2) error { return &auth.CertificateError{Fault: f} }
	}
	c := &claim{certs: []wire.Cert{{Encoding: wire.CertX509Signature, Data: certify(t, "alice").Chain[0].Raw}}, sig: sig}
	v := c.judge(time.Now(), hash, []Verifier{says(auth.FaultUnknownCA), says(auth.FaultRevoked), says(auth.FaultUnknownCA)})
	var why *auth.CertificateError
	if !errors.As(v.Err, &why) || why.Fault != auth.FaultRevoked {
		t.Error(v.Err)
	}
}

// TestCertificateBounds: before a peer has proved anything little is kept of it.
func TestCertificateBounds(t *testing.T) {
	body := func(n int) wire.Payload {
		return wire.Payload{Type: wire.PayloadCert, Body: append([]byte{byte(wire.CertX509Signature)}, make([]byte, n)...)}
	}
	for name, x := range map[string]struct {
		chain []wire.Payload
		ok    bool
	}{
		"most":            {slices.Repeat([]wire.Payload{body(1000)}, maxCertificates), true},
		"too many":        {slices.Repeat([]wire.Payload{body(10)}, maxCertificates+1), false},
		"too long":        {slices.Repeat([]wire.Payload{body(maxCertificateBytes/2 + 1)}, 2), false},
		"empty":           {[]wire.Payload{{Type: wire.PayloadCert, Body: []byte{4}}}, false},
		"other encodings": {slices.Repeat([]wire.Payload{{Type: wire.PayloadCert, Body: []byte{7, 1, 2}}}, 40), true},
	} {
		if _, err := readCerts(x.chain); (err == nil) != x.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := &Phase1{authorities: slices.Repeat([]*x509.Certificate{{RawSubject: make([]byte, 50)}}, maxRequests+1)}
	msg := m.start(0)
	m.addRequests(msg)
	if n := len(msg.Finish()); n != wire.HeaderLen+5 {
		t.Errorf("%d bytes of requests", n)
	}
}

// FuzzClaim has anything stand in message 5, encrypted as it should be: nobody is
// believed who has not signed.
func FuzzClaim(f *testing.F) {
	f.Add([]byte{9, 0, 0, 12, 2, 0, 0, 0, 'a', 'l', 'i', 'c'})
	f.Add([]byte{6, 0, 0, 9, 2, 0, 0, 0, 'a', 9, 0, 0, 6, 4, 0x30, 0, 0, 0, 8, 1, 2, 3, 4})
	_, r, _ := startSigned(f)
	f.Fuzz(func(t *testing.T, plain []byte) {
		body := append(bytes.Clone(plain), make([]byte, 16-len(plain)%16)...)
		if err := r.sa.keys.cbc.Encrypt(r.thread.iv, body); err != nil {
			t.Fatal(err)
		}
		h := wire.Header{Exchange: wire.ExchangeMain, Version: wire.V1, Flags: wire.FlagEncryption, Next: wire.PayloadID}
		if out, err := r.Input(h, body, Ends{}); err == nil && out.Search {
			if v := r.Judge(time.Now(), []Verifier{nameIs("alice")})().(*Verdict); v.Err == nil {
				t.Fatal("believed")
			}
			r.Reject()
		}
	})
}
