package ike

import (
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/v2"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// session2 is a party that speaks IKEv2: what this package keeps beside the
// machine. It is the machine's Owner.
type session2 struct {
	s       *Server
	machine *v2.Session
	alarm   alarm
	id      Peer // zero while a stranger's
	open    openKey
	stranger
	login   int // bytes that its login by EAP holds elsewhere
	dialled []Path
	member  memberKey
	why     Reason // of a Close of ours
	tenant  string // of a dial
	ended   bool
}

func (s *Server) newSession2() *session2 {
	p := &session2{s: s}
	p.alarm.due = func(now time.Time) {
		p.machine.Advance(now)
		p.arm()
	}
	return p
}

// arm sets the alarm after each call into the machine, and forgets the session
// when nothing is left of it.
func (p *session2) arm() {
	if p.machine == nil {
		return
	}
	if p.machine.Gone() {
		p.s.alarms.Stop(&p.alarm)
		p.release()
		return
	}
	p.s.alarms.Set(&p.alarm, p.machine.Deadline())
}

// announce gives the session its number.
func (p *session2) announce() {
	if p.id == 0 {
		p.s.lastPeer++
		p.id = p.s.lastPeer
		p.s.sessions[p.id] = p
	}
}

// release takes the session out of what is counted against strangers.
func (p *session2) release() {
	p.leaveOpening()
	p.s.release(&p.stranger)
}

// leaveOpening says that the first message is not awaited again.
func (p *session2) leaveOpening() {
	if p.s.opening2[p.open] == p {
		delete(p.s.opening2, p.open)
	}
}

// forget drops a session that nobody has shown to be real.
func (p *session2) forget() {
	p.machine.Close(time.Time{})
	p.machine.Drop(time.Time{})
	p.arm()
}

// Rand is the source of randomness.
func (p *session2) Rand() io.Reader { return p.s.config.Rand }

// Candidates lists how the peer on this path may prove who it is.
func (p *session2) Candidates(path v2.Path) *v2.Directory { return p.s.directory(Path(path)).v2 }

// Send sends a message.
func (p *session2) Send(path v2.Path, msg []byte) { p.s.send(Path(path), msg) }

// Compute runs do anywhere and then calls then.
func (p *session2) Compute(do func() any, stranger bool, then func(now time.Time, result any)) bool {
	if stranger && p.s.strangers >= p.s.config.Limits.Computations {
		return false
	}
	var from netip.Addr
	if stranger {
		from = p.source
	}
	p.s.compute(do, from, func(now time.Time, r any) {
		then(now, r)
		p.arm()
	})
	return true
}

// Consult is Compute for what asks a Verify, which may wait; the result is ErrBusy if
// it could not be asked.
func (p *session2) Consult(path v2.Path, do func() any, then func(now time.Time, result any)) {
	p.s.consult(Path(path), do, false, func(now time.Time, r any) {
		then(now, r)
		p.arm()
	})
}

// AllocateSPI returns a fresh inbound SPI for ESP.
func (p *session2) AllocateSPI() uint32 { return uint32(p.s.allocateSPI()) }

// AllocateIKE returns a fresh SPI of ours for an IKE SA.
func (p *session2) AllocateIKE(*v2.Session) wire.Cookie {
	for {
		var c wire.Cookie
		if _, err := io.ReadFull(p.s.config.Rand, c[:]); err != nil {
			return c
		}
		if !c.IsZero() && p.s.spis[c] == nil {
			p.s.spis[c] = p
			return c
		}
	}
}

// Forget ends an SPI of ours.
func (p *session2) Forget(c wire.Cookie) {
	if p.s.spis[c] == p {
		delete(p.s.spis, c)
	}
}

// Try takes as many trials of keys out of the budgets as there may be, or has the
// session wait for its turn.
func (p *session2) Try(now time.Time, m *v2.Session, source netip.Addr, n int) bool {
	if p.s.mayTry(now, source, n, p) {
		return true
	}
	p.s.fail(now, Failed{Path: Path(m.Path()), Cause: CauseGuessing, Detail: waitsForTrials})
	return false
}

// searching reports whether the session waits for that.
func (p *session2) searching() bool { return p.machine.Searching() }

// searchNow says that it is its turn.
func (p *session2) searchNow(now time.Time) {
	p.machine.Search(now)
	p.arm()
}

// Tried gives those back that there were not.
func (p *session2) Tried(now time.Time, source netip.Addr, allowed, took int, fits bool) {
	p.s.tried(now, source, allowed, took, fits)
}

// Known names the tenants whose client it was before.
func (p *session2) Known(source netip.Addr, identity string) []string {
	return p.s.known(source, identity)
}

// TryKnown takes a trial of these out of the budget of the source alone.
func (p *session2) TryKnown(now time.Time, source netip.Addr) bool {
	return p.s.sources.tryKnown(now, source, p.s.config.Limits)
}

// Met remembers whose client it is.
func (p *session2) Met(source netip.Addr, identity, tenant string) {
	p.s.meet(source, identity, tenant)
}

// Claim says that the address of the peer is real.
func (p *session2) Claim(*v2.Session) { p.s.believe(&p.stranger) }

// Established says that both sides are authentic.
func (p *session2) Established(now time.Time, m *v2.Session) {
	p.announce()
	p.s.welcome(&p.stranger)
	p.release()
	p.s.emit(Up{Peer: p.id, Path: Path(m.Path()), Tenant: m.Tenant(), Identity: m.Identity(), Family: m.Family(),
		V2: true, Suite: m.Suite(), Initiator: m.Initiator(), Certificates: m.Certificates()})
}

// EAP hands out what EAP says.
func (p *session2) EAP(m *v2.Session, packet []byte) {
	p.announce()
	p.s.emit(EAP{Peer: p.id, Path: Path(m.Path()), Tenant: m.Tenant(), Identity: m.Identity(), Family: m.Family(),
		Initiator: m.Initiator(), Packet: packet})
}

// Assign asks what an authentic initiator is given. INITIAL_CONTACT says that it has
// no other connection, and all clients say so, though people have several devices in one
// name behind one address. So what there is from the very same port is replaced, and the
// others are asked.
func (p *session2) Assign(m *v2.Session, w Wants) {
	p.member = memberKey{tenant: m.Tenant(), identity: m.Identity(), remote: netip.AddrPortFrom(m.Path().Remote.Addr(), 0)}
	others := p.s.members2[p.member]
	p.s.members2[p.member] = append(slices.Clip(others), p)
	if w.InitialContact {
		p.contact(m.Heard(), others)
	}
	p.s.emit(Assign{Peer: p.id, Tenant: m.Tenant(), Identity: m.Identity(), Family: m.Family(), Wants: w,
		Certificates: m.Certificates()})
}

// Configured says what we were given as initiator.
func (p *session2) Configured(m *v2.Session, a Assignment) {
	p.s.emit(Configured{Peer: p.id, Assignment: a})
}

// Installed says that there is a child SA.
func (p *session2) Installed(m *v2.Session, c v2.Child) {
	p.s.stats.Children++
	p.s.emit(Installed{Peer: p.id, Child: describe2(m, c, p.s.config.RawESP)})
}

// describe2 is the child SA as its user needs it.
func describe2(m *v2.Session, c v2.Child, raw bool) ChildSA {
	path := Path(m.Path())
	out := ChildTerms{
		In: SPI(c.In), Out: SPI(c.Out), Initiator: c.Initiator, Active: c.Active, Transport: c.Transport, UDPEncap: path.NATT || !raw,
		Encryption: c.Encryption, KeyBits: c.KeyBits, Integrity: c.Integrity, ESN: c.ESN,
		LocalTraffic: c.Local, RemoteTraffic: c.Remote, Inner: c.Inner,
		Lifetime: c.Lifetime, Path: path, Replaces: SPI(c.Replaces),
	}
	out.Local, out.Remote = selectorOf(c.Local), selectorOf(c.Remote)
	if c.Transport {
		// The selectors carry the addresses as the initiator knows them (RFC 7296,
		// section 2.23.1).
		out.LocalOriginal, out.RemoteOriginal = out.Local.Addr.Addr(), out.Remote.Addr.Addr()
		out.Local.Addr, out.Remote.Addr = host(path.Local), host(path.Remote)
	}
	return ChildSA{ChildTerms: out, KeyIn: ChildKeys(c.KeyIn), KeyOut: ChildKeys(c.KeyOut)}
}

func host(a netip.AddrPort) netip.Prefix {
	x := a.Addr().Unmap()
	return netip.PrefixFrom(x, x.BitLen())
}

// selectorOf is the first range in the form of a Selector.
func selectorOf(list []Range) Selector {
	r := list[0]
	out := Selector{Addr: netip.PrefixFrom(r.From, r.From.BitLen()), Proto: r.Protocol}
	if p, ok := (wire.TrafficSelector{Start: r.From, End: r.To}).Prefix(); ok {
		out.Addr = p
	}
	if r.FromPort == r.ToPort {
		out.Port = r.FromPort
	}
	return out
}

// Activated lets the user send on a child SA.
func (p *session2) Activated(m *v2.Session, in uint32) {
	p.s.emit(Activated{Peer: p.id, In: SPI(in)})
}

// Removed says that a child SA is gone.
func (p *session2) Removed(m *v2.Session, in, out uint32) {
	p.s.stats.Children--
	p.s.emit(Removed{Peer: p.id, In: SPI(in), Out: SPI(out)})
}

// Moved says that the peer is elsewhere.
func (p *session2) Moved(m *v2.Session, path v2.Path, proven bool) {
	p.s.emit(Moved{Peer: p.id, Path: Path(path), Unproven: !proven})
}

// Keepalive wants a NAT keepalive sent.
func (p *session2) Keepalive(m *v2.Session, path v2.Path) {
	p.s.emit(Keepalive{Peer: p.id, Path: Path(path)})
}

// Redirected says that the server names another gateway.
func (p *session2) Redirected(m *v2.Session, gateway string) {
	p.s.emit(Redirected{Peer: p.id, Gateway: gateway})
}

// Failed is for the log.
func (p *session2) Failed(now time.Time, m *v2.Session, c v2.Cause, detail string) {
	p.s.fail(now, Failed{Peer: p.id, Path: Path(m.Path()), Tenant: m.Tenant(), Cause: cause2(c), Detail: detail})
}

// Closed says that the session has ended.
func (p *session2) Closed(now time.Time, m *v2.Session, r v2.Reason, c v2.Cause, detail string) {
	p.ended = true
	p.leaveOpening()
	p.s.over(&p.stranger) // until nothing is left that answers repetitions
	p.login = 0
	p.carry(now) // no more than before
	for _, path := range p.dialled {
		if p.s.dialled2[path.ends()] == p {
			delete(p.s.dialled2, path.ends())
		}
	}
	p.leave()
	if p.id == 0 {
		return
	}
	delete(p.s.sessions, p.id)
	why := reason2(r)
	if p.why != ReasonNone {
		why = p.why
	}
	p.s.emit(Closed{Peer: p.id, Reason: why, Cause: cause2(c), Detail: detail})
}

// cause2 is a cause of package v2 in the words of this one.
func cause2(c v2.Cause) Cause {
	return map[v2.Cause]Cause{
		v2.CauseNoProposal: CauseNoProposal, v2.CauseNoESPProposal: CauseNoESPProposal, v2.CauseAuthentication: CauseAuthentication,
		v2.CauseNoCandidate: CauseNoTenant, v2.CauseTimeout: CauseTimeout, v2.CauseSelectors: CauseTraffic,
		v2.CauseMalformed: CauseMalformed, v2.CauseGuessing: CauseGuessing, v2.CauseRefused: CauseRefused,
		v2.CauseRedirected: CauseRedirected, v2.CauseNoEncapsulation: CauseNoNATT, v2.CauseInternal: CauseInternal,
	}[c]
}

func reason2(r v2.Reason) Reason {
	return map[v2.Reason]Reason{v2.ReasonLocal: ReasonLocal, v2.ReasonDeleted: ReasonDeleted, v2.ReasonDead: ReasonDead,
		v2.ReasonExpired: ReasonExpired, v2.ReasonFailed: ReasonFailed, v2.ReasonReplaced: ReasonReplaced}[r]
}
