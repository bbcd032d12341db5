package v2

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Who an initiator is among the candidates shows by what it proves. With many of them
// that takes time, so it is found out elsewhere, and counted against the initiator's
// address by how many were tried.

// shown is what an initiator sends to prove who it is, for use on any goroutine.
type shown struct {
	octets       auth.Octets // SKp is a copy
	auth         wire.Auth
	ppkID, noPPK []byte
	ppk          bool // both sides know of post-quantum keys
}

func (s *Session) shown(a *sa, l *login) *shown {
	x := &shown{octets: s.octets(a, true), auth: l.auth, ppkID: l.ppkID, noPPK: l.noPPK, ppk: s.features.ppk}
	x.octets.SKp = bytes.Clone(x.octets.SKp)
	return x
}

func (x *shown) zero() { clear(x.octets.SKp) }

// proving is what an initiator proves itself with to one candidate.
type proving struct {
	octets auth.Octets
	proof  wire.Auth
	ppk    []byte // that takes part; nil: none. The Owner's
}

// to returns what is to be proved to c with which AUTH payload: the one made with
// the PPK that the initiator names if the candidate has it, and else what it sent
// for those who have not (RFC 8784, section 3). False: there must be a PPK.
func (x *shown) to(c *Candidate) (proving, bool) {
	p := proving{octets: x.octets, proof: x.auth}
	if p.ppk = c.ppk(x.ppkID); p.ppk != nil && x.ppk {
		p.octets.SKp = x.octets.PRF.PRFPlus(p.ppk, x.octets.SKp, len(x.octets.SKp))
		return p, true
	}
	p.ppk = nil
	if x.ppkID != nil {
		p.proof.Data = x.noPPK
	}
	return p, !c.PPKRequired
}

func (c *Candidate) ppk(id []byte) []byte {
	if c.PPK == nil || id == nil {
		return nil
	}
	return c.PPK(id)
}

// found is the candidate that an initiator is, or why it is none.
type found struct {
	who   *Candidate
	only  string // without who: the tenant that was meant, if that is clear
	ppk   []byte
	tried int
	err   error
}

// search finds out which candidate an initiator is, among those that it was known as
// before first, and takes it in or refuses it.
func (s *Session) search(now time.Time, a *sa, m *message) error {
	s.opening.trying = m
	source := s.path.Remote.Addr()
	if first := s.known(a, source); len(first) > 0 && s.owner.TryKnown(now, source) {
		s.look(now, a, first, 0)
		return nil
	}
	s.await(now, a)
	return nil
}

// Searching reports whether keys are still to be tried for the initiator.
func (s *Session) Searching() bool {
	return s.opening != nil && !s.closing && s.opening.trying != nil && s.current != nil
}

// await has all candidates tried, now or when it is the turn of this one.
func (s *Session) await(now time.Time, a *sa) {
	if s.owner.Try(now, s, s.path.Remote.Addr(), len(s.candidates(a))) {
		s.Search(now)
		return
	}
	s.opening.give(now, queueTime)
}

// Search goes on where Try had it wait.
func (s *Session) Search(now time.Time) {
	if s.Searching() {
		list := s.candidates(s.current)
		s.look(now, s.current, list, len(list))
	}
}

// byShared reports whether the initiator proves itself by a key and not by a certificate.
func (l *login) byShared() bool { return l.auth.Method == wire.AuthShared }

// candidates are those that the initiator may be. The name that it asks for does not
// matter with a key, which names its tenant.
func (s *Session) candidates(a *sa) []*Candidate {
	d, l := s.owner.Candidates(s.path), &s.opening.login
	if l.byShared() {
		return d.list
	}
	return d.named(a.suite, l.wantedID())
}

// known are those of them that it was before.
func (s *Session) known(a *sa, source netip.Addr) []*Candidate {
	var out []*Candidate
	tenants := s.owner.Known(source, s.identity)
	if len(tenants) == 0 {
		return nil
	}
	for _, c := range s.candidates(a) {
		if slices.Contains(tenants, c.Tenant) && (c.PSK != nil) == s.opening.login.byShared() {
			out = append(out, c)
		}
	}
	return out
}

