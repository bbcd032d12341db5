package v2

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// opening is what a Session remembers of IKE_SA_INIT, IKE_INTERMEDIATE and
// IKE_AUTH until both sides are authentic (RFC 7296, section 1.2):
//
//	Initiator                         Responder
//	HDR, SAi1, KEi, Ni  -->
//	                                  <--  HDR, SAr1, KEr, Nr, [CERTREQ]
//	HDR, SK {IDi, [CERT,] [CERTREQ,] [IDr,] AUTH, SAi2, TSi, TSr}  -->
//	                                  <--  HDR, SK {IDr, [CERT,] AUTH, SAr2, TSi, TSr}
type opening struct {
	stage     stage
	deadline  time.Time
	until     time.Time // responder: when it is over in any case
	request   []byte    // RealMessage1, the initiator's IKE_SA_INIT
	response  []byte    // RealMessage2
	repeats   int       // of it
	ni, nr    []byte
	key       *suite.PrivateKey
	public    []byte // the peer's
	computing bool

	additional   []suite.Group // key exchanges that are still to come (RFC 9370)
	intI, intR   []byte        // IntAuth of IKE_INTERMEDIATE (RFC 9242)
	intermediate bool
	authID       wire.MessageID // of the first IKE_AUTH

	idI, idR []byte // bodies of the ID payloads
	login    login  // responder: what the initiator said in its first IKE_AUTH
	msk      []byte // of EAP
	eapOver  bool   // EAP has ended in success
	named    bool   // the client has named a user
	waiting  *message
	trying   *message // the first IKE_AUTH, while candidates are to be tried for it
	ppk      []byte   // that both sides use
	dial     dialState
}

// stage is where the opening stands.
type stage uint8

const (
	// stageInit: IKE_SA_INIT is under way, or its answer has just been sent.
	stageInit stage = iota
	// stageAuth: the keys are there; the first IKE_AUTH is awaited, or its answer.
	stageAuth
	// stageEAP: EAP runs.
	stageEAP
	// stageGrant: the initiator is authentic, and the Owner decides what it gets.
	stageGrant
)

func (o *opening) setStage(s stage) { o.stage = s }

// give gives a stranger time for what it has to say next. What it is given in all is
// bounded: else it would keep its place, and others behind its address out, for a few
// bytes a minute.
func (o *opening) give(now time.Time, d time.Duration) {
	if o.deadline = now.Add(d); o.deadline.After(o.until) {
		o.deadline = o.until
	}
}

// close overwrites the secrets.
func (o *opening) close() {
	zeroKey(o.key)
	clear(o.msk)
	clear(o.ppk)
	if o.dial.plain != nil {
		o.dial.plain.Zero()
	}
}

// silence puts into words what it means that the peer does not answer.
func (o *opening) silence(s *Session) string {
	if o.stage == stageInit {
		return "no answer from " + s.path.Remote.String()
	}
	return "no answer from " + s.path.Remote.String() + " to IKE_AUTH: fragments of it may be lost on the way, or UDP 4500 is closed"
}

// octets are what one side proves itself with.
func (s *Session) octets(a *sa, initiator bool) auth.Octets {
	o := s.opening
	out := auth.Octets{Message: o.request, Nonce: o.nr, ID: o.idI, PRF: a.suite.PRF, SKp: a.keys.Pi}
	if !initiator {
		out.Message, out.Nonce, out.ID, out.SKp = o.response, o.ni, o.idR, a.keys.Pr
	}
	if o.intermediate {
		out.IntAuth = binary.BigEndian.AppendUint32(slices.Concat(o.intI, o.intR), uint32(o.authID))
	}
	return out
}

// authenticateIntermediate takes a message of IKE_INTERMEDIATE into what AUTH
// covers (RFC 9242, section 3.3.2). ours says that we send it.
func (a *sa) authenticateIntermediate(h wire.Header, first wire.PayloadType, inner []byte, ours bool) {
	o := a.s.opening
	if o == nil || h.Exchange != wire.ExchangeIntermediate || !a.keyed {
		return
	}
	o.intermediate = true
	if ours == a.initiator {
		o.intI = suite.IntAuth(a.suite.PRF, a.keys.Pi, o.intI, h, first, inner)
	} else {
		o.intR = suite.IntAuth(a.suite.PRF, a.keys.Pr, o.intR, h, first, inner)
	}
}

// firstKeys derives the keys after IKE_SA_INIT.
func (s *Session) firstKeys(a *sa, secret []byte) error {
	n := suite.Nonces{Ni: s.opening.ni, Nr: s.opening.nr, SPIi: a.spiI, SPIr: a.spiR}
	s.opening.setStage(stageAuth)
	return a.useKeys(a.suite.Keys(secret, n))
}

