package v2

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// DialConfig is one connection to make.
type DialConfig struct {
	// Path is where IKE_SA_INIT goes, NATTPath where IKE_AUTH and all else goes.
	Path, NATTPath Path
	Persona        Persona
	Tenant         string
	// Identity is who we are; empty: our address. RemoteIdentity is whom we want:
	// it is sent as IDr, and what answers must prove to be it. Empty: anybody who
	// proves anything.
	Identity, RemoteIdentity string
	PSK                      []byte
	Certificate              *Certificate
	EAP                      bool     // we prove who we are by EAP; the Owner answers it
	Verify                   Verifier // of the server's certificate; nil: it must use the PSK
	// Authorities are those whose certificates Verify takes, named in CERTREQ. Without any
	// the server is not asked for its certificate.
	Authorities []*x509.Certificate
	// Configure asks for addresses and DNS. Local and Remote are the traffic to
	// protect; empty: everything. Transport asks for transport mode.
	Configure     bool
	Wish          netip.Addr // the address that we would like, as we had it before; invalid: any
	Beside        bool       // we have another connection with the server: this is no initial contact
	Local, Remote []Range
	Transport     bool
	Childless     bool     // no child SA with IKE_AUTH (RFC 6023)
	PFS           bool     // child SAs are renewed with a key exchange
	Renewal       Exchange // which; none: those of the IKE SA
	PPK, PPKID    []byte   // RFC 8784
	PPKRequired   bool
	// RedirectedFrom is the gateway that has sent us here (RFC 5685, section 3);
	// invalid: none has.
	RedirectedFrom netip.Addr
	Policy         Policy
}

// initTask stands for IKE_SA_INIT, which runs before there are keys.
type initTask struct{}

func (initTask) start(time.Time, *sa) (wire.ExchangeType, []wire.Body, bool) { return 0, nil, false }
func (initTask) answer(time.Time, *sa, *message) error                       { return ErrState }
func (initTask) abandon(time.Time, *sa)                                      {}

// Bounds of an IKE_SA_INIT that is begun again.
const maxRestarts = 5

// dialState is what only an initiator's opening has.
type dialState struct {
	group    suite.Group
	offer    wire.SA2
	espOffer wire.SA2
	spi      uint32
	cookie   []byte
	from     []byte // REDIRECTED_FROM
	restarts int
	verified bool         // its signature and certificate are good
	plain    *suite.Keys2 // SK_d, SK_pi and SK_pr without PPK
}

// Dial opens a Session as initiator and sends IKE_SA_INIT.
func Dial(now time.Time, owner Owner, c Config, d DialConfig) (*Session, error) {
	if d.PSK == nil && d.Certificate == nil && !d.EAP {
		return nil, fmt.Errorf("%w: a dial needs a key, a certificate or EAP", ErrConfig)
	}
	if d.PSK == nil && d.Verify == nil {
		return nil, fmt.Errorf("%w: a dial needs something to know the server by", ErrConfig)
	}
	s := &Session{owner: owner, config: c.withDefaults(), initiator: true, path: d.Path, dial: &d, heardAt: now}
	s.candidate = Candidate{Tenant: d.Tenant, PSK: bytes.Clone(d.PSK), Certificate: d.Certificate, Policy: d.Policy}
	d.PSK = nil
	s.candidate.Policy.adoptHabits(d.Persona.Habits)
	s.opening = &opening{}
	if d.RedirectedFrom.IsValid() {
		s.opening.dial.from = gatewayData(d.RedirectedFrom.Unmap().String())
	}
	if len(d.Persona.IKE) == 0 || len(d.Persona.IKE[0].Groups) == 0 {
		return nil, fmt.Errorf("%w: the persona offers nothing", ErrConfig)
	}
	s.opening.dial.group = firstSupported(d.Persona.IKE)
	a := &sa{s: s, initiator: true, spiI: owner.AllocateIKE(s), made: now}
	s.sas, s.current = []*sa{a}, a
	if err := s.sendInit(now, a); err != nil {
		owner.Forget(a.spiI)
		return nil, err
	}
	return s, nil
}

func firstSupported(list []suite.IKE2Proposal) suite.Group {
	for _, p := range list {
		for _, g := range p.Groups {
			if g.Supported() {
				return g
			}
		}
	}
	return suite.GroupNone
}

