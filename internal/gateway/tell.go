package gateway

import (
	"fmt"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/event"
)

// What the gateway says of its clients, each at one place: that a session is up, that it
// is down, that a login is refused.

// emit says that something has happened.
func (g *Gateway) emit(e event.Event) { g.stream.Emit(time.Now(), e) }

// about is the peer as events name it.
func (p *peer) about() event.Peer {
	e := event.Peer{Protocol: p.protocol(), IKE: p.suite}
	if p.current != nil {
		e.ESP = p.current.out.Transform().String()
	}
	if p.dial != nil { // the other side is a server, of whom these are not known
		e.Server = p.path.Remote
		return e
	}
	e.Tenant, e.Client, e.Family = tenantsOf(p.label), p.path.Remote, string(p.family)
	return e
}

// about is the session as events name it.
func (s *session) about() event.Session {
	e := event.Session{Peer: s.peer.about(), ID: s.id, User: s.user, Address: s.addr}
	e.Protocol = s.protocol()
	if s.tenant != nil {
		e.Tenant = s.tenant.Name
	}
	return e
}

// tellUp says that a client is in the network of its tenant.
func (g *Gateway) tellUp(s *session) {
	e := event.SessionUp{Session: s.about(), MTU: s.plane.MTU(), System: s.clientOS}
	if s.link == nil { // with PPP it comes later
		e.Prefix = s.prefix
	}
	g.emit(e)
}

// tellDown says that it has left.
func (g *Gateway) tellDown(s *session) {
	e := event.SessionDown{
		Session: s.about(), Reason: s.reason, After: time.Since(s.up).Round(time.Second),
		BytesUp: s.plane.Up.Bytes(), BytesDown: s.plane.Down.Bytes(),
	}
	if s.link != nil {
		e.Unanswered = s.link.Unanswered()
	}
	g.emit(e)
}

// tellRefused says why a login failed. The log has it by IKEv2 in place of what IKE says
// of it, and in any case not more often than anybody can read; what the throttle refuses
// is told there.
func (g *Gateway) tellRefused(a *attempt, why access.Refusal, err error) {
	p, s := a.carrier.peer(), a.carrier.session()
	e := &event.LoginRefused{Peer: p.about(), User: a.user, Method: a.method, Cause: why.String(), Hint: why.Hint(), Err: err}
	if s != nil {
		e.Protocol, e.Session, e.Address = s.protocol(), s.id, s.addr
	}
	if s != nil && s.leased && a.user != s.user {
		e.User, e.Login = s.user, a.user
	}
	if a.tenant != nil {
		e.Tenant = a.tenant.Name
	}
	p.refusal, p.refused = e, p.v2 && s == nil
	if !p.refused || why == access.Throttled {
		g.sayRefused(p, why == access.Throttled || !g.ike.Tells(time.Now(), ike.Peer(p.id)))
	}
}

// sayRefused says what was to be said of a peer's login that failed; quiet: it is not worth
// a line of the log.
func (g *Gateway) sayRefused(p *peer, quiet bool) {
	if e := p.refusal; e != nil {
		p.refusal, e.Quiet = nil, quiet
		g.emit(*e)
	}
}

// attemptFailed says why somebody did not get in, and what to do about it.
func (g *Gateway) attemptFailed(e ike.Failed) {
	p := g.peers[uint64(e.Peer)]
	if p != nil && p.v2 {
		g.left(p)
	}
	if p != nil && p.refused {
		g.sayRefused(p, false) // IKE knows neither the user nor what to do
		return
	}
	refused := event.IKERefused{Local: e.Path.Local, Cause: e.Cause.String(), Detail: e.Detail}
	if p != nil && p.dial != nil {
		refused.Server, refused.Hint = e.Path.Remote, e.Cause.HintDialling()
	} else {
		refused.Tenant, refused.Client, refused.Hint = tenantsOf(e.Tenant), e.Path.Remote, e.Cause.Hint()
	}
	g.emit(refused)
}

// attemptsUntold says how many attempts are not in the log.
func (g *Gateway) attemptsUntold(e ike.Untold) {
	g.emit(event.IKERefusedUntold{
		Attempts: e.Attempts,
		Hint:     "more attempts failed than are worth a line each, probably a flood of first messages; those in the log are a sample",
	})
}

// tellThrottled says that somebody is held up, once until it is over.
func (g *Gateway) tellThrottled(a *access.Attempt, by string) {
	g.emit(event.LoginsThrottled{
		Tenant: a.Tenant, User: a.User, Client: a.Client, Device: a.Device, What: by,
		Hint: fmt.Sprintf("too many wrong passwords: a device with an old one, or somebody who guesses. Logins of %s are refused for some minutes, "+
			"without a look at the password; whoever was in before from his address, and others there, are not held up", by),
	})
}
