package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"
)

// authority issues what crypto/x509 would not write.
type authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t testing.TB, name string, edit func([]byte)) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key}
	x := template(name)
	x.IsCA, x.BasicConstraintsValid, x.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = Parse(a.resign(der, edit)); err != nil {
		t.Fatal(err)
	}
	return a
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(0x7b), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
}

// issue issues a certificate in DER; edit changes what is signed.
func (a *authority) issue(x *x509.Certificate, edit func([]byte)) []byte {
	a.t.Helper()
	parent := *a.cert
	parent.RawSubject = a.cert.RawSubject
	der, err := x509.CreateCertificate(rand.Reader, x, &parent, a.key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.resign(der, edit)
}

// resign changes what is signed of a certificate or list, and signs it again.
func (a *authority) resign(der []byte, edit func([]byte)) []byte {
	a.t.Helper()
	if edit == nil {
		return der
	}
	var whole struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &whole); err != nil {
		a.t.Fatal(err)
	}
	edit(whole.TBS.FullBytes)
	sum := sha256.Sum256(whole.TBS.FullBytes)
	sig, err := a.key.Sign(rand.Reader, sum[:], nil)
	if err != nil {
		a.t.Fatal(err)
	}
	whole.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	out, err := asn1.Marshal(whole)
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

// printableStrings has every UTF8String of a text say that it is a PrintableString.
func printableStrings(text string) func([]byte) {
	return func(tbs []byte) {
		for at := 0; ; at++ {
			n := bytes.Index(tbs[at:], append([]byte{tagUTF8, byte(len(text))}, text...))
			if n < 0 {
				return
			}
			at += n
			tbs[at] = tagPrintable
		}
	}
}

// negative makes a serial number of 123 one of -5.
func negative(tbs []byte) {
	at := bytes.Index(tbs, []byte{2, 1, 0x7b})
	tbs[at+2] = 0xfb
}

// otherName is a subject alternative name of that form alone.
func otherName(id asn1.ObjectIdentifier, name string, critical bool) pkix.Extension {
	oid, _ := asn1.Marshal(id)
	text, _ := asn1.MarshalWithParams(name, "utf8")
	wrapped, _ := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: text})
	other, _ := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: append(oid, wrapped...)})
	value, _ := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: other})
	return pkix.Extension{Id: oidAltName, Critical: critical, Value: value}
}

// verify finds a path from a certificate to the authority.
func (a *authority) verify(der []byte) (*x509.Certificate, error) {
	c, err := Parse(der)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	_, err = c.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return c, err
}

// TestCertificatesOfOldAuthorities: what RFC 5280 lets be, and crypto/x509 does not read, is
// read, as it came, and verified over what was signed.
func TestCertificatesOfOldAuthorities(t *testing.T) {
	usual := newAuthority(t, "ca", nil)
	odd := newAuthority(t, "ca@corp_1", printableStrings("ca@corp_1"))
	oddNames := func(tbs []byte) {
		printableStrings("ca@corp_1")(tbs)
		printableStrings("alice@corp_1")(tbs)
	}
	upn := template("")
	upn.Subject, upn.ExtraExtensions = pkix.Name{}, []pkix.Extension{otherName(oidUPN, "alice@corp.example", true)}
	beside := template("alice")
	beside.ExtraExtensions = []pkix.Extension{otherName(oidUPN, "alice@corp.example", false)}
	for name, x := range map[string]struct {
		by     *authority
		der    []byte
		cn     string
		serial int64
		upns   []string
	}{
		"a negative serial number":              {usual, usual.issue(template("alice"), negative), "alice", -5, nil},
		"'@' and '_' in a PrintableString":      {usual, usual.issue(template("alice@corp_1"), printableStrings("alice@corp_1")), "alice@corp_1", 123, nil},
		"the same of the authority":             {odd, odd.issue(template("alice@corp_1"), oddNames), "alice@corp_1", 123, nil},
		"no subject, and a user's name instead": {usual, usual.issue(upn, nil), "", 123, []string{"alice@corp.example"}},
		"a user's name beside the subject":      {usual, usual.issue(beside, nil), "alice", 123, []string{"alice@corp.example"}},
		"nothing of that":                       {usual, usual.issue(template("alice"), nil), "alice", 123, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := x.by.verify(x.der)
			if err != nil {
				t.Fatal(err)
			}
			if c.Subject.CommonName != x.cn || c.SerialNumber.Int64() != x.serial || !slices.Equal(UPNs(c), x.upns) {
				t.Errorf("%v, serial %v, %v", c.Subject, c.SerialNumber, UPNs(c))
			}
			if !bytes.Equal(c.Raw, x.der) || !bytes.Contains(x.der, c.RawSubject) || !bytes.Contains(x.der, c.RawTBSCertificate) || !bytes.Equal(c.RawIssuer, x.by.cert.RawSubject) {
				t.Error("it is not as it came")
			}
			// One bit of what is signed, and it is nobody's.
			for _, at := range []int{bytes.Index(x.der, c.RawSubject) + len(c.RawSubject) - 1, bytes.Index(x.der, c.RawSubjectPublicKeyInfo) + len(c.RawSubjectPublicKeyInfo) - 1} {
				b := bytes.Clone(x.der)
				b[at] ^= 1
				if _, err := x.by.verify(b); err == nil {
					t.Errorf("with byte %d changed it verifies", at)
				}
			}
			for n := range x.der {
				if _, err := Parse(x.der[:n]); err == nil {
					t.Fatalf("%d bytes are read", n)
				}
			}
		})
	}
}

