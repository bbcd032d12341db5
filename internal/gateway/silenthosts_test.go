package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// narrowSocket opens a socket that sooner has no more room than those of the product:
// what so many silent hosts are sent would fill it several times over.
func narrowSocket(c udp.Config) (udp.Conn, error) {
	c.SendBuffer = 2 << 20
	return udp.Listen(c)
}

// onTheLink is a server on a link with others.
func (o *outside) onTheLink(t *testing.T) *world {
	t.Helper()
	yaml := strings.Replace(testConfig, "listen: [203.0.113.1]", `listen: [203.0.113.1, "2001:db8:7::1"]`, 1)
	conf, err := config.Parse("test.yaml", []byte(strings.Replace(yaml, "auth: {", "auth: {allow: [mschapv2, ikev2-psk], ", 1)))
	o.must(err)
	conf.Workers = 1
	core, logs := observer.New(zap.InfoLevel)
	w := &world{t: t, conf: conf, nets: make(map[string]*echoDevice), log: logs}
	g, err := New(Config{Config: conf, Log: zap.New(core), Listen: narrowSocket, OpenDevice: w.openDevice})
	o.must(err)
	w.server, w.stop, w.ended = run(g)
	return w
}

// callsFrom edits a dial so that it goes from a client's address to the server's.
func callsFrom(c *client, server netip.Addr) func(*dialer.DialConfig) {
	return func(d *dialer.DialConfig) {
		d.Local = c.local
		d.Server, d.ServerNATT = netip.AddrPortFrom(server, 500), netip.AddrPortFrom(server, 4500)
	}
}

// ikeSent is how many IKE messages a client has sent.
func (c *client) ikeSent() (n uint64) {
	c.w.within(c.g.Engine, func(time.Time) { n = c.g.Engine.IKE.Stats().Sent })
	return n
}

// dialsOnce dials, hangs up, and returns how many IKE messages that took, and how long.
func (c *client) dialsOnce(edits ...func(*dialer.DialConfig)) (n uint64, took time.Duration) {
	c.w.t.Helper()
	before, began := c.ikeSent(), time.Now()
	conn := c.mustDial(edits...)
	n, took = c.ikeSent()-before, time.Since(began)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn.Close(ctx)
	<-conn.Done()
	return n, took
}

// TestForgedNeighboursKeepNobodyOut: somebody sends first messages from addresses of the
// server's own link that nobody has, whose answers wait in the kernel for a neighbour that
// does not come. Who dials the very port that is flooded gets in without saying anything
// twice, from the link and from behind it, and a session that stands loses nothing.
func TestForgedNeighboursKeepNobodyOut(t *testing.T) {
	o := newOutside(t)
	msg := o.firstMessage()
	for _, server := range []string{"203.0.113.1", "2001:db8:7::1"} {
		for _, port := range []uint16{500, 4500} {
			to := netip.AddrPortFrom(netip.MustParseAddr(server), port)
			t.Run(to.String(), func(t *testing.T) { o.underForgery(t, to, msg) })
		}
	}
}

func (o *outside) underForgery(t *testing.T, to netip.AddrPort, msg []byte) {
	w := o.onTheLink(t)
	defer w.close()
	of := map[bool][]string{true: {"203.0.113.51", "203.0.113.50", "198.51.100.7"}, false: {"2001:db8:7::51", "2001:db8:7::50", "2001:db8:8::7"}}[to.Addr().Is4()]
	var all []*client
	for _, a := range of {
		all = append(all, w.clientAt(netip.MustParseAddr(a), o.listen))
	}
	calls := func(c *client, i int) (uint64, time.Duration) {
		if i%2 == 1 {
			return c.dialsOnce(callsFrom(c, to.Addr()), byKeyAs("carol"))
		}
		return c.dialsOnce(callsFrom(c, to.Addr()))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("dropped by the server: %v; refused: %v", w.server.server.engine.Plane.Drops(), w.server.server.engine.IKE.Stats().Dropped)
		}
	})
	standing := all[0].mustDial(callsFrom(all[0], to.Addr()), func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
	var usual [2]uint64
	for i := range usual {
		usual[i], _ = calls(all[1], i)
	}

	f, over := o.forger(to, msg), make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { f.run(over, w.server) })
	defer running.Wait()
	defer close(over)
	w.waitForRoomToEnd(t)
	smooth, lost, tries := 0, 0, 12
	for i := range tries {
		n, took := calls(all[1+i/2%2], i)
		if n <= usual[i%2] || took < time.Second { // that a cookie is asked for is no repetition
			smooth++
		}
		time.Sleep(50 * time.Millisecond) // the flood goes on meanwhile
		for range 10 {
			if !all[0].ping(standing, netip.MustParseAddr("198.18.0.2"), 5*time.Second) {
				lost++
			}
		}
	}
	drops := w.server.server.engine.Plane.Drops()
	full, unresolved := drops[dataplane.DropFull], drops[dataplane.DropUnresolved]
	said := fmt.Sprintf("%d of %d dials without a repetition, %d of %d pings lost, dropped: %d full, %d unresolved", smooth, tries, lost, 10*tries, full, unresolved)
	if t.Log(said); smooth < tries/2 || lost > 1 || full > unresolved/4 {
		t.Error("who forges neighbours disturbs others: " + said)
	}
}

// waitForRoomToEnd waits until answers have been dropped for want of room, or to keep some.
func (w *world) waitForRoomToEnd(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if d := w.server.server.engine.Plane.Drops(); d[dataplane.DropFull]+d[dataplane.DropUnresolved] > 1000 {
			return
		}
	}
	t.Fatal("the buffer does not fill: this is no flood")
}