// nextKeys derives the keys after a key exchange in IKE_INTERMEDIATE.
func (s *Session) nextKeys(a *sa, secret []byte) error {
	n := suite.Nonces{Ni: s.opening.ni, Nr: s.opening.nr, SPIi: a.spiI, SPIr: a.spiR}
	s.opening.additional = s.opening.additional[1:]
	return a.useKeys(a.suite.NextKeys(a.keys.D, secret, n))
}

// proof is the AUTH payload of ours with a shared key.
func (s *Session) proof(a *sa, secret []byte) wire.Auth {
	return wire.Auth{Method: wire.AuthShared, Data: auth.SharedKey(s.octets(a, s.initiator), secret)}
}

// sign computes our AUTH payload with a certificate elsewhere, and goes on.
func (s *Session) sign(a *sa, c *Certificate, what auth.Octets, then func(now time.Time, proof wire.Auth)) error {
	seed, err := s.random(64)
	if err != nil {
		return err
	}
	octets := what.Bytes()
	policy := auth.SignPolicy{PSS: auth.UsesPSS(s.opening.login.auth)}
	for _, h := range s.features.hashes {
		policy.Hashes = append(policy.Hashes, auth.HashAlgorithm(h))
	}
	type signed struct {
		proof wire.Auth
		err   error
	}
	s.owner.Compute(func() any {
		proof, err := auth.Sign(stretch(seed), c.Signer, octets, policy)
		return signed{proof, err}
	}, false, func(now time.Time, r any) {
		out := r.(signed)
		switch {
		case s.closing || a.state == saGone:
		case out.err != nil:
			s.fail(now, CauseInternal, "our certificate cannot sign: "+out.err.Error())
		default:
			then(now, out.proof)
		}
	})
	return nil
}

// certificates are the CERT payloads of a chain, the leaf first.
func (c *Certificate) payloads() []wire.Body {
	var list []wire.Body
	for _, x := range c.Chain {
		list = append(list, wire.Cert2{Encoding: wire.CertX509Signature, Data: x.Raw})
	}
	return list
}

// establish ends the opening: both sides are authentic.
func (s *Session) establish(now time.Time, a *sa) {
	s.up = true
	s.heardAt = now
	a.setState(saStanding)
	a.scheduleIKE(now)
	if s.candidate.Policy.DPD > 0 {
		s.askAt = now.Add(s.candidate.Policy.DPD)
	}
	if s.initiator && s.path.NATT {
		s.keepAliveAt = now.Add(keepAliveTime)
	}
	s.owner.Established(now, s)
}

// closeOpening overwrites what the opening needed.
func (s *Session) closeOpening() {
	if s.opening != nil {
		s.opening.close()
		s.opening = nil
	}
}

// handleRequest takes an authentic request that is new.
func (s *Session) handleRequest(now time.Time, a *sa, m *message) error {
	x := m.header.Exchange
	switch {
	case a.state == saDeleting && x != wire.ExchangeInformational2:
		a.respond(now, m, notify(wire.Notify2TemporaryFailure))
		return ErrState
	case a.state == saOpening && (s.initiator || s.opening == nil):
		// It has overtaken the answer to IKE_AUTH, and will come again.
		a.busy = false
		return ErrState
	case a.state == saOpening && x == wire.ExchangeIntermediate:
		return s.handleIntermediate(now, a, m)
	case a.state == saOpening && x == wire.ExchangeAuth:
		return s.handleAuth(now, a, m)
	case a.state == saOpening && x == wire.ExchangeInformational2:
		return s.handleGivenUp(now, a, m)
	case a.state == saOpening:
		a.reject(now, m, "an exchange before IKE_AUTH")
		return ErrState
	case x == wire.ExchangeAuth && s.opening != nil && s.opening.stage == stageGrant:
		a.busy = false
		return ErrState
	case x == wire.ExchangeInformational2:
		return s.handleInformational(now, a, m)
	case x == wire.ExchangeCreateChild && s.opening == nil:
		return s.handleCreateChild(now, a, m)
	case x == wire.ExchangeFollowupKE && s.opening == nil:
		return s.handleFollowup(now, a, m)
	}
	a.reject(now, m, "an exchange that does not exist: "+x.String())
	return fmt.Errorf("%w: %v", ErrState, x)
}

// handleGivenUp takes the word of an initiator that goes no further, in the middle of
// EAP for instance: "If the error occurs on the initiator, the notification MAY be
// returned in a separate INFORMATIONAL exchange" (RFC 7296, section 2.21.2).
func (s *Session) handleGivenUp(now time.Time, a *sa, m *message) error {
	n, bad := findError(m.chain)
	if _, deleted := wire.Find(m.chain, wire.PayloadDelete2); !bad && !deleted {
		a.respond(now, m, notify(wire.Notify2InvalidSyntax))
		return ErrState
	}
	a.respond(now, m)
	detail := "the client gives up"
	if bad {
		detail += " and says " + describeError(n)
	}
	s.fail(now, CauseAuthentication, detail)
	return nil
}
