package suite

import (
	"fmt"
	"strings"

	"github.com/culvert-vpn/culvert/ike/wire"
)

type refusedIKE2 struct {
	offer  wire.SA2
	policy IKE2Policy
}

func (r refusedIKE2) phase() string { return "IKE" }

func (r refusedIKE2) offered() []string { return describe2(r.offer, ike2Eligible) }

func (r refusedIKE2) allowed() string {
	p := r.policy
	return fmt.Sprintf("%s with %s, %s and %s",
		distinct(p.Ciphers, Cipher.String), distinct(p.Integrities, Integrity.String),
		distinct(p.PRFs, func(h Hash) string { return "prf" + h.String() }), distinct(p.Groups, Group.String))
}

func (r refusedIKE2) legacy() string {
	legacy := DefaultIKE2(true)
	if len(r.policy.Ciphers) >= len(legacy.Ciphers) && len(r.policy.Groups) >= len(legacy.Groups) {
		return ""
	}
	c, err := SelectIKE2(r.offer, legacy)
	if err != nil {
		return ""
	}
	return c.IKE2Suite.String()
}

type refusedESP2 struct {
	offer  wire.SA2
	policy ESP2Policy
}

func (r refusedESP2) phase() string { return "ESP" }

func (r refusedESP2) offered() []string { return describe2(r.offer, esp2Eligible) }

func (r refusedESP2) allowed() string {
	return fmt.Sprintf("%s, group none|%s", distinct(r.policy.Suites, ESPSuite.String), distinct(r.policy.Groups, Group.String))
}

func (r refusedESP2) legacy() string {
	legacy := DefaultESP2(true)
	if len(r.policy.Suites) >= len(legacy.Suites) {
		return ""
	}
	legacy.First, legacy.Sent = r.policy.First, r.policy.Sent
	c, err := SelectESP2(r.offer, legacy)
	if err != nil {
		return ""
	}
	return c.ESP2.String()
}

// describe2 names every proposal of an offer once.
func describe2(offer wire.SA2, eligible func(wire.Proposal2) bool) []string {
	var out []string
	for _, p := range offer.Proposals {
		if !eligible(p) {
			out = append(out, p.Protocol.String())
			continue
		}
		out = append(out, describeProposal2(p))
	}
	return unique(out)
}

// describeProposal2 names the transforms of a proposal, alternatives with a stroke
// between them: aes128|aes256-sha256-modp2048.
func describeProposal2(p wire.Proposal2) string {
	var kinds [int(wire.TransformADDKE7) + 2][]string
	for _, t := range p.Transforms {
		k := min(int(t.Type), len(kinds)-1)
		if t.Type != wire.TransformESN {
			kinds[k] = append(kinds[k], transformName(t))
		}
	}
	var parts []string
	for _, k := range kinds {
		if len(k) > 0 {
			parts = append(parts, strings.Join(unique(k), "|"))
		}
	}
	return strings.Join(parts, "-")
}

func transformName(t wire.Transform2) string {
	bits, _ := t.KeyBits()
	switch {
	case t.Type == wire.TransformENCR && t.ID <= 0xff:
		return Cipher{Encryption(t.ID), bits}.String()
	case t.Type == wire.TransformPRF:
		return PRF2(t.ID).String()
	case t.Type == wire.TransformINTEG:
		return Integ2(t.ID).String()
	case t.Type == wire.TransformKE || t.Type >= wire.TransformADDKE1 && t.Type <= wire.TransformADDKE7:
		return Group(t.ID).String()
	}
	return fmt.Sprintf("transform%d.%d", t.Type, t.ID)
}
