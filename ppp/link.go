package ppp

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"io"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// phase is one of the phases of RFC 1661 section 3.2:
//
//	dead -> establish -> authenticate -> network -> terminate -> dead
//	                \_____________________/^
type phase uint8

const (
	phaseNew          phase = iota // not started
	phaseEstablish                 // LCP negotiates
	phaseAuthenticate              // LCP is open; nothing but LCP and authentication is heard
	phaseNetwork                   // IPCP negotiates, or is open
	phaseTerminate                 // LCP ends
	phaseDead                      // Closed was told
)

// Link is one PPP link. Make it with NewLink; one goroutine owns it.
type Link struct {
	role    Role
	auth    AuthPolicy
	mru     uint16
	tries   uint8
	restart time.Duration
	login   time.Duration
	name    string
	rand    io.Reader
	seed    maphash.Seed
	client  *client // nil for a server

	phase  phase
	ids    uint8 // the count of identifiers of those that have one for all
	failed bool  // reason says why the link ends
	told   bool  // Up was told, and no Down since
	denied bool  // the client was refused: it may not begin anew
	idents uint8 // Identified told
	reason Reason
	events []Event
	head   int

	lcp    lcp
	ipcp   ipcp
	judge  authenticator
	echo   echo
	ipv6   *ipv6cp      // nil where it is not spoken
	extras []*companion // what a persona negotiates beside them

	loginAt time.Time // when the login took too long
	heardAt time.Time // when the peer last showed life
}

// NewLink returns a Link that waits for Start.
func NewLink(c Config) (*Link, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	l := &Link{
		role: c.Role, auth: c.Auth, mru: c.MRU, tries: c.Tries, restart: c.Restart, login: c.LoginTimeout,
		name: c.Name, rand: c.Rand, seed: maphash.MakeSeed(),
		echo: echo{interval: c.EchoInterval, failures: c.EchoFailures},
	}
	if c.Role == Client {
		l.client = newClient(c)
		if l.auth = l.auth.both(l.client.persona.Auth); l.auth.first() == NoMethod {
			return nil, fmt.Errorf("%w: %s speaks none of the methods that are allowed", ErrConfig, l.client.persona.Name)
		}
		l.ids = l.client.persona.FirstID - 1
		l.enableIPv6(c.IPv6)
		l.newCompanions()
	}
	l.lcp.init(l)
	l.ipcp.init(l)
	return l, nil
}

// persona returns the table that the link speaks by: culvert's own for a server.
func (l *Link) persona() *Persona {
	if l.client == nil {
		return &ownPersona
	}
	return l.client.persona
}

// Start begins: the lower layer is up.
func (l *Link) Start(now time.Time) {
	if l.phase != phaseNew {
		return
	}
	l.phase = phaseEstablish
	l.heardAt = now
	l.loginAt = now.Add(l.login)
	l.lcp.apply(now, wantOpen, 0, nil)
	l.lcp.renew()
	l.lcp.apply(now, lowerUp, 0, nil)
}

// Input takes a frame of a control protocol, with or without address and control
// octets. It is borrowed for the call. An error means that it was dropped.
func (l *Link) Input(now time.Time, frame []byte) error {
	if l.phase == phaseNew || l.phase == phaseDead {
		return ErrClosed
	}
	proto, payload, ok := ParseFrame(frame)
	if !ok {
		return ErrFrame
	}
	l.heardAt = now
	switch proto {
	case ProtocolLCP:
		return l.lcp.input(now, payload)
	case ProtocolIPv4, ProtocolIPv6:
		return ErrNotControl
	}
	// Before LCP is open, everything else is silently discarded (RFC 1661 section 3.4).
	if l.lcp.state != stateOpened {
		return ErrPhase
	}
	return l.handleProtocol(now, proto, payload)
}

// handleProtocol takes packets of what runs above LCP.
func (l *Link) handleProtocol(now time.Time, proto Protocol, payload []byte) error {
	switch proto {
	case ProtocolCHAP, ProtocolPAP:
		return l.handleAuth(now, proto, payload)
	case ProtocolEAP:
		if l.lcp.method == EAP {
			return l.handleAuth(now, proto, payload)
		}
	case ProtocolIPCP:
		if l.phase != phaseNetwork {
			if l.client != nil {
				l.client.alternate(l)
			}
			return ErrPhase
		}
		return l.ipcp.input(now, payload)
	case ProtocolIPV6CP:
		if l.phase != phaseNetwork { // whether there will be IPv6 is not known yet
			return ErrPhase
		}
		if l.ipv6 != nil {
			return l.ipv6.input(now, payload)
		}
	}
	for _, c := range l.extras {
		if c.proto == proto {
			return c.input(now, payload)
		}
	}
	l.sendProtocolReject(proto, payload)
	return nil
}

