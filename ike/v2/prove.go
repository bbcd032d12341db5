package v2

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// authTask is one IKE_AUTH exchange of an initiator: the first, one that carries
// EAP, or the last one after EAP.
type authTask struct {
	s      *Session
	packet []byte // EAP; nil in the first one and the last
	last   bool   // AUTH with the key of EAP
	proof  *wire.Auth
	// without is the signature for those who do not have our PPK.
	without []byte
}

// start builds the request. A signature is made elsewhere first.
func (t *authTask) start(now time.Time, a *sa) (wire.ExchangeType, []wire.Body, bool) {
	s := t.s
	switch {
	case s.opening == nil:
		return 0, nil, false
	case t.packet != nil:
		return wire.ExchangeAuth, []wire.Body{wire.EAP(t.packet)}, true
	case t.last:
		s.usePPK(a)
		return wire.ExchangeAuth, append([]wire.Body{s.proof(a, s.eapSecret(a, true))}, t.ppkPayloads(a)...), true
	}
	s.opening.authID = a.nextOut
	s.opening.idI = s.dialID().AppendBody(nil)
	if !s.dial.EAP {
		s.usePPK(a)
	}
	if !s.dial.EAP && s.dial.Certificate != nil && t.proof == nil {
		t.sign(now, a)
		return 0, nil, false
	}
	return wire.ExchangeAuth, t.first(a), true
}

// sign has the AUTH payload made elsewhere, and the one for those who do not have
// our PPK, and then asks.
func (t *authTask) sign(now time.Time, a *sa) {
	s := t.s
	then := func(now time.Time, proof wire.Auth) {
		t.proof = &proof
		a.ask(now, t)
	}
	err := s.sign(a, s.dial.Certificate, s.octets(a, true), func(now time.Time, proof wire.Auth) {
		if s.opening.ppk == nil || s.dial.PPKRequired {
			then(now, proof)
			return
		}
		if err := s.sign(a, s.dial.Certificate, s.octetsWithoutPPK(a), func(now time.Time, without wire.Auth) {
			t.without = without.Data
			then(now, proof)
		}); err != nil {
			s.fail(now, CauseInternal, err.Error())
		}
	})
	if err != nil {
		s.fail(now, CauseInternal, err.Error())
	}
}

// octetsWithoutPPK are what we prove ourselves with to those who do not have our
// PPK.
func (s *Session) octetsWithoutPPK(a *sa) auth.Octets {
	o := s.octets(a, true)
	o.SKp = s.opening.dial.plain.Pi
	return o
}

func (t *authTask) abandon(time.Time, *sa) {}

// usePPK mixes our PPK in, if the responder announces that it has some.
func (s *Session) usePPK(a *sa) {
	o := s.opening
	if s.dial.PPK == nil || !s.features.ppk || o.ppk != nil {
		return
	}
	o.ppk = bytes.Clone(s.dial.PPK)
	o.dial.plain = &suite.Keys2{D: bytes.Clone(a.keys.D), Pi: bytes.Clone(a.keys.Pi), Pr: bytes.Clone(a.keys.Pr)}
	a.keys.MixPPK(a.suite.PRF, o.ppk)
}

// eapSecret is what the AUTH payloads after EAP are made with (RFC 7296, section
// 2.16).
func (s *Session) eapSecret(a *sa, initiator bool) []byte {
	switch {
	case len(s.opening.msk) > 0:
		return s.opening.msk
	case initiator:
		return a.keys.Pi
	}
	return a.keys.Pr
}

func (s *Session) dialID() wire.ID2 {
	switch d := s.dial; {
	case d.Identity != "":
		return textID(d.Identity, false)
	case d.Certificate != nil && !d.EAP:
		return wire.ID2{Type: wire.IDDERASN1DN, Data: d.Certificate.Chain[0].RawSubject}
	}
	return addrID(s.path.Local.Addr(), false)
}