// sendInit sends IKE_SA_INIT, again if the responder wants another one.
func (s *Session) sendInit(now time.Time, a *sa) error {
	o, d := s.opening, s.dial
	zeroKey(o.key)
	var err error
	if o.key, err = o.dial.group.GenerateKey(s.owner.Rand()); err != nil {
		return err
	}
	if o.ni == nil {
		if o.ni, err = s.random(max(d.Persona.NonceLen, 16)); err != nil {
			return err
		}
	}
	o.dial.offer = suite.OfferIKE2(nil, d.Persona.IKE)
	var list []wire.Body
	if o.dial.cookie != nil {
		// "as the first payload" (RFC 7296, section 2.6).
		list = append(list, wire.Notify2{Type: wire.Notify2Cookie, Data: o.dial.cookie})
	}
	for _, x := range d.Persona.Init {
		list = append(list, s.initSlot(a, x)...)
	}
	o.request = plain(a.header(wire.ExchangeSAInit, 0, false), list)
	a.flying, a.exch, a.nextOut, a.started = initTask{}, wire.ExchangeSAInit, 1, now
	a.launch(now, [][]byte{o.request})
	return nil
}

// initSlot is one payload of IKE_SA_INIT.
func (s *Session) initSlot(a *sa, x Slot) []wire.Body {
	o, d := s.opening, s.dial
	one := func(b wire.Body) []wire.Body { return []wire.Body{b} }
	switch x {
	case SlotSA:
		return one(o.dial.offer)
	case SlotKE:
		return one(wire.KeyExchange2{Group: uint16(o.dial.group), Data: o.key.Public()})
	case SlotNonce:
		return one(wire.Nonce2(o.ni))
	case SlotNATD:
		return s.natDetectionFor(a.spiI, a.spiR, s.path)
	case SlotFragmentation:
		return one(notify(wire.Notify2FragmentationSupported))
	case SlotHashes:
		return one(wire.Uint16Notify(wire.Notify2SignatureHashAlgorithms, append(slices.Clone(d.Persona.Hashes), auth.HashAlgorithms()...)...))
	case SlotRedirect:
		if o.dial.from != nil {
			return one(wire.Notify2{Type: wire.Notify2RedirectedFrom, Data: o.dial.from})
		}
		return one(notify(wire.Notify2RedirectSupported))
	case SlotIntermediate:
		return one(notify(wire.Notify2IntermediateSupported))
	case SlotPPK:
		if d.PPK != nil {
			return one(notify(wire.Notify2UsePPK))
		}
	case SlotVendors:
		var list []wire.Body
		for _, v := range d.Persona.Vendors {
			list = append(list, wire.VendorID2(v))
		}
		return list
	}
	return nil
}

// handleInitAnswer takes the answer to IKE_SA_INIT. Nothing protects it.
func (s *Session) handleInitAnswer(now time.Time, a *sa, p Path, h wire.Header, msg []byte) error {
	if h.Flags&wire.FlagResponse == 0 || h.MessageID != 0 || h.Exchange != wire.ExchangeSAInit || s.opening.computing {
		return ErrState
	}
	chain, err := wire.ParsePayloads(nil, wire.V2, h.Next, msg[wire.HeaderLen:])
	if err != nil {
		return malformed(err)
	}
	if again, err := s.beginAgain(now, a, chain); again || err != nil {
		return err
	}
	if n, bad := findError(chain); bad {
		s.fail(now, causeOf(n.Type), "the other side answered "+describeError(n)+" to our offer")
		return ErrRefused
	}
	return s.readInitAnswer(now, a, h, chain, msg)
}

// beginAgain sends IKE_SA_INIT as the responder wants it: with its cookie, with a
// key of another group, or to another gateway.
func (s *Session) beginAgain(now time.Time, a *sa, chain []wire.Payload) (bool, error) {
	o := s.opening
	n, cookie := findNotify(chain, wire.Notify2Cookie)
	ke, group := findNotify(chain, wire.Notify2InvalidKEPayload)
	to, redirect := findNotify(chain, wire.Notify2Redirect)
	if !cookie && !group && !redirect {
		return false, nil
	}
	if o.dial.restarts++; o.dial.restarts > maxRestarts {
		s.fail(now, CauseRefused, "the other side wants IKE_SA_INIT again and again")
		return true, nil
	}
	switch {
	case redirect:
		return true, s.follow(now, a, to)
	case cookie:
		o.dial.cookie = bytes.Clone(n.Data)
	case group:
		g, ok := firstOf(ke)
		if !ok || !s.offers(g) || !g.Supported() {
			return true, ErrMalformed
		}
		o.dial.group = g
	}
	return true, s.sendInit(now, a)
}

func firstOf(n wire.Notify2) (suite.Group, bool) {
	for g := range n.Uint16s() {
		return suite.Group(g), true
	}
	return 0, false
}

// offers reports whether our offer has the group.
func (s *Session) offers(g suite.Group) bool {
	return slices.ContainsFunc(s.dial.Persona.IKE, func(p suite.IKE2Proposal) bool { return slices.Contains(p.Groups, g) })
}

