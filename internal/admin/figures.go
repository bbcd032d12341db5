package admin

import (
	"maps"
	"net/netip"
	"time"
)

// Figures are what a server has, and what it has counted, at one moment. What is said to
// be of now goes up and down; everything else is counted since the server runs, and
// never falls.
type Figures struct {
	At       time.Time    `json:"at"`
	Since    time.Time    `json:"since"` // when the server began to run
	Version  string       `json:"version"`
	Listen   []netip.Addr `json:"listen"`
	IKEPort  uint16       `json:"ike_port"`
	NATTPort uint16       `json:"nat_t_port"`

	Peers     int      `json:"peers"`   // now: clients with keys, logged in or not
	HeldUp    int      `json:"held_up"` // now: logins that wait, since they may be a guesser's
	Bans      int      `json:"bans"`    // now: in force, also those of single users and devices
	All       Counted  `json:"all"`     // of all tenants, and of nobody
	Tenants   []Tenant `json:"tenants"` // in the order of the configuration
	Faults    uint64   `json:"faults"`  // of the program, survived
	Refused   Named    `json:"refused"` // messages that a protocol made nothing of, by protocol
	IKE       IKE      `json:"ike"`
	L2TP      L2TP     `json:"l2tp"`
	Sockets   Sockets  `json:"sockets"`   // all of them
	Inbox     Inbox    `json:"inbox"`     // of the control loop
	Computing Jobs     `json:"computing"` // what takes a processor
	Waiting   Jobs     `json:"waiting"`   // what waits for a disk, a directory, an authority
}

// Named counts things by what they are called.
type Named map[string]uint64

// Counted is what is counted of one tenant, and of all.
type Counted struct {
	Sessions  int     `json:"sessions"`  // now: clients that are logged in
	Protocols Named   `json:"protocols"` // now: sessions, by protocol
	Up        Traffic `json:"up"`        // what clients sent, also those who have left
	Down      Traffic `json:"down"`      // what they were sent
	Dropped   Named   `json:"dropped"`   // packets, by cause; see docs/log.md
	Events    Named   `json:"events"`    // what happened, by event; see docs/events.md
	// Causes are why somebody did not get what he wanted, of each event that says so.
	Causes map[string]Named `json:"causes"`
}

// NewCounted returns a Counted of nothing.
func NewCounted() Counted {
	return Counted{Protocols: Named{}, Dropped: Named{}, Events: Named{}, Causes: map[string]Named{}}
}

// Tenant is what is counted of one tenant.
type Tenant struct {
	Name string `json:"name"`
	Counted
	Addresses Addresses  `json:"addresses"`          // of all pools
	Prefixes  *Addresses `json:"prefixes,omitempty"` // of IPv6; nil: it has none
	Pools     []Pool     `json:"pools"`
	Outside   int        `json:"outside"`            // now: sessions with other addresses than their users would be given
	Stack     *Stack     `json:"netstack,omitempty"` // nil: it has a device of the kernel
	DNS       *DNS       `json:"dns,omitempty"`
	// Flows are what became of flows; nil: no rules ever asked of any.
	Flows *FlowCounts `json:"flows,omitempty"`
}

// Addresses are those of a pool, now. Some of the free ones may be kept for one user.
type Addresses struct {
	InUse int `json:"in_use"`
	Free  int `json:"free"`
}

// Stack is what a tenant's own network stack counts.
type Stack struct {
	Flows   int    `json:"flows"`         // now: TCP connections and UDP ports
	Refused uint64 `json:"flows_refused"` // beyond the limits, or given up for others
	Queue   uint64 `json:"queue_dropped"` // packets to clients that nobody read in time
	Echoes  uint64 `json:"echoes_dropped"`
}

// DNS is what a tenant's forwarder counts.
type DNS struct {
	Queries   uint64 `json:"queries"` // answered or refused
	Failed    uint64 `json:"failed"`  // no name server answered
	Malformed uint64 `json:"malformed"`
	Dropped   uint64 `json:"dropped"` // beyond the limits
}

// IKE is what the key exchanges count. The first five are of now.
type IKE struct {
	Peers        int    `json:"peers"`
	SAs          int    `json:"ike_sas"`
	HalfOpen     int    `json:"half_open"` // exchanges with whoever has not shown yet who he is
	Children     int    `json:"child_sas"`
	Computations int    `json:"computations"`
	Received     uint64 `json:"received"` // messages
	Sent         uint64 `json:"sent"`
	Dropped      Named  `json:"dropped"` // messages, by why
}

// L2TP is what L2TP counts: control messages, but for the first three, which are of now.
type L2TP struct {
	Peers       int    `json:"peers"`
	Tunnels     int    `json:"tunnels"`
	Calls       int    `json:"calls"`
	Received    uint64 `json:"received"`
	Sent        uint64 `json:"sent"`
	Repeated    uint64 `json:"repeated"`
	Duplicates  uint64 `json:"duplicates"`
	Early       uint64 `json:"early"` // before their turn
	Dropped     uint64 `json:"dropped"`
	StrayHellos uint64 `json:"stray_hellos"` // of no tunnel
	Ignored     uint64 `json:"ignored"`      // without a meaning
}

// Sockets is what the sockets count: datagrams.
type Sockets struct {
	Received  uint64 `json:"received"`
	Truncated uint64 `json:"truncated"` // longer than there is room for
	Sent      uint64 `json:"sent"`
	Refused   uint64 `json:"refused"` // by the kernel
	Calls     uint64 `json:"system_calls"`
}

// Inbox is how many messages wait for the control loop, now. Those that found no room
// are among the packets dropped.
type Inbox struct {
	Peers     int `json:"peers"`
	Strangers int `json:"strangers"`
}

// Jobs is what a pool of goroutines has to do.
type Jobs struct {
	InLine  int    `json:"in_line"` // now: not begun
	AtWork  int    `json:"at_work"` // now: under way
	Refused uint64 `json:"refused"` // for want of room
}

// Tenant is that tenant's figures; false: there is none.
func (f *Figures) Tenant(name string) (Tenant, bool) {
	for _, t := range f.Tenants {
		if t.Name == name {
			return t, true
		}
	}
	return Tenant{}, false
}

// Losses is all that was dropped or refused, by what docs/log.md calls it: packets, messages
// that a protocol made nothing of, and what the tenants' own stacks refused.
func (f *Figures) Losses() Named {
	all := Named{}
	maps.Copy(all, f.All.Dropped)
	for protocol, n := range f.Refused {
		all[protocol+"-messages"] = n
	}
	for i := range f.Tenants {
		f.Tenants[i].refused(all)
	}
	return all
}

// Losses is what was dropped or refused of the tenant.
func (t *Tenant) Losses() Named {
	all := Named{}
	maps.Copy(all, t.Dropped)
	t.refused(all)
	return all
}

// refused adds what the tenant's own stack refused.
func (t *Tenant) refused(all Named) {
	if c := t.DNS; c != nil {
		all[t.Name+"-dns-failed"], all[t.Name+"-dns-malformed"], all[t.Name+"-dns-dropped"] = c.Failed, c.Malformed, c.Dropped
	}
	if c := t.Stack; c != nil {
		all[t.Name+"-flows"], all[t.Name+"-queue"], all[t.Name+"-echoes"] = c.Refused, c.Queue, c.Echoes
	}
}
