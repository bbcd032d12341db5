package bench

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// namespace is a network of its own. It has no name: when the last process in
// it and our file are gone, so is it, with everything inside.
type namespace struct{ file *os.File }

// newNamespace makes a network with nothing but a loopback device that is up.
func newNamespace() (*namespace, error) {
	n := &namespace{}
	unshare := func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return missing("network namespaces (%v): run as root, or with CAP_SYS_ADMIN", err)
		}
		return nil
	}
	err := onOwnThread(unshare, func() (err error) {
		if n.file, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return failed("namespace: %w", err)
		}
		return raise("lo")
	})
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// onOwnThread has a thread enter another network, run f, and come back. One
// that cannot come back ends.
func onOwnThread(enter, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return failed("namespace: %w", err)
	}
	defer home.Close()
	if err := enter(); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	result := f()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		return errors.Join(result, failed("namespace: %w", err))
	}
	runtime.UnlockOSThread()
	return result
}

// do runs f within the namespace; nil: where we are. f must not leave its
// goroutine.
func (n *namespace) do(f func() error) error {
	if n == nil {
		return f()
	}
	enter := func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return failed("namespace: %w", err)
		}
		return nil
	}
	return onOwnThread(enter, f)
}

func (n *namespace) close() {
	if n != nil && n.file != nil {
		n.file.Close()
	}
}

// raise sets a device up.
func raise(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		return failed("%s: %w", name, err)
	}
	return nil
}

// cable joins two namespaces by a pair of devices with an address each.
func cable(a, b *namespace, name string, atA, atB netip.Prefix) error {
	err := a.do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: name, PeerNamespace: netlink.NsFd(int(b.file.Fd()))}
		if err := netlink.LinkAdd(pair); err != nil {
			return missing("veth devices (%v): run as root, on a kernel that has them", err)
		}
		return address(name, atA)
	})
	if err != nil {
		return err
	}
	return b.do(func() error { return address(name, atB) })
}

// address gives a device of the present namespace an address and sets it up.
func address(name string, p netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		mask := net.CIDRMask(p.Bits(), p.Addr().BitLen())
		err = netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: mask}})
	}
	if err != nil {
		return failed("%s: %w", name, err)
	}
	return raise(name)
}

// route sends a network through a device of the present namespace; of several
// routes the one with the lowest rank is taken.
func route(name string, to netip.Prefix, rank int) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		mask := net.CIDRMask(to.Bits(), to.Addr().BitLen())
		dst := &net.IPNet{IP: to.Addr().AsSlice(), Mask: mask}
		err = netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Scope: netlink.SCOPE_LINK, Priority: rank})
	}
	if err != nil {
		return failed("route to %v by %s: %w", to, name, err)
	}
	return nil
}

// checkTUN says whether TUN devices can be made.
func checkTUN() error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return missing("TUN devices (%v): run as root on a host that has /dev/net/tun", err)
	}
	return f.Close()
}

// checkNamespaces says whether namespaces can be made.
func checkNamespaces() error {
	n, err := newNamespace()
	if err != nil {
		return err
	}
	n.close()
	return nil
}
