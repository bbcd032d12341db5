package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/x/nstest"
)

// roads is this network namespace, the client's, with two links to another one, the
// server's: wlan to 192.0.2.254 and mobile to 198.51.100.254. The server is behind both.
type roads struct {
	*world
	client  *observer.ObservedLogs
	up      chan dialer.Assigned
	pingers int
}

// inSpace calls f on a thread in a network namespace: a new one, or that of file.
func inSpace(t *testing.T, file *os.File, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread is not given back
		enter := func() error { return unix.Unshare(unix.CLONE_NEWNET) }
		if file != nil {
			enter = func() error { return unix.Setns(int(file.Fd()), unix.CLONE_NEWNET) }
		}
		err := enter()
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// plug sets a link of the present namespace up, with an address if there is one.
func plug(name, address string) error {
	link, err := netlink.LinkByName(name)
	if err != nil || address == "" {
		return err
	}
	addr, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	addr.Flags = unix.IFA_F_NODAD // or it cannot be used for a while
	if err := netlink.AddrAdd(link, addr); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// unplug takes an address away from a link.
func unplug(t *testing.T, name, address string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := netlink.ParseAddr(address)
	if err := netlink.AddrDel(link, addr); err != nil {
		t.Fatal(err)
	}
}

// address gives a link of this namespace an address, and the way to the server.
func address(t *testing.T, name, address, via string, rank int) {
	t.Helper()
	if err := plug(name, address); err != nil {
		t.Fatal(err)
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	server := netip.MustParsePrefix(serverAddr + "/32")
	if strings.Contains(via, ":") {
		server = netip.MustParsePrefix(serverAddr6 + "/128")
	}
	to := &net.IPNet{IP: server.Addr().AsSlice(), Mask: net.CIDRMask(server.Bits(), server.Bits())}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: to, Gw: net.ParseIP(via), Priority: rank}); err != nil {
		t.Fatal(err)
	}
}

const serverAddr6 = "2001:db8:ffff::1"

// onRoads makes both namespaces, with a server, and takes them down with the test.
func onRoads(t *testing.T, yaml string) *roads {
	t.Helper()
	nstest.WantAlone(t)
	conf, err := config.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	conf.Workers = 1
	core, logs := observer.New(zapcore.InfoLevel)
	w := &world{t: t, conf: conf, nets: make(map[string]*echoDevice), log: logs}
	var there *os.File
	inSpace(t, nil, func() (err error) {
		there, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	defer there.Close()
	for _, name := range []string{"wlan", "mobile"} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name, PeerNamespace: netlink.NsFd(int(there.Fd()))}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if link, err := netlink.LinkByName(name); err == nil {
				netlink.LinkDel(link)
			}
		})
	}
	inSpace(t, there, func() error {
		for _, at := range [][2]string{{"lo", serverAddr + "/32"}, {"lo", serverAddr6 + "/128"}, {"wlan", "192.0.2.254/24"}, {"wlan", "2001:db8:a::ff/64"}, {"mobile", "198.51.100.254/24"}} {
			if err := plug(at[0], at[1]); err != nil {
				return fmt.Errorf("%v: %w", at, err)
			}
		}
		g, err := New(Config{Config: w.conf, Log: zap.New(core), OpenDevice: w.openDevice})
		if err == nil {
			w.server, w.stop, w.ended = run(g)
		}
		return err
	})
	t.Cleanup(func() { w.stop(); <-w.ended })
	return &roads{world: w, up: make(chan dialer.Assigned, 16)}
}

// connect connects until the test is over, and waits until that stands.
func (r *roads) connect(c dialer.ConnectConfig) dialer.Assigned {
	r.t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	r.client = logs
	c.PSK, c.Log, c.Device = []byte(testPSK), zap.New(core), "inner"
	c.Routes = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15")}
	c.OnUp = func(a dialer.Assigned) { r.up <- a }
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- dialer.Connect(ctx, c) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			r.t.Error(err)
		}
	})
	return r.wantUp()
}