// handleAuth takes CHAP, PAP and EAP, also after the login: a repeated response gets its
// answer again, and a server may ask anew (RFC 1994 section 2).
func (l *Link) handleAuth(now time.Time, proto Protocol, b []byte) error {
	p, err := parsePacket(b)
	if err != nil {
		return err
	}
	switch {
	case proto == ProtocolEAP && l.role == Client:
		return l.client.inputEAP(l, p)
	case proto == ProtocolEAP:
		return l.judge.inputEAP(l, p)
	case l.role == Client:
		return l.client.input(l, now, proto, p)
	}
	return l.judge.input(l, now, proto, p)
}

// sendProtocolReject returns what we do not speak, cut to the peer's MRU (RFC 1661
// section 5.7).
func (l *Link) sendProtocolReject(proto Protocol, payload []byte) {
	b := startFrame(ProtocolLCP, protocolReject, l.lcp.nextID())
	b = append(b, byte(proto>>8), byte(proto))
	l.send(finishFrame(append(b, payload[:min(len(payload), l.room()-2)]...)))
}

// room is how much data a packet to the peer may have.
func (l *Link) room() int { return int(l.lcp.peerMRU) - packetHeaderLen }

// handleProtocolReject ends what the peer does not speak.
func (l *Link) handleProtocolReject(now time.Time, data []byte) error {
	if len(data) < 2 {
		return ErrPacket
	}
	switch proto := Protocol(data[0])<<8 | Protocol(data[1]); proto {
	case ProtocolLCP:
		l.lcp.apply(now, gotRejectFatal, 0, nil)
	case ProtocolIPCP:
		l.fail(now, because(CauseNetworkRefused, ""))
	case ProtocolCHAP, ProtocolPAP, ProtocolEAP:
		l.fail(now, because(CauseNoCommonAuth, "the peer does not speak "+proto.String()))
	case ProtocolIPV6CP:
		if l.ipv6 != nil {
			l.ipv6.apply(now, gotRejectFatal, 0, nil)
		}
	default:
		for _, c := range l.extras {
			if c.proto == proto {
				c.apply(now, gotRejectFatal, 0, nil)
			}
		}
	}
	return nil
}

// Advance does what is due.
func (l *Link) Advance(now time.Time) {
	l.lcp.advance(now)
	l.ipcp.advance(now)
	if l.ipv6 != nil {
		l.ipv6.advance(now)
	}
	for _, c := range l.extras {
		c.advance(now)
	}
	if l.client != nil {
		l.client.advance(l, now)
	}
	l.judge.advance(l, now)
	l.echo.advance(l, now)
	if deadline.Due(now, l.loginAt) {
		l.loginAt = time.Time{}
		l.fail(now, because(CauseLoginTimeout, l.stage()))
	}
}

// stage says how far a login got.
func (l *Link) stage() string {
	switch {
	case l.phase == phaseEstablish:
		return "in LCP"
	case l.phase == phaseAuthenticate:
		return "in authentication"
	}
	return "in IPCP"
}

// Deadline returns when Advance is wanted next; zero: not at all.
func (l *Link) Deadline() time.Time {
	first := deadline.Earliest(l.lcp.deadline, l.ipcp.deadline, l.judge.deadline, l.echo.deadline, l.loginAt)
	if l.ipv6 != nil {
		first = deadline.Earliest(first, l.ipv6.deadline)
	}
	for _, c := range l.extras {
		first = deadline.Earliest(first, c.deadline)
	}
	if l.client != nil {
		first = deadline.Earliest(first, l.client.deadline)
	}
	return first
}

// Next returns the next event. The frames in it belong to the caller.
func (l *Link) Next() (Event, bool) {
	if l.head == len(l.events) {
		return nil, false
	}
	e := l.events[l.head]
	l.events[l.head] = nil
	if l.head++; l.head == len(l.events) {
		l.events, l.head = nil, 0 // a link in use says little: no memory is kept for it
	}
	return e, true
}

func (l *Link) tell(e Event) { l.events = append(l.events, e) }

func (l *Link) send(frame []byte) { l.tell(Send{frame}) }

// sendAgain repeats a frame; the receiver of the event owns its bytes.
func (l *Link) sendAgain(frame []byte) { l.send(bytes.Clone(frame)) }

// Traffic notes that the peer sent data: it lives.
func (l *Link) Traffic(now time.Time) { l.heardAt = now }

// Unanswered is how many echo requests in a row had no answer when that was last
// looked at, with the one that is under way.
func (l *Link) Unanswered() int { return int(l.echo.missed) }

// Close ends the link with a Terminate-Request and then says Closed with that reason,
// unless one is known already. The peer has two restart periods to agree.
func (l *Link) Close(now time.Time, r Reason) {
	if l.phase == phaseNew {
		l.note(r)
		l.die()
		return
	}
	l.fail(now, r)
}

