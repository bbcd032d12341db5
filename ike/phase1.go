package ike

import (
	"errors"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// maxFirst bounds a first message, in bytes: what is kept of it is kept for anybody.
const maxFirst = 8 << 10

// handleMM1 takes the first message of a main mode, from anybody. Nothing slow
// happens and little is kept before message 3 shows that the source is real.
func (s *Server) handleMM1(now time.Time, m message) error {
	key := openKey{cookie: m.header.Initiator, local: m.path.Local, remote: m.path.Remote}
	if i := s.opening[key]; i != nil {
		return i.repeatAnswer(&i.first, m)
	}
	d := s.dialledOr(m.path)
	if !d.mayDial() {
		return s.noTenant(now, m)
	}
	machine, reply, err := v1.AnswerMain(s.config.Rand, m.header, m.body, d.policy)
	if err != nil {
		return s.refuseMM1(now, m, d.policy, err)
	}
	if !s.admit(now, m.path.Remote.Addr(), free) {
		return s.tooMany(now, m.path, "message 1 dropped")
	}
	machine.Trust(d.authorities)
	i := s.newISAKMP(now, m.path)
	i.first.begin(m.digest, m.path)
	i.first.reply = reply
	i.halfOpen(now, key, machine, free)
	i.allowance.Received(m.path.Remote.Addr(), int(m.header.Length))
	i.post(m.path, reply)
	return nil
}

// tooMany drops a first message for which there is no room.
func (s *Server) tooMany(now time.Time, path Path, detail string) error {
	s.refusals.owe(now, s.config.Limits.Refusals)
	s.fail(now, Failed{Path: path, Cause: CauseTooMany, Detail: detail})
	return ErrLimit
}

// noTenant says no to who dials an address where nobody is at home.
func (s *Server) noTenant(now time.Time, m message) error {
	if s.config.Candidates == nil {
		return ErrRefused
	}
	if _, err := wire.ParsePayloads(nil, m.header.Version, m.header.Next, m.body); err != nil {
		return malformed(err)
	}
	s.noTenantAt(now, m.path)
	s.refuse(m, wire.NotifyNoProposalChosen)
	return ErrRefused
}

// noTenantAt says that nobody is dialled along path.
func (s *Server) noTenantAt(now time.Time, path Path) {
	s.refusals.owe(now, s.config.Limits.Refusals)
	if s.tells(now, 0) {
		s.emit(Failed{Path: path, Cause: CauseNoTenant, Detail: "dialled " + path.Local.String()})
	}
}

// refuseMM1 answers an offer in which nothing is acceptable.
func (s *Server) refuseMM1(now time.Time, m message, policy suite.IKEPolicy, err error) error {
	s.refusals.owe(now, s.config.Limits.Refusals)
	if !errors.Is(err, suite.ErrNoProposal) {
		return dropped(err)
	}
	if s.tells(now, 0) {
		s.emit(Failed{Path: m.path, Cause: s.refusal(m, policy), Detail: err.Error()})
	}
	s.refuse(m, wire.NotifyNoProposalChosen)
	return dropped(err)
}

// refusal finds out what it is that the tenants do not allow.
func (s *Server) refusal(m message, policy suite.IKEPolicy) Cause {
	would := func() bool {
		_, _, err := v1.AnswerMain(s.config.Rand, m.header, m.body, policy)
		return err == nil
	}
	policy.Suites = s.policies.ikeLegacy
	if would() {
		return CauseLegacy
	}
	policy.Auth = []suite.AuthMethod{suite.AuthXAUTHPSK, suite.AuthXAUTHRSA}
	if would() {
		return CauseXAUTH
	}
	return CauseNoProposal
}

// repeatAnswer repeats the answer to a message that was repeated.
func (i *isakmp) repeatAnswer(a *answered, m message) error {
	if !a.is(m.digest) {
		return ErrState
	}
	i.hear(m)
	switch {
	case i.initiator: // we have moved on to port 4500
		i.post(i.path, a.reply)
	case a.again(m.path):
		i.post(m.path, a.reply)
	}
	return ErrDuplicate
}

// hear notes where a message of a stranger's came from. One that has our cookie, which
// went to where the first one came from, shows that the address there is real.
func (i *isakmp) hear(m message) {
	if i.begun == nil {
		return
	}
	from := m.path.Remote.Addr()
	if i.allowance.Received(from, int(m.header.Length)); m.header.Responder == i.key.r && from == i.open.remote.Addr() {
		i.allowance.Shown(from)
	}
}

// handlePhase1 takes the messages of a main mode after the first.
func (i *isakmp) handlePhase1(now time.Time, m message) error {
	if i.last.is(m.digest) {
		return i.repeatAnswer(&i.last, m)
	}
	if i.phase1 == nil || i.state != negotiating {
		return ErrState
	}
	if !i.initiator && i.phase1.Costly() && i.peer == nil && !i.s.mayCompute(m.path.Remote.Addr(), i.s.config.Limits.Computations) {
		return ErrLimit
	}
	if i.hear(m); !i.s.pays(now, &i.stranger) {
		return i.s.tooMany(now, m.path, "message 3 dropped")
	}
	out, err := i.phase1.Input(m.header, m.body, i.ends(m.path))
	if errors.Is(err, v1.ErrAuth) && i.phase1.Aggressive() {
		return i.wrongGroupKey(now, m)
	}
	if err != nil {
		return dropped(err)
	}
	i.last.begin(m.digest, m.path)
	if i.initiator {
		i.answer()
	} else {
		i.path = m.path
		i.s.believe(&i.stranger)
		i.deadline = now.Add(halfOpenTime)
	}
	return i.follow(now, m, out)
}

// answer notes that the initiator has what it waited for.
func (i *isakmp) answer() {
	i.repeat.Stop()
	if ci, cr := i.phase1.Cookies(); i.key.r.IsZero() && !cr.IsZero() {
		delete(i.s.dialing, ci)
		i.key = cookies{ci, cr}
		i.s.sas[i.key] = i
	}
}

// ends are the addresses for the NAT-D hashes. Towards who dials us, the client's
// own is hidden: it then believes in a NAT and moves to port 4500. Where we dial,
// ours is, to the same effect.
func (i *isakmp) ends(p Path) v1.Ends {
	e := v1.Ends{Local: p.Local, Remote: p.Remote}
	if !i.s.config.RawESP {
		dialler := i.peer != nil && i.peer.dial != nil
		e.HideLocal, e.HideRemote = dialler, !dialler
	}
	return e
}

// follow does what the machine wants.
func (i *isakmp) follow(now time.Time, m message, out v1.Outcome) error {
	if out.Float && i.peer != nil {
		i.path = i.peer.floated(i.path)
	}
	if out.Compute != nil {
		var from netip.Addr
		if i.peer == nil {
			from = i.path.Remote.Addr()
		}
		i.s.compute(out.Compute, from, i.computed)
		i.arm()
		return nil
	}
	if out.Search {
		return i.search(now, m)
	}
	if out.Send != nil {
		i.transmit(now, out)
	}
	if out.Done {
		i.establish(now)
	}
	i.arm()
	return nil
}

// transmit sends the next message: an initiator repeats it until the answer comes,
// a responder when the question is repeated, as is the last message of all.
func (i *isakmp) transmit(now time.Time, out v1.Outcome) {
	switch {
	case i.initiator && !out.Done:
		i.repeat.Start(now, i.s.config.Retransmit, out.Send)
	case i.last.set:
		i.last.reply = out.Send
	default:
		i.repeatAM2(now, out.Send)
	}
	i.post(i.path, out.Send)
}

// computed goes on after a computation.
func (i *isakmp) computed(now time.Time, result any) {
	if i.state != negotiating {
		v1.Discard(result)
		return
	}
	out, err := i.phase1.Computed(result)
	if err == nil {
		err = i.follow(now, message{path: i.path}, out)
	}
	if err == nil {
		return
	}
	v1.Discard(result)
	p := i.peer
	i.forget()
	cause := CauseInternal
	switch {
	case errors.Is(err, suite.ErrPublicValue):
		cause = CauseMalformed
	case errors.Is(err, v1.ErrAuth) && i.phase1.Aggressive():
		cause, err = CauseWrongPSK, errors.New("the other side does not have the key, or not for this group")
	case errors.Is(err, v1.ErrAuth):
		cause = CauseAuthentication
	}
	if p == nil {
		i.s.fail(now, Failed{Path: i.path, Cause: cause, Detail: err.Error()})
		return
	}
	p.mainFailed(now, i, cause, err.Error())
}

// establish makes the ISAKMP SA of a main mode that is done part of its peer.
func (i *isakmp) establish(now time.Time) {
	i.s.welcome(&i.stranger)
	i.releaseHalfOpen()
	i.begun = nil
	i.repeat.Stop()
	i.deadline = time.Time{}
	p := i.peer
	if p.dial != nil && !p.up {
		p.enroll(memberKey{local: i.path.Local, remote: i.path.Remote, tenant: p.tenant, identity: identityText(i.phase1.Identity())})
	}
	i.identity = i.claimed()
	i.sa, i.phase1 = i.phase1.SA(), nil
	i.established = now
	i.setState(standing)
	life := lifeOf(i.sa.Choice.Life, defaultLife)
	i.expireAt = now.Add(life + grace(life))
	if p.renews() && (p.dial != nil || !i.sa.Aggressive) { // whose name is no address cannot be called
		i.renewAt = now.Add(p.rekeyTime(life, p.policy.IKELifetime))
	}
	if i.sa.Choice.Auth.XAUTH() {
		i.beginLogin(now)
		return
	}
	p.ikeUp(now, i)
}

// lifeOf is a negotiated lifetime, or d if none was.
func lifeOf(l suite.Life, d time.Duration) time.Duration {
	if l.Seconds == 0 {
		return d
	}
	return l.Duration()
}