// look tries the candidates of list elsewhere, of which paid were taken out of the
// budgets; none if they are those that the initiator was before.
func (s *Session) look(now time.Time, a *sa, list []*Candidate, paid int) {
	m, l := s.opening.trying, &s.opening.login
	s.opening.trying = nil
	x, identity, u, certs, id := s.shown(a, l), s.identity, a.suite, l.certs, l.id
	then := func(now time.Time, r any) { s.looked(now, a, m, paid, r) }
	if l.byShared() {
		s.owner.Compute(func() any {
			defer x.zero()
			return x.byKey(list, identity, u)
		}, false, then)
		return
	}
	s.owner.Consult(s.path, func() any {
		defer x.zero()
		f := x.byCertificate(now, list, certs.list, id)
		f.err = certs.explain(f.err)
		return f
	}, then)
}

// looked goes on once it is known whether one of them fits.
func (s *Session) looked(now time.Time, a *sa, m *message, paid int, r any) {
	f, looked := r.(found)
	source := s.path.Remote.Addr()
	if paid > 0 {
		s.owner.Tried(now, source, paid, f.tried, f.who != nil || !looked)
	}
	switch {
	case s.closing || a.state == saGone || s.opening == nil:
	case !looked:
		_ = s.refuseLogin(now, a, m, wire.Notify2AuthenticationFailed, CauseAuthentication,
			fmt.Errorf("%w: too many certificates are asked about", ErrLimit).Error())
	case f.err != nil && paid == 0:
		s.opening.trying = m
		s.await(now, a)
	case f.err != nil:
		s.candidate.Tenant = f.only // for the log
		_ = s.refuseLogin(now, a, m, wire.Notify2AuthenticationFailed, CauseAuthentication, f.err.Error())
	default:
		s.owner.Met(source, s.identity, f.who.Tenant)
		s.takeIn(now, a, m, f)
	}
}

// takeIn goes on with the candidate that fits.
func (s *Session) takeIn(now time.Time, a *sa, m *message, f found) {
	l := &s.opening.login
	s.candidate, s.opening.ppk = *f.who, bytes.Clone(f.ppk)
	switch {
	case !l.byShared():
		s.chain = l.certs.list
		// Not what it says of itself, which nobody need have checked.
		s.identity = printable(auth.ClientName(s.chain[0], l.id))
	case f.who.OnRequest && !(l.wantsCertificate && l.hasWanted && f.who.answersTo(l.wanted)):
		s.candidate.Certificate = nil
	}
	_ = s.authentic(now, a, m)
}

// byKey tries the key of each candidate that has one for the initiator's name, and
// allows suite u.
func (x *shown) byKey(list []*Candidate, identity string, u suite.IKE2Suite) found {
	tried := 0
	for _, c := range list {
		if c.PSK == nil || c.ClientID != "" && c.ClientID != identity || !allowsSuite(c.Policy, u) {
			continue
		}
		tried++
		if p, ok := x.to(c); ok && auth.VerifySharedKey(p.octets, c.PSK, p.proof.Data) {
			return found{who: c, ppk: p.ppk, tried: tried}
		}
	}
	return found{tried: tried, err: fmt.Errorf("no pre-shared key of %d fits the client that calls itself %s", tried, identity)}
}

var (
	errNoCertificate = errors.New("the client signs, and sends no certificate that can be read")
	errNobody        = errors.New("the client sends certificates, and nobody here takes them as it proves itself")
)

// byCertificate asks each candidate that takes certificates whether it takes this one.
// Candidates differ in what was signed only where some have a PPK; each signature is
// verified once.
func (x *shown) byCertificate(now time.Time, list []*Candidate, chain []*x509.Certificate, id wire.ID2) found {
	tried, last := 0, error(nil)
	signed := map[string]error{}
	for _, c := range list {
		p, ok := x.to(c)
		if !ok || c.Verify == nil || len(chain) == 0 {
			continue
		}
		tried++
		err, known := signed[string(p.ppk)]
		if !known {
			err = auth.VerifySignature(chain[0].PublicKey, p.proof, p.octets.Bytes())
			signed[string(p.ppk)] = err
		}
		if err == nil {
			err = c.Verify(now, chain, id)
		}
		if err == nil {
			return found{who: c, ppk: p.ppk, tried: tried}
		}
		last = err
	}
	if tried == 0 {
		last = errNobody
		if len(chain) == 0 {
			last = errNoCertificate
		}
	}
	return found{only: onlyTenant(list), tried: tried, err: last}
}

// onlyTenant is the tenant of all of list that take certificates, and empty if there are
// several.
func onlyTenant(list []*Candidate) (name string) {
	for _, c := range list {
		switch {
		case c.Verify == nil || c.Tenant == name:
		case name != "":
			return ""
		default:
			name = c.Tenant
		}
	}
	return name
}
