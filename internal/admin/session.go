package admin

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// ErrNoSession is returned when there is no session of that number.
var ErrNoSession = errors.New("admin: no such session")

// Session is a client that is logged in, at one moment.
type Session struct {
	ID       uint64         `json:"id"` // never used twice while the server runs
	Tenant   string         `json:"tenant"`
	User     string         `json:"user"`
	Family   string         `json:"family"`           // the kind of client
	System   string         `json:"system,omitempty"` // what it calls itself in PPP
	Host     string         `json:"host,omitempty"`   // what it calls itself in L2TP
	Protocol string         `json:"protocol"`         // "l2tp/ikev1", "ikev2"
	Client   netip.AddrPort `json:"client"`           // where its packets come from
	Address  netip.Addr     `json:"address,omitzero"` // inside the tunnel
	Prefix   netip.Prefix   `json:"prefix,omitzero"`  // of IPv6, inside the tunnel
	IKE      string         `json:"ike"`              // suites
	ESP      string         `json:"esp"`
	Since    time.Time      `json:"since"`
	Outside  bool           `json:"outside,omitempty"` // its user would be given another address by now
	Idle     int            `json:"idle_seconds"`      // since the last packet of the client's traffic
	Up       Traffic        `json:"up"`                // what the client sent
	Down     Traffic        `json:"down"`              // what it was sent
	Rekeys   int            `json:"rekeys"`            // of the child SA
	Granted  []Granted      `json:"granted,omitempty"`
}

// Granted is one thing that the client is granted: its name in the configuration, what it
// is, and who grants it ("tenant", "user").
type Granted struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// Traffic counts one direction: IP packets inside the tunnel.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Gateway is what the socket is a window to. All methods may be called from any
// goroutine.
type Gateway interface {
	// Sessions lists the sessions that are up, in any order.
	Sessions(ctx context.Context) ([]Session, error)
	// CloseSession ends one and tells its client; ErrNoSession: there is none.
	CloseSession(ctx context.Context, id uint64) error
	// Figures are what is counted.
	Figures(ctx context.Context) (Figures, error)
	// Bans are who is not to dial in, Ban and Unban change it. What is not carried out for
	// what it says is Refused.
	Bans(ctx context.Context) (Bans, error)
	Ban(ctx context.Context, o BanOrder) (Banned, error)
	Unban(ctx context.Context, p netip.Prefix, tenant string) ([]Ban, error)
	// Pools are the pools of all tenants.
	Pools(ctx context.Context) (PoolList, error)
	// Leases is a page of who has what of a pool; ErrNoPool: there is none of that name.
	Leases(ctx context.Context, q LeasesQuery) (LeasesPage, error)
	// Reload reads the configuration anew. An error says why nothing has changed.
	Reload(ctx context.Context, now bool) (Reloaded, error)
	// Policy are the rules in force of a tenant; ErrNoTenant: there is none of that name.
	Policy(ctx context.Context, tenant string) (Policy, error)
	// Flows lists flows of a tenant; ErrNoTenant: there is none of that name.
	Flows(ctx context.Context, q FlowQuery) (FlowList, error)
}

// Sort orders sessions by tenant, user and age.
func Sort(list []Session) {
	slices.SortFunc(list, func(a, b Session) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.User, b.User), cmp.Compare(a.ID, b.ID))
	})
}
