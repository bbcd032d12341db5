package v1

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// InitiatorConfig is what an initiator of phase 1 says.
type InitiatorConfig struct {
	Rand           io.Reader
	Offer          wire.SA
	Vendors        []wire.VendorID
	NonceLen       int
	PSK            []byte              // overwritten when the exchange ends
	Certificate    *Certificate        // proves who we are, if the offer is signatures
	Authorities    []*x509.Certificate // whose certificates we take then
	Identity       wire.ID
	InitialContact bool
	Ends           Ends
}

// StartMain begins a main mode and returns message 1.
func StartMain(c InitiatorConfig) (*Phase1, []byte, error) {
	if len(c.Offer.Proposals) != 1 || len(c.Offer.Proposals[0].Transforms) == 0 {
		return nil, nil, ErrOffer
	}
	m := &Phase1{exchange: wire.ExchangeMain, initiator: true, state: waitMM2, rand: c.Rand, dial: c, ends: c.Ends, offerSA: c.Offer,
		own: c.Certificate, authorities: c.Authorities}
	for m.i.IsZero() {
		if _, err := io.ReadFull(c.Rand, m.i[:]); err != nil {
			return nil, nil, err
		}
	}
	m.offer = c.Offer.AppendBody(nil)
	msg := m.start(0)
	msg.Add(c.Offer)
	for _, v := range c.Vendors {
		msg.Add(v)
	}
	return m, msg.Finish(), nil
}

// start begins a message of the exchange.
func (m *Phase1) start(f wire.Flags) *wire.Message {
	return wire.StartMessage(nil, wire.Header{
		Initiator: m.i, Responder: m.r, Version: wire.V1, Exchange: m.exchange, Flags: f,
	})
}

// handleMM2 takes the responder's choice.
func (m *Phase1) handleMM2(h wire.Header, chain []wire.Payload) (Outcome, error) {
	choice, err := m.readChoice(h, chain)
	if err != nil {
		return Outcome{}, err
	}
	compute, err := computeKey(m.rand, choice.Group)
	if err != nil {
		return Outcome{}, err
	}
	m.r, m.choice, m.features = h.Responder, choice.IKE, readVendors(chain)
	m.setState(makeKey)
	return Outcome{Compute: func() any { return compute() }}, nil
}

// readChoice reads the responder's choice, which is the first payload of its first
// message.
func (m *Phase1) readChoice(h wire.Header, chain []wire.Payload) (suite.IKEChoice, error) {
	if h.Responder.IsZero() || len(chain) == 0 || chain[0].Type != wire.PayloadSA {
		return suite.IKEChoice{}, ErrPayloads
	}
	answer, err := wire.ConsumeSA(chain[0].Body)
	if err != nil {
		return suite.IKEChoice{}, err
	}
	return suite.AcceptIKE(m.offerSA, answer)
}

// sendMM3 sends our half of the key exchange.
func (m *Phase1) sendMM3(a *agreement) (Outcome, error) {
	ni, err := random(m.rand, m.dial.NonceLen)
	if err != nil {
		return Outcome{}, err
	}
	m.key, m.gxi, m.ni = a.key, a.public, ni
	msg := m.start(0)
	msg.Add(wire.KeyExchange(m.gxi))
	msg.Add(wire.Nonce(m.ni))
	if m.features.NATT != NATTNone {
		if err := m.addNATD(msg, m.rand, nil); err != nil {
			return Outcome{}, err
		}
	}
	m.setState(waitMM4)
	return Outcome{Send: msg.Finish()}, nil
}

// handleMM4 takes the responder's half. Its NAT-D payloads need no look: we have
// made it believe in a NAT ourselves.
func (m *Phase1) handleMM4(chain []wire.Payload) (Outcome, error) {
	public, nonce, err := m.readKeyExchange(chain)
	if err != nil {
		return Outcome{}, err
	}
	m.gxr, m.nr = public, nonce
	return m.computeShared(public), nil
}

// computeShared has an initiator's key meet the responder's public value.
func (m *Phase1) computeShared(public []byte) Outcome {
	m.setState(share)
	a := &agreement{key: m.key.Take(), public: m.gxi}
	return Outcome{Compute: func() any { a.share(public); return a }}
}

// haveKeys goes on once the shared secret is known: with the signature, or at once.
func (m *Phase1) haveKeys(a *agreement) (Outcome, error) {
	m.gxy = a.shared
	if err := m.agree(m.dial.PSK); err != nil {
		return Outcome{}, err
	}
	if !m.signed() {
		return m.sendMM5(nil)
	}
	if m.own == nil {
		return Outcome{}, ErrCompute
	}
	compute, err := m.sign(m.dial.Identity)
	if err != nil {
		return Outcome{}, err
	}
	m.setState(sign)
	return Outcome{Compute: compute}, nil
}

// sendMM5 sends who we are and the proof of it: sig, or the hash. "The initiator
// sets both UDP source and destination ports to 4500" from here on (RFC 3947,
// section 4).
func (m *Phase1) sendMM5(sig []byte) (Outcome, error) {
	msg := m.start(wire.FlagEncryption)
	if m.signed() {
		m.addProof(msg, m.dial.Identity, sig)
		m.addRequests(msg)
	} else {
		msg.Add(m.dial.Identity)
		msg.Add(wire.Hash(m.proofOf(true, m.dial.Identity.AppendBody(nil)).Hash(m.choice.Hash, m.skeyid)))
	}
	if m.dial.InitialContact {
		msg.Add(wire.Notify{DOI: wire.DOIIPsec, Protocol: wire.ProtocolISAKMP,
			SPI: wire.CookieSPI(m.i, m.r), Type: wire.NotifyInitialContact})
	}
	m.setState(waitMM6)
	return Outcome{Send: m.thread.seal(msg), Float: m.features.NATT != NATTNone}, nil
}

// handleMM6 verifies who the responder is: a signature elsewhere.
func (m *Phase1) handleMM6(h wire.Header, body []byte) (Outcome, error) {
	if h.Next != wire.PayloadID {
		return Outcome{}, ErrPayloads
	}
	if m.signed() {
		return m.handleSignedMM6(h, body)
	}
	chain, next, err := m.decrypt(h, bytes.Clone(body))
	if err != nil {
		return Outcome{}, err
	}
	id, idBody, hash, err := readIdentity(chain)
	if err != nil {
		return Outcome{}, err
	}
	if !m.proofOf(false, idBody).Verify(m.choice.Hash, m.skeyid, hash) {
		return Outcome{}, ErrAuth
	}
	m.identity, m.thread.iv = id, next
	m.finish()
	return Outcome{Done: true}, nil
}

func (m *Phase1) handleSignedMM6(h wire.Header, body []byte) (Outcome, error) {
	c, err := m.readClaim(h, body)
	if err != nil {
		return Outcome{}, err
	}
	m.claim = c
	m.setState(judge)
	return Outcome{Search: true}, nil
}

// judged ends the exchange if the responder is who it shall be.
func (m *Phase1) judged(v *Verdict) (Outcome, error) {
	switch {
	case m.state != judge:
		return Outcome{}, ErrState
	case v.Err != nil:
		return Outcome{}, fmt.Errorf("%w: %w", ErrAuth, v.Err)
	}
	m.identity, m.thread.iv = m.claim.id, m.claim.next
	m.finish()
	return Outcome{Done: true}, nil
}
