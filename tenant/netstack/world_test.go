package netstack

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/internal/x/nstest"
)

// The world of tests: the host is in the namespace of the test binary, the
// servers are behind a router.
//
//	host 172.31.0.1 --- 172.31.0.2 router 198.51.100.1 --- .7, .8, .9 servers
//	     2001:db8:a::1    ...:a::2      2001:db8:b::1        b::7, ...
var (
	hostIP      = netip.MustParseAddr("172.31.0.1")
	routerIP    = netip.MustParseAddr("172.31.0.2")
	routerIP6   = netip.MustParseAddr("2001:db8:a::2")
	serverIP2   = netip.MustParseAddr("198.51.100.8")
	server6     = netip.MustParseAddr("2001:db8:b::7")
	server6b    = netip.MustParseAddr("2001:db8:b::8")
	natGateway6 = netip.MustParsePrefix("2001:db8:f00::1/48")
	clientIP6   = netip.MustParseAddr("2001:db8:f00:5::2")
)

// narrowMTU is that of the router's way to addresses that narrow makes.
const narrowMTU = 1300

// netNS is a network namespace.
type netNS int

// enter runs f in the namespace, on a thread that ends with it.
func (ns netNS) enter(tb testing.TB, f func() error) {
	tb.Helper()
	var err error
	var running sync.WaitGroup
	running.Go(func() {
		runtime.LockOSThread() // for good
		if err = unix.Setns(int(ns), unix.CLONE_NEWNET); err == nil {
			err = f()
		}
	})
	if running.Wait(); err != nil {
		tb.Fatal(err)
	}
}

func newNetNS() (ns netNS, err error) {
	var running sync.WaitGroup
	running.Go(func() {
		runtime.LockOSThread() // for good
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return
		}
		var fd int
		fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		ns = netNS(fd)
	})
	running.Wait()
	return ns, err
}

// world is made once, and lasts as long as the test binary.
type world struct {
	router, servers netNS
	narrowed        byte // addresses
}

var makeWorld = sync.OnceValues(func() (*world, error) {
	w := &world{}
	var err error
	if w.router, err = newNetNS(); err != nil {
		return nil, err
	}
	if w.servers, err = newNetNS(); err != nil {
		return nil, err
	}
	return w, nil
})

var furnish sync.Once

// theWorld is the world of tests; without namespaces the test is skipped.
func theWorld(tb testing.TB) *world {
	tb.Helper()
	nstest.WantAlone(tb)
	w, err := makeWorld()
	if err != nil {
		tb.Fatal(err)
	}
	furnish.Do(func() { w.furnish(tb) })
	return w
}

func (w *world) furnish(tb testing.TB) {
	tb.Helper()
	if err := veth("h0", "r0", w.router); err != nil {
		tb.Fatal(err)
	}
	if err := raise("h0", "172.31.0.1/24", "2001:db8:a::1/64"); err != nil {
		tb.Fatal(err)
	}
	if err := lead("172.31.0.2", "2001:db8:a::2"); err != nil {
		tb.Fatal(err)
	}
	w.router.enter(tb, func() error {
		if err := veth("r1", "s0", w.servers); err != nil {
			return err
		}
		if err := set("1", "ipv4/ip_forward", "ipv6/conf/all/forwarding"); err != nil {
			return err
		}
		if err := set("0", "ipv4/icmp_ratemask", "ipv6/icmp/ratelimit"); err != nil {
			return err
		}
		if err := raise("r0", "172.31.0.2/24", "2001:db8:a::2/64"); err != nil {
			return err
		}
		return raise("r1", "198.51.100.1/24", "2001:db8:b::1/64")
	})
	w.servers.enter(tb, func() error {
		if err := set("0", "ipv4/icmp_ratemask", "ipv6/icmp/ratelimit"); err != nil {
			return err
		}
		if err := raise("s0", "198.51.100.7/24", "198.51.100.8/24", "2001:db8:b::7/64", "2001:db8:b::8/64"); err != nil {
			return err
		}
		return lead("198.51.100.1", "2001:db8:b::1")
	})
}

// set sets what is below /proc/sys/net.
func set(value string, files ...string) error {
	for _, file := range files {
		if err := os.WriteFile("/proc/sys/net/"+file, []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}

func veth(name, peer string, ns netNS) error {
	return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: peer, PeerNamespace: netlink.NsFd(ns)})
}

// raise sets a link up with addresses.
func raise(name string, addresses ...string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, s := range addresses {
		a, err := netlink.ParseAddr(s)
		if err != nil {
			return err
		}
		a.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(l, a); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(l)
}

// narrow has packets to some networks be small.
func narrow(name string, networks ...string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, s := range networks {
		_, to, _ := net.ParseCIDR(s)
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: to, MTU: narrowMTU, MTULock: true}); err != nil {
			return err
		}
	}
	return nil
}

// narrow makes addresses of a server to which the host knows no MTU yet.
func (w *world) narrow(tb testing.TB) (a4, a6 netip.Addr) {
	tb.Helper()
	w.narrowed++
	a4 = netip.AddrFrom4([4]byte{198, 51, 100, 100 + w.narrowed})
	a6 = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0xb, 14: 1, 15: w.narrowed})
	w.servers.enter(tb, func() error { return raise("s0", a4.String()+"/24", a6.String()+"/64") })
	w.router.enter(tb, func() error { return narrow("r1", a4.String()+"/32", a6.String()+"/128") })
	return a4, a6
}

// lead sets default routes.
func lead(gateways ...string) error {
	for _, s := range gateways {
		ip := net.ParseIP(s)
		all := &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
		if ip.To4() != nil {
			all = &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
		}
		if err := netlink.RouteAdd(&netlink.Route{Dst: all, Gw: ip}); err != nil {
			return err
		}
	}
	return nil
}

// listen opens a UDP socket at an address of a server.
func (w *world) listen(tb testing.TB, at netip.Addr) *net.UDPConn {
	tb.Helper()
	var pc *net.UDPConn
	w.servers.enter(tb, func() (err error) {
		pc, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
		return err
	})
	tb.Cleanup(func() { pc.Close() })
	return pc
}

func addrPort(pc *net.UDPConn) netip.AddrPort {
	at := pc.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
