package v2

import (
	"slices"
	"strings"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// A Directory is the Candidates among which a peer turns out to be one in IKE_AUTH,
// and what is said in IKE_SA_INIT to all of them. It never changes.
type Directory struct {
	list    []*Candidate
	ike     suite.IKE2Policy // what at least one of them allows
	request []byte           // hashes of authorities, for CERTREQ
	asks    bool             // there are some
	ppk     bool             // some have post-quantum keys
}

// maxRequests is how many authorities are named in CERTREQ. Anybody who asks is told
// them, at an address that need not be his own: the answer must not be much longer than
// what was asked, and must be one datagram.
const maxRequests = 32

// NewDirectory returns the directory of a list, which is copied.
func NewDirectory(list []Candidate) *Directory {
	d := &Directory{}
	seen := map[[wire.AuthorityLen]byte]bool{}
	for _, c := range list {
		d.list = append(d.list, &c)
		d.ppk = d.ppk || c.PPK != nil
		for _, x := range c.Authorities {
			if h := wire.AuthorityHash(x); !seen[h] {
				seen[h] = true
				d.request = append(d.request, h[:]...)
			}
		}
	}
	// Those that are not named are trusted all the same: a request is a preference, and
	// one without any hash is malformed to some (RFC 7296, section 3.7).
	d.asks, d.request = len(seen) > 0, d.request[:min(len(d.request), maxRequests*wire.AuthorityLen)]
	d.ike = mergedIKE(d.list)
	return d
}

// Empty reports whether nobody may dial.
func (d *Directory) Empty() bool { return len(d.list) == 0 }

// Tenant returns the first candidate of a tenant, nil if there is none.
func (d *Directory) Tenant(name string) *Candidate {
	if n := slices.IndexFunc(d.list, func(c *Candidate) bool { return c.Tenant == name }); n >= 0 {
		return d.list[n]
	}
	return nil
}

// named are the ways in for an initiator with suite u: those that answer to the name
// it asks for, or, if none does or it names none, all that there are.
func (d *Directory) named(u suite.IKE2Suite, wanted *wire.ID2) []*Candidate {
	all := slices.DeleteFunc(slices.Clone(d.list), func(c *Candidate) bool { return !allowsSuite(c.Policy, u) })
	if wanted == nil {
		return all
	}
	var named []*Candidate
	for _, c := range all {
		if c.answersTo(*wanted) {
			named = append(named, c)
		}
	}
	if len(named) > 0 {
		return named
	}
	return all
}

// answersTo reports whether the candidate is called so: by its Identity, or else by a
// name of its certificate.
func (c *Candidate) answersTo(id wire.ID2) bool {
	if c.Identity != "" {
		return strings.EqualFold(c.Identity, identityText(id))
	}
	return c.Certificate != nil && auth.MatchID(c.Certificate.Chain[0], id, auth.PurposeServer) == nil
}

// mergedIKE is what at least one candidate allows: which one the peer is turns out
// in IKE_AUTH.
func mergedIKE(candidates []*Candidate) suite.IKE2Policy {
	var out suite.IKE2Policy
	for _, c := range candidates {
		p := ikePolicy(c.Policy)
		out.Ciphers = union(out.Ciphers, p.Ciphers)
		out.PRFs = union(out.PRFs, p.PRFs)
		out.Integrities = union(out.Integrities, p.Integrities)
		out.Groups = union(out.Groups, p.Groups)
		out.Additional = union(out.Additional, p.Additional)
	}
	return out
}

func union[T comparable](a, b []T) []T {
	for _, x := range b {
		if !slices.Contains(a, x) {
			a = append(a, x)
		}
	}
	return a
}

// allowsSuite reports whether p allows a suite that somebody else's policy chose.
func allowsSuite(p Policy, u suite.IKE2Suite) bool {
	k := ikePolicy(p)
	return slices.Contains(k.Ciphers, suite.Cipher{Encryption: u.Encryption, KeyBits: u.KeyBits}) &&
		slices.Contains(k.PRFs, u.PRF) && slices.Contains(k.Groups, u.Group) &&
		(u.Integrity == suite.IntegNone || slices.Contains(k.Integrities, u.Integrity))
}
