package gateway

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/event"
)

// openTenant opens what a tenant of a configuration needs. What it returns is connected,
// or closed.
func (g *server) openTenant(c *config.Config, conf *config.Tenant) (*tenantState, error) {
	t, err := g.newTenant(c, conf, g.roster)
	if err == nil {
		t.device, err = g.config.OpenDevice(conf)
	}
	return t, err
}

// newTenant returns a tenant of a configuration, without a device. It may wait, and
// touches nothing that runs.
func (g *server) newTenant(c *config.Config, conf *config.Tenant, running *roster) (*tenantState, error) {
	t := &tenantState{Name: conf.Name, Tenant: conf, sessions: make(map[netip.Addr]*session), users: make(map[string][]*session), trust: g.newTrust(conf), grant: access.GrantOf(conf), personal: make(map[string]*access.Grant), left: new(carried)}
	t.conf.Store(conf)
	g.warnOfCertificates(conf)
	var err error
	if t.pools, err = newPools(conf); err != nil {
		return nil, err
	}
	if t.tells, err = t.newResponder(); err != nil {
		return nil, err
	}
	if t.closed, err = besideTUN(c, conf, running); err != nil {
		return nil, err
	}
	t.policy = rulesOf(conf, t.closed, nil)
	g.restoreLeases(t)
	return t, nil
}

// connect has the data plane carry a tenant's packets, by its device.
func (g *server) connect(t *tenantState) {
	g.warnOfOffload(t)
	t.port = g.engine.Plane.AddDevice(dataplane.PortConfig{Device: t.device, Gateways: t.Gateways(), Rules: t.policy, Flows: t.Limits.Flows, Former: t.port})
	t.inForce = t.policy
	t.way.Store(&way{t.device, t.port})
}

// warnOfOffload names a device of the kernel that takes packets one by one.
func (g *server) warnOfOffload(t *tenantState) {
	if d, ok := t.device.(interface{ Offload() (tcp, udp bool) }); ok {
		if tcp, _ := d.Offload(); !tcp {
			g.emit(event.NoOffload{Tenant: t.Name, Hint: "the kernel takes and gives this tenant's packets one by one, which costs throughput"})
		}
	}
}

// warnOfCertificates says what is wrong with the tenant's own certificate.
func (g *server) warnOfCertificates(t *config.Tenant) {
	if t.Certificate == nil {
		return
	}
	if leaf := t.Certificate.Chain[0]; time.Now().After(leaf.NotAfter) {
		g.emit(event.CertificateExpired{
			Tenant: t.Name, Certificate: fmt.Sprint(leaf.Subject), At: leaf.NotAfter,
			Hint: "clients of IKEv2 will refuse it: issue another with `culvert ca server`",
		})
	}
}
