package gateway

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/x/nstest"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// outside is a network namespace beside that of the tests, on one link with it.
type outside struct {
	t  *testing.T
	ns int
}

// enter runs f in the namespace, on a thread that ends with it.
func (o *outside) enter(f func() error) (err error) {
	var running sync.WaitGroup
	running.Go(func() {
		runtime.LockOSThread() // for good
		if err = unix.Setns(o.ns, unix.CLONE_NEWNET); err == nil {
			err = f()
		}
	})
	running.Wait()
	return err
}

func (o *outside) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// listen opens a socket out there.
func (o *outside) listen(c udp.Config) (conn udp.Conn, err error) {
	err = o.enter(func() error {
		conn, err = udp.Listen(c)
		return err
	})
	return conn, err
}

// The link of newOutside: the server's addresses, those of two clients on it, and of one
// that is behind one of these. It has a second network, which is that of silent hosts:
// what IKE keeps for strangers is bounded by network, and is another matter.
var (
	linkHere  = []string{"203.0.113.1/24", "2001:db8:7::1/64", "198.51.101.1/24", "2001:db8:9::1/64"}
	linkThere = []string{"203.0.113.50/24", "203.0.113.51/24", "198.51.100.7/32", "2001:db8:7::50/64", "2001:db8:7::51/64", "2001:db8:8::7/128"}
	behind    = map[string]string{"198.51.100.0/24": "203.0.113.50", "2001:db8:8::/64": "2001:db8:7::50"}
)

func newOutside(t *testing.T) *outside {
	t.Helper()
	nstest.WantAlone(t)
	o := &outside{t: t}
	var running sync.WaitGroup
	var err error
	running.Go(func() {
		runtime.LockOSThread() // for good
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			o.ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
	})
	running.Wait()
	o.must(err)
	t.Cleanup(func() { unix.Close(o.ns) })
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "near"
	link := &netlink.Veth{LinkAttrs: attrs, PeerName: "far", PeerNamespace: netlink.NsFd(o.ns)}
	o.must(netlink.LinkAdd(link))
	t.Cleanup(func() { netlink.LinkDel(link) })
	o.must(o.enter(func() error { return raise("far", linkThere) }))
	o.must(raise("near", linkHere))
	for to, by := range behind {
		_, dst, _ := net.ParseCIDR(to)
		o.must(netlink.RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP(by)}))
	}
	return o
}

// raise sets a link up with addresses.
func raise(name string, addrs []string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, s := range addrs {
		a, _ := netlink.ParseAddr(s)
		a.Flags = unix.IFA_F_NODAD // or it cannot be used for a while
		if err := netlink.AddrAdd(link, a); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// firstMessage is what a client begins a dial with.
func (o *outside) firstMessage() []byte {
	o.t.Helper()
	ear, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	o.must(err)
	defer ear.Close()
	to := ear.LocalAddr().(*net.UDPAddr).AddrPort()
	conf := &config.Config{Listen: []netip.Addr{to.Addr()}, Workers: 1}
	g, err := dialer.New(dialer.Config{Addresses: conf.Listen, IKEPort: conf.Ports.IKE, NATTPort: conf.Ports.NATT})
	o.must(err)
	_, stop, ended := run(g)
	defer func() { stop(); <-ended }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go g.Dial(ctx, dialer.DialConfig{Server: to, ServerNATT: to, Local: to.Addr(), PSK: []byte(testPSK), User: "alice", Password: "alicepw"})
	msg := make([]byte, 2048)
	ear.SetReadDeadline(time.Now().Add(time.Minute))
	n, err := ear.Read(msg)
	o.must(err)
	return msg[:n]
}

// forger sends first messages from addresses of the link that nobody has.
type forger struct {
	fd   int
	to   netip.AddrPort
	msg  []byte // with the non-ESP marker, if there must be one
	at   int    // of the initiator's cookie
	sent uint64
}

const (
	silentHosts = 150
	forgedRate  = 4000 // messages a second
)

func (o *outside) forger(to netip.AddrPort, msg []byte) *forger {
	o.t.Helper()
	f := &forger{to: to, msg: msg}
	if to.Port() == 4500 {
		f.msg, f.at = append(make([]byte, 4), msg...), 4
	}
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	o.must(o.enter(func() (err error) {
		f.fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	}))
	return f
}

// run sends until over is closed, and never more than the server deals with: how busy it
// can be kept is another matter.
func (f *forger) run(over <-chan struct{}, server *Gateway) {
	defer unix.Close(f.fd)
	last := time.Now()
	for {
		select {
		case <-over:
			return
		case <-time.After(time.Millisecond):
		}
		now := time.Now()
		for range min(int(now.Sub(last).Seconds()*forgedRate), 64) {
			f.send()
		}
		last = now
		server.server.engine.Work.Do(context.Background(), func(time.Time) {})
	}
}

func (f *forger) send() {
	f.sent++
	host := byte(100 + f.sent%silentHosts)
	src := netip.AddrFrom4([4]byte{198, 51, 101, host})
	if f.to.Addr().Is6() {
		src = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 9, 15: host})
	}
	binary.BigEndian.PutUint64(f.msg[f.at:], f.sent)
	pkt := forged(netip.AddrPortFrom(src, 500), f.to, f.msg)
	if f.to.Addr().Is4() {
		_ = unix.Sendto(f.fd, pkt, 0, &unix.SockaddrInet4{Addr: f.to.Addr().As4()})
	} else {
		_ = unix.Sendto(f.fd, pkt, 0, &unix.SockaddrInet6{Addr: f.to.Addr().As16()})
	}
}

// forged is a datagram in its packet.
func forged(from, to netip.AddrPort, data []byte) []byte {
	if from.Addr().Is6() {
		return datagram6(from, to, data)
	}
	pkt := make([]byte, 28, 28+len(data))
	pkt[0], pkt[8], pkt[9] = 0x45, 64, ipkt.ProtocolUDP
	binary.BigEndian.PutUint16(pkt[2:], uint16(28+len(data)))
	copy(pkt[12:], from.Addr().AsSlice())
	copy(pkt[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(pkt[20:], from.Port())
	binary.BigEndian.PutUint16(pkt[22:], to.Port())
	binary.BigEndian.PutUint16(pkt[24:], uint16(8+len(data)))
	ipkt.SetHeaderChecksum(pkt[:20])
	return append(pkt, data...)
}
