package gateway

import (
	"fmt"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/engine/tell"
	"github.com/culvert-vpn/culvert/internal/event"
)

// What the gateway says of its clients, each at one place: that a session is up, that it
// is down, that a login is refused.

// emit says that something has happened; nil: nothing has.
func (g *server) emit(e event.Event) {
	if e != nil {
		g.stream.Emit(time.Now(), e)
	}
}

// say says what is said of an event of the engine in any case.
func (g *server) say(e engine.Event) {
	label := ""
	if p := engine.PeerOf(e); p != nil {
		label = p.Label
	}
	g.emit(tell.Of(e, tenantsOf(label)))
}

// about is the peer as events name it.
func (p *peer) about() event.Peer { return tell.About(p.Peer, tenantsOf(p.Label)) }

// about is the session as events name it.
func (s *session) about() event.Session {
	name := tenantsOf(s.peer.Label)
	if s.tenant != nil {
		name = s.tenant.Name
	}
	return tell.AboutSession(s.Session, name, s.user, s.addr)
}

// tellUp says that a client is in the network of its tenant.
func (g *server) tellUp(s *session) {
	e := event.SessionUp{Session: s.about(), MTU: s.Plane.MTU(), System: s.System}
	if s.Link == nil { // with PPP it comes later
		e.Prefix = s.prefix
	}
	g.emit(e)
}

// tellDown says that it has left.
func (g *server) tellDown(s *session) { g.emit(tell.Down(s.Session, s.about())) }

// tellRefused says why a login failed. The log has it by IKEv2 in place of what IKE says
// of it, and in any case not more often than anybody can read; what the throttle refuses
// is told there.
func (g *logins) tellRefused(a *attempt, why access.Refusal, err error) {
	p, s := a.carrier.peer(), a.carrier.session()
	e := &event.LoginRefused{Peer: p.about(), User: a.user, Method: a.method, Cause: why.String(), Hint: why.Hint(), Err: err}
	if s != nil {
		e.Protocol, e.Session, e.Address = s.Protocol(), s.ID, s.addr
	}
	if s != nil && s.leased && a.user != s.user {
		e.User, e.Login = s.user, a.user
	}
	if a.tenant != nil {
		e.Tenant = a.tenant.Name
	}
	p.refusal, p.refused = e, p.V2 && s == nil
	if !p.refused || why == access.Throttled {
		g.sayRefused(p, why == access.Throttled || !g.server.engine.IKE.Tells(time.Now(), ike.Peer(p.ID)))
	}
}

// sayRefused says what was to be said of a peer's login that failed; quiet: it is not worth
// a line of the log.
func (g *logins) sayRefused(p *peer, quiet bool) {
	if e := p.refusal; e != nil {
		p.refusal, e.Quiet = nil, quiet
		g.server.emit(*e)
	}
}

// attemptFailed says why somebody did not get in, and what to do about it.
func (g *logins) attemptFailed(e engine.Failed) {
	var p *peer
	if e.Peer != nil {
		p = g.server.peers[e.Peer.ID]
	}
	if p != nil && p.V2 {
		g.left(p)
	}
	if p != nil && p.refused {
		g.sayRefused(p, false) // IKE knows neither the user nor what to do
		return
	}
	g.server.emit(tell.Failed(e, tenantsOf(e.Tenant)))
}

// tellThrottled says that somebody is held up, once until it is over.
func (g *server) tellThrottled(a *access.Attempt, by string) {
	g.emit(event.LoginsThrottled{
		Tenant: a.Tenant, User: a.User, Client: a.Client, Device: a.Device, What: by,
		Hint: fmt.Sprintf("too many wrong passwords: a device with an old one, or somebody who guesses. Logins of %s are refused for some minutes, "+
			"without a look at the password; whoever was in before from his address, and others there, are not held up", by),
	})
}
