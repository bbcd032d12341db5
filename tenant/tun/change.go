package tun

import (
	"errors"
	"net/netip"
	"os"
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

// Removed reports whether somebody else took the device away. What it holds besides, such
// as the ports of DNS, it holds until Close.
func (d *Device) Removed() bool {
	return d.asked(func(fd int) bool {
		req, err := unix.NewIfreq("")
		return err == nil && errors.Is(unix.IoctlIfreq(fd, unix.TUNGETIFF, req), unix.EBADFD)
	})
}

// Away reports whether the namespace that Config names is another one by now than that of
// the device, which goes on in its own. One that has lost its name is no other.
func (d *Device) Away() bool {
	return d.cfg.Netns != "" && d.asked(func(fd int) bool { return elsewhere(fd, namespacePath(d.cfg.Netns)) })
}

// asked asks the kernel about the device, and reports false when it is closed.
func (d *Device) asked(what func(fd int) bool) (yes bool) {
	raw, err := d.files[0].SyscallConn()
	if err != nil {
		return false
	}
	raw.Control(func(fd uintptr) { yes = what(int(fd)) })
	return yes
}

// elsewhere reports whether the device of a queue is in another namespace than a file says.
// Where the kernel does not tell (before Linux 5.2), it is not.
func elsewhere(fd int, path string) bool {
	named, err := os.Stat(path)
	if err != nil {
		return false
	}
	ns, err := unix.IoctlRetInt(fd, unix.TUNGETDEVNETNS)
	if err != nil {
		return false
	}
	file := os.NewFile(uintptr(ns), "namespace")
	defer file.Close()
	in, err := file.Stat()
	return err == nil && !os.SameFile(named, in)
}
