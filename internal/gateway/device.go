package gateway

import (
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/dns"
	"github.com/culvert-vpn/culvert/tenant/netstack"
	"github.com/culvert-vpn/culvert/tenant/policy"
	"github.com/culvert-vpn/culvert/tenant/tun"
)

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

// devices opens the tenants' devices, and has what they share.
type devices struct {
	queues int
	host   *netstack.Host
	ports  *netstack.Ports
	faults *fault.Log
	pools  allPools // of all tenants: none is a way from one to another
}

// allPools is what belongs to the clients of all tenants. It implements policy.Closer, and
// is swapped whole when tenants come or go.
type allPools struct {
	now      atomic.Pointer[policy.Reach]
	unpooled reach // addresses of sessions that no pool has any more
}

// Closes implements policy.Closer.
func (p *allPools) Closes(addr netip.Addr) (bits int, closed bool) {
	if bits, closed = p.now.Load().Closes(addr); closed {
		return bits, closed
	}
	return p.unpooled.Closes(addr)
}

// poolsOf are the pools of all tenants of a configuration.
func poolsOf(c *config.Config) (*policy.Reach, error) {
	var all []netip.Prefix
	for i := range c.Tenants {
		all = append(all, c.Tenants[i].Ranges()...)
	}
	return policy.NewReach(masked(all), nil)
}

func newDevices(c *config.Config, faults *fault.Log) (*devices, error) {
	pools, err := poolsOf(c)
	if err != nil {
		return nil, err
	}
	host, err := netstack.NewHost(faults)
	if err != nil {
		return nil, err
	}
	d := &devices{queues: tunQueues(c.Workers), host: host, ports: netstack.NewPorts(0), faults: faults}
	d.pools.now.Store(pools)
	return d, nil
}

// open opens the device that a tenant's egress says, with a DNS forwarder on its
// gateway address.
func (d *devices) open(t *config.Tenant) (tenant.Device, error) {
	forwarder, err := dns.New(dns.Config{Faults: d.faults})
	if err != nil {
		return nil, err
	}
	addresses, routes := addressesOf(t)
	if e := t.Egress.TUN; e != nil {
		return tun.New(tun.Config{
			Name: e.Device, Netns: e.NetNS, Addresses: addresses, Routes: routes, MTU: t.MTU, DNS: forwarder,
			Queues: d.queues, ClientBits: t.PrefixBits(),
		})
	}
	c := d.netstack(t)
	c.Addresses, c.DNS = addresses, forwarder
	return netstack.New(c)
}

// addressesOf are the addresses of a tenant's device, and what leads to it besides.
func addressesOf(t *config.Tenant) (addresses, routes []netip.Prefix) {
	addresses, rest := []netip.Prefix{netip.PrefixFrom(t.Gateway(), t.Pool[0].Bits())}, t.Pool[1:]
	if len(t.Pool6) > 0 {
		addresses = append(addresses, netip.PrefixFrom(t.Gateway6(), t.Pool6[0].Bits()))
		rest = slices.Concat(rest, t.Pool6[1:])
	}
	for _, p := range t.Pools {
		rest = slices.Concat(rest, p.Ranges())
	}
	return addresses, masked(rest)
}

// netstack is what the inner stack of a tenant may do.
func (d *devices) netstack(t *config.Tenant) netstack.Config {
	c := netstack.Config{
		Pool: masked(t.Ranges()), MTU: t.MTU,
		FlowsPerSource: t.Limits.Flows, Host: d.host, Others: &d.pools, Ports: d.ports, ClientBits: t.PrefixBits(), Hairpin: t.ClientToClient,
		Faults: d.faults,
	}
	if e := t.Egress.Netstack; e != nil {
		c.Allow, c.Deny = e.Allow, e.Deny
		c.TCPIdle, c.TCPHalfClosed, c.HandshakeTimeout = e.Timeouts.TCP, e.Timeouts.TCPHalfClosed, e.Timeouts.TCPConnect
		c.UDPIdle, c.DNSIdle, c.ICMPIdle = e.Timeouts.UDP, e.Timeouts.DNS, e.Timeouts.ICMP
	}
	return c
}

// close frees what the devices shared, when they are closed. A nil one shared
// nothing.
func (d *devices) close() {
	if d != nil {
		d.host.Close()
	}
}

// besideTUN is where a tenant's clients do not go by a device of the kernel, with what sessions
// of others have that no pool has any more. running are the tenants that there are so far.
func besideTUN(c *config.Config, t *config.Tenant, running *roster) (*policy.Reach, error) {
	var also []policy.Closer
	for _, other := range running.tenants {
		if now, stays := c.Tenant(other.Name); stays && sharesNetwork(t, now) {
			also = append(also, &other.reach)
		}
	}
	return c.BesideTUN(t, also...)
}

func masked(prefixes []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		out = append(out, p.Masked())
	}
	return out
}
