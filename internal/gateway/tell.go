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

// refusedLogin is a login of tunnel mode that is refused.
func (p *peer) refusedLogin(user, method string, why access.Refusal, err error) event.LoginRefused {
	return event.LoginRefused{Peer: p.about(), User: user, Method: method, Cause: why.String(), Hint: why.Hint(), Err: err}
}

// tellRefused says why a login failed. The log has it by IKEv2 in place of what IKE says
// of it, and in any case not more often than anybody can read; what the throttle refuses
// is told there.
func (g *Gateway) tellRefused(p *peer, e event.LoginRefused) {
	throttled := e.Cause == access.Throttled.String()
	if p.refused = p.v2 && e.Session == 0; p.refused && !throttled {
		p.refusal = &e
		return
	}
	e.Quiet = throttled || !g.ike.Tells(time.Now(), ike.Peer(p.id))
	g.emit(e)
}

// attemptFailed says why somebody did not get in, and what to do about it.
func (g *Gateway) attemptFailed(e ike.Failed) {
	p := g.peers[uint64(e.Peer)]
	if p != nil && p.v2 && p.login != nil {
		tunnelLogin{g, p}.left(p.login)
	}
	if p != nil && p.refused {
		if p.refusal != nil { // IKE knows neither the user nor what to do
			g.emit(*p.refusal)
			p.refusal = nil
		}
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
func (g *Gateway) tellThrottled(a *attempt, by string) {
	g.emit(event.LoginsThrottled{
		Tenant: a.Tenant, User: a.User, Client: a.Client, Device: a.Device, What: by,
		Hint: fmt.Sprintf("too many wrong passwords: a device with an old one, or somebody who guesses. Logins of %s are refused for some minutes, "+
			"without a look at the password; whoever was in before from his address, and others there, are not held up", by),
	})
}