// TestWhatIsStillRefused: leniency ends where nothing is known of what was meant.
func TestWhatIsStillRefused(t *testing.T) {
	a := newAuthority(t, "ca", nil)
	critical := template("alice")
	critical.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	broken := template("alice")
	broken.ExtraExtensions = []pkix.Extension{{Id: oidAltName, Critical: true, Value: []byte{0x30, 0}}}
	for name, der := range map[string][]byte{
		"a critical extension that nobody knows": a.issue(critical, nil),
		"no alternative name at all":             a.issue(broken, nil),
		"a control character": a.issue(template("alice~"), func(tbs []byte) {
			at := bytes.Index(tbs, []byte("alice~"))
			tbs[at-2], tbs[at+5] = tagPrintable, 7
		}),
		"another authority's": newAuthority(t, "ca", nil).issue(template("alice@corp_1"), printableStrings("alice@corp_1")),
	} {
		if c, err := a.verify(der); err == nil {
			t.Errorf("%s: %v is taken", name, c.Subject)
		}
	}
}

// TestNameConstraintsHold: an authority that may name some hosts and users only names no
// others, in whatever form its certificates are written.
func TestNameConstraintsHold(t *testing.T) {
	root := newAuthority(t, "ca", nil)
	x := template("below@corp_1")
	x.IsCA, x.BasicConstraintsValid, x.KeyUsage = true, true, x509.KeyUsageCertSign
	x.PermittedDNSDomainsCritical, x.PermittedDNSDomains, x.PermittedEmailAddresses = true, []string{"corp.example"}, []string{"corp.example"}
	c, err := root.verify(root.issue(x, printableStrings("below@corp_1")))
	if err != nil {
		t.Fatal(err)
	}
	below := &authority{t: t, key: root.key, cert: c}
	for _, n := range []struct {
		dns, mail string
		ok        bool
	}{{"a.corp.example", "alice@corp.example", true}, {"a.other.example", "", false}, {"", "bob@other.example", false}} {
		leaf := template("alice@corp_1")
		if n.dns != "" {
			leaf.DNSNames = []string{n.dns}
		}
		if n.mail != "" {
			leaf.EmailAddresses = []string{n.mail}
		}
		l, err := Parse(below.issue(leaf, func(tbs []byte) {
			printableStrings("alice@corp_1")(tbs)
			printableStrings("below@corp_1")(tbs)
		}))
		if err != nil {
			t.Fatal(err)
		}
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(root.cert)
		between.AddCert(c)
		if _, err := l.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); (err == nil) != n.ok {
			t.Errorf("%q %q: %v", n.dns, n.mail, err)
		}
	}
}

// TestListsOfOldAuthorities: their lists are read as well, and verified.
func TestListsOfOldAuthorities(t *testing.T) {
	a := newAuthority(t, "ca@corp_1", printableStrings("ca@corp_1"))
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(66), RevocationTime: time.Now()}}}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	der = a.resign(der, printableStrings("ca@corp_1"))
	got, err := ParseList(der)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.RawIssuer, a.cert.RawSubject) || got.CheckSignatureFrom(a.cert) != nil || len(got.RevokedCertificateEntries) != 1 {
		t.Errorf("%v", got.Issuer)
	}
	for n := range der {
		if _, err := ParseList(der[:n]); err == nil {
			t.Fatalf("%d bytes are read", n)
		}
	}
}

// FuzzParse: whatever peers send, nothing panics, and what is read is what was sent.
func FuzzParse(f *testing.F) {
	a := newAuthority(f, "ca@corp_1", printableStrings("ca@corp_1"))
	f.Add(a.cert.Raw)
	x := template("")
	x.Subject, x.ExtraExtensions = pkix.Name{}, []pkix.Extension{otherName(oidUPN, "alice@corp.example", true)}
	f.Add(a.issue(x, printableStrings("ca@corp_1")))
	f.Fuzz(func(t *testing.T, der []byte) {
		_, _ = ParseList(der)
		if all, err := ParseAll(der); err == nil && len(all) > len(der) {
			t.Fatal(len(all))
		}
		c, err := Parse(der)
		if err != nil {
			return
		}
		UPNs(c)
		if !bytes.Equal(c.Raw, der) || !bytes.Contains(der, c.RawSubject) || !bytes.Contains(der, c.RawIssuer) || !bytes.Contains(der, c.RawTBSCertificate) {
			t.Fatal("what was read is not what was sent")
		}
	})
}
