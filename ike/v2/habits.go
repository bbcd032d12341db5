package v2

import (
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Habits is what a kind of client does after its login: when it renews its SAs,
// and what it then asks for. The zero value renews what there is as it is.
type Habits struct {
	// IKELifetime and ChildLifetime end at 100 %; the SAs are renewed at 80 to
	// 90 % of them. 0: what is usual. DialConfig.Policy comes first.
	IKELifetime, ChildLifetime time.Duration
	// RenewIKE is offered in place of the suite in use to renew the IKE SA.
	RenewIKE []suite.IKE2Proposal
	// RepeatNumber gives that offer the number of the proposal that was chosen
	// first. "The first proposal in an initial IKE SA ... MUST be 1" (RFC 7296,
	// section 3.3.1); macOS 14 does otherwise.
	RepeatNumber bool
	// OptionalPFS offers the renewal of a child SA twice: with a key exchange of
	// the IKE SA's group, and without.
	OptionalPFS bool
	// WideSelectors asks for all traffic again when a child SA is renewed, not
	// for what it was narrowed to.
	WideSelectors bool
}

// habits are those of the persona; the zero value for a session that was
// answered.
func (s *Session) habits() Habits {
	if s.dial == nil {
		return Habits{}
	}
	return s.dial.Persona.Habits
}

// adoptHabits puts the persona's lifetimes where nobody said otherwise.
func (p *Policy) adoptHabits(h Habits) {
	if p.IKELifetime == 0 {
		p.IKELifetime = h.IKELifetime
	}
	if p.ChildLifetime == 0 {
		p.ChildLifetime = h.ChildLifetime
	}
}

// renewalGroup is the group of our first offer to renew the IKE SA: that of the
// SA. Clients of which we did not demand a better one may have renewed with a
// group that we would not have begun with; we do not follow them.
func (s *Session) renewalGroup() suite.Group {
	if list := s.habits().RenewIKE; len(list) > 0 {
		return firstSupported(list)
	}
	g := s.current.suite.Group
	if !s.initiator && !slices.Contains(ikePolicy(s.candidate.Policy).Groups, g) {
		return suite.GroupMODP2048
	}
	return g
}

// renewalOffer is our offer to renew an IKE SA of suite u. Additional key exchanges may
// be left out, for peers that know IKE_INTERMEDIATE and no IKE_FOLLOWUP_KE: what they
// gave at first stays in the keys, for those of a renewal are made of SK_d.
func (s *Session) renewalOffer(spi wire.Cookie, u suite.IKE2Suite) wire.SA2 {
	list := suite.Either(u.Proposal())
	if h := s.habits(); len(h.RenewIKE) > 0 {
		list = h.RenewIKE
	}
	offer := suite.OfferIKE2(spi[:], list)
	if s.habits().RepeatNumber && s.chosenNumber > 0 {
		offer.Proposals[0].Number = s.chosenNumber
	}
	return offer
}

// renewalGroups is what a peer that is known may renew its IKE SA with: SKEYSEED
// comes of the old SK_d as well (RFC 7296, section 2.18), so that even a weak
// group is no weaker than none, which a child SA may have. Windows falls back to
// MODP1024 here.
func renewalGroups(groups []suite.Group) []suite.Group {
	return union(slices.Clone(groups), []suite.Group{suite.GroupMODP1536, suite.GroupMODP1024})
}