// follow goes to another gateway (RFC 5685, section 3). A name is for the Owner to
// resolve.
func (s *Session) follow(now time.Time, a *sa, n wire.Notify2) error {
	gateway, ok := gatewayOf(n.Data, s.opening.ni)
	if !ok {
		return ErrMalformed
	}
	addr, err := netip.ParseAddr(gateway)
	if err != nil || addr.Is4() != s.path.Remote.Addr().Unmap().Is4() {
		s.owner.Redirected(s, gateway)
		s.fail(now, CauseRedirected, "the other side sends us to "+printable(gateway))
		return nil
	}
	o := s.opening
	o.dial.from, o.dial.cookie, o.ni = gatewayData(s.path.Remote.Addr().Unmap().String()), nil, nil
	s.dial.Path.Remote = netip.AddrPortFrom(addr, s.dial.Path.Remote.Port())
	s.dial.NATTPath.Remote = netip.AddrPortFrom(addr, s.dial.NATTPath.Remote.Port())
	s.path = s.dial.Path
	s.owner.Redirected(s, gateway)
	return s.sendInit(now, a)
}

// readInitAnswer takes the responder's choice and has the secret computed.
func (s *Session) readInitAnswer(now time.Time, a *sa, h wire.Header, chain []wire.Payload, msg []byte) error {
	o := s.opening
	q := Request{header: h}
	if err := q.read(chain); err != nil {
		return err
	}
	choice, err := suite.AcceptIKE2(o.dial.offer, q.offer)
	if err != nil || uint16(choice.Group) != q.ke.Group || choice.Group != o.dial.group || h.Responder.IsZero() {
		return fmt.Errorf("%w: the answer is not one to our offer", ErrMalformed)
	}
	s.chosenNumber = q.offer.Proposals[0].Number
	o.response, o.nr, o.additional = bytes.Clone(msg), q.nonce, choice.Additional.List()
	s.features = readFeatures(chain)
	if s.dial.PPKRequired && !s.features.ppk {
		s.fail(now, CauseAuthentication, "the server has no post-quantum key, and we must use one")
		return ErrRefused
	}
	a.spiR, a.suite = h.Responder, choice.IKE2Suite
	a.repeat.Stop()
	o.computing = true
	key, public := o.key.Take(), bytes.Clone(q.ke.Data)
	s.owner.Compute(func() any { return finish(key, public) }, false, func(now time.Time, r any) {
		if s.openingKeys(now, a, r.(sharedSecret), s.firstKeys) {
			a.flying = nil
			s.goOn(now, a)
		}
	})
	return nil
}

// goOn sends the next message of the opening after IKE_SA_INIT.
func (s *Session) goOn(now time.Time, a *sa) {
	if s.features.natt && s.dial.NATTPath.Remote.IsValid() {
		s.path = s.dial.NATTPath
	}
	if len(s.opening.additional) > 0 {
		a.ask(now, &intermediateTask{s: s})
		return
	}
	a.ask(now, &authTask{s: s})
}

// intermediateTask is one additional key exchange (RFC 9370, section 2.2.2).
type intermediateTask struct {
	s   *Session
	key *suite.PrivateKey
}

func (t *intermediateTask) start(now time.Time, a *sa) (wire.ExchangeType, []wire.Body, bool) {
	g := t.s.opening.additional[0]
	var err error
	if t.key, err = g.GenerateKey(t.s.owner.Rand()); err != nil {
		return 0, nil, false
	}
	return wire.ExchangeIntermediate, []wire.Body{wire.KeyExchange2{Group: uint16(g), Data: t.key.Public()}}, true
}

func (t *intermediateTask) abandon(time.Time, *sa) { zeroKey(t.key) }

func (t *intermediateTask) answer(now time.Time, a *sa, m *message) error {
	s := t.s
	p, ok := wire.Find(m.chain, wire.PayloadKE2)
	var ke wire.KeyExchange2
	err := ErrMalformed
	if ok {
		ke, err = wire.ConsumeKeyExchange2(p.Body)
	}
	if err != nil || s.opening == nil || ke.Group != uint16(s.opening.additional[0]) {
		s.fail(now, CauseMalformed, "the answer to IKE_INTERMEDIATE does not fit")
		return ErrMalformed
	}
	a.authenticateIntermediate(m.header, m.first, m.inner, false)
	key, public := t.key.Take(), ke.Data
	s.owner.Compute(func() any { return finish(key, public) }, false, func(now time.Time, r any) {
		if s.openingKeys(now, a, r.(sharedSecret), s.nextKeys) {
			s.goOn(now, a)
		}
	})
	return nil
}
