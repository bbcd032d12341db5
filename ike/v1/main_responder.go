package v1

import (
	"bytes"
	"crypto/x509"
	"io"
	"time"

	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// maxOffer is how long an offer may be, which is kept for whoever sends one: that of
// 255 transforms is shorter.
const maxOffer = 12 << 10

// AnswerMain takes message 1 and returns message 2: the transform that policy
// likes best, exactly as it was offered. What it keeps until message 3 shows
// that the initiator's address is real is little more than the offer.
func AnswerMain(rand io.Reader, h wire.Header, body []byte, policy suite.IKEPolicy) (*Phase1, []byte, error) {
	if h.Initiator.IsZero() || h.Flags&wire.FlagEncryption != 0 || h.MessageID != 0 {
		return nil, nil, ErrState
	}
	chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
	if err != nil {
		return nil, nil, err
	}
	if len(chain) == 0 || chain[0].Type != wire.PayloadSA || wire.Count(chain, wire.PayloadSA) > 1 {
		return nil, nil, ErrPayloads
	}
	if len(chain[0].Body) > maxOffer {
		return nil, nil, ErrTooLong
	}
	offer, err := wire.ConsumeSA(chain[0].Body)
	if err != nil {
		return nil, nil, err
	}
	choice, err := suite.SelectIKE(offer, policy)
	if err != nil {
		return nil, nil, err
	}
	m := &Phase1{exchange: wire.ExchangeMain, state: waitMM3, rand: rand, i: h.Initiator, choice: choice.IKE,
		features: readVendors(chain), offer: bytes.Clone(chain[0].Body)}
	for m.r.IsZero() {
		if _, err := io.ReadFull(rand, m.r[:]); err != nil {
			return nil, nil, err
		}
	}
	return m, m.message2(choice.Answer), nil
}

// Trust says whose certificates are taken, for CERTREQ in message 4.
func (m *Phase1) Trust(authorities []*x509.Certificate) { m.authorities = authorities }

func (m *Phase1) message2(answer wire.SA) []byte {
	msg := m.start(0)
	msg.Add(answer)
	for _, v := range m.features.answers(m.choice.Auth) {
		msg.Add(v)
	}
	return msg.Finish()
}

// handleMM3 takes the initiator's half of the key exchange.
func (m *Phase1) handleMM3(chain []wire.Payload) (Outcome, error) {
	public, nonce, err := m.readKeyExchange(chain)
	if err != nil {
		return Outcome{}, err
	}
	nr, err := random(m.rand, 32)
	if err != nil {
		return Outcome{}, err
	}
	compute, err := computeKey(m.rand, m.choice.Group)
	if err != nil {
		return Outcome{}, err
	}
	m.gxi, m.ni, m.nr = public, nonce, nr
	m.readNATD(chain)
	m.setState(share)
	return Outcome{Compute: func() any {
		a := compute()
		a.share(public)
		return a
	}}, nil
}

// readNATD keeps the first NAT-D of message 3, the initiator's view of our
// address. Without any, the initiator does not use NAT traversal after all.
func (m *Phase1) readNATD(chain []wire.Payload) {
	for _, p := range chain {
		if wire.IsNATD(p.Type) && len(p.Body) > 0 {
			m.natCopy = bytes.Clone(p.Body)
			return
		}
	}
	m.features.NATT = NATTNone
}

// sendMM4 sends our half. Clients that refuse servers behind a NAT get their own
// hash of our address back and see none.
func (m *Phase1) sendMM4(a *agreement) (Outcome, error) {
	m.gxr, m.gxy = a.public, a.shared
	a.key.Zero()
	msg := m.start(0)
	msg.Add(wire.KeyExchange(m.gxr))
	msg.Add(wire.Nonce(m.nr))
	if m.signed() {
		if err := m.agree(nil); err != nil {
			return Outcome{}, err
		}
		m.addRequests(msg)
	}
	if m.features.NATT != NATTNone {
		var local []byte
		if m.features.Family.Has(family.EchoNATD) {
			local = m.natCopy
		}
		if err := m.addNATD(msg, m.rand, local); err != nil {
			return Outcome{}, err
		}
	}
	m.setState(waitMM5)
	return Outcome{Send: msg.Finish()}, nil
}

// handleMM5 keeps message 5 for Search: which key opens it says who wrote it. With
// signatures it is open already, and says who wrote it itself.
func (m *Phase1) handleMM5(h wire.Header, body []byte) (Outcome, error) {
	if h.Flags&wire.FlagEncryption == 0 || h.Next != wire.PayloadID || len(body) == 0 || len(body)%8 != 0 {
		return Outcome{}, ErrPayloads
	}
	if m.signed() {
		c, err := m.readClaim(h, body)
		if err != nil {
			return Outcome{}, err
		}
		m.claim = c
	} else {
		m.message5 = bytes.Clone(body)
	}
	m.setState(search)
	return Outcome{Search: true}, nil
}

// Found is the result of Search.
type Found struct {
	Tried int     // how many keys were; the last of them is the one, if there is one
	m     *Phase1 // the machine with that key; nil: there is none
}

// Key reports whether there is one.
func (f *Found) Key() bool { return f.m != nil }

// Search returns the computation that finds out which of n keys message 5 was written
// with: it decrypts to payloads, and its HASH_I verifies. The result is a *Found, for
// Adopt. A copy of the machine does the work, with secrets of its own.
func (m *Phase1) Search(n int, key func(int) []byte) func() any {
	work := *m
	work.gxy, work.sa, work.skeyid = bytes.Clone(m.gxy), nil, nil
	return func() any {
		defer clear(work.gxy)
		for k := range n {
			if work.opens(key(k)) {
				return &Found{Tried: k + 1, m: &work}
			}
		}
		return &Found{Tried: n}
	}
}

// Adopt goes on with the key that was found, and reports whether there is one.
func (m *Phase1) Adopt(f *Found) bool {
	if f.m == nil || m.state != search || m.signed() || m.Aggressive() {
		Discard(f)
		return false
	}
	m.sa, m.skeyid, m.thread = f.m.sa, f.m.skeyid, f.m.thread
	m.identity, m.initialContact = f.m.identity, f.m.initialContact
	return true
}

// opens reports whether message 5 was written by somebody who knows psk.
func (m *Phase1) opens(psk []byte) bool {
	if m.agree(psk) == nil && m.verifyMM5() {
		return true
	}
	m.forgetKeys()
	return false
}

// forgetKeys overwrites what was derived.
func (m *Phase1) forgetKeys() {
	if m.sa != nil {
		m.sa.Zero()
		m.sa = nil
	}
	clear(m.skeyid)
}

func (m *Phase1) verifyMM5() bool {
	h := wire.Header{Next: wire.PayloadID, Flags: wire.FlagEncryption}
	chain, next, err := m.decrypt(h, bytes.Clone(m.message5))
	if err != nil {
		return false
	}
	id, idBody, hash, err := readIdentity(chain)
	if err != nil {
		return false
	}
	if !m.proofOf(true, idBody).Verify(m.choice.Hash, m.skeyid, hash) {
		return false
	}
	m.identity, m.thread.iv = id, next
	m.initialContact = hasInitialContact(chain)
	return true
}

func hasInitialContact(chain []wire.Payload) bool {
	for _, p := range chain {
		if p.Type != wire.PayloadNotify {
			continue
		}
		if n, err := wire.ConsumeNotify(p.Body); err == nil && n.Type == wire.NotifyInitialContact {
			return true
		}
	}
	return false
}

// Judge returns the computation that looks at the peer's certificates and its
// signature, and asks each of list whether it accepts them. The result is a
// *Verdict: an initiator gives it to Computed, the owner of a responder decides.
func (m *Phase1) Judge(now time.Time, list []Verifier) func() any {
	c, hash := m.claim, m.proofOf(!m.initiator, m.claim.idBody).Hash(m.choice.Hash, m.skeyid)
	return func() any { return c.judge(now, hash, list) }
}

// Claimed is what the peer calls itself while its claim is judged.
func (m *Phase1) Claimed() wire.ID { return m.claim.id }

// Reject goes back to waiting for message 5: none of the keys fits this one, or
// the claim is not believed.
func (m *Phase1) Reject() {
	m.message5, m.claim = nil, nil
	if m.setState(waitMM5); m.Aggressive() {
		m.setState(waitAM3)
	}
}

// Accept answers the message 5 whose key was adopted, or a Verdict believes, as
// identity. With signatures own is what proves that.
func (m *Phase1) Accept(identity wire.ID, own *Certificate) (Outcome, error) {
	if m.state != search || m.sa == nil {
		return Outcome{}, ErrState
	}
	if m.Aggressive() { // message 2 has said everything
		m.finish()
		return Outcome{Done: true}, nil
	}
	m.ownID = identity
	if !m.signed() {
		return m.sendMM6(nil)
	}
	m.own, m.identity, m.thread.iv = own, m.claim.id, m.claim.next
	m.initialContact = m.claim.initialContact
	compute, err := m.sign(identity)
	if err != nil {
		return Outcome{}, err
	}
	m.setState(sign)
	return Outcome{Compute: compute}, nil
}

// sendMM6 sends who we are and the proof of it: sig, or the hash.
func (m *Phase1) sendMM6(sig []byte) (Outcome, error) {
	msg := m.start(wire.FlagEncryption)
	if m.signed() {
		m.addProof(msg, m.ownID, sig)
	} else {
		msg.Add(m.ownID)
		msg.Add(wire.Hash(m.proofOf(false, m.ownID.AppendBody(nil)).Hash(m.choice.Hash, m.skeyid)))
	}
	reply := m.thread.seal(msg)
	m.finish()
	return Outcome{Send: reply, Done: true}, nil
}
