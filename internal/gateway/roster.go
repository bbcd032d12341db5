package gateway

import (
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/tenant"
)

// roster is who the tenants are and how they are found. It is swapped whole when tenants
// come, go or change; what it remembers of its own belongs to the control loop.
type roster struct {
	tenants  []*tenantState // in the order of the configuration
	selector *tenant.Selector
	keys     *keyring
}

func newRoster(tenants []*tenantState, selector *tenant.Selector) *roster {
	return &roster{tenants: tenants, selector: selector, keys: newKeyring(tenants)}
}

// named returns the tenant of that name, or nil.
func (r *roster) named(name string) *tenantState { return r.keys.named[name] }

// newSelector tells tenants apart by the realms of their users.
func newSelector(tenants []config.Tenant) (*tenant.Selector, error) {
	names := make([]tenant.Names, 0, len(tenants))
	for i := range tenants {
		t := &tenants[i]
		names = append(names, tenant.Names{Tenant: t.Name, Realms: t.Match.Realms, Default: t.Default})
	}
	return tenant.NewSelector(names)
}
