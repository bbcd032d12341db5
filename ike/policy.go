package ike

import (
	"slices"

	"github.com/culvert-vpn/culvert/ike/suite"
)

// policies are the default lists, made once.
type policies struct {
	ike, ikeLegacy suite.IKEPolicy
	esp, espLegacy suite.ESPPolicy
}

func newPolicies() policies {
	return policies{
		ike: suite.DefaultIKE(false, suite.AuthPSK), ikeLegacy: suite.DefaultIKE(true, suite.AuthPSK),
		esp: suite.DefaultESP(false), espLegacy: suite.DefaultESP(true),
	}
}

// policy never is nil.
func (c Candidate) policy() *Policy {
	if c.Policy == nil {
		return &Policy{}
	}
	return c.Policy
}

// forIKE is what p allows in phase 1.
func (d *policies) forIKE(p *Policy) suite.IKEPolicy {
	switch {
	case len(p.IKE) > 0:
		return suite.IKEPolicy{Suites: p.IKE, Auth: []suite.AuthMethod{suite.AuthPSK}}
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
func (d *policies) forAny(candidates []Candidate) suite.IKEPolicy {
	legacy, strict := false, false
	var own []suite.IKESuite
	for i := range candidates {
		p := candidates[i].policy()
		switch {
		case len(p.IKE) > 0:
			own = append(own, p.IKE...)
		case p.Legacy:
			legacy = true
		default:
			strict = true
		}
	}
	base := suite.IKEPolicy{Auth: []suite.AuthMethod{suite.AuthPSK}}
	switch {
	case legacy:
		base = d.ikeLegacy
	case strict:
		base = d.ike
	}
	if len(own) > 0 {
		base.Suites = slices.Concat(base.Suites, own)
	}
	return base
}

// allowsIKE reports whether p allows a suite that somebody else's policy chose.
func (d *policies) allowsIKE(p *Policy, s suite.IKESuite) bool {
	return slices.Contains(d.forIKE(p).Suites, s)
}
