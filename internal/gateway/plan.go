package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/autoconf"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// plan is how one configuration takes the place of another.
type plan struct {
	running, next *config.Config
	before        *roster

	tenants  []*tenantState // of the next roster
	renewed  []renewal      // those that stay
	opened   []*tenantState // those that are new
	gone     []*tenantState
	selector *tenant.Selector
	pools    *policy.Reach
	changes  Changes

	openings []*opening
	leaving  []leaving
	told     []*told
	closed   []leaving         // before anything could be opened in their place
	former   []*dataplane.Port // of tenants that stay, with another one

	end    bool            // sessions outside end at once
	made   atomic.Bool     // it is what runs
	leases [][]store.Lease // of gone; nil: there is no store
}

// applier puts one configuration in the place of another.
type applier struct {
	server   *server
	logins   *logins
	applying chan struct{} // has room for one Apply
	feeds    []*feed       // of whoever follows files

	// What follows belongs to the control loop.
	applied    *config.Config // what runs, if it came by Apply
	superseded []superseded   // what came so before it
}

func newApplier(l *logins) *applier {
	return &applier{server: l.server, logins: l, applying: make(chan struct{}, 1)}
}

// Changes are what Apply has done: tenants by name, in the order of the configuration.
type Changes struct {
	Added, Changed, Removed []string
	// Outside are sessions whose users would be given other addresses by now.
	Outside []admin.Outside
	// RestartNeeded is what stays as it was until the server is started anew.
	RestartNeeded []string
}

// errApply is what a panic leaves.
var errApply = errors.New("gateway: a fault of the server; see the log")

// renewal is what a tenant that stays is to be.
type renewal struct {
	tenant  *tenantState
	conf    *config.Tenant
	changed bool
	rekeyed bool // other keys open it
	tells   *autoconf.Responder
	trust   *trust        // nil: the one it has
	closed  *policy.Reach // see tenantState
	rules   *policy.Rules
	pools   *pools   // nil: those it has
	opening *opening // of another device; nil: it keeps the one it has
}

// superseded is a configuration that came by Apply and does not run any more.
type superseded struct {
	conf  *config.Config
	since time.Time
}

// opening is a device that a plan opens.
type opening struct {
	tenant *tenantState
	conf   *config.Tenant
	device tenant.Device // nil: it is not open
}

// leaving is a device that goes if a plan comes to run, with what it was opened by.
type leaving struct {
	tenant *tenantState
	conf   *config.Tenant
	lost   bool // it is not there any more where it was opened
	away   bool // it is elsewhere, and in nobody's way
}

// told is a device that stays and is told what is new.
type told struct {
	tenant    *tenantState
	was, conf *config.Tenant
	reach     *policy.Reach  // of an inner stack; nil: it is none
	unpooled  []netip.Prefix // that sessions have besides what conf says
}

// made is what a device is made with and cannot be told later.
type made struct {
	tun               bool
	device, netns     string
	timeouts          config.Timeouts
	mtu, flows, bits  int
	gateway, gateway6 netip.Addr
}

func madeWith(t *config.Tenant) made {
	m := made{mtu: t.MTU, bits: t.PrefixBits(), gateway: t.Gateway(), gateway6: t.Gateway6()}
	if e := t.Egress.TUN; e != nil {
		m.tun, m.device, m.netns = true, e.Device, e.NetNS
		return m
	}
	m.flows = t.Limits.Flows
	if e := t.Egress.Netstack; e != nil {
		m.timeouts = e.Timeouts
	}
	return m
}

// faultAt is an error about a tenant, with the place in its configuration.
func faultAt(c *config.Config, name string, err error, keys ...string) error {
	place := c.Place(name, keys...)
	if place != "" {
		place += ": "
	}
	return fmt.Errorf("gateway: %stenant %s: %w", place, name, err)
}
