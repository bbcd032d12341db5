package gateway

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/dataplane/simnet"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/x/nstest"
)

// hostileFor is how long a hostile session goes on: CULVERT_HOSTILE, or 2 s.
func hostileFor(t *testing.T) time.Duration {
	s := os.Getenv("CULVERT_HOSTILE")
	if s == "" {
		return 2 * time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// hostileConfig has a real network stack, whose clients reach a host of the test.
var hostileConfig = strings.Replace(neighboursConfig, "    pool: [", "    egress: {netstack: {allow: [198.18.0.2/32, 2001:db8:ffff::1/128]}}\n    pool: [", 1)

// hostOf gives this namespace a host that takes TCP connections and says what it hears
// back, of both families.
func hostOf(t *testing.T) {
	t.Helper()
	nstest.WantAlone(t)
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"198.18.0.2/32", "2001:db8:ffff::1/128"} {
		addr, _ := netlink.ParseAddr(s)
		addr.Flags = unix.IFA_F_NODAD // or it cannot be used for a while
		if err := netlink.AddrAdd(lo, addr); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { netlink.AddrDel(lo, addr) })
		l, err := net.Listen("tcp", net.JoinHostPort(addr.IP.String(), "80"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() { defer conn.Close(); io.Copy(conn, conn) }()
			}
		}()
	}
}

// realWorld is in real time, with the devices that a configuration says.
func realWorld(t *testing.T, yaml string) *world {
	conf, err := config.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	conf.Workers = 1
	core, logs := observer.New(zap.ErrorLevel)
	w := &world{t: t, net: simnet.New(simnet.Config{Queue: 4096}), conf: conf, nets: make(map[string]*echoDevice), log: logs}
	g, err := New(Config{Config: conf, Log: zap.New(core), Listen: w.net.Listen})
	if err != nil {
		t.Fatal(err)
	}
	w.server, w.stop, w.ended = run(g)
	return w
}

// TestHostileSession: whoever logs in, by L2TP, by XAUTH and by IKEv2, and then sends
// anything that is right but for something, in both families, by every protocol and
// through a real network stack: nothing panics, nothing of it is left, and another
// session loses not one of its pings.
func TestHostileSession(t *testing.T) {
	hostOf(t)
	before, heapBefore := runtime.NumGoroutine(), heapInUse()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	w := realWorld(t, hostileConfig)
	cookies := w.overhear()
	bob := w.client(nil)
	other := bob.honest(t, func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
	asked, rounds := 0, 0
	for end := time.Now().Add(hostileFor(t)); rounds < 3 || time.Now().Before(end); rounds++ {
		c := w.client(nil)
		conn := c.honest(t, []func(*dialer.DialConfig){withIPv6, byXAUTH, byKeyAs("carol")}[rounds%3])
		h := hostile{Rand: random, from: conn.Local, cookies: cookies(c.local)}
		for range 50 {
			var prefix netip.Prefix
			if h.tunnel, prefix = w.ours(c.local); prefix.IsValid() {
				h.from6 = prefix.Addr().Next()
			}
			c.g.Engine.Work.Do(context.Background(), func(time.Time) { c.attack(h) })
			asked++
			if !bob.ping(other, netip.MustParseAddr("10.100.1.1"), 20*time.Second) {
				t.Errorf("seed %d: ping %d of another session is lost", seed, asked)
			}
		}
		c.close()
		w.clients = w.clients[:len(w.clients)-1]
		if t.Failed() {
			break
		}
	}
	w.wantNoFault()
	if !bob.ping(other, netip.MustParseAddr("10.100.1.1"), 20*time.Second) || bob.g.Engine.Config.Faults.Count() != 0 {
		t.Error("the other session is gone")
	}
	drops := w.server.server.engine.Plane.Drops()
	w.close()
	w.server, w.clients, bob, other = nil, nil, nil, nil
	grown := heapInUse() - heapBefore
	for range 500 {
		if runtime.NumGoroutine() <= before+2 && grown < 8<<20 {
			break
		}
		time.Sleep(20 * time.Millisecond)
		grown = heapInUse() - heapBefore
	}
	t.Logf("seed %d: %d rounds, %d pings, dropped %v, %d goroutines before and %d after, heap grown by %d KB",
		seed, rounds, asked, drops, before, runtime.NumGoroutine(), grown>>10)
	if n := runtime.NumGoroutine(); n > before+2 {
		t.Errorf("%d goroutines, there were %d", n, before)
	}
	if grown > 8<<20 {
		t.Errorf("%d MB are kept", grown>>20)
	}
}

func heapInUse() int {
	runtime.GC()
	runtime.GC() // and what the first left in pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// honest dials in real time.
func (c *client) honest(t *testing.T, edits ...func(*dialer.DialConfig)) *dialer.Connection {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := c.dial(ctx, edits...)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// attack sends what no client would.
func (c *client) attack(h hostile) {
	for range 4 {
		c.g.Engine.Plane.SendIKE(c.pathTo(4500), true, h.ike())
		c.g.Engine.Plane.SendIKE(c.pathTo(500), false, h.ike())
	}
	for _, s := range c.g.Engine.Table.Sessions {
		for range 16 {
			switch {
			case s.Link == nil:
				c.g.Engine.Plane.SendIP(s.Plane, h.packet())
			case h.IntN(8) == 0:
				c.g.Engine.Plane.SendL2TP(s.Peer.Plane, h.control())
			default:
				c.g.Engine.Plane.SendPPP(s.Plane, h.frame())
			}
		}
	}
	c.g.Engine.Plane.Flush()
}