// Forget drops the link because its lower layer is gone: secrets are zeroed, nothing is
// sent and nothing told any more.
func (l *Link) Forget() {
	l.die()
	clear(l.events)
	l.events, l.head = nil, 0
}

// note keeps why the link is going to end. The first reason is the cause.
func (l *Link) note(r Reason) {
	if !l.failed {
		l.failed, l.reason = true, r
	}
}

// fail ends the link for a reason.
func (l *Link) fail(now time.Time, r Reason) {
	if l.phase == phaseDead {
		return
	}
	l.note(r)
	l.phase = phaseTerminate
	l.loginAt = time.Time{}
	l.lcp.apply(now, wantClose, 0, nil)
}

// die is the last thing that happens to a link.
func (l *Link) die() {
	if l.phase == phaseDead {
		return
	}
	l.phase = phaseDead
	l.loginAt = time.Time{}
	l.echo.stop()
	l.judge.stop()
	l.lcp.setState(stateInitial)
	l.ipcp.setState(stateInitial)
	l.ipv6, l.extras = nil, nil
	if l.client != nil {
		l.client.zero()
	}
	l.tell(Closed{l.reason})
}

// lcpUp enters the phase after LCP's.
func (l *Link) lcpUp(now time.Time) {
	l.phase = phaseAuthenticate
	l.echo.start(now)
	if l.client != nil {
		l.sendIdentifications()
		l.client.start(l, now)
		return
	}
	if l.denied { // who negotiates anew gets no more passwords to try
		l.fail(now, l.reason)
		return
	}
	l.judge.start(l, now, l.lcp.method)
}

// lcpDown leaves all phases above LCP. The login is to be done again, within its time.
func (l *Link) lcpDown(now time.Time) {
	if l.phase != phaseTerminate {
		l.phase = phaseEstablish
		if l.loginAt.IsZero() { // who begins anew again and again has one time for all of it
			l.loginAt = now.Add(l.login)
		}
	}
	l.lcp.insisted = false
	l.echo.stop()
	l.judge.stop()
	if l.client != nil {
		l.client.stop()
	}
	l.ipcp.apply(now, lowerDown, 0, nil)
	if l.ipv6 != nil {
		l.ipv6.apply(now, lowerDown, 0, nil)
	}
	for _, c := range l.extras {
		c.apply(now, lowerDown, 0, nil)
	}
}

// enterNetwork begins with the network protocols once the peer may have them.
func (l *Link) enterNetwork(now time.Time) {
	if l.phase == phaseNetwork {
		return
	}
	l.phase = phaseNetwork
	l.ipcp.renew()
	order := l.persona().Networks
	for i := range order {
		switch order[i].Protocol {
		case ProtocolIPCP:
			l.ipcp.restart(now)
		case ProtocolIPV6CP:
			l.ipv6.restart(now)
		}
		for _, c := range l.extras {
			if c.proto == order[i].Protocol {
				c.restart(now)
			}
		}
	}
	l.openIPv6(now)
}

// restart opens a network protocol.
func (a *automaton) restart(now time.Time) {
	a.apply(now, wantOpen, 0, nil)
	a.apply(now, lowerUp, 0, nil)
}

// ipcpUp tells that IP may flow.
func (l *Link) ipcpUp(now time.Time, u Up) {
	u.PeerMRU, u.SendACFC, u.SendPFC = int(l.lcp.peerMRU), l.lcp.peerACFC, l.lcp.peerPFC
	l.failed, l.told = false, true
	l.loginAt = time.Time{}
	l.tell(u)
}

// ipcpDown tells that IP may flow no longer.
func (l *Link) ipcpDown(now time.Time) {
	if !l.told {
		return
	}
	l.told = false
	if l.phase == phaseNetwork {
		l.loginAt = now.Add(l.login)
	}
	l.tell(Down{})
}

// identified tells what the peer says it is, a few times.
func (l *Link) identified(b []byte) {
	if l.idents < maxIdents {
		l.idents++
		l.tell(Identified{identificationText(b)})
	}
}

// random fills b. Without randomness there is no link.
func (l *Link) random(now time.Time, b []byte) bool {
	if _, err := io.ReadFull(l.rand, b); err != nil {
		l.fail(now, because(CauseInternal, ErrNoRandomness.Error()))
		return false
	}
	return true
}

// servers takes the valid IPv4 addresses of a list, two at most.
func servers(list []netip.Addr) (out [2]netip.Addr) {
	n := 0
	for _, a := range list {
		if a = a.Unmap(); a.Is4() && n < len(out) {
			out[n] = a
			n++
		}
	}
	return out
}
