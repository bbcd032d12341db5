package dialer

import (
	"encoding/binary"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/autoconf"
)

// addresser is a device that can be given another address.
type addresser interface{ AddAddress(netip.Prefix) error }

// solicit asks the server of a call for its prefix, once there is a device to
// make an address for; a few times, for packets get lost.
func (d *Dialer) solicit(now time.Time, c *call) {
	c.solicitAt = time.Time{}
	if !c.config.IPv6 || c.id6 == 0 || c.device == nil || c.addr.IsValid() || c.solicited >= autoconf.Solicitations {
		return
	}
	c.solicited++
	c.solicitAt = now.Add(autoconf.SolicitAfter)
	d.Engine.SendIP(c.session, autoconf.Solicit(c.id6.LinkLocal()))
}

// advertised makes an address of what the server of a call advertises: "an
// address is formed by combining the advertised prefix with an interface
// identifier" (RFC 4862, section 5.5.3), the one of IPV6CP.
func (d *Dialer) advertised(c *call, packet []byte) {
	a, err := autoconf.ParseAdvertisement(packet)
	if err != nil || !a.Prefix.IsValid() || c.id6 == 0 || c.device == nil {
		d.Engine.Count(err, "autoconf")
		return
	}
	b := a.Prefix.Addr().As16()
	binary.BigEndian.PutUint64(b[8:], uint64(c.id6))
	addr := netip.PrefixFrom(netip.AddrFrom16(b), 128)
	if addr == c.addr {
		return
	}
	c.addr, c.solicitAt = addr, time.Time{}
	device := c.device
	d.Engine.Work.Later("", func() { d.readdress(device, addr, a.DNS, c.config.OnIPv6) })
}

// readdress gives the device of a call its address of IPv6. It runs in the pool.
func (d *Dialer) readdress(device tenant.Device, addr netip.Prefix, dns []netip.Addr, then func(netip.Addr, []netip.Addr)) {
	if x, ok := device.(addresser); ok {
		if err := x.AddAddress(addr); err != nil {
			d.log.Warn("no-ipv6", zap.Stringer("address", addr.Addr()), zap.Error(err),
				zap.String("hint", "the device has no IPv6: see net.ipv6.conf.*.disable_ipv6"))
			return
		}
	}
	if then != nil {
		then(addr.Addr(), dns)
	}
}
