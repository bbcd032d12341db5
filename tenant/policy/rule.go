package policy

import (
	"errors"
	"net/netip"
	"slices"
)

// ErrTooMany says that there are more rules than are ever compiled.
var ErrTooMany = errors.New("policy: too many rules")

// Bounds of what is compiled, in one set of rules: an entry is a rule, or one for each
// service in it with ports of its own.
const (
	MaxSets     = 256 // of a tenant
	MaxRules    = 4096
	maxNetworks = 16384
)

// Kind is what a Peer is known by.
type Kind uint8

// The kinds.
const (
	Anybody Kind = iota
	InNetwork
	IsUser
	InGroup
	OfSite
	UnderFilter
	// InPool is the session of whoever was given an address of a pool, of that name or
	// of any, which need not have that address any more.
	InPool
)

// Peer is one end of a flow as rules name it: everybody, whoever has an address of a
// network, or the session of a user, of a group, of a site or under a filter.
type Peer struct {
	Kind    Kind
	Network netip.Prefix // InNetwork
	Name    string       // of the user, group, site, filter or pool
}

// Ports are ports of a protocol, or types of ICMP. The zero Ports are everything.
type Ports struct {
	// Protocol is its number. 1 is ICMP of IPv4 alone, 58 that of IPv6; 0: all.
	Protocol uint8
	// First and Last port, or type; All instead of them.
	First, Last uint16
	All         bool
}

// holds reports whether a flow to a port, or of a type, is of these.
func (p Ports) holds(protocol uint8, port uint16) bool {
	return p.Protocol == 0 || p.Protocol == protocol && (p.All || p.First <= port && port <= p.Last)
}

// Target is where a rule leads: a peer, and which ports of it.
type Target struct {
	Peer
	Ports []Ports // none: all
}

// Log is which packets that a rule decides are logged.
type Log uint8

// What is logged.
const (
	logNone  Log = iota
	LogFirst     // of each flow
)

// Rule says of new flows whether they go on. What it is not about it leaves to the next.
type Rule struct {
	Name  string
	From  []Peer   // any of them; none: anybody
	To    []Target // any of them; none: anybody
	Ports []Ports  // any of them; none: all
	When  *Schedule
	Allow bool
	Log   Log
	Words Words
}

// Words are a rule as it is written, for whoever is shown it. They decide nothing.
type Words struct {
	From, To, Ports []string // none: all
	When            string   // empty: always
}

// Set are rules of one origin: of the tenant, of a group, of a user, of the other side of
// an export. The first rule that is about a flow decides, else Allow.
type Set struct {
	Name string
	// Who are the sessions that it is for, on either end of a flow; none: all.
	Who []Peer
	// Between are the networks that it is for, on either end of a flow; none: all.
	Between []netip.Prefix
	// Allow is what is said of flows that no rule is about.
	Allow bool
	Rules []Rule
}

// Identity is who a session is to the rules.
type Identity struct {
	User string
	// Session is its number, for whoever is shown its flows.
	Session uint64
	Groups  []string
	Site    string
	Pool    string // of which it was given its address
	// Filters are sets by which it is held beside those that are for everybody, by the
	// names that Who of them has. Under one that there is none of, it may do nothing.
	Filters []string
}

// is reports whether a peer that is no network is this session; nil: of the network.
func (i *Identity) is(p Peer) bool {
	switch p.Kind {
	case Anybody:
		return true
	case IsUser:
		return i != nil && i.User == p.Name && p.Name != ""
	case OfSite:
		return i != nil && i.Site == p.Name && p.Name != ""
	case InPool:
		return i != nil && i.Pool != "" && (p.Name == "" || i.Pool == p.Name)
	case InGroup:
		return i != nil && slices.Contains(i.Groups, p.Name)
	case UnderFilter:
		return i != nil && slices.Contains(i.Filters, p.Name)
	}
	return false
}
