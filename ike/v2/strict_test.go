package v2

import (
	"slices"
	"testing"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// strict is a responder to the letter of RFC 7296, section 3.3.6, that knows nothing
// newer: a proposal with a type of transform beyond its five is passed over as a whole.
func strict(offer wire.SA2) wire.SA2 {
	offer.Proposals = slices.DeleteFunc(slices.Clone(offer.Proposals), func(p wire.Proposal2) bool {
		return slices.ContainsFunc(p.Transforms, func(t wire.Transform2) bool { return t.Type > wire.TransformESN })
	})
	return offer
}

// strictIKE has such a responder choose, and us take its answer.
func strictIKE(offer wire.SA2) error {
	policy := suite.DefaultIKE2(true)
	policy.Additional = nil
	c, err := suite.SelectIKE2(strict(offer), policy)
	if err == nil {
		_, err = suite.AcceptIKE2(offer, c.AnswerSPI(offer.Proposals[0].SPI))
	}
	return err
}

func strictESP(offer wire.SA2, first bool, sent suite.Group) error {
	policy := suite.DefaultESP2(true)
	policy.Additional, policy.First, policy.Sent = nil, first, sent
	c, err := suite.SelectESP2(strict(offer), policy)
	if err == nil {
		_, err = suite.AcceptESP2(offer, c.AnswerSPI([4]byte{4, 3, 2, 1}), first)
	}
	return err
}

// TestStrictRespondersTakeEveryDefaultOffer: whoever knows the five types of transform of
// RFC 7296 and no other finds something in what we offer at first, and to renew.
func TestStrictRespondersTakeEveryDefaultOffer(t *testing.T) {
	hybrid := suite.IKE2Suite{Encryption: suite.EncAESGCM16, KeyBits: 256, PRF: suite.HashSHA256, Group: suite.GroupX25519,
		Additional: suite.Additional{suite.GroupMLKEM768}}
	for _, name := range Personas() {
		t.Run(name, func(t *testing.T) {
			p, _ := PersonaNamed(name)
			if err := strictIKE(suite.OfferIKE2(nil, p.IKE)); err != nil {
				t.Errorf("IKE_SA_INIT: %v", err)
			}
			if err := strictESP(suite.OfferESP2([4]byte{1, 2, 3, 4}, p.ESP), true, 0); err != nil {
				t.Errorf("IKE_AUTH: %v", err)
			}
			s := &Session{initiator: true, dial: &DialConfig{Persona: p, PFS: true}, current: &sa{suite: hybrid}}
			if err := strictIKE(s.renewalOffer(wire.Cookie{1}, hybrid)); err != nil {
				t.Errorf("renewal of the IKE SA: %v", err)
			}
			old := &child{suite: suite.ESP2{ESPSuite: suite.ESPSuite{Encryption: suite.EncAESGCM16, KeyBits: 256}}}
			if err := strictESP(s.offerESP(old, 0x01020304, s.perfect()), false, suite.GroupX25519); err != nil {
				t.Errorf("renewal of the child SA: %v", err)
			}
			if err := strictESP(s.offerESP(nil, 0x01020304, s.perfect()), false, suite.GroupX25519); err != nil {
				t.Errorf("another child SA: %v", err)
			}
		})
	}
}

// TestPostQuantumIsPreferred: a server that goes by the order of our proposals, and has
// ML-KEM, takes it, at first and when SAs are renewed.
func TestPostQuantumIsPreferred(t *testing.T) {
	p := Own()
	first := func(offer wire.SA2) wire.SA2 { return wire.SA2{Proposals: offer.Proposals[:1]} }
	c, err := suite.SelectIKE2(first(suite.OfferIKE2(nil, p.IKE)), suite.DefaultIKE2(false))
	if err != nil || c.Additional[0] != suite.GroupMLKEM768 {
		t.Fatalf("IKE_SA_INIT: %+v, %v", c.IKE2Suite, err)
	}
	s := &Session{initiator: true, dial: &DialConfig{Persona: p, PFS: true}, current: &sa{suite: c.IKE2Suite}}
	if r, err := suite.SelectIKE2(first(s.renewalOffer(wire.Cookie{1}, c.IKE2Suite)), suite.DefaultIKE2(false)); err != nil || r.Additional != c.Additional {
		t.Errorf("renewal of the IKE SA: %+v, %v", r.IKE2Suite, err)
	}
	old := &child{suite: suite.ESP2{ESPSuite: suite.ESPSuite{Encryption: suite.EncAESGCM16, KeyBits: 256}}}
	policy := suite.DefaultESP2(false)
	policy.Sent = suite.GroupX25519
	if r, err := suite.SelectESP2(first(s.offerESP(old, 0x01020304, s.perfect())), policy); err != nil || r.Additional != c.Additional {
		t.Errorf("renewal of the child SA: %+v, %v", r.ESP2, err)
	}
}
