package tun

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Extend gives the device addresses and routes beside those that it has. The addresses are
// those that it has, with other lengths. If the error is not nil, some of them may be
// there: Restrict takes them away. Neither is for several goroutines at once.
func (d *Device) Extend(addresses, routes []netip.Prefix) error {
	return inNamespace(d.cfg.Netns, func() error {
		return d.configure(func(h *netlink.Handle, link netlink.Link) error {
			for _, a := range addresses {
				if err := d.addAddress(h, link, a); err != nil {
					return err
				}
				d.cfg.Addresses = appended(d.cfg.Addresses, a)
			}
			for _, r := range routes {
				if err := d.addRoute(h, link, r); err != nil {
					return err
				}
				d.cfg.Routes = appended(d.cfg.Routes, r)
			}
			return nil
		})
	})
}

// Restrict takes all addresses and routes of its own away from the device but these. What
// somebody else took away is no error.
func (d *Device) Restrict(addresses, routes []netip.Prefix) error {
	var failed []error
	err := inNamespace(d.cfg.Netns, func() error {
		return d.configure(func(h *netlink.Handle, link netlink.Link) error {
			for _, a := range d.cfg.Addresses {
				if !slices.Contains(addresses, a) {
					failed = append(failed, d.gone("address "+a.String()+" of", h.AddrDel(link, address(a))))
				}
			}
			for _, r := range d.cfg.Routes {
				if !slices.Contains(routes, r) {
					failed = append(failed, d.gone("route "+r.String()+" to", h.RouteDel(route(link, r))))
				}
			}
			d.cfg.Addresses, d.cfg.Routes = slices.Clone(addresses), slices.Clone(routes)
			return nil
		})
	})
	return errors.Join(append(failed, err)...)
}

// gone is the error of taking something away, unless it was not there.
func (d *Device) gone(what string, err error) error {
	if err == nil || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return setUpError("taking away "+what, d.got.name, err)
}

// appended is a list with what may be in it already.
func appended(list []netip.Prefix, p netip.Prefix) []netip.Prefix {
	if slices.Contains(list, p) {
		return list
	}
	return append(slices.Clip(list), p)
}

// addRoute has a prefix lead to the device.
func (d *Device) addRoute(h *netlink.Handle, link netlink.Link, p netip.Prefix) error {
	if err := h.RouteReplace(route(link, p)); err != nil {
		return setUpError("route "+p.String()+" to", d.got.name, err)
	}
	return nil
}

// route is a route to the device as netlink has it.
func route(link netlink.Link, p netip.Prefix) *netlink.Route {
	return &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(p), Scope: netlink.SCOPE_LINK}
}
