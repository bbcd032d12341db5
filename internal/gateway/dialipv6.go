package gateway

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
func (g *Gateway) solicit(now time.Time, s *session) {
	d := s.peer.dial
	s.advertiseAt = time.Time{}
	if !d.config.IPv6 || d.id6 == 0 || d.device == nil || d.addr.IsValid() || s.advertised >= autoconf.Solicitations {
		return
	}
	s.advertised++
	s.advertiseAt = now.Add(autoconf.SolicitAfter)
	g.unsent(g.plane.SendIP(s.plane, autoconf.Solicit(d.id6.LinkLocal())))
}

// advertised makes an address of what the server of a call advertises: "an
// address is formed by combining the advertised prefix with an interface
// identifier" (RFC 4862, section 5.5.3), the one of IPV6CP.
func (g *Gateway) advertised(s *session, packet []byte) {
	d := s.peer.dial
	a, err := autoconf.ParseAdvertisement(packet)
	if err != nil || !a.Prefix.IsValid() || d.id6 == 0 || d.device == nil {
		g.count(err, "autoconf")
		return
	}
	b := a.Prefix.Addr().As16()
	binary.BigEndian.PutUint64(b[8:], uint64(d.id6))
	addr := netip.PrefixFrom(netip.AddrFrom16(b), 128)
	if addr == d.addr {
		return
	}
	d.addr, s.advertiseAt = addr, time.Time{}
	device := d.device
	g.later(nil, func() { g.readdress(device, addr, a.DNS, d.config.OnIPv6) })
}

// readdress gives the device of a call its address of IPv6. It runs in the pool.
func (g *Gateway) readdress(device tenant.Device, addr netip.Prefix, dns []netip.Addr, then func(netip.Addr, []netip.Addr)) {
	if x, ok := device.(addresser); ok {
		if err := x.AddAddress(addr); err != nil {
			g.log.Warn("no-ipv6", zap.Stringer("address", addr.Addr()), zap.Error(err),
				zap.String("hint", "the device has no IPv6: see net.ipv6.conf.*.disable_ipv6"))
			return
		}
	}
	if then != nil {
		then(addr.Addr(), dns)
	}
}