// first is the first IKE_AUTH, in the order of the persona.
func (t *authTask) first(a *sa) []wire.Body {
	s := t.s
	if !s.dial.Childless {
		s.opening.dial.spi = s.owner.AllocateSPI()
		s.opening.dial.espOffer = suite.OfferESP2([4]byte(spiBytes(s.opening.dial.spi)), s.dial.Persona.ESP)
	}
	var list []wire.Body
	for _, x := range s.dial.Persona.Auth {
		list = append(list, t.slot(a, x)...)
	}
	return append(list, t.ppkPayloads(a)...)
}

// ppkPayloads name our PPK, and prove who we are to those who do not have it (RFC
// 8784, section 3).
func (t *authTask) ppkPayloads(a *sa) []wire.Body {
	s, o := t.s, t.s.opening
	if o.ppk == nil {
		return nil
	}
	list := []wire.Body{wire.Notify2{Type: wire.Notify2PPKIdentity, Data: append([]byte{2}, s.dial.PPKID...)}}
	if s.dial.PPKRequired {
		return list
	}
	without := t.without
	switch {
	case t.last && len(o.msk) == 0:
		without = auth.SharedKey(s.octetsWithoutPPK(a), o.dial.plain.Pi)
	case t.last:
		without = auth.SharedKey(s.octetsWithoutPPK(a), o.msk)
	case without == nil:
		without = auth.SharedKey(s.octetsWithoutPPK(a), s.candidate.PSK)
	}
	return append(list, wire.Notify2{Type: wire.Notify2NoPPKAuth, Data: without})
}

// slot is one payload of the first IKE_AUTH.
func (t *authTask) slot(a *sa, x Slot) []wire.Body {
	s, d := t.s, t.s.dial
	one := func(when bool, b ...wire.Body) []wire.Body {
		if !when {
			return nil
		}
		return b
	}
	local, remote, transport := s.dialSelectors()
	switch x {
	case SlotIDi:
		return one(true, s.dialID())
	case SlotIDr:
		return one(d.RemoteIdentity != "", textID(d.RemoteIdentity, true))
	case SlotCert:
		if d.Certificate == nil || d.EAP {
			return nil
		}
		return d.Certificate.payloads()
	case SlotCertReq:
		hashes := d.authorityHashes()
		return one(d.Verify != nil && len(hashes) > 0, wire.CertRequest2{Encoding: wire.CertX509Signature, Authorities: hashes})
	case SlotInitialContact:
		return one(!d.Beside, notify(wire.Notify2InitialContact))
	case SlotAuth:
		return one(!d.EAP, t.ownProof(a))
	case SlotCP:
		return one(d.Configure, s.configRequest())
	case SlotNoTFC:
		return one(!d.Childless, notify(wire.Notify2NoTFCPadding))
	case SlotNonFirst:
		return one(!d.Childless, notify(wire.Notify2NonFirstFragmentsAlso))
	case SlotTransport:
		return one(transport && !d.Childless, notify(wire.Notify2UseTransportMode))
	case SlotSA:
		return one(!d.Childless, s.opening.dial.espOffer)
	case SlotTSi:
		return one(!d.Childless, selectorsOf(false, local))
	case SlotTSr:
		return one(!d.Childless, selectorsOf(true, remote))
	case SlotMobike:
		return one(true, notify(wire.Notify2MobikeSupported))
	}
	return nil
}

// authorityHashes name the authorities whose certificates we take, and, before them, those
// of a persona that names many.
func (d *DialConfig) authorityHashes() []byte {
	list := make([]byte, d.Persona.OtherAuthorities*wire.AuthorityLen)
	for _, c := range d.Authorities {
		h := wire.AuthorityHash(c)
		list = append(list, h[:]...)
	}
	return list
}

func (t *authTask) ownProof(a *sa) wire.Body {
	if t.proof != nil {
		return *t.proof
	}
	return t.s.proof(a, t.s.candidate.PSK)
}

