package policy

import (
	"fmt"
	"net/netip"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// Direction is which way a packet goes.
type Direction uint8

// The directions.
const (
	Up   Direction = iota // from a client
	Down                  // to a client, from its tenant's network or from another client
)

// Verdict is what the rules say of a packet.
type Verdict uint8

// The verdicts.
const (
	Network   Verdict = iota // up: into the tenant's network
	Client                   // up: to whichever client has the destination
	Deliver                  // down: to the client
	Source                   // not on: its source is not the session's own
	Neighbour                // not on: from one client to another, where that is closed
	Denied                   // not on: to where the tenant's clients may not go
)

// Config is what Rules are made of.
type Config struct {
	// Clients are the prefixes whose addresses are clients of the tenant.
	Clients []netip.Prefix
	// Gateways are the addresses among them that are the gateway's own, at most one a
	// family: everybody reaches them, and is reached from them.
	Gateways []netip.Addr
	// ClientToClient lets clients reach each other.
	ClientToClient bool
	// Closed is where clients may not go by the tenant's network; nil: that is the
	// matter of whoever opens the way there.
	Closed *Reach
	// Sets are the rules of new flows; none: all that is not closed may be.
	Sets []Set
}

// Rules are the compiled policy of one tenant. They are never changed after New and may
// be used concurrently.
//
// Clients of one tenant are closed to each other unless the tenant opens them. That takes
// two looks: at the destination of what a client sends, and at the source of what comes
// to one, for a network with routes of its own, as the kernel has them, would turn such
// a packet round. Either is closed by the range and not by the session, so that nobody
// finds out who is there.
type Rules struct {
	clients  addressRange
	gateway4 netip.Addr
	gateway6 netip.Addr
	open     bool
	closed   *Reach

	sets      []*ruleSet
	schedules []*Schedule
	filters   map[string]bool // that sessions may be under
	stranger  *view           // of what is no session
}

// Compile is New for rules that have sets.
func Compile(c Config) (*Rules, error) {
	r := New(c)
	r.filters = map[string]bool{}
	if len(c.Sets) > MaxSets {
		return nil, fmt.Errorf("%w: more than %d sets of them", ErrTooMany, MaxSets)
	}
	for _, set := range c.Sets {
		s, err := compileSet(set, &r.schedules)
		if err != nil {
			return nil, err
		}
		r.sets = append(r.sets, s)
		for _, p := range set.Who {
			if p.Kind == UnderFilter {
				r.filters[p.Name] = true
			}
		}
	}
	r.stranger = r.newView(nil)
	return r, nil
}

// New compiles rules without sets.
func New(c Config) *Rules {
	r := &Rules{clients: newRange(c.Clients), open: c.ClientToClient, closed: c.Closed}
	for _, a := range c.Gateways {
		if a.Is4() {
			r.gateway4 = a
		} else {
			r.gateway6 = a
		}
	}
	return r
}

// Judge says where a packet goes. who is the session that it comes from, or, down, the
// one that it is for. It does not allocate.
func (r *Rules) Judge(dir Direction, who *Subject, ip *ipkt.Packet) Verdict {
	if dir == Down {
		return r.judgeDown(ip)
	}
	switch {
	case !who.Owns(ip):
		return Source
	case r.clients.destination(ip) && !r.isGateway(ip.Destination()):
		if r.open {
			return Client
		}
		return Neighbour
	case r.closed != nil && r.closed.Denies(ip.Destination()):
		return Denied
	}
	return Network
}

func (r *Rules) judgeDown(ip *ipkt.Packet) Verdict {
	if !r.open && r.clients.source(ip) && !r.isGateway(ip.Source()) {
		return Neighbour
	}
	return Deliver
}

// OfClients reports whether the source of a packet is an address that clients have.
func (r *Rules) OfClients(ip *ipkt.Packet) bool {
	return r.open && r.clients.source(ip) && !r.isGateway(ip.Source())
}

// isGateway reports whether an address is the gateway's own.
func (r *Rules) isGateway(a netip.Addr) bool { return a == r.gateway4 || a == r.gateway6 }
