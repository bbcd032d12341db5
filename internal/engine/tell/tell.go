package tell

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/event"
	"github.com/culvert-vpn/culvert/internal/x/fault"
)

// About is a peer as events name it. tenant is whose client it is; of a server that we have
// called, neither that nor its family is known.
func About(p *engine.Peer, tenant string) event.Peer {
	e := event.Peer{Protocol: p.Protocol(), IKE: p.Suite, ESP: p.ESP()}
	if p.Called {
		e.Server = p.Path.Remote
		return e
	}
	e.Tenant, e.Client, e.Family = tenant, p.Path.Remote, string(p.Family)
	return e
}

// AboutSession is a session as events name it, of whose user, with the address that it has.
func AboutSession(s *engine.Session, tenant, user string, addr netip.Addr) event.Session {
	e := event.Session{Peer: About(s.Peer, tenant), ID: s.ID, User: user, Address: addr}
	e.Protocol = s.Protocol()
	return e
}

// Of is what is said of an event of the engine, whoever drives that, about a peer of that
// tenant; nil: nothing.
func Of(e engine.Event, tenant string) event.Event {
	var about event.Peer
	if p := engine.PeerOf(e); p != nil {
		about = About(p, tenant)
	}
	switch e := e.(type) {
	case engine.Secured:
		return event.PeerUp{Peer: about}
	case engine.Moved:
		if about.Server.IsValid() {
			about.Server = e.From
		} else {
			about.Client = e.From
		}
		return event.PeerMoved{Peer: about, To: e.To, Moves: e.Moves}
	case engine.Closed:
		if e.Peer.Suite == "" { // it never was up
			return nil
		}
		return event.PeerDown{Peer: about, Reason: e.Reason.String()}
	case engine.SARefused:
		return event.SARefused{Peer: about, Err: e.Err}
	case engine.RouteRefused:
		return event.RouteRefused{Peer: about, Err: e.Err}
	case engine.LinkRefused:
		return event.LinkRefused{Peer: about, Err: e.Err}
	case engine.RekeyRefused:
		return event.RekeyRefused{Peer: about, Err: e.Err}
	case engine.Worn:
		return event.SAWorn{Peer: about, Cause: e.Cause, Hint: "the client did not renew it in time, and dials again"}
	case engine.Untold:
		return event.IKERefusedUntold{
			Attempts: e.Attempts,
			Hint:     "more attempts failed than are worth a line each, probably a flood of first messages; those in the log are a sample",
		}
	}
	return nil
}

// Failed says why an attempt came to nothing in IKE. tenant is whose client it was.
func Failed(e engine.Failed, tenant string) event.Event {
	refused := event.IKERefused{Local: e.Path.Local, Cause: e.Cause.String(), Detail: e.Detail}
	if e.Peer != nil && e.Peer.Called {
		refused.Server, refused.Hint = e.Path.Remote, e.Cause.HintDialling()
	} else {
		refused.Tenant, refused.Client, refused.Hint = tenant, e.Path.Remote, e.Cause.Hint()
	}
	return refused
}

// Down says that a session has left the network that it was in.
func Down(s *engine.Session, about event.Session) event.Event {
	e := event.SessionDown{
		Session: about, Reason: s.Reason, After: time.Since(s.Up).Round(time.Second),
		BytesUp: s.Plane.Up.Bytes(), BytesDown: s.Plane.Down.Bytes(),
	}
	if s.Link != nil {
		e.Unanswered = s.Link.Unanswered()
	}
	return e
}

// Fault says that a panic was survived.
func Fault(r fault.Report) event.Event {
	return event.Fault{
		Where: r.Where, What: r.What, Faults: r.Count, Stack: r.Stack,
		Hint: "culvert goes on and has ended the session that this came from; please report it, with this line",
	}
}

// Buffers says in one line that the receive buffers of sockets are smaller than they should
// be; nil: they are not.
func Buffers(e *engine.Engine) event.Event {
	granted, wanted := e.ReceiveBuffers()
	if granted >= wanted {
		return nil
	}
	return event.ReceiveBufferSmall{
		Granted: granted, Wanted: wanted,
		Help: fmt.Sprintf("packets that come in a burst are lost: run sysctl -w net.core.rmem_max=%d, or give culvert CAP_NET_ADMIN", wanted),
	}
}

// SinkFailed says that a sink of events panicked, which is not told of events any more.
func SinkFailed(log *zap.Logger) func(v any) {
	return func(v any) {
		defer func() { _ = recover() }() // the log is one of them
		log.Error("event-sink", zap.String("what", fmt.Sprint(v)), zap.String("hint", "it is told nothing any more until culvert is started anew; please report it"))
	}
}

// ReportInterval is how often at most the log says what was dropped and refused.
const ReportInterval = time.Minute

// maxReported bounds how much one line names.
const maxReported = 40

// Dropped says what has been dropped and refused since an earlier count; nil: nothing.
func Dropped(now, before map[string]uint64) event.Event {
	if added := since(now, before); len(added) > 0 {
		return event.Dropped{Since: added[:min(len(added), maxReported)]}
	}
	return nil
}

// since is what has been added to an earlier count, the largest first, as name=number.
func since(now, before map[string]uint64) []string {
	added := make(map[string]uint64)
	for what, n := range now {
		if n > before[what] {
			added[what] = n - before[what]
		}
	}
	names := slices.SortedFunc(maps.Keys(added), func(a, b string) int {
		return cmp.Or(cmp.Compare(added[b], added[a]), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s=%d", name, added[name])
	}
	return names
}
