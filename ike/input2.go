package ike

import (
	"errors"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v2"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// input2 takes a message of IKEv2.
func (s *Server) input2(now time.Time, path Path, h wire.Header, msg []byte) error {
	if h.Exchange == wire.ExchangeSAInit && h.Flags&wire.FlagResponse == 0 {
		return s.handleInit(now, path, h, msg)
	}
	p := s.named2(h)
	if p == nil {
		// "it MAY send a response ... INVALID_IKE_SPI" (RFC 7296, section 1.5): the
		// peer may look sooner whether we have forgotten it.
		s.answerStranger(now, path, h, v2.Unprotected(h, wire.Notify2InvalidIKESPI))
		return ErrUnknownSA
	}
	err := p.machine.Input(now, v2.Path(path), h, msg)
	p.arm()
	p.carry(now)
	return dropped2(err)
}

// named2 is the session that a message names by our SPI; nil: there is none.
func (s *Server) named2(h wire.Header) *session2 {
	if h.Flags&wire.FlagInitiator == 0 {
		return s.spis[h.Initiator]
	}
	return s.spis[h.Responder]
}

// maxHints is how many requests of nobody's a second are answered.
const maxHints = 50

// answerStranger answers a request for which there is no state, and makes none. It
// is never an answer to an answer, nor longer by more than a notify.
func (s *Server) answerStranger(now time.Time, path Path, h wire.Header, reply []byte) {
	if s.config.V2 && h.Flags&wire.FlagResponse == 0 && s.hints.take(now, maxHints, 1) {
		s.send(path, reply)
	}
}

// handleInit takes an IKE_SA_INIT request, from anybody.
func (s *Server) handleInit(now time.Time, path Path, h wire.Header, msg []byte) error {
	key := openKey{cookie: h.Initiator, local: path.Local, remote: path.Remote}
	if p := s.opening2[key]; p != nil {
		return dropped2(p.machine.Repeat(v2.Path(path), msg[:h.Length]))
	}
	if s.config.Candidates == nil || !s.config.V2 {
		return ErrVersion
	}
	if h.Length > maxFirst {
		return ErrMalformed
	}
	q, reply, err := v2.ParseRequest(v2.Path(path), h, msg)
	if err != nil {
		s.refusals.owe(now, s.config.Limits.Refusals)
		s.answerStranger(now, path, h, reply)
		return dropped2(err)
	}
	if q.Proven = s.cookies.Good(now, s.config.Rand, q); !q.Proven && (s.loaded(now) || s.crowded(now, path.Remote.Addr())) {
		s.refusals.owe(now, s.config.Limits.Refusals)
		return s.askCookie(now, path, q)
	}
	if s.config.Redirect != nil && q.Redirectable() {
		if gateway := s.config.Redirect(path.Local.Addr(), path.Remote.Addr()); gateway != "" {
			s.send(path, q.Redirect(gateway))
			return ErrRefused
		}
	}
	return s.answerInit(now, path, key, q)
}

// askCookie has the sender of a first message show that it is where it seems to be.
func (s *Server) askCookie(now time.Time, path Path, q *v2.Request) error {
	reply, err := s.cookies.Ask(now, s.config.Rand, q)
	s.send(path, reply)
	return errors.Join(ErrCookie, err)
}

// loaded reports whether strangers cost so much that a first message has to bring a
// cookie: before anything is kept, chosen or computed for it. What they cost are
// exchanges, computations, logins that wait for their trial, and requests of which
// nothing is kept because they are refused. A quarter of the computations is for those
// who have gone further than that.
func (s *Server) loaded(now time.Time) bool {
	l := s.config.Limits
	return s.stats.HalfOpen >= l.Cookies || s.trials.nextLine() >= 0 || s.strangers >= max(l.Computations/2, 1) || !s.refusals.has(now, l.Refusals)
}

// answerInit opens a session for a request.
func (s *Server) answerInit(now time.Time, path Path, key openKey, q *v2.Request) error {
	d := s.directory(path).v2
	if d.Empty() {
		s.noTenantAt(now, path)
		s.send(path, q.Refuse())
		return ErrRefused
	}
	source := path.Remote.Addr()
	if !s.mayCompute(source, max(s.config.Limits.Computations*3/4, 1)) {
		return s.tooMany(now, path, "IKE_SA_INIT dropped")
	}
	how := inItsName
	if q.Proven {
		how = proven
	}
	p := s.newSession2()
	p.source = source
	machine, reply, err := v2.Answer(now, p, s.config2(), q, d, func() bool { return s.admit(now, source, how) })
	switch {
	case errors.Is(err, v2.ErrUnproven):
		return s.askCookie(now, path, q)
	case errors.Is(err, v2.ErrLimit):
		return s.tooMany(now, path, "IKE_SA_INIT dropped")
	case err != nil:
		return s.refuseInit(now, path, q, reply, err)
	}
	p.machine, p.open = machine, key
	s.opening2[key] = p
	s.enter(now, p, &p.stranger, source, how)
	p.arm()
	return nil
}

// refuseInit answers a request of which no session comes.
func (s *Server) refuseInit(now time.Time, path Path, q *v2.Request, reply []byte, err error) error {
	s.refusals.owe(now, s.config.Limits.Refusals)
	s.send(path, reply)
	if errors.Is(err, suite.ErrNoProposal) && s.tells(now, 0) {
		s.emit(Failed{Path: path, Cause: s.whyNoProposal(q), Detail: err.Error()})
	}
	return dropped2(err)
}

// whyNoProposal tells apart whether a legacy tenant would have taken the offer.
func (s *Server) whyNoProposal(q *v2.Request) Cause {
	if q.Acceptable(suite.DefaultIKE2(true)) {
		return CauseLegacy
	}
	return CauseNoProposal
}

func (s *Server) config2() v2.Config {
	return v2.Config{Retransmit: s.config.Retransmit, MaxChildren: s.config.Limits.Children, MaxIKEs: s.config.Limits.IKEs,
		MaxDatagram: s.config.MaxDatagram, RawESP: s.config.RawESP}
}

// dropped2 says in the words of this package why a message was dropped.
func dropped2(err error) error {
	for _, x := range []struct{ from, to error }{
		{v2.ErrMalformed, ErrMalformed}, {v2.ErrState, ErrState}, {v2.ErrAuth, ErrAuth}, {v2.ErrDuplicate, ErrDuplicate},
		{v2.ErrWindow, ErrWindow}, {v2.ErrLimit, ErrLimit}, {v2.ErrRefused, ErrRefused},
	} {
		if errors.Is(err, x.from) {
			return wrapped{x.to, err}
		}
	}
	if err != nil {
		return malformed(err)
	}
	return nil
}

// EAPReply brings back what EAP answers to the packet of an EAP event.
func (s *Server) EAPReply(now time.Time, id Peer, r EAPReply) {
	if p := s.sessions[id]; p != nil {
		in := v2.EAPReply{Packet: r.Packet, Done: r.Done, OK: r.OK, MSK: r.MSK, Identity: r.Identity, Detail: r.Detail}
		if r.Tenant != "" && !p.machine.Initiator() {
			in.Accept = s.directory(Path(p.machine.Path())).v2.Tenant(r.Tenant)
		}
		p.login = r.Held
		if r.Done {
			p.login = 0
		}
		p.machine.EAPReply(now, in)
		p.arm()
		p.carry(now)
	}
}

// Assigned answers an Assign event.
func (s *Server) Assigned(now time.Time, id Peer, a Assignment) {
	if p := s.peers[id]; p != nil {
		p.assigned(now, a)
	}
	if p := s.sessions[id]; p != nil {
		p.machine.Assigned(now, a)
		p.arm()
	}
}

// Readdress moves a connection that we dialled by IKEv2, and that stands, to another
// path, by MOBIKE (RFC 4555). ErrRefused: the server does not speak that, and nothing
// has changed.
func (s *Server) Readdress(now time.Time, id Peer, path Path) error {
	p := s.sessions[id]
	if p == nil || !p.machine.Initiator() {
		return ErrNoPeer
	}
	ok := p.machine.Readdress(now, v2.Path(path))
	p.arm()
	if !ok {
		return ErrRefused
	}
	return nil
}

// Abandon ends the exchange that a message names, without a word, if its other side
// has not shown yet who it is: something has gone wrong while the message was taken,
// and what is kept of the exchange may be half done. Otherwise it returns the Peer
// that the message is of; 0: nobody's.
func (s *Server) Abandon(path Path, msg []byte) Peer {
	h, _, err := wire.ConsumeHeader(msg)
	if err != nil {
		return 0
	}
	key := openKey{cookie: h.Initiator, local: path.Local, remote: path.Remote}
	if h.Version.Major() == 2 {
		return s.abandon2(key, h)
	}
	i := s.find(h)
	if i == nil {
		i = s.opening[key]
	}
	switch {
	case i == nil:
		return 0
	case i.peer != nil:
		return i.peer.id
	}
	i.forget()
	return 0
}

func (s *Server) abandon2(key openKey, h wire.Header) Peer {
	own := h.Responder
	if h.Flags&wire.FlagInitiator == 0 {
		own = h.Initiator
	}
	p := s.spis[own]
	if p == nil {
		p = s.opening2[key]
	}
	switch {
	case p == nil:
		return 0
	case p.id != 0:
		return p.id
	}
	p.forget()
	return 0
}

// Redirect tells an IKEv2 client to use another gateway (RFC 5685, section 4); it
// then closes the connection itself. ErrRefused: it does not understand that.
func (s *Server) Redirect(now time.Time, id Peer, gateway string) error {
	p := s.sessions[id]
	if p == nil {
		return ErrNoPeer
	}
	ok := p.machine.Redirect(now, gateway)
	p.arm()
	if !ok {
		return ErrRefused
	}
	return nil
}
