package suite

import (
	"slices"
	"testing"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// strict1 leaves of an offer of IKEv1 what a responder of 2005 knows. It passes over a
// transform with any attribute or value that it does not know (RFC 2408, section 4.2),
// and over a proposal of which nothing is left.
func strict1(offer wire.SA, known func(wire.Transform) bool) wire.SA {
	var out []wire.Proposal
	for _, p := range offer.Proposals {
		p.Transforms = slices.DeleteFunc(slices.Clone(p.Transforms), func(t wire.Transform) bool { return !known(t) })
		if len(p.Transforms) > 0 {
			out = append(out, p)
		}
	}
	offer.Proposals = out
	return offer
}

// upTo reports whether a transform has no attribute but those of limits, and of these
// no value above the limit.
func upTo(t wire.Transform, limits map[wire.AttributeType]uint64) bool {
	for a := range t.Attributes.All() {
		if limit, ok := limits[a.Type]; !ok || a.Uint() > limit {
			return false
		}
	}
	return true
}

// TestStrictRespondersOfIKEv1TakeEveryDefaultOffer: AES-CBC, SHA2, and groups up to 18 in
// phase 1, and AES-CBC with the attributes of RFC 2407 in quick mode, are all that a
// server need have for our own offers. Those of others need nothing newer either.
func TestStrictRespondersOfIKEv1TakeEveryDefaultOffer(t *testing.T) {
	// The types of attribute and the highest value known of each: RFC 2409, appendix A,
	// with the groups of RFC 3526; RFC 2407, section 4.5, with UDP encapsulation.
	phase1 := map[wire.AttributeType]uint64{1: 7, 2: 6, 3: 5, 4: 18, 11: 2, 12: 1 << 32, 14: 256}
	phase2 := map[wire.AttributeType]uint64{1: 2, 2: 1 << 32, 3: 18, 4: 4, 5: 7, 6: 256}
	for _, name := range []string{"culvert", "windows7", "windows10", "macos", "ios", "android", "chromeos", "mikrotik", "networkmanager", "kl2tpd", "tplink"} {
		p := persona(t, name)
		offer := p.OfferIKE()
		choice, err := SelectIKE(strict1(offer, func(x wire.Transform) bool { return upTo(x, phase1) }), DefaultIKE(true, AuthPSK))
		if err == nil {
			_, err = AcceptIKE(offer, choice.Answer)
		}
		if err != nil {
			t.Errorf("%s: phase 1: %v", name, err)
		}
		group := GroupNone
		if len(p.ESP) > 0 {
			group = p.ESP[0].Group
		}
		offer = p.OfferESP([4]byte{1, 2, 3, 4}, UDPTransport)
		policy := DefaultESP(true)
		policy.KeyExchange = group != GroupNone
		esp, err := SelectESP(strict1(offer, func(x wire.Transform) bool { return x.ID <= 12 && upTo(x, phase2) }), policy)
		if err == nil {
			_, err = AcceptESP(offer, esp.Answer)
		}
		if err != nil {
			t.Errorf("%s: quick mode: %v", name, err)
		}
	}
}
