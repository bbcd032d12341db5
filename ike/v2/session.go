package v2

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/ike/timing"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// Config is what is the same for all Sessions of a Server.
type Config struct {
	Retransmit timing.Retransmit
	// MaxDatagram is the longest IKE message that is sent whole, in bytes, if the
	// peer takes fragments (RFC 7383). Zero: 1228, which fits into 1280 bytes of
	// IPv6 with UDP and the non-ESP marker.
	MaxDatagram int
	MaxChildren int  // child SAs of one peer
	MaxIKEs     int  // IKE SAs of one peer, those that were replaced included
	RawESP      bool // ESP without UDP may be used: NAT detection is honest
}

// Session is all that we share with one peer.
type Session struct {
	owner     Owner
	config    Config
	initiator bool // we dialled
	path      Path
	features  features
	dialled   netip.Addr // responder: where IKE_SA_INIT came from
	allowance Allowance  // responder, until the initiator has proved who it is

	opening   *opening // until both sides are authentic
	dial      *DialConfig
	candidate Candidate           // how the peer proved who it is
	chain     []*x509.Certificate // that it proved itself with
	identity  string              // of the peer, in words
	wants     Wants
	grant     Assignment
	granted   bool
	quantum   bool // a PPK is in the keys

	sas      []*sa
	current  *sa // on which requests begin
	children []*child
	renewal  *renewal // of the current IKE SA, ours or the peer's
	pending  *pending // an exchange of the peer's with key exchanges still to come

	up, closing, closed bool
	probeAt, probedAt   time.Time  // until when, and since when, it has to answer; zero: it need not
	unproven            bool       // nothing shows yet that the peer receives on path
	route               *routeTask // that asks it; nil: none
	evasive             int        // how often it has answered and shown nothing, since it moved
	heardAt             time.Time
	chosenNumber        uint8     // of the proposal that was chosen first, as initiator
	quiet               int       // liveness questions without an answer
	askAt               time.Time // when to look whether the peer lives
	keepAliveAt         time.Time
	later               []delayed
	expecting           bool // a child SA must come
}

// delayed is something to be tried again.
type delayed struct {
	at time.Time
	do func(now time.Time)
}

// Times of a Session.
const (
	halfOpenTime  = 30 * time.Second  // of a stranger, for its next message
	loginTime     = 120 * time.Second // of one who has named a user, or for whom we find something out
	queueTime     = 60 * time.Second  // of one for whom keys are to be tried
	openingTime   = 5 * time.Minute   // of a stranger in all: a person may mistype his password
	keepAliveTime = 20 * time.Second  // RFC 3948, section 4
	defaultIKE    = 4 * time.Hour
	defaultChild  = time.Hour
	replacedTime  = 30 * time.Second // an IKE SA that was replaced waits for its DELETE
	childLinger   = 3 * time.Second  // a child SA that was deleted still receives
	activateTime  = time.Minute      // until a responder sends on a new child SA of which it has no word
	childlessTime = 60 * time.Second // an IKE SA without child SA is of no use
	retryTime     = 5 * time.Second  // after TEMPORARY_FAILURE
	aliveDelay    = 5 * time.Second  // how old the word may be that the peer's traffic arrives
)

// Path is where the peer is.
func (s *Session) Path() Path { return s.path }

// Initiator reports whether we dialled.
func (s *Session) Initiator() bool { return s.initiator }

// Tenant, Identity, Family and Suite describe the peer once it is known.
func (s *Session) Tenant() string { return s.candidate.Tenant }

// Identity is what the peer calls itself, in words.
func (s *Session) Identity() string { return s.identity }

// Certificates are what the client proved itself with in IKE, as it sent them, the
// leaf first; nil if it did so in another way.
func (s *Session) Certificates() []*x509.Certificate { return s.chain }

// Family names the kind of client.
func (s *Session) Family() family.Family { return s.features.family }

// has reports whether the client of a Session that was dialled has a quirk.
func (s *Session) has(q family.Quirk) bool { return !s.initiator && s.features.family.Has(q) }

// Suite is the suite of the IKE SA in words.
func (s *Session) Suite() string {
	if s.current == nil {
		return ""
	}
	if s.quantum {
		return s.current.suite.String() + "-ppk"
	}
	return s.current.suite.String()
}

// Up reports whether both sides are authentic.
func (s *Session) Up() bool { return s.up }

