package v1

import (
	"bytes"
	"crypto/sha3"
	"crypto/x509"
	"io"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Phase1 makes an ISAKMP SA (RFC 2409, section 5), in aggressive mode (see
// aggressive.go) or in main mode, with a pre-shared key (section 5.4) or with
// signatures (section 5.1; see signed.go). The vendor IDs and NAT-D payloads are
// those of RFC 3947, section 3:
//
//	     Initiator                        Responder
//	1    HDR, SA, VID           -->
//	2                           <--       HDR, SA, VID
//	3    HDR, KE, Ni, NAT-D     -->
//	4                           <--       HDR, KE, Nr, NAT-D
//	5    HDR*, IDii, HASH_I     -->
//	6                           <--       HDR*, IDir, HASH_R
type Phase1 struct {
	exchange  wire.ExchangeType
	initiator bool
	state     phase1State
	i, r      wire.Cookie
	choice    suite.IKE
	features  Features
	ends      Ends
	rand      io.Reader
	dial      InitiatorConfig // initiator only
	offerSA   wire.SA         // initiator only

	offer    []byte            // SAi_b: the body of the initiator's SA payload
	ni, nr   []byte            // bodies of the nonces
	gxi, gxr []byte            // public values
	gxy      []byte            // shared secret
	key      *suite.PrivateKey // initiator, until message 4
	natCopy  []byte            // what the peer sent as the hash of our address

	own         *Certificate        // with signatures: ours
	ownID       wire.ID             // responder: what we call ourselves
	authorities []*x509.Certificate // whose certificates we take
	claim       *claim              // of the peer, being looked at

	answer           wire.SA // responder of aggressive mode: the choice
	peerID, peerHash []byte  // aggressive mode: bodies of the other side's payloads

	message5       []byte // responder: ciphertext that waits for its key
	sa             *SA    // once the keys are known
	thread         thread
	skeyid         []byte
	identity       wire.ID
	initialContact bool
}

// phase1State is what a Phase1 waits for.
type phase1State uint8

const (
	// waitMM2: initiator, message 1 is out.
	waitMM2 phase1State = iota
	// makeKey: initiator, our public value is being computed.
	makeKey
	// waitMM4: initiator, message 3 is out.
	waitMM4
	// share: the shared secret is being computed.
	share
	// waitMM6: initiator, message 5 is out.
	waitMM6
	// waitMM3: responder, message 2 is out; the initiator has not proved that it
	// receives what we send.
	waitMM3
	// waitMM5: responder, message 4 is out; the keys depend on whose PSK it is.
	waitMM5
	// search: responder, message 5 is here and the owner tries keys on it, or has
	// its claim judged.
	search
	// judge: initiator, the claim in message 6 is being judged.
	judge
	// sign: our signature is being made.
	sign
	// waitAM2: initiator of aggressive mode, message 1 is out.
	waitAM2
	// waitAM3: responder of aggressive mode, message 2 is out.
	waitAM3
	// done: the ISAKMP SA stands.
	done
)

// setState moves the machine on.
func (m *Phase1) setState(s phase1State) { m.state = s }

// Outcome is what a machine wants after a message or a computation.
type Outcome struct {
	Send    []byte     // the next message of the exchange; nil: none
	Compute func() any // slow work, to run anywhere; its result goes to Computed
	Float   bool       // initiator: from now on, Send included, on port 4500
	Search  bool       // responder: find the key with Search, or a Verifier with Judge; then Accept or Reject
	Done    bool       // the exchange is over
}

// Features is what the peer announced.
func (m *Phase1) Features() Features { return m.features }

// Choice is the transform that was agreed.
func (m *Phase1) Choice() suite.IKE { return m.choice }

// Cookies name the SA. The responder's is zero before message 2.
func (m *Phase1) Cookies() (i, r wire.Cookie) { return m.i, m.r }

// Identity is what the peer calls itself, once it has proved it.
func (m *Phase1) Identity() wire.ID { return m.identity }

// InitialContact reports whether the peer said that this is its first SA with us
// (RFC 2407, section 4.6.3.3).
func (m *Phase1) InitialContact() bool { return m.initialContact }

// SA returns the ISAKMP SA of an exchange that is done.
func (m *Phase1) SA() *SA { return m.sa }

// Costly reports whether the message that a responder waits for makes it compute what
// a stranger is not to make it compute without bound. The search for a key is not of
// that: its trials are counted.
func (m *Phase1) Costly() bool { return m.state == waitMM3 || m.state == waitMM5 && m.signed() }

// Answered reports whether the initiator has answered the responder: its address
// is real.
func (m *Phase1) Answered() bool {
	return m.state != waitMM3 && m.state != waitAM3 && !(m.Aggressive() && m.state == share)
}

// Aggressive reports whether this is aggressive mode.
func (m *Phase1) Aggressive() bool { return m.exchange == wire.ExchangeAggressive }

// Keyed reports whether the peers have keys: an unprotected notification says
// nothing any more.
func (m *Phase1) Keyed() bool { return m.sa != nil }

// Close overwrites the secrets of an exchange, but for the SA it has made.
func (m *Phase1) Close() {
	clear(m.gxy)
	clear(m.skeyid)
	clear(m.dial.PSK)
	if m.key != nil {
		m.key.Zero()
		m.key = nil
	}
	if m.state != done && m.sa != nil {
		m.sa.Zero()
	}
	m.message5, m.claim = nil, nil
}

// Input takes a message of the exchange. body is what follows its header.
func (m *Phase1) Input(h wire.Header, body []byte, ends Ends) (Outcome, error) {
	if h.Exchange != m.exchange || h.MessageID != 0 {
		return Outcome{}, ErrState
	}
	switch m.state {
	case waitMM5:
		return m.handleMM5(h, body)
	case waitMM6:
		return m.handleMM6(h, body)
	case waitAM3:
		return m.handleAM3(h, body)
	}
	if h.Flags&wire.FlagEncryption != 0 {
		return Outcome{}, ErrState
	}
	chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
	if err != nil {
		return Outcome{}, err
	}
	switch m.state {
	case waitMM2:
		return m.handleMM2(h, chain)
	case waitMM3:
		m.ends = ends
		return m.handleMM3(chain)
	case waitMM4:
		return m.handleMM4(chain)
	case waitAM2:
		return m.handleAM2(h, chain)
	}
	return Outcome{}, ErrState
}

// Computed takes the result of a computation.
func (m *Phase1) Computed(result any) (Outcome, error) {
	switch r := result.(type) {
	case *agreement:
		return m.agreed(r)
	case *signature:
		return m.signatureMade(r)
	case *Verdict:
		return m.judged(r)
	}
	return Outcome{}, ErrCompute
}

// agreed goes on with the result of Diffie-Hellman.
func (m *Phase1) agreed(a *agreement) (Outcome, error) {
	if a.err != nil {
		return Outcome{}, a.err
	}
	switch {
	case m.Aggressive():
		return m.agreedAggressive(a)
	case m.state == makeKey:
		return m.sendMM3(a)
	case m.state == share && m.initiator:
		return m.haveKeys(a)
	case m.state == share:
		return m.sendMM4(a)
	}
	a.zero()
	return Outcome{}, ErrState
}

// agreedAggressive is agreed in aggressive mode.
func (m *Phase1) agreedAggressive(a *agreement) (Outcome, error) {
	switch {
	case m.state == makeKey:
		return m.sendAM1(a)
	case m.state == share && m.initiator:
		return m.sendAM3(a)
	case m.state == share:
		return m.sendAM2(a)
	}
	a.zero()
	return Outcome{}, ErrState
}

// signatureMade goes on with our signature.
func (m *Phase1) signatureMade(s *signature) (Outcome, error) {
	switch {
	case m.state != sign:
		return Outcome{}, ErrState
	case s.err != nil:
		return Outcome{}, s.err
	case m.initiator:
		return m.sendMM5(s.sig)
	}
	return m.sendMM6(s.sig)
}

// agreement is the result of Diffie-Hellman computations.
type agreement struct {
	key    *suite.PrivateKey // kept by an initiator for the second half
	public []byte
	shared []byte
	err    error
}

func (a *agreement) zero() {
	clear(a.shared)
	if a.key != nil {
		a.key.Zero()
	}
}

// Discard overwrites a result that nobody waits for any more.
func Discard(result any) {
	switch r := result.(type) {
	case *agreement:
		r.zero()
	case *Found:
		if r.m != nil {
			r.m.forgetKeys()
		}
	}
}

// computeKey returns the computation of a key of group g. It may run on another
// goroutine while rand belongs to this one, so it stretches a seed from rand.
func computeKey(rand io.Reader, g suite.Group) (func() *agreement, error) {
	seed, err := random(rand, 64)
	if err != nil {
		return nil, err
	}
	return func() *agreement {
		defer clear(seed)
		stream := sha3.NewSHAKE256()
		stream.Write(seed)
		key, err := g.GenerateKey(stream)
		if err != nil {
			return &agreement{err: err}
		}
		return &agreement{key: key, public: key.Public()}
	}, nil
}

// share finishes an agreement with the public value of the peer, and with it the key,
// which it owns.
func (a *agreement) share(peer []byte) {
	if a.err == nil {
		a.shared, a.err = a.key.Shared(peer)
		a.key.Zero()
	}
}

// readKeyExchange takes the peer's public value and nonce out of message 3 or 4.
// A value of the wrong length is refused before it costs a computation.
func (m *Phase1) readKeyExchange(chain []wire.Payload) (public, nonce []byte, err error) {
	ke, ok := wire.Find(chain, wire.PayloadKE)
	no, ok2 := wire.Find(chain, wire.PayloadNonce)
	if !ok || !ok2 || wire.Count(chain, wire.PayloadKE) > 1 || wire.Count(chain, wire.PayloadNonce) > 1 {
		return nil, nil, ErrPayloads
	}
	if len(ke.Body) != m.choice.Group.PublicLen() {
		return nil, nil, suite.ErrPublicValue
	}
	if nonce, err = wire.ConsumeNonce(no.Body); err != nil {
		return nil, nil, err
	}
	return bytes.Clone(ke.Body), bytes.Clone(nonce), nil
}

// agree derives the keys of the exchange whose shared secret is known: with
// signatures from it alone, otherwise with the key psk.
func (m *Phase1) agree(psk []byte) error {
	if m.signed() {
		return m.establish(auth.SKEYIDSigned(m.choice.Hash, m.ni, m.nr, m.gxy))
	}
	return m.establish(auth.SKEYID(m.choice.Hash, psk, m.ni, m.nr))
}

// establish derives the keys once SKEYID is known.
func (m *Phase1) establish(skeyid []byte) error {
	k, err := deriveKeys(m.choice.IKESuite, skeyid, m.gxy, m.i, m.r)
	if err != nil {
		return err
	}
	m.skeyid = skeyid
	m.sa = &SA{Initiator: m.i, Responder: m.r, Choice: m.choice, Features: m.features, Aggressive: m.Aggressive(), keys: k}
	m.thread = thread{sa: m.sa, iv: firstIV(m.choice.IKESuite, k.cbc, m.gxi, m.gxr)}
	return nil
}

// finish ends the exchange: the SA stands.
func (m *Phase1) finish() {
	m.sa.last, m.sa.Features = m.thread.iv, m.features
	m.setState(done)
	m.Close()
}

// decrypt decrypts the body of an encrypted message in place, behind the thread.
func (m *Phase1) decrypt(h wire.Header, body []byte) ([]wire.Payload, []byte, error) {
	if len(body) < len(m.thread.iv) || h.Flags&wire.FlagEncryption == 0 {
		return nil, nil, ErrPayloads
	}
	next := lastBlock(body, len(m.thread.iv))
	if err := m.sa.keys.cbc.Decrypt(body, m.thread.iv, body); err != nil {
		return nil, nil, err
	}
	chain, _, err := wire.ParseDecrypted(nil, h.Next, body)
	return chain, next, err
}

// readIdentity takes ID and HASH out of message 5 or 6.
func readIdentity(chain []wire.Payload) (wire.ID, []byte, []byte, error) {
	idp, ok := wire.Find(chain, wire.PayloadID)
	hash, ok2 := wire.Find(chain, wire.PayloadHash)
	if !ok || !ok2 {
		return wire.ID{}, nil, nil, ErrPayloads
	}
	id, err := wire.ConsumeID(bytes.Clone(idp.Body))
	return id, idp.Body, hash.Body, err
}