func (s *Session) configRequest() wire.Config {
	c := wire.Config{Type: wire.ConfigRequest}
	for _, t := range s.dial.Persona.Wanted {
		a := wire.ConfigAttribute{Type: t}
		if wish := s.dial.Wish; wish.Is4() && t == wire.ConfigIP4Address {
			a.Value = wish.AsSlice()
		}
		c.Attributes = append(c.Attributes, a)
	}
	return c
}

// dialSelectors are the traffic that we ask to protect, of our side and of the
// other.
func (s *Session) dialSelectors() (local, remote []Range, transport bool) {
	d := s.dial
	if d == nil {
		return s.grant.local(), s.grant.remote(), false
	}
	local, remote = d.Local, d.Remote
	if len(local) == 0 {
		local = everything()
	}
	if len(remote) == 0 {
		remote = everything()
	}
	if s.granted && s.up && len(d.Local) == 0 && !d.Transport {
		if inner := s.grant.remote(); len(inner) > 0 {
			local = inner
		}
	}
	return local, remote, d.Transport
}

// answer takes the response to IKE_AUTH.
func (t *authTask) answer(now time.Time, a *sa, m *message) error {
	s := t.s
	if s.opening == nil {
		return ErrState
	}
	_, hasAuth := wire.Find(m.chain, wire.PayloadAuth)
	if n, bad := findError(m.chain); bad && !hasAuth {
		s.fail(now, causeOf(n.Type), "the other side answered "+describeError(n)+" to IKE_AUTH")
		return ErrRefused
	}
	if p, ok := wire.Find(m.chain, wire.PayloadIDr); ok && s.opening.idR == nil {
		s.opening.idR = p.Body
	}
	if !s.opening.dial.verified {
		return s.verifyServer(now, a, m)
	}
	return s.afterProof(now, a, m)
}

// verifyServer checks who answers: with the pre-shared key, or elsewhere by
// signature and certificate.
func (s *Session) verifyServer(now time.Time, a *sa, m *message) error {
	o := s.opening
	p, ok := wire.Find(m.chain, wire.PayloadAuth)
	if !ok || o.idR == nil {
		s.fail(now, CauseAuthentication, "the other side proves nothing")
		return ErrAuth
	}
	proof, err := wire.ConsumeAuth(p.Body)
	if err != nil {
		return malformed(err)
	}
	id, err := wire.ConsumeID2(wire.PayloadIDr, o.idR)
	if err != nil {
		return malformed(err)
	}
	s.identity = identityText(id)
	s.settlePPK(a, m)
	if proof.Method == wire.AuthShared {
		named := s.dial.RemoteIdentity == "" || s.dial.RemoteIdentity == s.identity
		// Who expects a certificate does not believe a key, which others have too.
		if s.candidate.PSK == nil || s.dial.EAP || s.dial.Verify != nil || !named || !auth.VerifySharedKey(s.octets(a, false), s.candidate.PSK, proof.Data) {
			s.fail(now, CauseAuthentication, "the server that calls itself "+s.identity+" does not have our pre-shared key, or another name")
			return ErrAuth
		}
		o.dial.verified = true
		return s.afterProof(now, a, m)
	}
	return s.verifyCertificate(now, a, m, id, proof)
}

// settlePPK goes back to the keys without PPK if the responder does not use it.
func (s *Session) settlePPK(a *sa, m *message) {
	o := s.opening
	if o.ppk == nil {
		return
	}
	if _, used := findNotify(m.chain, wire.Notify2PPKIdentity); !used && !s.dial.PPKRequired {
		for _, mixed := range [][]byte{a.keys.D, a.keys.Pi, a.keys.Pr, o.ppk} {
			clear(mixed)
		}
		a.keys.D, a.keys.Pi, a.keys.Pr = o.dial.plain.D, o.dial.plain.Pi, o.dial.plain.Pr
		o.dial.plain, o.ppk = nil, nil
	}
}