// Input takes a message. msg is borrowed and may be overwritten.
func (s *Session) Input(now time.Time, p Path, h wire.Header, msg []byte) error {
	s.hear(p, int(h.Length))
	for _, a := range s.sas {
		if a.spiI == h.Initiator && (a.spiR == h.Responder || a.spiR.IsZero() || h.Responder.IsZero()) {
			return a.input(now, p, h, msg[:h.Length])
		}
	}
	return ErrState
}

// hear notes where a message came from whose sender knows our SPI. That went to where
// IKE_SA_INIT came from, and shows that the address there is real; another one may be
// forged by who is there.
func (s *Session) hear(p Path, n int) {
	if s.initiator || s.up {
		return
	}
	if s.allowance.Received(p.Remote.Addr(), n); p.Remote.Addr() == s.dialled {
		s.allowance.Shown(s.dialled)
	}
}

// Deadline is when Advance is wanted next; zero: never.
func (s *Session) Deadline() time.Time {
	var at time.Time
	for _, a := range s.sas {
		at = deadline.Earliest(at, a.deadline())
	}
	if s.closing {
		return at
	}
	if s.opening != nil {
		at = deadline.Earliest(at, s.opening.deadline)
	}
	for _, c := range s.children {
		at = deadline.Earliest(at, c.deadline())
	}
	for _, d := range s.later {
		at = deadline.Earliest(at, d.at)
	}
	if s.pending != nil {
		at = deadline.Earliest(at, s.pending.until)
	}
	return deadline.Earliest(at, s.askAt, s.keepAliveAt, s.probeAt)
}

// Advance does what is due at now.
func (s *Session) Advance(now time.Time) {
	for _, a := range slices.Clone(s.sas) {
		s.advanceSA(now, a)
	}
	if s.opening != nil && deadline.Due(now, s.opening.deadline) {
		s.fail(now, CauseTimeout, "the other side stopped in the middle of the handshake")
	}
	for _, c := range slices.Clone(s.children) {
		c.advance(now)
	}
	s.runLater(now)
	if s.pending != nil && deadline.Due(now, s.pending.until) {
		s.dropPending()
	}
	if !s.closing && deadline.Due(now, s.probeAt) {
		s.silent(now)
	}
	if !s.closing && deadline.Due(now, s.askAt) {
		s.checkAlive(now)
	}
	if !s.closing && deadline.Due(now, s.keepAliveAt) {
		s.keepAliveAt = now.Add(keepAliveTime)
		s.owner.Keepalive(s, s.path)
	}
}

func (s *Session) advanceSA(now time.Time, a *sa) {
	if deadline.Due(now, a.repeat.At()) {
		a.repeatRequest(now)
	}
	if a.state == saGone {
		return
	}
	if deadline.Due(now, a.expireAt) {
		a.expireAt = time.Time{}
		s.expired(now, a)
	}
	if deadline.Due(now, a.rekeyAt) && a.state == saStanding {
		a.rekeyAt = now.Add(retryTime)
		s.startRenewal(now)
	}
}

// expired ends an IKE SA whose time is over. One that was replaced simply goes.
func (s *Session) expired(now time.Time, a *sa) {
	if a != s.current || s.closing {
		a.forget(now)
		return
	}
	s.end(now, ReasonExpired, CauseNone, "the IKE SA was not renewed in time", true)
}

func (s *Session) runLater(now time.Time) {
	due := s.later
	s.later = nil
	for _, d := range due {
		switch {
		case s.closing:
		case d.at.After(now):
			s.later = append(s.later, d)
		default:
			d.do(now)
		}
	}
}

// retry does something a little later, at a time that the peer will not choose
// for the same.
func (s *Session) retry(now time.Time, do func(now time.Time)) {
	s.later = append(s.later, delayed{at: now.Add(s.jitter(retryTime, 60, 180)), do: do})
}

// jitter returns a duration between low and high percent of d.
func (s *Session) jitter(d time.Duration, low, high int) time.Duration {
	b, err := s.random(2)
	if err != nil {
		return d
	}
	part := int(b[0])<<8 | int(b[1])
	return d/100*time.Duration(low) + d/100*time.Duration((high-low)*part>>16)
}

// heard takes an authentic request into account, and the path it came by: NAT
// mappings change (RFC 7296, section 2.23).
func (s *Session) heard(now time.Time, p Path) {
	s.heardAt, s.quiet = now, 0
	s.answered()
	if !s.initiator && !s.closing && (p.NATT || !s.path.NATT) {
		s.moveTo(now, p)
	}
}

// moveTo sends to another path from now on. A client is asked whether it is there.
func (s *Session) moveTo(now time.Time, p Path) {
	if s.path == p {
		return
	}
	s.path = p
	if !s.up || s.closing {
		return
	}
	s.unproven, s.evasive = !s.initiator, 0
	s.owner.Moved(s, p, !s.unproven)
	if s.unproven {
		s.askRoute(now)
	}
}

