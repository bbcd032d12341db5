package v2

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/certificate"
)

// login is what the initiator says in its first IKE_AUTH.
type login struct {
	id        wire.ID2
	wanted    wire.ID2 // IDr: whom it wants to talk to
	hasWanted bool
	// wantsCertificate: it sent CERTREQ.
	wantsCertificate bool
	auth             wire.Auth
	hasAuth          bool
	noPPK            []byte // AUTH without PPK (RFC 8784)
	ppkID            []byte
	certs            certificates
	offer            childOffer
	hasChild         bool
	message          *message
}

// handleAuth takes an IKE_AUTH request.
func (s *Session) handleAuth(now time.Time, a *sa, m *message) error {
	switch o := s.opening; {
	case o.stage == stageEAP && !o.eapOver:
		return s.handleEAP(now, a, m)
	case o.stage == stageEAP:
		return s.handleEAPProof(now, a, m)
	case o.stage != stageAuth || len(o.additional) > 0:
		a.reject(now, m, "IKE_AUTH before the key exchanges are over")
		return ErrState
	}
	if err := s.readLogin(m); err != nil {
		s.refuseLogin(now, a, m, wire.Notify2InvalidSyntax, CauseMalformed, err.Error())
		return err
	}
	s.opening.authID = m.header.MessageID
	s.opening.idI = s.opening.login.idBody()
	s.opening.give(now, halfOpenTime)
	l := &s.opening.login
	s.identity = identityText(l.id)
	if !s.path.NATT && !s.config.RawESP {
		return s.refuseLogin(now, a, m, wire.Notify2NoProposalChosen, CauseNoEncapsulation, "the client stays on port 500")
	}
	switch list := s.candidates(a); {
	case l.hasAuth && l.byShared():
		return s.search(now, a, m)
	case len(list) == 0:
		return s.refuseLogin(now, a, m, wire.Notify2AuthenticationFailed, CauseNoCandidate, "nobody here is "+identityText(l.wanted))
	case !l.hasAuth:
		return s.beginEAP(now, a, m, list)
	default:
		return s.search(now, a, m)
	}
}

// wantedID is IDr; nil: the initiator sent none.
func (l *login) wantedID() *wire.ID2 {
	if !l.hasWanted {
		return nil
	}
	return &l.wanted
}

func (l *login) idBody() []byte {
	p, _ := wire.Find(l.message.chain, wire.PayloadIDi)
	return p.Body
}

// readLogin reads the payloads of the first IKE_AUTH.
func (s *Session) readLogin(m *message) (err error) {
	l := &s.opening.login
	l.message = m
	if _, ok := wire.Find(m.chain, wire.PayloadIDi); !ok {
		return fmt.Errorf("%w: no IDi", ErrMalformed)
	}
	for _, p := range m.chain {
		if err := l.take(s, p); err != nil {
			return malformed(err)
		}
	}
	if _, ok := wire.Find(m.chain, wire.PayloadSA2); !ok {
		return nil // childless (RFC 6023)
	}
	l.hasChild = true
	if l.offer, err = readChildOffer(m.chain); err != nil {
		return err
	}
	s.wants.Transport, s.wants.Remote, s.wants.Local = l.offer.transport, l.offer.tsi, l.offer.tsr
	return nil
}

func (l *login) take(s *Session, p wire.Payload) (err error) {
	switch p.Type {
	case wire.PayloadIDi:
		l.id, err = wire.ConsumeID2(p.Type, p.Body)
	case wire.PayloadIDr:
		l.hasWanted = true
		l.wanted, err = wire.ConsumeID2(p.Type, p.Body)
	case wire.PayloadAuth:
		l.hasAuth = true
		l.auth, err = wire.ConsumeAuth(p.Body)
	case wire.PayloadCert2:
		l.certs.take(p.Body)
	case wire.PayloadCertReq2:
		l.wantsCertificate = true
	case wire.PayloadCP:
		var c wire.Config
		if c, err = wire.ConsumeConfig(p.Body); err == nil {
			first := s.wants.InitialContact
			s.wants = wantsOf(c)
			s.wants.InitialContact = first
		}
	case wire.PayloadNotify2:
		var n wire.Notify2
		if n, err = wire.ConsumeNotify2(p.Body); err == nil {
			l.see(s, n)
		}
	}
	return err
}

