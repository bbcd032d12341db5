package suite

import (
	"slices"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// AcceptIKE2 checks the answer to our offer: one proposal, in which each type of
// transform stands once and was offered together with the others.
func AcceptIKE2(offer, answer wire.SA2) (IKE2Choice, error) {
	if !answers(offer, answer) || !ike2Eligible(answer.Proposals[0]) {
		return IKE2Choice{}, ErrAnswer
	}
	all := DefaultIKE2(true)
	all.Ciphers, all.Additional = allCiphers(offer), allAdditional(offer)
	c, err := SelectIKE2(answer, all)
	if err != nil || !c.IKE2Suite.Supported() {
		return IKE2Choice{}, ErrAnswer
	}
	return c, nil
}

// AcceptESP2 checks the answer to our offer in the same way; first says that it
// came in IKE_AUTH.
func AcceptESP2(offer, answer wire.SA2, first bool) (ESP2Choice, error) {
	if !answers(offer, answer) || !esp2Eligible(answer.Proposals[0]) {
		return ESP2Choice{}, ErrAnswer
	}
	all := DefaultESP2(true)
	all.First, all.Additional = first, allAdditional(offer)
	for _, c := range allCiphers(offer) {
		for _, i := range []Integrity{IntegNone, IntegSHA1, IntegSHA256, IntegSHA384, IntegSHA512} {
			if s := (ESPSuite{c.Encryption, c.KeyBits, i}); s.Supported() && !slices.Contains(all.Suites, s) {
				all.Suites = append(all.Suites, s)
			}
		}
	}
	c, err := SelectESP2(answer, all)
	if err != nil {
		return ESP2Choice{}, ErrAnswer
	}
	return c, nil
}

// answers reports whether an answer is a choice out of an offer. The number of the
// proposal is not compared.
func answers(offer, answer wire.SA2) bool {
	if len(answer.Proposals) != 1 {
		return false
	}
	var seen [256]bool
	for _, t := range answer.Proposals[0].Transforms {
		if seen[t.Type] {
			return false
		}
		seen[t.Type] = true
	}
	return slices.ContainsFunc(offer.Proposals, func(p wire.Proposal2) bool {
		return p.Protocol == answer.Proposals[0].Protocol && covers(p, answer.Proposals[0])
	})
}

// covers reports whether a proposal offered each transform of an answer, and the
// answer has one of each type that it offered. What says nothing may be missing.
func covers(p, answer wire.Proposal2) bool {
	for _, t := range answer.Transforms {
		if !slices.ContainsFunc(p.Transforms, func(x wire.Transform2) bool { return sameTransform(x, t) }) && !meansNone(t) {
			return false
		}
	}
	for _, t := range p.Transforms {
		if !slices.ContainsFunc(answer.Transforms, func(x wire.Transform2) bool { return x.Type == t.Type }) &&
			!slices.ContainsFunc(p.Transforms, func(x wire.Transform2) bool { return x.Type == t.Type && meansNone(x) }) {
			return false
		}
	}
	return true
}

// meansNone reports whether a transform stands for the absence of an algorithm.
func meansNone(t wire.Transform2) bool {
	return t.ID == 0 && t.Type != wire.TransformENCR && t.Type != wire.TransformPRF
}

func sameTransform(a, b wire.Transform2) bool {
	ka, oka := a.KeyBits()
	kb, okb := b.KeyBits()
	return a.Type == b.Type && a.ID == b.ID && ka == kb && oka && okb
}

// allCiphers returns the ciphers of an offer that can be used.
func allCiphers(offer wire.SA2) (out []Cipher) {
	for _, p := range offer.Proposals {
		for _, t := range p.Transforms {
			if c, ok := decodeCipher(t); ok && t.Type == wire.TransformENCR && c.keyLen() > 0 {
				out = append(out, c)
			}
		}
	}
	return out
}

// allAdditional returns the additional key exchanges of an offer that can be used.
func allAdditional(offer wire.SA2) (out []Group) {
	for _, p := range offer.Proposals {
		for _, t := range p.Transforms {
			g := Group(t.ID)
			if t.Type >= wire.TransformADDKE1 && t.Type <= wire.TransformADDKE7 && (g.IsKEM() || g.Supported()) && !slices.Contains(out, g) {
				out = append(out, g)
			}
		}
	}
	return out
}