var errUncheckable = errors.New("the server proves itself in a way that we cannot check")

func (s *Session) verifyCertificate(now time.Time, a *sa, m *message, id wire.ID2, proof wire.Auth) error {
	var certs certificates
	for _, p := range m.chain {
		if p.Type == wire.PayloadCert2 {
			certs.take(p.Body)
		}
	}
	chain := certs.list
	if s.dial.Verify == nil || len(chain) == 0 {
		s.fail(now, CauseAuthentication, certs.explain(errUncheckable).Error())
		return ErrAuth
	}
	octets, verify, want := s.octets(a, false).Bytes(), s.dial.Verify, s.dial.RemoteIdentity
	s.owner.Consult(s.path, func() any {
		if err := auth.VerifySignature(chain[0].PublicKey, proof, octets); err != nil {
			return err
		}
		if err := auth.MatchID(chain[0], id, auth.PurposeServer); err != nil {
			return err
		}
		if want != "" && want != identityText(id) && auth.MatchHost(chain[0], want) != nil {
			return fmt.Errorf("%w: the server is %s, not %s", ErrAuth, identityText(id), want)
		}
		if err := verify(now, chain, id); err != nil {
			return err
		}
		return nil
	}, func(now time.Time, r any) {
		switch {
		case s.closing || a.state == saGone || s.opening == nil:
		case r != nil:
			s.fail(now, CauseAuthentication, certs.explain(r.(error)).Error())
		default:
			s.opening.dial.verified = true
			_ = s.afterProof(now, a, m)
		}
	})
	return nil
}

// afterProof goes on once the server is known: with EAP, or to the end.
func (s *Session) afterProof(now time.Time, a *sa, m *message) error {
	o := s.opening
	gateway, redirected := redirectedBy(m)
	if redirected && s.dial.EAP && !o.eapOver {
		s.owner.Redirected(s, gateway)
		s.fail(now, CauseRedirected, "the other side sends us to "+gateway)
		return ErrRefused
	}
	if p, ok := wire.Find(m.chain, wire.PayloadEAP); ok && s.dial.EAP && !o.eapOver {
		packet, err := wire.ConsumeEAP(p.Body)
		if err != nil {
			s.fail(now, CauseMalformed, err.Error())
			return malformed(err)
		}
		o.setStage(stageEAP)
		s.owner.EAP(s, bytes.Clone(packet))
		return nil
	}
	if s.dial.EAP {
		s.settlePPK(a, m)
		p, ok := wire.Find(m.chain, wire.PayloadAuth)
		var proof wire.Auth
		if ok {
			proof, _ = wire.ConsumeAuth(p.Body)
		}
		if !o.eapOver || proof.Method != wire.AuthShared || !auth.VerifySharedKey(s.octets(a, false), s.eapSecret(a, false), proof.Data) {
			s.fail(now, CauseAuthentication, "the server does not have the key that comes of EAP")
			return ErrAuth
		}
	}
	return s.loggedIn(now, a, m)
}

// eapAnswered goes on with our answer to EAP.
func (s *Session) eapAnswered(now time.Time, r EAPReply) {
	if s.opening.stage != stageEAP {
		return
	}
	switch {
	case r.Done && !r.OK:
		s.fail(now, CauseAuthentication, r.Detail)
	case r.Done:
		s.opening.eapOver, s.opening.msk = true, bytes.Clone(r.MSK)
		s.current.ask(now, &authTask{s: s, last: true})
	default:
		s.current.ask(now, &authTask{s: s, packet: r.Packet})
	}
}