func (l *login) see(s *Session, n wire.Notify2) {
	switch n.Type {
	case wire.Notify2MobikeSupported:
		s.features.mobike = true
	case wire.Notify2InitialContact:
		s.wants.InitialContact = true
	case wire.Notify2NoPPKAuth:
		l.noPPK = n.Data
	case wire.Notify2PPKIdentity:
		if len(n.Data) > 1 {
			l.ppkID = n.Data[1:]
		}
	}
}

// maxCertificates bounds a chain; it is what the longest of real ones need.
const maxCertificates = 12

// certificates are those that a peer sends, the leaf first.
type certificates struct {
	list []*x509.Certificate
	sent int
	// unread is why one cannot be read, the first of them. It is passed over: perhaps
	// nobody needs it.
	unread error
}

// take takes a CERT payload. Encodings that we do not know are passed over.
func (c *certificates) take(body []byte) {
	p, err := wire.ConsumeCert2(body)
	if err != nil || p.Encoding != wire.CertX509Signature || c.sent >= maxCertificates {
		return
	}
	c.sent++
	x, err := certificate.Parse(p.Data)
	if err == nil {
		c.list = append(c.list, x)
	} else if c.unread == nil {
		c.unread = fmt.Errorf("certificate %d of those sent cannot be read: %w", c.sent, err)
	}
}

// explain adds to an error that one of them could not be read.
func (c *certificates) explain(err error) error {
	if err == nil || c.unread == nil {
		return err
	}
	return fmt.Errorf("%w; %w", c.unread, err)
}

// refuseLogin says no, and that is the end of the Session.
func (s *Session) refuseLogin(now time.Time, a *sa, m *message, n wire.Notify2Type, c Cause, detail string) error {
	a.respond(now, m, notify(n))
	s.fail(now, c, detail)
	return fmt.Errorf("%w: %s", ErrAuth, detail)
}

// beginEAP asks the Owner for the first EAP packet.
func (s *Session) beginEAP(now time.Time, a *sa, m *message, list []*Candidate) error {
	n := slices.IndexFunc(list, func(c *Candidate) bool { return c.EAP && c.Certificate != nil })
	if n < 0 {
		return s.refuseLogin(now, a, m, wire.Notify2AuthenticationFailed, CauseAuthentication,
			"the client wants EAP, and no tenant with a certificate offers it")
	}
	s.candidate = *list[n]
	s.opening.setStage(stageEAP)
	s.opening.waiting = m
	s.owner.EAP(s, nil)
	return nil
}

// handleEAP hands the client's EAP packet out.
func (s *Session) handleEAP(now time.Time, a *sa, m *message) error {
	p, ok := wire.Find(m.chain, wire.PayloadEAP)
	if !ok {
		return s.refuseLogin(now, a, m, wire.Notify2InvalidSyntax, CauseMalformed, "the client stops EAP")
	}
	packet, err := wire.ConsumeEAP(p.Body)
	if err != nil {
		return s.refuseLogin(now, a, m, wire.Notify2InvalidSyntax, CauseMalformed, err.Error())
	}
	s.opening.waiting = m
	s.opening.named = s.opening.named || namesUser(packet)
	s.opening.give(now, loginTime) // we are asked, not the client
	s.owner.EAP(s, bytes.Clone(packet))
	return nil
}

// namesUser reports whether an EAP packet answers a question other than by refusing its
// method (RFC 3748, sections 4.1 and 5).
func namesUser(packet []byte) bool {
	const response, nak = 2, 3
	return len(packet) > 5 && packet[0] == response && packet[4] != nak
}

// awaitEAP gives the client time for its answer: who has named a user may have to ask
// for a password first.
func (s *Session) awaitEAP(now time.Time) {
	s.opening.give(now, halfOpenTime)
	if s.opening.named {
		s.opening.give(now, loginTime)
	}
}

// EAPReply is what EAP answers.
type EAPReply struct {
	Packet []byte // to send; as responder it may be the Success or Failure
	// Done says that EAP is over; then OK says how, and MSK is the key that comes
	// of it, copied.
	Done, OK bool
	MSK      []byte
	Identity string     // responder: who it was
	Accept   *Candidate // responder: whose client it turned out to be; nil: as before
	Detail   string     // why not, for the log
}

