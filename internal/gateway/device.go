package gateway

import (
	"net/netip"
	"runtime"
	"slices"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/dns"
	"github.com/culvert-vpn/culvert/tenant/netstack"
	"github.com/culvert-vpn/culvert/tenant/tun"
)

// everything is all destinations there are.
var everything = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// tunQueues is how many queues a TUN device has, and with it how many goroutines
// seal what comes out of it. The kernel keeps a flow in one queue. Two queues on
// two cores carried no more than one, since the workers need the cores as well
// (docs/performance.md); beyond that, one core's sealing would be the limit.
func tunQueues(workers int) int {
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return min(max(1, workers/2), maxTUNQueues)
}

// maxTUNQueues is more than any link can use.
const maxTUNQueues = 32

// openDevice opens the device that a tenant's egress says, with a DNS forwarder
// on its gateway address.
func openDevice(t *config.Tenant, queues int) (tenant.Device, error) {
	forwarder, err := dns.New(dns.Config{})
	if err != nil {
		return nil, err
	}
	addresses, rest := []netip.Prefix{netip.PrefixFrom(t.Gateway(), t.Pool[0].Bits())}, t.Pool[1:]
	if len(t.Pool6) > 0 {
		addresses = append(addresses, netip.PrefixFrom(t.Gateway6(), t.Pool6[0].Bits()))
		rest = slices.Concat(rest, t.Pool6[1:])
	}
	if e := t.Egress.TUN; e != nil {
		return tun.New(tun.Config{
			Name: e.Device, Netns: e.NetNS, Addresses: addresses, Routes: masked(rest), MTU: t.MTU, DNS: forwarder,
			Queues: queues,
		})
	}
	c := netstack.Config{
		Addresses: addresses, Pool: masked(slices.Concat(t.Pool, t.Pool6)), MTU: t.MTU,
		FlowsPerSource: t.Limits.Flows, DNS: forwarder,
	}
	if e := t.Egress.Netstack; e != nil {
		c.Allow, c.Deny = e.Allow, e.Deny
		if len(e.Allow) > 0 {
			c.Deny = append(append([]netip.Prefix(nil), c.Deny...), everything...)
		}
	}
	return netstack.New(c)
}

func masked(prefixes []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		out = append(out, p.Masked())
	}
	return out
}
