package suite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// maxListed bounds how many offered transforms a sentence names.
const maxListed = 24

// Refusal says why nothing was chosen: what was offered and what is allowed. It keeps
// both as they are and puts them into words when it is asked, for most offers of
// strangers are refused without anybody being told. The offer is borrowed, as it was by
// who refused it. What is said holds names of algorithms and no bytes of the peer's.
type Refusal struct{ refused refused }

// refused is an offer and a policy that do not meet.
type refused interface {
	phase() string     // "IKE" or "ESP"
	offered() []string // the distinct transforms in their order
	allowed() string   // what the policy takes, in words
	legacy() string    // the suite that a legacy policy would take, if any
}

// Error is a sentence for the operator's log.
func (r *Refusal) Error() string {
	offered := r.refused.offered()
	more := ""
	if n := len(offered) - maxListed; n > 0 {
		offered, more = offered[:maxListed], fmt.Sprintf(" and %d more", n)
	}
	list := strings.Join(offered, ", ")
	if list == "" {
		list = "nothing"
	}
	s := fmt.Sprintf("%v: the peer offers for %s %s%s; allowed are %s",
		ErrNoProposal, r.refused.phase(), list, more, r.refused.allowed())
	if legacy := r.refused.legacy(); legacy != "" {
		s += "; the legacy algorithms would allow " + legacy
	}
	return s
}

// Unwrap returns ErrNoProposal.
func (r *Refusal) Unwrap() error { return ErrNoProposal }

type refusedIKE struct {
	offer  wire.SA
	policy IKEPolicy
}

func (r refusedIKE) phase() string { return "IKE" }

func (r refusedIKE) offered() []string {
	return describe(r.offer, ikeEligible, func(t wire.Transform) (fmt.Stringer, bool) { return asStringer(DecodeIKE(t)) })
}

func (r refusedIKE) allowed() string {
	p := r.policy
	return fmt.Sprintf("%s with %s and %s, authenticated by %s",
		distinct(p.Suites, func(s IKESuite) string { return cipherName(s.Encryption, s.KeyBits) }),
		distinct(p.Suites, func(s IKESuite) string { return s.Hash.String() }),
		distinct(p.Suites, func(s IKESuite) string { return s.Group.String() }),
		distinct(p.Auth, AuthMethod.String))
}

func (r refusedIKE) legacy() string {
	if c, ok := choose(r.offer, ikeEligible, DecodeIKE, DefaultIKE(true, r.policy.Auth...).rank); ok {
		return c.typed.String()
	}
	return ""
}

type refusedESP struct {
	offer  wire.SA
	policy ESPPolicy
}

func (r refusedESP) phase() string { return "ESP" }

func (r refusedESP) offered() []string {
	return describe(r.offer, espEligible, func(t wire.Transform) (fmt.Stringer, bool) { return asStringer(DecodeESP(t)) })
}

func (r refusedESP) allowed() string {
	groups, modes := "none", "any"
	if r.policy.KeyExchange {
		groups = distinct(r.policy.Groups, Group.String)
	}
	if len(r.policy.Encapsulations) > 0 {
		modes = distinct(r.policy.Encapsulations, Encapsulation.String)
	}
	return fmt.Sprintf("%s, encapsulation %s, group %s", distinct(r.policy.Suites, ESPSuite.String), modes, groups)
}

func (r refusedESP) legacy() string {
	legacy := r.policy
	legacy.Suites = DefaultESP(true).Suites
	if c, ok := choose(r.offer, espEligible, DecodeESP, legacy.rank); ok {
		return c.typed.String()
	}
	return ""
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