// EAPReply goes on with what EAP answers to the packet that was handed out.
func (s *Session) EAPReply(now time.Time, r EAPReply) {
	if s.opening == nil || s.closing || s.current == nil {
		return
	}
	if s.initiator {
		s.eapAnswered(now, r)
		return
	}
	a, m := s.current, s.opening.waiting
	if s.opening.stage != stageEAP || m == nil {
		return
	}
	s.opening.waiting = nil
	if r.Identity != "" {
		s.identity = r.Identity
	}
	if r.Done && r.OK && r.Accept != nil && !allowsSuite(r.Accept.Policy, a.suite) {
		_ = s.refuseLogin(now, a, m, wire.Notify2AuthenticationFailed, CauseNoProposal,
			"the tenant that the login names does not allow "+a.suite.String()+", with which the client came")
		return
	}
	if r.Done && r.OK {
		s.opening.eapOver, s.opening.msk = true, bytes.Clone(r.MSK)
		if r.Accept != nil {
			s.candidate = *r.Accept
		}
	}
	if s.opening.idR == nil {
		s.sendFirstEAP(now, a, m, r.Packet)
		return
	}
	s.awaitEAP(now)
	a.respond(now, m, wire.EAP(r.Packet))
	if r.Done && !r.OK {
		s.fail(now, CauseAuthentication, r.Detail)
	}
}

// sendFirstEAP sends who we are and the proof of it, with the first EAP packet.
func (s *Session) sendFirstEAP(now time.Time, a *sa, m *message, packet []byte) {
	id := s.ownID()
	s.opening.idR = id.AppendBody(nil)
	c := s.candidate.Certificate
	err := s.sign(a, c, s.octets(a, false), func(now time.Time, proof wire.Auth) {
		list := append([]wire.Body{id}, c.payloads()...)
		s.awaitEAP(now)
		a.respond(now, m, append(list, proof, wire.EAP(packet))...)
	})
	if err != nil {
		s.fail(now, CauseInternal, err.Error())
	}
}

// handleEAPProof takes the AUTH payload that ends EAP: it is made with the MSK, or
// with SK_pi if the method gives none (RFC 7296, section 2.16).
func (s *Session) handleEAPProof(now time.Time, a *sa, m *message) error {
	p, ok := wire.Find(m.chain, wire.PayloadAuth)
	var proof wire.Auth
	err := errors.New("no AUTH")
	if ok {
		proof, err = wire.ConsumeAuth(p.Body)
	}
	if err != nil {
		return s.refuseLogin(now, a, m, wire.Notify2InvalidSyntax, CauseMalformed, err.Error())
	}
	// With EAP the PPK is named in the last request (RFC 8784, section 3).
	var l login
	for _, p := range m.chain {
		if n, err := wire.ConsumeNotify2(p.Body); err == nil && p.Type == wire.PayloadNotify2 {
			l.see(s, n)
		}
	}
	l.auth = proof
	x := s.shown(a, &l)
	defer x.zero()
	claim, ok := x.to(&s.candidate)
	secret := s.opening.msk
	if len(secret) == 0 {
		secret = claim.octets.SKp
	}
	if !ok || proof.Method != wire.AuthShared || !auth.VerifySharedKey(claim.octets, secret, claim.proof.Data) {
		return s.refuseLogin(now, a, m, wire.Notify2AuthenticationFailed, CauseAuthentication, "the key that comes of EAP is not the client's, or its PPK")
	}
	s.opening.ppk = bytes.Clone(claim.ppk)
	return s.authentic(now, a, m)
}

// authentic takes an initiator that has proved who it is, and asks what it gets.
func (s *Session) authentic(now time.Time, a *sa, m *message) error {
	o := s.opening
	if o.ppk != nil {
		a.keys.MixPPK(a.suite.PRF, o.ppk)
		s.quantum = true
	}
	s.wants.Redirectable = s.features.redirectable()
	o.setStage(stageGrant)
	o.waiting = m
	o.deadline = now.Add(loginTime)
	s.establish(now, a)
	s.owner.Assign(s, s.wants)
	return nil
}

// Assigned is the answer to Assign.
func (s *Session) Assigned(now time.Time, g Assignment) {
	if s.opening == nil || s.closing || s.initiator || s.opening.stage != stageGrant || s.opening.waiting == nil {
		return
	}
	a, m := s.current, s.opening.waiting
	s.opening.waiting = nil
	if !g.OK {
		a.respond(now, m, notify(wire.Notify2AuthenticationFailed))
		s.owner.Failed(now, s, CauseRefused, g.Detail)
		s.end(now, ReasonFailed, CauseRefused, g.Detail, false)
		return
	}
	s.grant, s.granted = g, true
	s.finishLogin(now, a, m)
}