// wantUp waits until a connection stands.
func (r *roads) wantUp() dialer.Assigned {
	r.t.Helper()
	select {
	case a := <-r.up:
		return a
	case <-time.After(time.Minute):
		r.tell()
		r.t.Fatal("no connection")
		return dialer.Assigned{}
	}
}

// tell shows both logs.
func (r *roads) tell() {
	r.t.Helper()
	for who, logs := range map[string]*observer.ObservedLogs{"server": r.log, "client": r.client} {
		for _, entry := range logs.All() {
			r.t.Logf("%s: %s %v", who, entry.Message, entry.ContextMap())
		}
	}
}

// pinger sends echo requests through the device from the inner address, by one socket.
type pinger struct {
	conn net.PacketConn
	id   uint16
	seq  uint16
}

// newPinger sends from the address that a connection was given.
func (r *roads) newPinger(from netip.Addr) *pinger {
	r.t.Helper()
	conn, err := net.ListenPacket("ip4:icmp", from.String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	r.pingers++
	return &pinger{conn: conn, id: uint16(r.pingers)}
}

// wantPing asks until an answer comes to what was asked from now on.
func (r *roads) wantPing(p *pinger) {
	r.t.Helper()
	first := p.seq + 1
	b := make([]byte, 1500)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		p.seq++
		request := echoRequest(netip.IPv4Unspecified(), netip.IPv4Unspecified(), uint32(p.id)<<16|uint32(p.seq))[20:]
		p.conn.WriteTo(request, &net.IPAddr{IP: net.IPv4(198, 18, 0, 2)}) // the way may be gone for the moment
		p.conn.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
		for {
			n, _, err := p.conn.ReadFrom(b)
			if err != nil {
				break
			}
			if n >= 8 && b[0] == 0 && bytes.Equal(b[4:6], request[4:6]) && binary.BigEndian.Uint16(b[6:]) >= first {
				return
			}
		}
	}
	r.tell()
	r.t.Fatal("no answer through the tunnel")
}

var roadsConfig = strings.Replace(strings.Replace(testConfig, "auth: {", "auth: {allow: [mschapv2, ikev2-psk], ", 1),
	"listen: [203.0.113.1]", "listen: [203.0.113.1, 2001:db8:ffff::1]", 1)