// Moved says that authenticated traffic came from another path.
func (s *Session) Moved(now time.Time, p Path) {
	s.Alive(now)
	if !s.initiator {
		s.moveTo(now, p)
	}
}

// Alive says that authenticated traffic arrived.
func (s *Session) Alive(now time.Time) {
	s.heardAt, s.quiet = now, 0
	if now.Sub(s.probedAt) > aliveDelay { // it may be news of what was before
		s.answered()
	}
}

// checkAlive asks a silent peer whether it lives: "an empty INFORMATIONAL"
// (RFC 7296, section 2.4). The repetitions of that request are the tries.
func (s *Session) checkAlive(now time.Time) {
	quietUntil := s.heardAt.Add(s.candidate.Policy.DPD)
	if quietUntil.After(now) {
		s.askAt = quietUntil
		return
	}
	s.askAt = now.Add(s.candidate.Policy.DPD)
	if s.current != nil && s.current.flying == nil && s.up {
		s.current.ask(now, &informTask{})
	}
}

// unanswered ends what depends on a request that was never answered.
func (s *Session) unanswered(now time.Time, a *sa) {
	if a != s.current || s.closing {
		a.forget(now)
		return
	}
	if s.opening != nil {
		s.fail(now, CauseTimeout, s.opening.silence(s))
		return
	}
	s.end(now, ReasonDead, CauseTimeout, "no answer to "+a.exch.String(), false)
}

// fail ends a Session for the fault of one side, without a word beyond what was said.
func (s *Session) fail(now time.Time, c Cause, detail string) {
	if s.closing {
		return
	}
	s.owner.Failed(now, s, c, detail)
	s.end(now, ReasonFailed, c, detail, false)
}

// Close ends the Session, telling the peer.
func (s *Session) Close(now time.Time) { s.end(now, ReasonLocal, CauseNone, "", true) }

// end ends the Session for its Owner. If the peer is told, the IKE SA stays until
// the peer has answered, to answer what crosses.
func (s *Session) end(now time.Time, r Reason, c Cause, detail string, tell bool) {
	if s.closing {
		return
	}
	s.closing = true
	s.later = nil
	for len(s.children) > 0 {
		s.children[0].remove()
	}
	if s.opening != nil {
		s.opening.close()
		s.opening = nil
	}
	s.dropPending()
	if s.renewal != nil {
		s.renewal.close(s, tell)
		s.renewal = nil
	}
	for _, a := range slices.Clone(s.sas) {
		if tell && s.up && a.state == saStanding {
			a.queue = nil
			a.rekeyAt, a.expireAt = time.Time{}, now.Add(replacedTime)
			a.setState(saDeleting)
			a.ask(now, &deleteTask{})
			continue
		}
		a.linger(now)
	}
	s.owner.Closed(now, s, r, c, detail)
	s.settle()
}

// linger keeps an SA that has just answered for the repetitions of the question;
// one that has answered nothing goes at once.
func (a *sa) linger(now time.Time) {
	a.pieces, a.parts = fragments{}, fragments{}
	if len(a.reply) == 0 || a.initiator && a.state == saOpening {
		a.forget(now)
		return
	}
	a.queue, a.flying = nil, nil
	a.repeat.Stop()
	a.rekeyAt, a.expireAt = time.Time{}, now.Add(replacedTime)
	a.setState(saDeleting)
}

// forgetSA takes an SA that is gone off the list.
func (s *Session) forgetSA(a *sa) {
	if n := slices.Index(s.sas, a); n >= 0 {
		s.sas = slices.Delete(s.sas, n, n+1)
	}
	s.settle()
}

func (s *Session) settle() { s.closed = s.closing && len(s.sas) == 0 }

// Held is how many bytes of messages are kept of which pieces are still to come.
func (s *Session) Held() (bytes int) {
	for _, a := range s.sas {
		bytes += a.pieces.size() + a.parts.size()
	}
	return bytes
}

// Gone reports whether nothing is left, not even to answer repetitions.
func (s *Session) Gone() bool { return s.closed }

// Heard is when the peer was last heard.
func (s *Session) Heard() time.Time { return s.heardAt }

// Drop forgets what a Session that has ended still keeps.
func (s *Session) Drop(now time.Time) {
	if !s.closing {
		return
	}
	for _, a := range slices.Clone(s.sas) {
		a.forget(now)
	}
}