// finishLogin proves who we are and sends the last answer.
func (s *Session) finishLogin(now time.Time, a *sa, m *message) {
	o := s.opening
	switch {
	case o.idR != nil: // EAP: it is proved already, and again with its key
		secret := o.msk
		if len(secret) == 0 {
			secret = a.keys.Pr
		}
		s.sendLogin(now, a, m, s.proof(a, secret))
	case s.candidate.Certificate != nil:
		id := s.ownID()
		o.idR = id.AppendBody(nil)
		err := s.sign(a, s.candidate.Certificate, s.octets(a, false), func(now time.Time, proof wire.Auth) {
			s.sendLogin(now, a, m, append(append([]wire.Body{id}, s.candidate.Certificate.payloads()...), proof)...)
		})
		if err != nil {
			s.fail(now, CauseInternal, err.Error())
		}
	case s.candidate.PSK != nil:
		id := s.ownID()
		o.idR = id.AppendBody(nil)
		s.sendLogin(now, a, m, id, s.proof(a, s.candidate.PSK))
	default:
		a.respond(now, m, notify(wire.Notify2AuthenticationFailed))
		s.end(now, ReasonFailed, CauseInternal, "the tenant has neither a certificate nor a key to prove itself with", false)
	}
}

// sendLogin sends the last answer of the opening, with the first child SA.
func (s *Session) sendLogin(now time.Time, a *sa, m *message, list ...wire.Body) {
	o := s.opening
	if o.ppk != nil {
		list = append(list, notify(wire.Notify2PPKIdentity))
	}
	switch {
	case s.grant.Redirect != "" && s.features.redirectable():
		list = append(list, wire.Notify2{Type: wire.Notify2Redirect, Data: gatewayData(s.grant.Redirect)})
	case o.login.hasChild:
		list = append(list, s.firstChild(now, a)...)
	case s.wants.Request:
		list = append(list, s.configAnswer(now))
	}
	if s.features.mobike {
		list = append(list, notify(wire.Notify2MobikeSupported))
	}
	s.closeOpening()
	a.respond(now, m, list...)
	s.expectChild(now)
}

// firstChild makes the child SA that came with IKE_AUTH. If it cannot be, the IKE
// SA stands without it (RFC 7296, section 1.2).
func (s *Session) firstChild(now time.Time, a *sa) []wire.Body {
	o := s.opening
	if s.grant.NoAddress {
		return []wire.Body{s.configAnswer(now)}
	}
	g, answer, no := s.agree(o.login.offer, nil, true)
	if no != nil {
		s.owner.Failed(now, s, no.cause, no.detail)
		return []wire.Body{no.notify}
	}
	s.install(now, a, g, false, nil, o.ni, o.nr, nil)
	var list []wire.Body
	if s.wants.Request {
		list = append(list, s.configAnswer(now))
	}
	return append(list, g.payloads(answer)...)
}

// configAnswer is what the client is given, or that there is nothing left to give. It does
// not depend on a child SA: one that comes later is for the same address.
func (s *Session) configAnswer(now time.Time) wire.Body {
	if s.grant.NoAddress {
		s.owner.Failed(now, s, CauseRefused, s.grant.Detail)
		return notify(wire.Notify2InternalAddressFailure)
	}
	return s.grant.reply(s.wants)
}

// ownID is what we call ourselves: as configured, as the client asks if our
// certificate has that name, as the certificate says, or by address.
func (s *Session) ownID() wire.ID2 {
	l, c := &s.opening.login, &s.candidate
	switch {
	case c.Identity != "":
		return textID(c.Identity, true)
	case c.Certificate == nil && l.hasWanted && c.PSK != nil:
		return l.wanted
	case c.Certificate == nil:
		return addrID(s.path.Local.Addr(), true)
	case l.hasWanted && auth.MatchID(c.Certificate.Chain[0], l.wanted, auth.PurposeServer) == nil:
		return l.wanted
	}
	leaf := c.Certificate.Chain[0]
	if len(leaf.DNSNames) > 0 {
		return textID(leaf.DNSNames[0], true)
	}
	return wire.ID2{Responder: true, Type: wire.IDDERASN1DN, Data: leaf.RawSubject}
}
