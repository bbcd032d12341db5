package gateway

import (
	"fmt"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/event"
)

// Clients of IKEv2 that are sent to another gateway (RFC 5685), and calls of ours
// that are.

// RedirectedError says that the server that was called names another gateway: an
// address, or a host name.
type RedirectedError struct{ Gateway string }

// Error is a sentence for the log.
func (e *RedirectedError) Error() string { return "gateway: the server sends us to " + e.Gateway }

// elsewhere is the gateway that a new client is sent to before anything else.
func (g *Gateway) elsewhere(_, _ netip.Addr) string { return g.config.Config.Redirect.To }

// sendAway tells the clients that understand it where to go when this server ends.
func (g *Gateway) sendAway(now time.Time) {
	to := g.config.Config.Redirect.To
	if to == "" {
		return
	}
	told := 0
	for id := range g.peers {
		if g.ike.Redirect(now, ike.Peer(id), to) == nil {
			told++
		}
	}
	g.emit(event.ClientsRedirected{To: to, Clients: told})
}

// sentAway is what a client of a tenant gets that is served elsewhere.
func (g *Gateway) sentAway(p *peer, t *tenantState, e ike.Assign) (ike.Assignment, bool) {
	if t.Redirect == "" || !e.Wants.Redirectable {
		return ike.Assignment{}, false
	}
	about := p.about()
	about.Tenant = t.Name
	g.emit(event.ClientRedirected{Peer: about, User: e.Identity, To: t.Redirect})
	return ike.Assignment{OK: true, Redirect: t.Redirect}, true
}

// redirected notes that the server of a call names another gateway. A call that
// stands is hung up; one that does not either goes there by itself or ends.
func (g *Gateway) redirected(now time.Time, e ike.Redirected) {
	g.log.Info("redirected", zap.String("to", e.Gateway))
	p := g.peers[uint64(e.Peer)]
	if p == nil || p.dial == nil {
		return
	}
	p.dial.elsewhere = &RedirectedError{e.Gateway}
	if p.dial.conn != nil {
		g.fail(now, p.dial, p.dial.elsewhere)
	}
}

// closedBecause is why a call has ended.
func (d *dial) closedBecause(e ike.Closed) error {
	switch {
	case e.Cause == ike.CauseRedirected && d.elsewhere != nil:
		return d.elsewhere
	case e.Cause != ike.CauseNone:
		return fmt.Errorf("%w: %s: %s: %s", ErrEnded, e.Reason, e.Cause, e.Detail)
	}
	return fmt.Errorf("%w: %s", ErrEnded, e.Reason)
}

// How often a call follows from one gateway to the next: MAX_REDIRECTS and
// REDIRECT_LOOP_DETECT_PERIOD (RFC 5685, section 10).
const (
	maxRedirects   = 5
	redirectPeriod = 5 * time.Minute
)

// route is where Connect calls: the server it was told, or the one it was sent to.
type route struct {
	server string
	from   netip.Addr // the gateway that has sent us there; invalid: none
	called netip.Addr // the address of server
	had    netip.Addr // the address that we were given last; invalid: none
	local  netip.Addr // our own on the way there; invalid: there is no way
	lost   bool       // there was no way since local was that
	times  []time.Time
	*watcher
}

// home goes back to the server that we were told.
func (r *route) home(server string) { r.server, r.from = server, netip.Addr{} }

// follow goes where a server has sent us, unless that is too often.
func (r *route) follow(now time.Time, to string, from netip.Addr) bool {
	if len(r.times) >= maxRedirects && now.Sub(r.times[len(r.times)-maxRedirects]) < redirectPeriod {
		return false
	}
	r.server, r.from = to, from
	r.times = append(r.times[max(0, len(r.times)-maxRedirects+1):], now)
	return true
}
