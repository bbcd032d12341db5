package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/x/nstest"
)

// TestDeviceIsAnother: where a device has to be another one, sessions move over to it: they
// do not end, and what was dropped of the tenant goes on being counted.
func TestDeviceIsAnother(t *testing.T) {
	a := newAuthority(t, "a")
	lines, trusts := a.server(vpn), a.trusts(vpn)
	six := "pool: [10.100.1.0/24, 2001:db8:1::/48]"
	inWorld(t, goodRoad, strings.Replace(eapConfig, "pool: [10.100.1.0/24]", six, 1)+lines+another("globex"), func(t *testing.T, w *world) {
		c, other := w.client(nil), w.client(nil)
		conn := c.mustDial(trusts)
		stop := other.stream(other.mustDial(carol("globex")))
		c.ping(conn, netip.MustParseAddr("10.100.1.77"), time.Second) // a neighbour: closed
		before, drops := w.nets["acme"], named(w.server.server.tenants[0].way.Load().port.Drops())
		w.apply(strings.Replace(eapConfig, "pool: [10.100.1.0/24]", six+"\n    mtu: 1300", 1) + lines + another("globex"))
		if w.nets["acme"] == before {
			t.Fatal("the device was not opened anew")
		}
		select {
		case <-before.closed:
		default:
			t.Error("the former device is open")
		}
		c.wantPing(conn, "198.18.0.2")
		if after := named(w.server.server.tenants[0].way.Load().port.Drops()); !reflect.DeepEqual(drops, after) || len(drops) == 0 {
			t.Errorf("dropped %v, and then %v", drops, after)
		}
		if lost, sent := stop(); lost > 0 {
			t.Errorf("who was connected to another tenant lost %d of %d packets", lost, sent)
		}
		conn.Close(t.Context())
		<-conn.Done()
	})
}

// kernel is a world whose tenant is in a device of the kernel, and a client of it.
func kernel(t *testing.T, yaml string) (*world, *client, *dialer.Connection) {
	nstest.WantAlone(t)
	w := realWorld(t, yaml)
	t.Cleanup(w.close)
	c := w.client(nil)
	return w, c, c.honest(t, carol("globex"))
}

// inKernel is a tenant with a device of the kernel.
func inKernel(name, device, pool string, rest ...string) string {
	return strings.Replace(another(name, fmt.Sprintf(", egress: {tun: {device: %s%s}}", device, strings.Join(rest, ""))), "10.100.2.0/24", pool, 1)
}

// indexOf is the number of a device of the kernel; 0: there is none.
func indexOf(name string) int {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return link.Index
}

// routed reports whether a prefix leads to a device.
func routed(t *testing.T, prefix, device string) bool {
	t.Helper()
	link, err := netlink.LinkByName(device)
	if err != nil {
		t.Fatal(err)
	}
	routes, err := netlink.RouteList(link, unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Dst != nil && r.Dst.String() == prefix {
			return true
		}
	}
	return false
}

// TestKernelDeviceFollowsThePool: what leads to a device of the kernel follows the pools of
// its tenant, and nobody who keeps his address loses a packet by it.
func TestKernelDeviceFollowsThePool(t *testing.T) {
	w, c, conn := kernel(t, testConfig+inKernel("globex", "globex0", "10.100.2.0/24"))
	stop, index := c.streamTo(conn, "10.100.2.1"), indexOf("globex0")
	for _, step := range []struct{ pool, want, no string }{
		{"10.100.2.0/24, 10.100.7.0/24", "10.100.7.0/24", "10.100.8.0/24"},
		{"10.100.2.0/23, 10.100.8.0/24", "10.100.8.0/24", "10.100.7.0/24"},
		{"10.100.2.0/24", "10.100.2.0/24", "10.100.2.0/23"},
	} {
		w.apply(testConfig + inKernel("globex", "globex0", step.pool))
		if !routed(t, step.want, "globex0") || routed(t, step.no, "globex0") {
			t.Errorf("%s: %s leads there: %v; %s: %v", step.pool, step.want, routed(t, step.want, "globex0"), step.no, routed(t, step.no, "globex0"))
		}
	}
	if lost, sent := stop(); lost > 0 || indexOf("globex0") != index {
		t.Errorf("lost %d of %d packets; device %d, then %d", lost, sent, index, indexOf("globex0"))
	}
}

