package gateway

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/autoconf"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// tenantState is a tenant at work: its configuration, its addresses and its device. There
// is one for as long as the tenant runs; all but its configuration outlives a change of that.
type tenantState struct {
	Name           string                        // for ever
	*config.Tenant                               // what it is now, to the control loop
	conf           atomic.Pointer[config.Tenant] // the same, to everybody else
	gone           bool                          // it takes nobody any more

	pools
	outsiders
	device   tenant.Device
	port     *dataplane.Port
	way      atomic.Pointer[way]      // the same two, to everybody but the control loop
	cut      bool                     // the device was closed, and could not be opened again; Apply's
	sessions map[netip.Addr]*session  // by the address given
	users    map[string][]*session    // those by the user, oldest first
	tells    *autoconf.Responder      // what clients ask once they are up
	trust    *trust                   // in certificates of clients
	grant    *access.Grant            // what everybody of it is granted
	personal map[string]*access.Grant // what those are who have more, by user, as far as it was asked
	closed   *policy.Reach            // where the device leads and clients do not go; nil: nowhere
	inForce  *policy.Rules            // of the port
	policy   *policy.Rules            // the same, or those that follow them
	left     *carried                 // by sessions that have ended
}

// grants is what a user of the tenant is granted, who has something of his own, or nil.
func (t *tenantState) grants(key string, own *access.Own) *access.Grant {
	if _, written := t.Policy.Own(key); written {
		own = nil // the configuration comes before the store
	}
	if g := t.personal[key]; g != nil && own == nil {
		return g
	}
	layers := access.LayersOf(t.Tenant, key, own)
	if f, static := t.static[key]; static {
		layers = append(layers, access.Layer{From: access.FromUser, Terms: access.Terms{Address: f.addr, Prefix: f.prefix}})
	}
	if len(layers) == 0 {
		return t.grant
	}
	g := access.GrantOf(t.Tenant, layers...)
	if own == nil {
		t.personal[key] = g
	}
	return g
}

// full reports whether the tenant has as many sessions as it may.
func (t *tenantState) full() bool {
	return t.Limits.Sessions > 0 && len(t.sessions) >= t.Limits.Sessions
}

// crowded reports whether a user has as many sessions as he may. Who has one address
// has one session, and another takes its place.
func (t *tenantState) crowded(key string) bool {
	return t.Limits.SessionsPerUser > 0 && len(t.users[key]) >= t.Limits.SessionsPerUser && !t.static[key].addr.IsValid()
}

// leave takes a session out of its user's.
func (t *tenantState) leave(s *session) {
	key := s.key()
	t.users[key] = slices.DeleteFunc(t.users[key], func(o *session) bool { return o == s })
	if len(t.users[key]) == 0 {
		delete(t.users, key)
	}
}

// release gives back what a session held.
func (t *tenantState) release(now time.Time, s *session) {
	if s.leased {
		s.leased = false
		delete(t.sessions, s.addr)
		t.leave(s)
		t.leaves(s)
		t.pools.release(s, now)
		if d, ok := t.device.(interface{ Forget(netip.Addr) }); ok {
			d.Forget(s.addr)
			if s.prefix.IsValid() {
				d.Forget(s.prefix.Addr())
			}
		}
		s.prefix = netip.Prefix{}
	}
}

func (t *tenantState) close() {
	if t.device != nil {
		t.device.Close()
	}
}

// ranges are those of clients, of both families.
func (t *tenantState) ranges() []netip.Prefix { return t.Ranges() }

// dialledAt reports whether the tenant's clients dial that address of ours.
func (t *tenantState) dialledAt(local netip.Addr) bool {
	return len(t.Match.Local) == 0 || slices.Contains(t.Match.Local, local)
}

// verifyClient decides on the certificate of a client. It runs in the pool.
func (t *tenantState) verifyClient(now time.Time, chain []*x509.Certificate, id wire.ID2) error {
	if _, err := t.trust.Verify(now, chain, auth.PurposeClient); err != nil {
		return err
	}
	if !t.conf.Load().Match.StrictIdentity {
		return nil // who it is, the certificate says
	}
	if err := auth.MatchID(chain[0], id, auth.PurposeClient); err != nil {
		return fmt.Errorf("%w; match.certificate_identity: strict wants one of these", err)
	}
	return nil
}

// certifies says what is against a client's certificate in a tenant. It runs in the pool.
func (t *tenantState) certifies(now time.Time, e ike.Login) error {
	if !t.conf.Load().Auth.Allow.Certificate {
		return errNoCertificates
	}
	_, err := t.trust.Verify(now, e.Certificates, auth.PurposeClient)
	return err
}

var errNoCertificates = errors.New("gateway: the tenant takes no certificates of clients")

// way is a tenant's device and its place in the data plane.
type way struct {
	device tenant.Device
	port   *dataplane.Port
}
