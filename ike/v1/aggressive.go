package v1

import (
	"bytes"
	"io"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Phase 1 in aggressive mode with a pre-shared key (RFC 2409, section 5.4; NAT-D as
// in RFC 3947, section 3.2):
//
//	     Initiator                                Responder
//	1    HDR, SA, KE, Ni, IDii, VID     -->
//	2                                   <--       HDR, SA, KE, Nr, IDir, HASH_R, VID, NAT-D
//	3    HDR*, NAT-D, HASH_I            -->
//
// The name comes before the key is needed, so that each can have its own. What it
// costs: HASH_R goes to whoever says a name, and shows them whether a key that
// they try at home is the right one.

// AggressiveConfig is what a responder of aggressive mode says.
type AggressiveConfig struct {
	Rand     io.Reader
	Policy   suite.IKEPolicy
	Ends     Ends
	Identity wire.ID // ours
	// Key returns the key of who calls itself so, which is overwritten at the end of
	// the exchange. It must return one for everybody: who has none is not told.
	Key func(id wire.ID) []byte
}

// maxIdentity is how long the name of a stranger may be.
const maxIdentity = 1 << 10

// AnswerAggressive takes message 1; the Outcome is a computation, and then message 2.
func AnswerAggressive(c AggressiveConfig, h wire.Header, body []byte) (*Phase1, Outcome, error) {
	if h.Initiator.IsZero() || !h.Responder.IsZero() || h.Flags&wire.FlagEncryption != 0 || h.MessageID != 0 {
		return nil, Outcome{}, ErrState
	}
	chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
	if err != nil {
		return nil, Outcome{}, err
	}
	m := &Phase1{exchange: wire.ExchangeAggressive, state: share, rand: c.Rand, ends: c.Ends, i: h.Initiator, ownID: c.Identity,
		features: readVendors(chain)}
	if err := m.readAM1(chain, c.Policy); err != nil {
		return nil, Outcome{}, err
	}
	if m.nr, err = random(c.Rand, 32); err != nil {
		return nil, Outcome{}, err
	}
	for m.r.IsZero() {
		if _, err := io.ReadFull(c.Rand, m.r[:]); err != nil {
			return nil, Outcome{}, err
		}
	}
	compute, err := computeKey(c.Rand, m.choice.Group)
	if err != nil {
		return nil, Outcome{}, err
	}
	m.dial.PSK = c.Key(m.identity)
	public := m.gxi
	return m, Outcome{Compute: func() any {
		a := compute()
		a.share(public)
		return a
	}}, nil
}

// readAM1 takes everything out of message 1. "The group in which the Diffie-Hellman
// exchange is performed cannot be negotiated" (RFC 2409, section 5): of the offer,
// only what has the group of KE can be chosen.
func (m *Phase1) readAM1(chain []wire.Payload, policy suite.IKEPolicy) error {
	idp, ok := wire.Find(chain, wire.PayloadID)
	ke, ok2 := wire.Find(chain, wire.PayloadKE)
	if !ok || !ok2 || len(chain) == 0 || chain[0].Type != wire.PayloadSA || wire.Count(chain, wire.PayloadSA)+wire.Count(chain, wire.PayloadID) > 2 {
		return ErrPayloads
	}
	if len(chain[0].Body) > maxOffer || len(idp.Body) > maxIdentity {
		return ErrTooLong
	}
	offer, err := wire.ConsumeSA(chain[0].Body)
	if err != nil {
		return err
	}
	var suites []suite.IKESuite
	for _, s := range policy.Suites {
		if s.Group.PublicLen() == len(ke.Body) {
			suites = append(suites, s)
		}
	}
	policy.Suites = suites
	choice, err := suite.SelectIKE(offer, policy)
	if err != nil {
		return err
	}
	m.choice, m.offer, m.answer = choice.IKE, bytes.Clone(chain[0].Body), choice.Answer
	if m.gxi, m.ni, err = m.readKeyExchange(chain); err != nil {
		return err
	}
	m.peerID = bytes.Clone(idp.Body)
	m.identity, err = wire.ConsumeID(m.peerID)
	return err
}

// sendAM2 sends our half and the proof that we have the key.
func (m *Phase1) sendAM2(a *agreement) (Outcome, error) {
	m.gxr, m.gxy = a.public, a.shared
	a.key.Zero()
	if err := m.agree(m.dial.PSK); err != nil {
		return Outcome{}, err
	}
	msg := m.start(0)
	msg.Add(m.answer)
	msg.Add(wire.KeyExchange(m.gxr))
	msg.Add(wire.Nonce(m.nr))
	msg.Add(m.ownID)
	msg.Add(wire.Hash(m.proofOf(false, m.ownID.AppendBody(nil)).Hash(m.choice.Hash, m.skeyid)))
	for _, v := range m.features.answers(m.choice.Auth) {
		msg.Add(v)
	}
	if m.features.NATT != NATTNone {
		if err := m.addNATD(msg, m.rand, nil); err != nil {
			return Outcome{}, err
		}
	}
	m.setState(waitAM3)
	return Outcome{Send: msg.Finish()}, nil
}

// handleAM3 verifies that the initiator has the key of its name. The message "MAY
// NOT be sent under protection of the ISAKMP SA" (RFC 2409, section 5), and most
// send it so all the same.
func (m *Phase1) handleAM3(h wire.Header, body []byte) (Outcome, error) {
	chain, next, err := m.openAM3(h, body)
	if err != nil {
		return Outcome{}, err
	}
	hash, ok := wire.Find(chain, wire.PayloadHash)
	if !ok {
		return Outcome{}, ErrPayloads
	}
	if !m.proofOf(true, m.peerID).Verify(m.choice.Hash, m.skeyid, hash.Body) {
		return Outcome{}, ErrAuth
	}
	if next != nil {
		m.thread.iv, m.initialContact = next, hasInitialContact(chain)
	}
	m.readNATD(chain)
	m.setState(search)
	return Outcome{Search: true}, nil
}

// openAM3 returns the payloads of message 3, and the IV behind it if it is encrypted.
func (m *Phase1) openAM3(h wire.Header, body []byte) ([]wire.Payload, []byte, error) {
	if h.Flags&wire.FlagEncryption == 0 {
		chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
		return chain, nil, err
	}
	if h.Next != wire.PayloadHash && !wire.IsNATD(h.Next) {
		return nil, nil, ErrPayloads
	}
	return m.decrypt(h, bytes.Clone(body))
}

// StartAggressive begins an aggressive mode: the Outcome is a computation, and then
// message 1. All transforms of the offer have one group.
func StartAggressive(c InitiatorConfig) (*Phase1, Outcome, error) {
	group, ok := groupOf(c.Offer)
	if !ok {
		return nil, Outcome{}, ErrOffer
	}
	m := &Phase1{exchange: wire.ExchangeAggressive, initiator: true, state: makeKey, rand: c.Rand, dial: c, ends: c.Ends, offerSA: c.Offer}
	for m.i.IsZero() {
		if _, err := io.ReadFull(c.Rand, m.i[:]); err != nil {
			return nil, Outcome{}, err
		}
	}
	m.offer = c.Offer.AppendBody(nil)
	compute, err := computeKey(c.Rand, group)
	return m, Outcome{Compute: func() any { return compute() }}, err
}

// groupOf is the group of all transforms of an offer.
func groupOf(offer wire.SA) (suite.Group, bool) {
	var group suite.Group
	if len(offer.Proposals) != 1 {
		return 0, false
	}
	for _, t := range offer.Proposals[0].Transforms {
		typed, _ := suite.DecodeIKE(t)
		if group != suite.GroupNone && typed.Group != group {
			return 0, false
		}
		group = typed.Group
	}
	return group, group.Supported()
}

// sendAM1 sends the offer, our half of the key exchange and our name.
func (m *Phase1) sendAM1(a *agreement) (Outcome, error) {
	ni, err := random(m.rand, m.dial.NonceLen)
	if err != nil {
		return Outcome{}, err
	}
	m.key, m.gxi, m.ni = a.key, a.public, ni
	msg := m.start(0)
	msg.Add(m.offerSA)
	msg.Add(wire.KeyExchange(m.gxi))
	msg.Add(wire.Nonce(m.ni))
	msg.Add(m.dial.Identity)
	for _, v := range m.dial.Vendors {
		msg.Add(v)
	}
	m.setState(waitAM2)
	return Outcome{Send: msg.Finish()}, nil
}

// handleAM2 takes the responder's choice and its half. Whether it has the key shows
// once the secret is shared.
func (m *Phase1) handleAM2(h wire.Header, chain []wire.Payload) (Outcome, error) {
	idp, ok := wire.Find(chain, wire.PayloadID)
	hash, ok2 := wire.Find(chain, wire.PayloadHash)
	if !ok || !ok2 {
		return Outcome{}, ErrPayloads
	}
	choice, err := m.readChoice(h, chain)
	if err != nil {
		return Outcome{}, err
	}
	id, err := wire.ConsumeID(bytes.Clone(idp.Body))
	if err != nil {
		return Outcome{}, err
	}
	m.choice = choice.IKE
	public, nonce, err := m.readKeyExchange(chain)
	if err != nil {
		return Outcome{}, err
	}
	m.r, m.gxr, m.nr, m.identity = h.Responder, public, nonce, id
	m.peerID, m.peerHash, m.features = bytes.Clone(idp.Body), bytes.Clone(hash.Body), readVendors(chain)
	return m.computeShared(public), nil
}

// sendAM3 verifies that the responder has the key, and proves that we have it, on
// port 4500 from here on.
func (m *Phase1) sendAM3(a *agreement) (Outcome, error) {
	m.gxy = a.shared
	if err := m.agree(m.dial.PSK); err != nil {
		return Outcome{}, err
	}
	if !m.proofOf(false, m.peerID).Verify(m.choice.Hash, m.skeyid, m.peerHash) {
		return Outcome{}, ErrAuth
	}
	float := m.features.NATT != NATTNone
	msg := m.start(wire.FlagEncryption)
	if float {
		if err := m.addNATD(msg, m.rand, nil); err != nil {
			return Outcome{}, err
		}
	}
	msg.Add(wire.Hash(m.proofOf(true, m.dial.Identity.AppendBody(nil)).Hash(m.choice.Hash, m.skeyid)))
	if m.dial.InitialContact {
		msg.Add(wire.Notify{DOI: wire.DOIIPsec, Protocol: wire.ProtocolISAKMP,
			SPI: wire.CookieSPI(m.i, m.r), Type: wire.NotifyInitialContact})
	}
	out := m.thread.seal(msg)
	m.finish()
	return Outcome{Send: out, Float: float, Done: true}, nil
}
