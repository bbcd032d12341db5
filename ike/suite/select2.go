package suite

import (
	"slices"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// IKE2Policy is what we accept for IKE SAs of IKEv2, the best first in each list.
type IKE2Policy struct {
	Ciphers     []Cipher
	PRFs        []Hash
	Integrities []Integrity
	Groups      []Group
	// Additional are the key exchanges accepted on top (RFC 9370); an offer that
	// wants others is not chosen. Empty: none.
	Additional []Group
	// Sent is the group of the KE payload beside the offer. It is preferred where
	// it is cheap and strong, since another costs the client a round trip.
	Sent Group
}

// ESP2Policy is what we accept for child SAs of IKEv2, the best first.
type ESP2Policy struct {
	Suites []ESPSuite
	Groups []Group // for offers with a key exchange; those without are accepted as well
	// Additional are the key exchanges accepted on top. Empty: none.
	Additional []Group
	// First says that the SA comes of IKE_AUTH, where there is no key exchange:
	// groups in the offer are passed over (RFC 7296, section 1.2).
	First bool
	// Sent is the group of the KE payload beside the offer, GroupNone without one.
	// If the Choice has another, INVALID_KE_PAYLOAD asks for it.
	Sent Group
	// ESN says that 64-bit sequence numbers are chosen where they are offered. They
	// are accepted in any case where nothing else is.
	ESN bool
}

// IKE2Choice is the suite of an offer that both sides use.
type IKE2Choice struct {
	IKE2Suite
	// SPI is the peer's of the new SA, when an IKE SA is renewed. A copy.
	SPI []byte
	// Answer is the SA payload to answer with: the proposal with its number and the
	// chosen transforms as offered. AnswerSPI puts our SPI into it.
	Answer wire.SA2
}

// ESP2Choice is the same for a child SA; SPI is that of our outbound SA.
type ESP2Choice struct {
	ESP2
	SPI    [4]byte
	Answer wire.SA2
}

// AnswerSPI returns the SA payload to answer with, in which spi is ours: that of
// the new IKE SA, or nil for the first one.
func (c IKE2Choice) AnswerSPI(spi []byte) wire.SA2 { return withSPI(c.Answer, spi) }

// AnswerSPI returns the SA payload to answer with, in which spi is that of our
// inbound SA.
func (c ESP2Choice) AnswerSPI(spi [4]byte) wire.SA2 { return withSPI(c.Answer, spi[:]) }

func withSPI(sa wire.SA2, spi []byte) wire.SA2 {
	p := sa.Proposals[0]
	p.SPI = spi
	return wire.SA2{Proposals: []wire.Proposal2{p}}
}

// SelectIKE2 chooses from the offer for an IKE SA what p likes best. The error is
// a *Refusal.
func SelectIKE2(offer wire.SA2, p IKE2Policy) (IKE2Choice, error) {
	p.Groups = preferSent(p.Groups, p.Sent)
	if best, ok := better(offer, ike2Eligible, p.candidate); ok {
		return best, nil
	}
	return IKE2Choice{}, &Refusal{refusedIKE2{offer, p}}
}

// SelectESP2 chooses from the offer for a child SA what p likes best. The error is
// a *Refusal.
func SelectESP2(offer wire.SA2, p ESP2Policy) (ESP2Choice, error) {
	if best, ok := better(offer, esp2Eligible, p.candidate); ok {
		return best, nil
	}
	return ESP2Choice{}, &Refusal{refusedESP2{offer, p}}
}

// better returns the best choice of the proposals of an offer, of several the first.
func better[T any](offer wire.SA2, eligible func(wire.Proposal2) bool, candidate func(wire.Proposal2) (T, rank, bool)) (best T, found bool) {
	var bestRank rank
	for _, proposal := range offer.Proposals {
		if !eligible(proposal) {
			continue
		}
		if c, r, ok := candidate(proposal); ok && (!found || slices.Compare(r[:], bestRank[:]) < 0) {
			best, bestRank, found = c, r, true
		}
	}
	return best, found
}

// ike2Eligible wants an SPI of no bytes or, for an SA that renews, of eight.
func ike2Eligible(p wire.Proposal2) bool {
	return p.Protocol == wire.ProtocolIKE && (len(p.SPI) == 0 || len(p.SPI) == 8)
}

// esp2Eligible wants ESP with an SPI that is not reserved (RFC 4303, section 2.1).
func esp2Eligible(p wire.Proposal2) bool {
	return p.Protocol == wire.ProtocolESP && len(p.SPI) == 4 && p.SPI[0]|p.SPI[1]|p.SPI[2] != 0
}

// rank compares candidates: element by element, the smaller the better.
type rank [6]int

// preferSent moves the group that the client has sent a value of to the front,
// unless it is costly or weak.
func preferSent(groups []Group, sent Group) []Group {
	switch sent {
	case GroupX25519, GroupECP256, GroupECP384, GroupECP521, GroupMODP2048:
		if slices.Contains(groups, sent) {
			rest := slices.DeleteFunc(slices.Clone(groups), func(g Group) bool { return g == sent })
			return append([]Group{sent}, rest...)
		}
	}
	return groups
}

// candidate returns the best choice in a proposal: that with the best of its ciphers
// with which an integrity goes.
func (p IKE2Policy) candidate(proposal wire.Proposal2) (choice IKE2Choice, r rank, ok bool) {
	s := sorter{proposal: proposal}
	prf := pick(&s, wire.TransformPRF, decodeHash, p.PRFs)
	group := pick(&s, wire.TransformKE, decodeGroup, p.Groups)
	added := s.additional(p.Additional)
	if !prf.ok || !group.ok || !s.only(wire.TransformENCR, wire.TransformINTEG) {
		return choice, r, false
	}
	c, integ := s.cipher(p.Ciphers, p.Integrities)
	if !c.ok {
		return choice, r, false
	}
	suite := IKE2Suite{Encryption: c.value.Encryption, KeyBits: c.value.KeyBits, PRF: prf.value,
		Integrity: integ.value, Group: group.value, Additional: added.value}
	chosen := slices.Concat(c.all(), integ.all(), prf.all(), group.all(), added.transforms)
	return IKE2Choice{IKE2Suite: suite, SPI: slices.Clone(proposal.SPI), Answer: s.answer(chosen)},
		rank{weakness(group.value), added.rank, c.rank, group.rank, integ.rank, prf.rank}, true
}

// weakness sorts the legacy groups behind everything else.
func weakness(g Group) int {
	if g == GroupMODP1024 || g == GroupMODP1536 {
		return 1
	}
	return 0
}

// candidate returns the best choice in a proposal.
func (p ESP2Policy) candidate(proposal wire.Proposal2) (choice ESP2Choice, r rank, ok bool) {
	s := sorter{proposal: proposal}
	group := s.espGroup(p)
	more := p.Additional
	if group.value == GroupNone {
		more = nil // they come on top of one
	}
	added := s.additional(more)
	if p.First {
		added, s.broken = picks{}, false
	}
	esn := pick(&s, wire.TransformESN, decodeESN, []bool{p.ESN, !p.ESN})
	if !s.has(wire.TransformESN) {
		esn = picked[bool]{ok: true} // some clients leave it out
	}
	if !group.ok || !esn.ok || !s.only(wire.TransformENCR, wire.TransformINTEG) {
		return choice, r, false
	}
	suite, ok := s.espSuite(p.Suites)
	if !ok {
		return choice, r, false
	}
	e := ESP2{ESPSuite: suite.value, Group: group.value, Additional: added.value, ESN: esn.value}
	chosen := slices.Concat(suite.transforms, group.all(), added.transforms, esn.all())
	return ESP2Choice{ESP2: e, SPI: [4]byte(proposal.SPI), Answer: s.answer(chosen)},
		rank{added.rank, suite.rank, group.rank, esn.rank}, true
}
