package dialer

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// RedirectedError says that the server that was called names another gateway: an
// address, or a host name.
type RedirectedError struct{ Gateway string }

// Error is a sentence for the log.
func (e *RedirectedError) Error() string { return "dialer: the server sends us to " + e.Gateway }

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

// look asks the kernel for our address on the way to the server, which is not one within
// the connection, or one of a link for want of a better. moved: it is another than the server
// knows, or there was none meanwhile.
func (r *route) look(inner ...netip.Addr) (local netip.Addr, moved bool) {
	if !r.called.IsValid() {
		return netip.Addr{}, false
	}
	local, ok := SourceFor(r.called)
	if !ok || slices.Contains(inner, local) || local.IsLinkLocalUnicast() && !r.called.IsLinkLocalUnicast() {
		r.lost = true
		return netip.Addr{}, false
	}
	return local, local != r.local || r.lost
}

// rest waits between two attempts, but not beyond the time when there is another way to
// the server; false: ctx is done.
func (r *route) rest(ctx context.Context, pause time.Duration) bool {
	over := time.After(pause)
	for {
		select {
		case <-over:
			return true
		case <-ctx.Done():
			return false
		case <-r.changed:
			if _, moved := r.look(); moved {
				return true
			}
		}
	}
}