// TestKernelDeviceLeadsToWhoIsOutside: what leads to a client that has an address of no pool any
// more stays on a device of the kernel, to no other address of the former range, and is gone
// when the client is.
func TestKernelDeviceLeadsToWhoIsOutside(t *testing.T) {
	with := func(user, rest string) string {
		return testConfig + strings.Replace(strings.Replace(inKernel("globex", "globex0", "10.100.2.0/24"), "{name: carol,", "{name: carol,"+user, 1), "pool: [", rest+"pool: [", 1)
	}
	w, c, conn := kernel(t, with(" pool: vip,", "pools: {vip: [10.100.7.0/24]}, "))
	own := conn.Local.String() + "/32"
	stop := c.streamTo(conn, "10.100.2.1")
	w.apply(with("", ""))
	if !routed(t, own, "globex0") || routed(t, "10.100.7.0/24", "globex0") {
		t.Errorf("%s leads there: %v; the former range: %v", own, routed(t, own, "globex0"), routed(t, "10.100.7.0/24", "globex0"))
	}
	w.apply(with("", "mtu: 1300, ")) // by another device
	if !routed(t, own, "globex0") {
		t.Errorf("%s does not lead to another device", own)
	}
	time.Sleep(time.Second)
	stop()
	if !c.ping(conn, netip.MustParseAddr("10.100.2.1"), 20*time.Second) {
		t.Error("who is outside gets no answer")
	}
	conn.Close(t.Context())
	for range 60 {
		if !routed(t, own, "globex0") {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	t.Errorf("%s leads there still", own)
}

// TestEgressChanges: a tenant goes from a device of the kernel to an inner stack, to a
// device of another name, and back, and its client stays connected.
func TestEgressChanges(t *testing.T) {
	first := testConfig + inKernel("globex", "globex0", "10.100.2.0/24")
	w, c, conn := kernel(t, first)
	for _, step := range []struct{ yaml, device string }{
		{testConfig + another("globex"), ""},
		{testConfig + inKernel("globex", "globex1", "10.100.2.0/24"), "globex1"},
		{first, "globex0"},
		{strings.Replace(first, "egress:", "mtu: 1300, egress:", 1), "globex0"},
	} {
		w.apply(step.yaml)
		for _, device := range []string{"globex0", "globex1"} {
			if there := indexOf(device) > 0; there != (device == step.device) {
				t.Errorf("device %s is there: %v", device, there)
			}
		}
		if !c.ping(conn, netip.MustParseAddr("10.100.2.1"), 20*time.Second) {
			t.Errorf("no answer through %q", step.device)
		}
	}
}

// namespaceAt makes a network namespace that lasts as long as the test, and has a name lead to it.
func namespaceAt(t *testing.T, name string) {
	t.Helper()
	made := make(chan error)
	var ns *os.File
	go func() { // the thread is not given back: it is in the new namespace
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			ns, err = os.Open("/proc/thread-self/ns/net")
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	os.Remove(name)
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", ns.Fd()), name); err != nil {
		t.Fatal(err)
	}
}

// TestLostDeviceIsMadeAgain: a device that somebody has removed is there again by the same
// configuration once more, and so is one whose namespace is another one by now; who is
// connected stays so.
func TestLostDeviceIsMadeAgain(t *testing.T) {
	netns := filepath.Join(t.TempDir(), "globex")
	here := testConfig + inKernel("globex", "globex0", "10.100.2.0/24")
	there := testConfig + inKernel("globex", "globex0", "10.100.2.0/24", ", netns: "+netns)
	w, c, conn := kernel(t, here)
	again := func(what, yaml string) {
		t.Helper()
		if got, want := w.apply(yaml), (Changes{Changed: []string{"globex"}}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
		if !c.ping(conn, netip.MustParseAddr("10.100.2.1"), 20*time.Second) {
			t.Errorf("%s: who is connected has no network", what)
		}
	}
	link, err := netlink.LinkByName("globex0")
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		t.Fatal(err)
	}
	again("removed", here)
	if indexOf("globex0") == 0 || !routed(t, "10.100.2.0/24", "globex0") {
		t.Error("the device is not there")
	}

	namespaceAt(t, netns)
	again("moved", there)
	if err := os.Remove(netns); err != nil {
		t.Fatal(err)
	}
	if got := w.apply(there); !reflect.DeepEqual(got, Changes{}) { // nothing else is asked of it
		t.Errorf("with a namespace that has lost its name: %+v", got)
	}
	larger := strings.Replace(there, "10.100.2.0/24", "10.100.2.0/24, 10.100.7.0/24", 1)
	_, err = w.server.Apply(t.Context(), parsed(t, larger))
	if n := strings.Count(fmt.Sprint(err), "no such network namespace"); n != 1 {
		t.Errorf("a namespace that is missing is named %d times: %v", n, err)
	}
	namespaceAt(t, netns)
	again("made anew", larger)
	again("moved back", here)
}

// TestTenantOfADeviceIsRenamed: a tenant of another name has the device of one that is gone,
// in one step; and if something else of the same configuration is at fault, all goes on.
func TestTenantOfADeviceIsRenamed(t *testing.T) {
	w, c, conn := kernel(t, testConfig+inKernel("globex", "globex0", "10.100.2.0/24"))
	renamed := testConfig + inKernel("initech", "globex0", "10.100.2.0/24")
	_, err := w.server.Apply(t.Context(), parsed(t, renamed+inKernel("hooli", "lo", "10.100.4.0/24")))
	if err == nil || !strings.Contains(err.Error(), "hooli") {
		t.Errorf("with a device that cannot be had: %v", err)
	}
	if !c.ping(conn, netip.MustParseAddr("10.100.2.1"), 20*time.Second) {
		t.Error("whose device was opened again has no network")
	}
	if got, want := w.apply(renamed), (Changes{Added: []string{"initech"}, Removed: []string{"globex"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	<-conn.Done()
	c.honest(t, carol("initech"))
	if !c.ping(conn, netip.MustParseAddr("10.100.2.1"), 20*time.Second) {
		t.Error("no answer")
	}
}

// TestWhatCannotBeMadeChangesNothing: of whatever cannot be had, a device, a namespace, a
// port, a file, the line is named, and what ran goes on as it was: devices that had to be
// closed are there again, and who was connected stays so.
func TestWhatCannotBeMadeChangesNothing(t *testing.T) {
	running := testConfig + inKernel("globex", "globex0", "10.100.2.0/24")
	w, c, conn := kernel(t, running)
	taken, err := (&net.ListenConfig{Control: freebind}).ListenPacket(t.Context(), "udp4", "10.100.3.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	other := w.client(nil) // of a tenant that nothing is changed of
	stop := other.streamTo(other.honest(t), "10.100.1.1")
	line := 1 + strings.Count(testConfig, "\n")
	for name, step := range map[string]struct {
		yaml, want string
		line       int
	}{
		"a device that is another's":            {testConfig + inKernel("globex", "lo", "10.100.2.0/24"), "device name in use", line},
		"the same of a new tenant":              {running + inKernel("hooli", "lo", "10.100.4.0/24"), "device name in use", line + 1},
		"a namespace that is missing":           {testConfig + inKernel("globex", "globex0", "10.100.2.0/24", ", netns: "+filepath.Join(t.TempDir(), "missing")), "no such network namespace", line},
		"a port that is another's":              {testConfig + inKernel("globex", "globex0", "10.100.3.0/24"), "address already in use", line},
		"a port, under another name":            {testConfig + inKernel("initech", "globex0", "10.100.3.0/24"), "address already in use", line},
		"a file that is not there":              {strings.Replace(running, "alicepw", "'file:missing'", 1), "missing", 8},
		"of several, one":                       {testConfig + inKernel("globex", "globex1", "10.100.2.0/24") + inKernel("hooli", "lo", "10.100.4.0/24"), "hooli", line + 1},
		"of several, the pool of one is larger": {testConfig + inKernel("globex", "globex0", "10.100.2.0/24, 10.100.5.0/24") + inKernel("hooli", "lo", "10.100.4.0/24"), "hooli", line + 1},
	} {
		t.Run(name, func(t *testing.T) {
			next, err := config.Parse("test.yaml", []byte(step.yaml))
			index := indexOf("globex0")
			if err == nil {
				next.Workers = 1
				_, err = w.server.Apply(t.Context(), next)
			}
			if reopened := indexOf("globex0") != index; reopened && !strings.Contains(step.want, "address") {
				t.Error("a device was closed, and all that others had set up on it is gone")
			}
			if place := fmt.Sprintf("test.yaml:%d:", step.line); err == nil || !strings.Contains(err.Error(), step.want) || !strings.Contains(err.Error(), place) {
				t.Errorf("%v; want %q on %s", err, step.want, place)
			}
			if !c.ping(conn, netip.MustParseAddr("10.100.2.1"), 20*time.Second) {
				t.Error("who is connected has no network")
			}
			if indexOf("globex1") > 0 || routed(t, "10.100.5.0/24", "globex0") || !routed(t, "10.100.2.0/24", "globex0") {
				t.Error("devices are not what they were")
			}
		})
	}
	select {
	case <-conn.Done():
		t.Error("the session has ended")
	default:
	}
	if lost, sent := stop(); lost > 0 {
		t.Errorf("who is connected to another tenant lost %d of %d packets", lost, sent)
	}
}

// freebind lets a socket have an address that nobody has yet.
func freebind(_, _ string, c syscall.RawConn) (err error) {
	return errors.Join(c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
	}), err)
}

// TestAllowAndDenyChange: where a tenant's clients go by an inner stack follows the
// configuration, in the stack that they have.
func TestAllowAndDenyChange(t *testing.T) {
	hostOf(t)
	egress := func(what string) string {
		return pooled("10.100.1.0/24", "    egress: {netstack: {"+what+"}}")
	}
	open := egress("allow: [198.18.0.2/32]")
	w := realWorld(t, open)
	defer w.close()
	device, c := w.server.server.tenants[0].way.Load().device, w.client(nil)
	conn := c.honest(t)
	for _, step := range []struct {
		yaml    string
		reaches bool
	}{{open, true}, {egress("deny: [198.18.0.0/16]"), false}, {open, true}, {testConfig, false}} {
		w.apply(step.yaml)
		within := 20 * time.Second
		if !step.reaches {
			within = 500 * time.Millisecond
		}
		if c.ping(conn, netip.MustParseAddr("198.18.0.2"), within) != step.reaches {
			t.Errorf("reached: %v, by %s", !step.reaches, step.yaml)
		}
	}
	if w.server.server.tenants[0].way.Load().device != device {
		t.Error("the device was opened anew")
	}
}
