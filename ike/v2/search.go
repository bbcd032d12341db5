package v2

import (
	"bytes"
	"crypto/x509"
	"fmt"
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
	ppk   []byte
	tried int
	err   error
}

// search runs look elsewhere, which may try as many as n candidates, and takes the
// initiator in or refuses it. look may wait if it asks a Verify.
func (s *Session) search(now time.Time, a *sa, m *message, n int, waits bool, look func() found, then func(found)) error {
	source := s.path.Remote.Addr()
	if !s.owner.Try(now, source, n) {
		return s.refuseLogin(now, a, m, wire.Notify2AuthenticationFailed, CauseGuessing, "too many keys tried")
	}
	run := func(then func(now time.Time, r any)) { s.owner.Compute(func() any { return look() }, false, then) }
	if waits {
		run = func(then func(now time.Time, r any)) { s.owner.Consult(s.path, func() any { return look() }, then) }
	}
	run(func(now time.Time, r any) {
		f, looked := r.(found)
		if !looked {
			f.err = fmt.Errorf("%w: too many certificates are asked about", ErrLimit)
		}
		s.owner.Tried(source, n, f.tried)
		switch {
		case s.closing || a.state == saGone || s.opening == nil:
		case f.err != nil:
			_ = s.refuseLogin(now, a, m, wire.Notify2AuthenticationFailed, CauseAuthentication, f.err.Error())
		default:
			s.candidate, s.opening.ppk = *f.who, bytes.Clone(f.ppk)
			then(f)
			_ = s.authentic(now, a, m)
		}
	})
	return nil
}

// tryKeys finds the candidate whose pre-shared key the AUTH payload proves. The
// name that the client asks for does not matter: a key names its tenant.
func (s *Session) tryKeys(now time.Time, a *sa, m *message) error {
	l, list := &s.opening.login, s.owner.Candidates(s.path).list
	x, identity, u := s.shown(a, l), s.identity, a.suite
	return s.search(now, a, m, len(list), false, func() found {
		defer x.zero()
		return x.byKey(list, identity, u)
	}, func(f found) {
		if f.who.OnRequest && !(l.wantsCertificate && l.hasWanted && f.who.answersTo(l.wanted)) {
			s.candidate.Certificate = nil
		}
	})
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

// tryCertificate has the signature and the chain checked.
func (s *Session) tryCertificate(now time.Time, a *sa, m *message, list []*Candidate) error {
	l := &s.opening.login
	x, chain, id := s.shown(a, l), l.chain, l.id
	return s.search(now, a, m, len(list), true, func() found {
		defer x.zero()
		return x.byCertificate(now, list, chain, id)
	}, func(found) { s.chain = chain })
}

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
		last = fmt.Errorf("the client sends %d certificates that can be read, and nobody takes them as it proves itself", len(chain))
	}
	return found{tried: tried, err: last}
}
