package suite

import (
	"github.com/culvert-vpn/culvert/ike/wire"
)

// IKEChoice is the transform of a phase 1 offer that both sides use.
type IKEChoice struct {
	IKE
	// Answer is the SA payload to answer with: the one proposal and the one
	// transform, exactly as offered.
	Answer wire.SA
}

// ESPChoice is the transform of a quick mode offer that both sides use.
type ESPChoice struct {
	ESP
	// SPI is the one the peer put into its proposal: the SPI of our outbound SA.
	SPI [4]byte
	// Answer is the SA payload to answer with; AnswerSPI puts our SPI into it.
	Answer wire.SA
}

// AnswerSPI returns the SA payload to answer with, in which spi is the SPI of our
// inbound SA.
func (c ESPChoice) AnswerSPI(spi [4]byte) wire.SA {
	sa := c.Answer
	p := sa.Proposals[0]
	p.SPI = spi[:]
	sa.Proposals = []wire.Proposal{p}
	return sa
}

// SelectIKE chooses from a phase 1 offer the transform that p likes best. The
// error is a *Refusal.
func SelectIKE(offer wire.SA, p IKEPolicy) (IKEChoice, error) {
	best, found := choose(offer, ikeEligible, DecodeIKE, p.rank)
	if !found {
		return IKEChoice{}, &Refusal{refusedIKE{offer, p}}
	}
	best.proposal.SPI = nil // cookies already name the SA (RFC 2408, section 3.5)
	return IKEChoice{IKE: best.typed, Answer: best.answer(offer)}, nil
}

// SelectESP chooses from a quick mode offer the transform that p likes best. The
// error is a *Refusal.
func SelectESP(offer wire.SA, p ESPPolicy) (ESPChoice, error) {
	best, found := choose(offer, espEligible, DecodeESP, p.rank)
	if !found {
		return ESPChoice{}, &Refusal{refusedESP{offer, p}}
	}
	return ESPChoice{ESP: best.typed, SPI: [4]byte(best.proposal.SPI), Answer: best.answer(offer)}, nil
}

func ikeEligible(p wire.Proposal) bool { return p.Protocol == wire.ProtocolISAKMP }

// espEligible wants ESP with an SPI that is not reserved (RFC 4303, section 2.1).
func espEligible(p wire.Proposal) bool {
	return p.Protocol == wire.ProtocolESP && len(p.SPI) == 4 && p.SPI[0]|p.SPI[1]|p.SPI[2] != 0
}

// found is a transform of an offer with its typed form.
type found[T any] struct {
	proposal  wire.Proposal
	transform wire.Transform
	typed     T
}

// answer is the SA payload with nothing but what was found.
func (f found[T]) answer(offer wire.SA) wire.SA {
	p := f.proposal
	p.Transforms = []wire.Transform{f.transform.Clone()}
	p.SPI = append([]byte(nil), p.SPI...)
	return wire.SA{DOI: offer.DOI, Situation: offer.Situation, Proposals: []wire.Proposal{p}}
}

// choose returns the eligible transform of the best rank, of several the first.
func choose[T any](offer wire.SA, eligible func(wire.Proposal) bool,
	decode func(wire.Transform) (T, bool), rank func(T) (int, bool)) (best found[T], ok bool) {
	bestRank := 0
	for i, p := range offer.Proposals {
		if !eligible(p) || bundled(offer.Proposals, i) {
			continue
		}
		for _, t := range p.Transforms {
			typed, known := decode(t)
			if !known {
				continue
			}
			if r, allowed := rank(typed); allowed && (!ok || r < bestRank) {
				best, bestRank, ok = found[T]{p, t, typed}, r, true
			}
		}
	}
	return best, ok
}

// bundled reports whether another proposal has the number of the i-th: they would
// have to be taken together, as AH with ESP (RFC 2408, section 4.2).
func bundled(list []wire.Proposal, i int) bool {
	for j, p := range list {
		if j != i && p.Number == list[i].Number {
			return true
		}
	}
	return false
}

// AcceptIKE checks the answer to our phase 1 offer: one proposal with one
// transform whose algorithms were offered. The lifetimes are the answer's.
// Numbers are not compared, for some responders count anew.
func AcceptIKE(offer, answer wire.SA) (IKEChoice, error) {
	got, ok := single(answer, ikeEligible, DecodeIKE)
	if !ok || !got.typed.Supported() {
		return IKEChoice{}, ErrAnswer
	}
	same := func(t IKE) (int, bool) {
		return 0, t.IKESuite == got.typed.IKESuite && t.Auth == got.typed.Auth
	}
	if _, offered := choose(offer, ikeEligible, DecodeIKE, same); !offered {
		return IKEChoice{}, ErrAnswer
	}
	return IKEChoice{IKE: got.typed, Answer: got.answer(answer)}, nil
}

// AcceptESP checks the answer to our quick mode offer in the same way; SPI is
// then that of our outbound SA.
func AcceptESP(offer, answer wire.SA) (ESPChoice, error) {
	got, ok := single(answer, espEligible, DecodeESP)
	if !ok || !got.typed.Supported() {
		return ESPChoice{}, ErrAnswer
	}
	same := func(t ESP) (int, bool) {
		t.Life = got.typed.Life
		return 0, t == got.typed
	}
	if _, offered := choose(offer, espEligible, DecodeESP, same); !offered {
		return ESPChoice{}, ErrAnswer
	}
	return ESPChoice{ESP: got.typed, SPI: [4]byte(got.proposal.SPI), Answer: got.answer(answer)}, nil
}

// single returns the only transform of an answer.
func single[T any](answer wire.SA, eligible func(wire.Proposal) bool,
	decode func(wire.Transform) (T, bool)) (found[T], bool) {
	if len(answer.Proposals) != 1 || len(answer.Proposals[0].Transforms) != 1 || !eligible(answer.Proposals[0]) {
		return found[T]{}, false
	}
	t := answer.Proposals[0].Transforms[0]
	typed, ok := decode(t)
	return found[T]{answer.Proposals[0], t, typed}, ok
}
