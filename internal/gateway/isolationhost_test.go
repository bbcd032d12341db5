package gateway

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hostBehind makes a host behind a device, in the namespace at a path (empty: here): it has an
// address, and every one that stands for it, takes connections and datagrams, and notes the
// marked packets that come by the device. What is returned sends packets in by it.
func hostBehind(t *testing.T, path, device string, addr netip.Addr, seen *marks) func(pkts ...[]byte) {
	t.Helper()
	var socket, index int
	inNamespace(t, path, func() error {
		if err := hostAt(t, path != "", addr); err != nil {
			return err
		}
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		index = link.Attrs().Index
		socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL)))
		if err != nil {
			return err
		}
		// A read that nobody ends has to end by itself.
		if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
			return err
		}
		return unix.Bind(socket, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: index})
	})
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		watchSocket(socket, done, seen)
	}()
	t.Cleanup(func() { close(done); <-ended; unix.Close(socket) })
	return func(pkts ...[]byte) {
		for _, pkt := range pkts {
			proto := uint16(unix.ETH_P_IP)
			if pkt[0]>>4 == 6 {
				proto = unix.ETH_P_IPV6
			}
			if err := unix.Sendto(socket, pkt, 0, &unix.SockaddrLinklayer{Protocol: htons(proto), Ifindex: index}); err != nil {
				t.Error(err)
			}
		}
	}
}

func htons(n uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n)) }

// watchSocket notes what comes in by a device, until it is done.
func watchSocket(socket int, done chan struct{}, seen *marks) {
	b := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(socket, b, 0)
		select {
		case <-done:
			return
		default:
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && ll.Pkttype != unix.PACKET_OUTGOING {
			seen.saw(b[:n])
		}
	}
}

// inNamespace calls f on a thread in a network namespace.
func inNamespace(t *testing.T, path string, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		if path == "" {
			done <- f()
			return
		}
		runtime.LockOSThread() // the thread is not given back
		ns, err := os.Open(path)
		if err == nil {
			defer ns.Close()
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// hostAt has this namespace be a host with an address, and with those that stand for it.
func hostAt(t *testing.T, own bool, addr netip.Addr) error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return err
	}
	for _, a := range hostAddrs(addr) {
		n, err := netlink.ParseAddr(netip.PrefixFrom(a, a.BitLen()).String())
		if err != nil {
			return err
		}
		n.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(lo, n); err != nil {
			return fmt.Errorf("%v: %w", a, err)
		}
		if !own {
			t.Cleanup(func() { netlink.AddrDel(lo, n) })
		}
	}
	for _, port := range []string{"80", "81"} {
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go accept(l)
	}
	conn, err := net.ListenPacket("udp", ":7")
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return err
}

// hostAddrs are the addresses of a host that has one, and of those that stand for it all that
// a host can have.
func hostAddrs(addr netip.Addr) []netip.Addr {
	all := []netip.Addr{addr, netip.MustParseAddr("198.19.0.2"), netip.MustParseAddr("2001:db8:ffff::1")}
	for _, form := range isolationForms[1:] {
		all = append(all, form.of(addr.As4()))
	}
	return all
}

// accept takes connections and says what it hears back.
func accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() { defer conn.Close(); io.Copy(conn, conn) }()
	}
}