// TestConnectFollowsItsAddress: a host that loses its address and gets another, or whose
// other link takes over, keeps its connection by IKEv2: the device, the inner address and
// the session on the server are the same.
func TestConnectFollowsItsAddress(t *testing.T) {
	const wlan, wlan6 = "192.0.2.10/24", "2001:db8:a::10/64"
	for name, c := range map[string]struct {
		server string
		change func(t *testing.T, r *roads)
		to     string // where the server sees it then
	}{
		"renumbered": {serverAddr, func(t *testing.T, r *roads) {
			unplug(t, "wlan", wlan)
			address(t, "wlan", "192.0.2.77/24", "192.0.2.254", 0)
		}, "192.0.2.77:"},
		"renumbered, IPv6": {serverAddr6, func(t *testing.T, r *roads) {
			unplug(t, "wlan", wlan6)
			address(t, "wlan", "2001:db8:a::77/64", "2001:db8:a::ff", 0)
		}, "[2001:db8:a::77]:"},
		"without an address for a while": {serverAddr, func(t *testing.T, r *roads) {
			unplug(t, "wlan", wlan)
			time.Sleep(2 * time.Second)
			address(t, "wlan", "192.0.2.77/24", "192.0.2.254", 0)
		}, "192.0.2.77:"},
		"another link is preferred": {serverAddr, func(t *testing.T, r *roads) {
			address(t, "mobile", "198.51.100.10/24", "198.51.100.254", 5)
		}, "198.51.100.10:"},
		"the link is gone, and there is another": {serverAddr, func(t *testing.T, r *roads) {
			address(t, "mobile", "198.51.100.10/24", "198.51.100.254", 100)
			r.wantPing(r.newPinger(netip.MustParseAddr("10.100.1.2"))) // it stays where it is
			if n := r.log.FilterMessage("peer-moved").Len(); n != 0 {
				t.Errorf("it has moved to a link that is worse")
			}
			link, err := netlink.LinkByName("wlan")
			if err == nil {
				err = netlink.LinkSetDown(link)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, "198.51.100.10:"},
		"to and fro": {serverAddr, func(t *testing.T, r *roads) {
			p := r.newPinger(netip.MustParseAddr("10.100.1.2"))
			address(t, "mobile", "198.51.100.10/24", "198.51.100.254", 5)
			r.wantMoved("198.51.100.10:")
			r.wantPing(p)
			unplug(t, "mobile", "198.51.100.10/24")
		}, "192.0.2.10:"},
	} {
		t.Run(name, func(t *testing.T) {
			r := onRoads(t, roadsConfig)
			address(t, "wlan", wlan, "192.0.2.254", 10)
			address(t, "wlan", wlan6, "2001:db8:a::ff", 10)
			a := r.connect(dialer.ConnectConfig{Server: c.server, V2: &dialer.DialV2{}, Identity: "carol"})
			p := r.newPinger(a.Local)
			r.wantPing(p)
			before := r.sessions()
			c.change(t, r)
			r.wantMoved(c.to)
			r.wantPing(p)
			after := r.sessions()
			if len(before) != 1 || len(after) != 1 || before[0].ID != after[0].ID {
				t.Errorf("the session was %+v and is %+v", before, after)
			}
			if n := r.client.FilterMessage("redial").Len(); n != 0 || len(r.up) != 0 {
				r.tell()
				t.Errorf("it has dialled %d times again", n)
			}
		})
	}
}

// wantMoved waits until the server has seen the client at an address.
func (r *roads) wantMoved(to string) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if list := r.sessions(); len(list) == 1 && strings.HasPrefix(fmt.Sprint(list[0].Client), to) && r.log.FilterMessage("peer-moved").Len() > 0 {
			return
		}
	}
	r.tell()
	r.t.Fatalf("the server does not know that the client is at %s", to)
}

// TestConnectDialsAgainWithoutMobike: a connection that cannot be moved is dialled again
// when its address is gone, without waiting until the server seems dead; it is left alone
// while its address is there.
func TestConnectDialsAgainWithoutMobike(t *testing.T) {
	r := onRoads(t, roadsConfig)
	address(t, "wlan", "192.0.2.10/24", "192.0.2.254", 10)
	a := r.connect(dialer.ConnectConfig{Server: serverAddr, User: "alice", Password: "alicepw"})
	r.wantPing(r.newPinger(a.Local))
	address(t, "mobile", "198.51.100.10/24", "198.51.100.254", 5)
	time.Sleep(time.Second)
	if n := r.client.FilterMessage("redial").Len(); n != 0 {
		t.Fatalf("it has dialled %d times again, and its address is still there", n)
	}
	unplug(t, "wlan", "192.0.2.10/24")
	a = r.wantUp()
	r.wantPing(r.newPinger(a.Local))
	if all := r.client.FilterMessage("redial").All(); len(all) == 0 || all[0].ContextMap()["error"] != dialer.ErrNewAddress.Error() {
		r.tell()
		t.Error("it has waited until the server seemed dead")
	}
}

// TestConnectFromAGivenAddress: who names the address to call from stays there.
func TestConnectFromAGivenAddress(t *testing.T) {
	r := onRoads(t, roadsConfig)
	address(t, "wlan", "192.0.2.10/24", "192.0.2.254", 10)
	a := r.connect(dialer.ConnectConfig{Server: serverAddr, V2: &dialer.DialV2{}, Identity: "carol", Local: netip.MustParseAddr("192.0.2.10")})
	p := r.newPinger(a.Local)
	r.wantPing(p)
	address(t, "mobile", "198.51.100.10/24", "198.51.100.254", 5)
	time.Sleep(time.Second)
	if n := r.log.FilterMessage("peer-moved").Len() + r.client.FilterMessage("address-changed").Len() + r.client.FilterMessage("redial").Len(); n != 0 {
		r.tell()
		t.Error("it has moved away from the address that it was given")
	}
}
