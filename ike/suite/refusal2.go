package suite

import (
	"fmt"
	"strings"

	"github.com/culvert-vpn/culvert/ike/wire"
)

func refuseIKE2(offer wire.SA2, p IKE2Policy) *Refusal {
	r := &Refusal{
		Phase:   "IKE",
		Offered: describe2(offer, ike2Eligible),
		Allowed: fmt.Sprintf("%s with %s, %s and %s",
			distinct(p.Ciphers, Cipher.String), distinct(p.Integrities, Integrity.String),
			distinct(p.PRFs, func(h Hash) string { return "prf" + h.String() }), distinct(p.Groups, Group.String)),
	}
	legacy := DefaultIKE2(true)
	if len(p.Ciphers) < len(legacy.Ciphers) || len(p.Groups) < len(legacy.Groups) {
		if c, err := SelectIKE2(offer, legacy); err == nil {
			r.Legacy = c.IKE2Suite.String()
		}
	}
	return r
}

func refuseESP2(offer wire.SA2, p ESP2Policy) *Refusal {
	r := &Refusal{
		Phase:   "ESP",
		Offered: describe2(offer, esp2Eligible),
		Allowed: fmt.Sprintf("%s, group none|%s", distinct(p.Suites, ESPSuite.String), distinct(p.Groups, Group.String)),
	}
	legacy := DefaultESP2(true)
	if len(p.Suites) < len(legacy.Suites) {
		legacy.First, legacy.Sent = p.First, p.Sent
		if c, err := SelectESP2(offer, legacy); err == nil {
			r.Legacy = c.ESP2.String()
		}
	}
	return r
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
