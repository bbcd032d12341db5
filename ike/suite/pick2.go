package suite

import (
	"slices"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// sorter looks through one proposal and remembers which types it has looked at.
type sorter struct {
	proposal wire.Proposal2
	seen     [int(wire.TransformADDKE7) + 1]bool
	broken   bool // a type was offered, and nothing of it fits
}

// picked is the transform of one type that was chosen.
type picked[T any] struct {
	value     T
	transform wire.Transform2
	rank      int
	ok        bool // false: nothing fits
	offered   bool // false with ok: the type is not there, and need not be
}

// all returns the transform for the answer, if there is one.
func (p picked[T]) all() []wire.Transform2 {
	if !p.offered {
		return nil
	}
	return []wire.Transform2{p.transform.Clone()}
}

// has reports whether the proposal has transforms of a type.
func (s *sorter) has(t wire.TransformType) bool {
	return slices.ContainsFunc(s.proposal.Transforms, func(x wire.Transform2) bool { return x.Type == t })
}

// only reports whether all types of the proposal were looked at, or are among
// more: one that is not understood refuses a proposal (RFC 7296, section 3.3.6).
func (s *sorter) only(more ...wire.TransformType) bool {
	for _, t := range s.proposal.Transforms {
		if slices.Contains(more, t.Type) {
			continue
		}
		if int(t.Type) >= len(s.seen) || !s.seen[t.Type] {
			return false
		}
	}
	return !s.broken
}

// pick returns the transform of type t whose value stands first in prefer.
func pick[T comparable](s *sorter, t wire.TransformType, decode func(wire.Transform2) (T, bool), prefer []T) (best picked[T]) {
	s.seen[t] = true
	for _, x := range s.proposal.Transforms {
		if x.Type != t {
			continue
		}
		v, ok := decode(x)
		if i := slices.Index(prefer, v); ok && i >= 0 && (!best.ok || i < best.rank) {
			best = picked[T]{v, x, i, true, true}
		}
	}
	return best
}

// cipher returns the cipher of the proposal that stands first in prefer, of those with
// which an integrity goes, and that integrity: none with an AEAD, for which the offer
// must have none, or say NONE (RFC 7296, section 3.3.3). What goes with a cipher is
// looked for once, however many ciphers there are.
func (s *sorter) cipher(prefer []Cipher, integrities []Integrity) (picked[Cipher], picked[Integrity]) {
	alone, plain := s.alone(), pick(s, wire.TransformINTEG, decodeIntegrity, integrities)
	plain.ok = plain.ok && plain.value != IntegNone
	best := pick(s, wire.TransformENCR, func(t wire.Transform2) (Cipher, bool) {
		c, ok := decodeCipher(t)
		return c, ok && (c.Encryption.IsAEAD() && alone.ok || !c.Encryption.IsAEAD() && plain.ok)
	}, prefer)
	if best.value.Encryption.IsAEAD() {
		return best, alone
	}
	return best, plain
}

// alone is the integrity of a cipher that needs none; ok says that the offer allows it.
func (s *sorter) alone() picked[Integrity] {
	if !s.has(wire.TransformINTEG) {
		return picked[Integrity]{ok: true}
	}
	return pick(s, wire.TransformINTEG, decodeIntegrity, []Integrity{IntegNone})
}

// picks is what was chosen of several types.
type picks struct {
	value      Additional
	transforms []wire.Transform2
	rank       int
}

// additional chooses the additional key exchanges. None is chosen twice (RFC 9370,
// section 2.2.2). More of them is better.
func (s *sorter) additional(prefer []Group) (out picks) {
	left := slices.Clone(prefer)
	for i := range out.value {
		t := wire.TransformADDKE1 + wire.TransformType(i)
		if !s.has(t) {
			continue
		}
		p := pick(s, t, decodeGroup, append(slices.Clone(left), GroupNone))
		if !p.ok {
			s.broken = true
			return picks{}
		}
		out.value[i] = p.value
		out.transforms = append(out.transforms, p.all()...)
		if p.value != GroupNone {
			out.rank -= len(prefer) + 1 - slices.Index(prefer, p.value)
			left = slices.DeleteFunc(left, func(g Group) bool { return g == p.value })
		}
	}
	return out
}

// espGroup chooses the key exchange of a child SA: the group that was sent, then
// none, then one that has to be asked for.
func (s *sorter) espGroup(p ESP2Policy) picked[Group] {
	prefer := append([]Group{GroupNone}, p.Groups...)
	if p.Sent != GroupNone && slices.Contains(p.Groups, p.Sent) {
		prefer = append([]Group{p.Sent}, prefer...)
	}
	best := pick(s, wire.TransformKE, decodeGroup, prefer)
	switch {
	case p.First:
		return picked[Group]{ok: true}
	case !s.has(wire.TransformKE):
		return picked[Group]{ok: true, rank: slices.Index(prefer, GroupNone)}
	}
	return best
}

// espPick is a cipher and its integrity.
type espPick struct {
	value      ESPSuite
	transforms []wire.Transform2
	rank       int
}

// espSuite returns the first of the pairs of cipher and integrity in prefer that the
// proposal has.
func (s *sorter) espSuite(prefer []ESPSuite) (espPick, bool) {
	for i, suite := range prefer {
		c, integ := s.cipher([]Cipher{{suite.Encryption, suite.KeyBits}}, []Integrity{suite.Integrity})
		if c.ok {
			return espPick{suite, append(c.all(), integ.all()...), i}, true
		}
	}
	return espPick{}, false
}

// answer is the proposal with nothing but what was chosen. Its SPI is left empty.
func (s *sorter) answer(chosen []wire.Transform2) wire.SA2 {
	return wire.SA2{Proposals: []wire.Proposal2{{
		Number: s.proposal.Number, Protocol: s.proposal.Protocol, Transforms: chosen,
	}}}
}
