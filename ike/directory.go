package ike

import (
	"crypto/x509"
	"slices"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v2"
)

// directory is who may dial one of our addresses: the owner's list by the ways to
// dial, and what follows from all of it before it is known who dials. It is made once
// for a list, so that a first message, which anybody can send, costs the same with one
// candidate as with thousands. Nothing in it changes.
type directory struct {
	main        map[suite.AuthMethod][]candidate // IKEv1 but for aggressive mode
	policy      suite.IKEPolicy                  // what one of them allows
	authorities []*x509.Certificate              // whose certificates one of them takes
	groups      []candidate                      // aggressive mode
	groupPolicy suite.IKEPolicy
	v2          *v2.Directory
}

// maxDirectories bounds how many lists are remembered: one for each local address.
const maxDirectories = 1024

// directory returns who may dial along path.
func (s *Server) directory(path Path) *directory {
	if s.config.Candidates == nil {
		return s.nobody
	}
	list := s.config.Candidates(path.Local.Addr(), path.Remote.Addr())
	if len(list) == 0 {
		return s.nobody
	}
	key := listKey{&list[0], len(list)}
	if d, ok := s.directories.Get(key); ok {
		return d
	}
	d := s.newDirectory(list)
	s.directories.Add(key, d)
	return d
}

// listKey tells lists apart: an owner's list stays as it is.
type listKey struct {
	first *Candidate
	n     int
}

func (s *Server) newDirectory(list []Candidate) *directory {
	d := &directory{main: map[suite.AuthMethod][]candidate{}}
	var main []candidate
	var later []v2.Candidate
	for n := range list {
		c := candidate{Candidate: list[n]}
		if len(c.Groups) > 0 {
			if len(c.PSK) > 0 {
				d.groups = append(d.groups, c)
			}
			continue
		}
		later = append(later, c.version2())
		ways := c.methods()
		for _, m := range ways {
			d.main[m] = append(d.main[m], c)
		}
		if len(ways) > 0 {
			main = append(main, c)
		}
	}
	d.policy, d.groupPolicy = s.policies.forAny(main), s.policies.forAny(d.groups)
	d.authorities, d.v2 = authorities(main), v2.NewDirectory(later)
	return d
}

// authorities are those whose certificates one of the candidates takes.
func authorities(list []candidate) []*x509.Certificate {
	var out []*x509.Certificate
	seen := map[string]bool{}
	for _, c := range list {
		for _, a := range c.Authorities {
			if !seen[string(a.Raw)] {
				seen[string(a.Raw)] = true
				out = append(out, a)
			}
		}
	}
	return out
}

// version2 is c for IKEv2.
func (c *Candidate) version2() v2.Candidate {
	x := v2.Candidate{Tenant: c.Tenant, PSK: c.PSK, ClientID: c.ClientID, Identity: c.Identity, Certificate: c.Certificate,
		Verify: c.Verify, Authorities: c.Authorities, EAP: c.EAP, PPK: c.PPK, PPKRequired: c.PPKRequired, Policy: policy2(c.policy())}
	if x.Certificate != nil && len(x.Certificate.Chain) == 0 {
		x.Certificate = nil
	}
	if x.PSK != nil && c.Shown != nil {
		x.Certificate, x.OnRequest = c.Shown, !c.ShowAlways
	}
	return x
}

// policy2 is p for IKEv2.
func policy2(p *Policy) v2.Policy {
	out := v2.Policy{IKE: suite.DefaultIKE2(p.Legacy), ESP: suite.DefaultESP2(p.Legacy), IKELifetime: p.IKELifetime,
		ChildLifetime: p.ChildLifetime, Rekey: p.Rekey, DPD: p.DPD}
	if p.IKE2 != nil {
		out.IKE = *p.IKE2
	}
	if p.ESP2 != nil {
		out.ESP = *p.ESP2
	}
	return out
}

// mayDial reports whether there is a way in by main mode.
func (d *directory) mayDial() bool { return len(d.main) > 0 }

// dialledOr is directory, and the peer there if we have dialled it.
func (s *Server) dialledOr(path Path) *directory {
	d := s.directory(path)
	if p := s.dialled[path.ends()]; p != nil {
		return s.with(p, d)
	}
	return d
}

// with is d and one candidate more, which comes first: a peer that we dialled, which
// may renew phase 1 from its side.
func (s *Server) with(p *peer, d *directory) *directory {
	c := candidate{p.proof, p}
	out := &directory{main: map[suite.AuthMethod][]candidate{}, authorities: slices.Concat(c.Authorities, d.authorities)}
	for m, list := range d.main {
		out.main[m] = list
	}
	for _, m := range c.methods() {
		out.main[m] = append([]candidate{c}, d.main[m]...)
	}
	own := s.policies.forAny([]candidate{c})
	out.policy = suite.IKEPolicy{Suites: slices.Concat(own.Suites, d.policy.Suites), Auth: slices.Concat(own.Auth, d.policy.Auth)}
	return out
}
