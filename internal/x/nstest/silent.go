package nstest

import (
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// SilentNet is the network of Silent; its first address is ours.
var SilentNet = netip.MustParsePrefix("192.0.2.1/24")

// Silent calls f on a thread in a network namespace of its own, with a link to
// SilentNet on which nobody answers: what is sent there waits in the buffer of
// the socket that sent it, for seconds, for a neighbour that does not come. Every
// group may open ICMP sockets there. The sockets that f opens, on its own
// goroutine, stay usable everywhere. The test ends if f returns an error.
func Silent(t testing.TB, f func() error) {
	t.Helper()
	Want(t)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread is not given back
		err := makeSilent()
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func makeSilent() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "here"
	if err := h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "there"}); err != nil {
		return err
	}
	for _, name := range []string{"here", "there"} {
		link, err := h.LinkByName(name)
		if err != nil {
			return err
		}
		if name == "here" {
			addr, _ := netlink.ParseAddr(SilentNet.String())
			if err := h.AddrAdd(link, addr); err != nil {
				return err
			}
		}
		if err := h.LinkSetUp(link); err != nil {
			return err
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0o644)
}
