package ike

import (
	"slices"

	"github.com/culvert-vpn/culvert/ike/suite"
)

// policies are the default lists, made once.
type policies struct {
	ike, ikeLegacy []suite.IKESuite
	esp, espLegacy suite.ESPPolicy
}

func newPolicies() policies {
	return policies{
		ike: suite.DefaultIKE(false).Suites, ikeLegacy: suite.DefaultIKE(true).Suites,
		esp: suite.DefaultESP(false), espLegacy: suite.DefaultESP(true),
	}
}

// methods are the ways of IKEv1 in which a dialler may prove that it is c's.
func (c *Candidate) methods() []suite.AuthMethod {
	var list []suite.AuthMethod
	if len(c.PSK) > 0 {
		list = append(list, suite.AuthPSK)
	}
	if c.Verify != nil && c.certificate1() != nil {
		list = append(list, suite.AuthRSASignature)
	}
	for _, m := range list {
		if c.XAUTH {
			list = append(list, m.WithXAUTH(false))
		}
	}
	return list
}

// policy never is nil.
func (c Candidate) policy() *Policy {
	if c.Policy == nil {
		return &Policy{}
	}
	return c.Policy
}

// forIKE is what p allows in phase 1.
func (d *policies) forIKE(p *Policy) []suite.IKESuite {
	switch {
	case len(p.IKE) > 0:
		return p.IKE
	case p.Legacy:
		return d.ikeLegacy
	}
	return d.ike
}

// forESP is what p allows in phase 2.
func (d *policies) forESP(p *Policy) suite.ESPPolicy {
	out := d.esp
	if p.Legacy {
		out = d.espLegacy
	}
	if len(p.ESP) > 0 {
		out.Suites = p.ESP
	}
	return out
}

// forAny is what at least one of the candidates allows: which one the dialler is
// turns out with message 5 only.
func (d *policies) forAny(candidates []candidate) suite.IKEPolicy {
	legacy, strict := false, false
	var own []suite.IKESuite
	var out suite.IKEPolicy
	for i := range candidates {
		p := candidates[i].policy()
		switch {
		case len(p.IKE) > 0:
			for _, u := range p.IKE {
				if !slices.Contains(own, u) {
					own = append(own, u)
				}
			}
		case p.Legacy:
			legacy = true
		default:
			strict = true
		}
		for _, m := range candidates[i].methods() {
			if !slices.Contains(out.Auth, m) {
				out.Auth = append(out.Auth, m)
			}
		}
	}
	switch {
	case legacy:
		out.Suites = d.ikeLegacy
	case strict:
		out.Suites = d.ike
	}
	out.Suites = slices.Concat(out.Suites, own)
	return out
}

// allowsIKE reports whether p allows a suite that somebody else's policy chose.
func (d *policies) allowsIKE(p *Policy, s suite.IKESuite) bool {
	return slices.Contains(d.forIKE(p), s)
}
