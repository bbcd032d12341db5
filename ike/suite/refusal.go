package suite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// maxListed bounds how many offered transforms a sentence names.
const maxListed = 24

// Refusal says why nothing was chosen: what was offered and what is allowed. It
// holds names of algorithms and no bytes of the peer's.
type Refusal struct {
	Phase   string   // "IKE" or "ESP"
	Offered []string // the distinct transforms in their order
	Allowed string   // what the policy takes, in words
	Legacy  string   // the suite that a legacy policy would take, if any
}

// Error is a sentence for the operator's log.
func (r *Refusal) Error() string {
	offered := r.Offered
	more := ""
	if n := len(offered) - maxListed; n > 0 {
		offered, more = offered[:maxListed], fmt.Sprintf(" and %d more", n)
	}
	list := strings.Join(offered, ", ")
	if list == "" {
		list = "nothing"
	}
	s := fmt.Sprintf("%v: the peer offers for %s %s%s; allowed are %s",
		ErrNoProposal, r.Phase, list, more, r.Allowed)
	if r.Legacy != "" {
		s += "; the legacy algorithms would allow " + r.Legacy
	}
	return s
}

// Unwrap returns ErrNoProposal.
func (r *Refusal) Unwrap() error { return ErrNoProposal }

func refuseIKE(offer wire.SA, p IKEPolicy) *Refusal {
	r := &Refusal{
		Phase:   "IKE",
		Offered: describe(offer, ikeEligible, func(t wire.Transform) (fmt.Stringer, bool) { return asStringer(DecodeIKE(t)) }),
		Allowed: fmt.Sprintf("%s with %s and %s, authenticated by %s",
			distinct(p.Suites, func(s IKESuite) string { return cipherName(s.Encryption, s.KeyBits) }),
			distinct(p.Suites, func(s IKESuite) string { return s.Hash.String() }),
			distinct(p.Suites, func(s IKESuite) string { return s.Group.String() }),
			distinct(p.Auth, AuthMethod.String)),
	}
	if c, ok := choose(offer, ikeEligible, DecodeIKE, DefaultIKE(true, p.Auth...).rank); ok {
		r.Legacy = c.typed.String()
	}
	return r
}

func refuseESP(offer wire.SA, p ESPPolicy) *Refusal {
	groups := "none"
	if p.KeyExchange {
		groups = distinct(p.Groups, Group.String)
	}
	modes := "any"
	if len(p.Encapsulations) > 0 {
		modes = distinct(p.Encapsulations, Encapsulation.String)
	}
	r := &Refusal{
		Phase:   "ESP",
		Offered: describe(offer, espEligible, func(t wire.Transform) (fmt.Stringer, bool) { return asStringer(DecodeESP(t)) }),
		Allowed: fmt.Sprintf("%s, encapsulation %s, group %s", distinct(p.Suites, ESPSuite.String), modes, groups),
	}
	legacy := p
	legacy.Suites = DefaultESP(true).Suites
	if c, ok := choose(offer, espEligible, DecodeESP, legacy.rank); ok {
		r.Legacy = c.typed.String()
	}
	return r
}

func asStringer[T fmt.Stringer](v T, ok bool) (fmt.Stringer, bool) { return v, ok }

// describe names every transform of an offer once. What cannot be chosen for
// another reason than its algorithms says so.
func describe(offer wire.SA, eligible func(wire.Proposal) bool,
	decode func(wire.Transform) (fmt.Stringer, bool)) []string {
	var out []string
	for i, p := range offer.Proposals {
		for _, t := range p.Transforms {
			out = append(out, describeOne(p, bundled(offer.Proposals, i), eligible(p), t, decode))
		}
	}
	return unique(out)
}

func describeOne(p wire.Proposal, bundle, eligible bool, t wire.Transform,
	decode func(wire.Transform) (fmt.Stringer, bool)) string {
	if bundle {
		return fmt.Sprintf("%v in a bundle", p.Protocol)
	}
	if !eligible {
		return p.Protocol.String()
	}
	typed, known := decode(t)
	if !known {
		return typed.String() + " with unknown attributes"
	}
	return typed.String()
}

func distinct[T any](list []T, text func(T) string) string {
	names := make([]string, 0, len(list))
	for _, v := range list {
		names = append(names, text(v))
	}
	if names = unique(names); len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, "|")
}

// unique drops repetitions and keeps the order.
func unique(list []string) []string {
	seen := make(map[string]bool, len(list))
	return slices.DeleteFunc(list, func(s string) bool {
		was := seen[s]
		seen[s] = true
		return was
	})
}
