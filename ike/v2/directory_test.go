package v2

import (
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// TestDirectoryRequest: authorities are named to whoever asks, of very many the first
// ones; a request never goes without any.
func TestDirectoryRequest(t *testing.T) {
	for _, x := range []struct{ n, named int }{{0, 0}, {1, 1}, {maxRequests, maxRequests}, {maxRequests + 1, maxRequests}} {
		var list []Candidate
		for k := range x.n {
			ca := &x509.Certificate{RawSubjectPublicKeyInfo: fmt.Append(nil, k)}
			list = append(list, Candidate{Authorities: []*x509.Certificate{ca}}, Candidate{Authorities: []*x509.Certificate{ca}})
		}
		d := NewDirectory(list)
		if len(d.request) != x.named*wire.AuthorityLen || d.asks != (x.n > 0) {
			t.Errorf("of %d %d bytes, asked: %v", x.n, len(d.request), d.asks)
		}
	}
}

// TestDirectoryNames: tenants with one certificate are told apart by what they call
// themselves, and who asks for nobody gets all.
func TestDirectoryNames(t *testing.T) {
	leaf := &Certificate{Chain: []*x509.Certificate{{DNSNames: []string{"one.example", "two.example", "all.example"}}}}
	one, two := Candidate{Tenant: "one", Certificate: leaf, Identity: "one.example"}, Candidate{Tenant: "two", Certificate: leaf, Identity: "two.example"}
	any := Candidate{Tenant: "any", Certificate: leaf}
	for _, x := range []struct {
		list   []Candidate
		wanted string
		want   string
	}{
		{[]Candidate{one, two}, "one.example", "[one]"}, {[]Candidate{one, two}, "TWO.example", "[two]"},
		{[]Candidate{one, two}, "all.example", "[one two]"}, {[]Candidate{one, two}, "other.example", "[one two]"}, {[]Candidate{one, two}, "", "[one two]"},
		{[]Candidate{one, any}, "all.example", "[any]"}, {[]Candidate{one, any}, "one.example", "[one any]"},
	} {
		var wanted *wire.ID2
		if x.wanted != "" {
			wanted = &wire.ID2{Type: wire.IDFQDN, Data: []byte(x.wanted)}
		}
		var got []string
		for _, c := range NewDirectory(x.list).named(allowed(), wanted) {
			got = append(got, c.Tenant)
		}
		if fmt.Sprint(got) != x.want {
			t.Errorf("%q: %v, want %s", x.wanted, got, x.want)
		}
	}
}

// allowed is a suite that everybody allows.
func allowed() suite.IKE2Suite {
	p := suite.DefaultIKE2(false)
	return suite.IKE2Suite{Encryption: p.Ciphers[0].Encryption, KeyBits: p.Ciphers[0].KeyBits, PRF: p.PRFs[0], Group: p.Groups[0]}
}