// loggedIn takes the last answer of the opening.
func (s *Session) loggedIn(now time.Time, a *sa, m *message) error {
	o := s.opening
	s.quantum = o.ppk != nil
	if s.dial.PPKRequired && !s.quantum {
		s.fail(now, CauseAuthentication, "the server lets us in without the post-quantum key, and we must use one")
		return ErrAuth
	}
	if _, ok := findNotify(m.chain, wire.Notify2MobikeSupported); ok {
		s.features.mobike = true
	}
	s.establish(now, a)
	if gateway, ok := redirectedBy(m); ok {
		// "the client MUST ... verify the AUTH payload" first (RFC 5685, section 6).
		s.closeOpening()
		s.owner.Redirected(s, gateway)
		s.end(now, ReasonFailed, CauseRedirected, "the other side sends us to "+gateway, true)
		return ErrRefused
	}
	if p, ok := wire.Find(m.chain, wire.PayloadCP); ok {
		if c, err := wire.ConsumeConfig(p.Body); err == nil {
			s.grant, s.granted = assignmentOf(c), true
			s.owner.Configured(s, s.grant)
		}
	}
	offer, spi, ni, nr := o.dial.espOffer, o.dial.spi, o.ni, o.nr
	s.closeOpening()
	if s.dial.Childless {
		return nil
	}
	answer, err := readChildOffer(m.chain)
	var g agreement
	if err == nil {
		g, err = s.accept(offer, answer, spi, true)
	}
	if err != nil {
		cause, detail := CauseNoESPProposal, "the answer to IKE_AUTH has no child SA of our offer"
		if n, bad := findError(m.chain); bad {
			detail = "the other side answered " + describeError(n) + " to what we want to protect"
			if n.Type != wire.Notify2NoProposalChosen {
				cause = causeOf(n.Type)
			}
		}
		s.owner.Failed(now, s, cause, detail)
		s.end(now, ReasonFailed, cause, detail, true)
		return ErrRefused
	}
	s.install(now, a, g, true, nil, ni, nr, nil)
	return nil
}

// accept checks the answer to our offer of a child SA.
func (s *Session) accept(offer wire.SA2, o childOffer, spi uint32, first bool) (agreement, error) {
	c, err := suite.AcceptESP2(offer, o.sa, first)
	if err != nil {
		return agreement{}, err
	}
	local, remote, transport := s.dialSelectors()
	g := agreement{suite: c.ESP2, spi: spi, peerSPI: spiOf(c.SPI[:]), transport: o.transport && transport,
		local: narrow(o.tsi, local), remote: narrow(o.tsr, remote)}
	if s.dial == nil {
		g.local, g.remote, g.transport = o.tsi, o.tsr, o.transport
	}
	if len(g.local) == 0 || len(g.remote) == 0 {
		return g, fmt.Errorf("%w: the selectors of the answer are not ours", ErrRefused)
	}
	return g, nil
}

// offerESP is our offer for a child SA: that of the persona, or, in place of old,
// what old has; with key exchanges, the first of which may at the peer's wish be of
// another group.
func (s *Session) offerESP(old *child, spi uint32, with Exchange, other ...suite.Group) wire.SA2 {
	var list []suite.ESP2Proposal
	switch {
	case old != nil:
		list = []suite.ESP2Proposal{old.suite.Proposal()}
	case s.dial != nil:
		list = slices.Clone(s.dial.Persona.ESP)
	}
	for n := range list {
		list[n].Groups, list[n].Additional = nil, [7][]suite.Group{}
		if with.Group != suite.GroupNone {
			list[n].Groups, list[n].Additional = append([]suite.Group{with.Group}, other...), with.Additional.Offer()
		}
	}
	list = suite.EitherESP(list...)
	if old != nil && with.Group != suite.GroupNone && s.habits().OptionalPFS {
		p := list[0]
		p.Groups, p.Additional = nil, [7][]suite.Group{}
		list = append(list, p)
	}
	return suite.OfferESP2([4]byte(spiBytes(spi)), list)
}

// offersGroup reports whether we would renew with a key exchange of that group.
func (s *Session) offersGroup(g suite.Group) bool {
	return slices.Contains(s.espPolicy().Groups, g)
}
