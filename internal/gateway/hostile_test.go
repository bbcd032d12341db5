package gateway

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/dataplane/simnet"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
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

// hostile makes packets and frames, random and almost right ones.
type hostile struct {
	*rand.Rand
	from netip.Addr
}

func (h hostile) junk(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(h.Uint32())
	}
	return b
}

// packet is an IP packet that begins as one that is right.
func (h hostile) packet() []byte {
	to := netip.AddrFrom4([4]byte{10, 100, byte(1 + h.IntN(2)), byte(h.IntN(4))})
	b := append(echoRequest(h.from, to, h.Uint32()), h.junk(h.IntN(64))...)
	b[9] = []byte{1, 6, 17, 17, 2, 47, 50, 0}[h.IntN(8)]
	for range h.IntN(6) {
		b[12+h.IntN(len(b)-12)] = byte(h.Uint32())
	}
	copy(b[12:16], h.from.AsSlice())
	b = b[:20+h.IntN(len(b)-20)]
	b[2], b[3] = 0, byte(len(b))
	ipkt.SetHeaderChecksum(b[:20])
	return b
}

// frame is a PPP frame: of an IP packet, of a control protocol, or nothing.
func (h hostile) frame() []byte {
	if h.IntN(2) == 0 {
		return append([]byte{0xff, 3, 0, 0x21}, h.packet()...)
	}
	if h.IntN(4) == 0 {
		return h.junk(h.IntN(60))
	}
	proto := [][]byte{{0xc0, 0x21}, {0x80, 0x21}, {0xc2, 0x23}, {0xc2, 0x27}, {0x80, 0x57}, {0xc0, 0x23}, {0x80, 0xfd}, {0x00, 0x57}}[h.IntN(8)]
	body := h.junk(h.IntN(40))
	return append(append([]byte{0xff, 3}, proto...), append([]byte{byte(h.IntN(16)), byte(h.IntN(4)), 0, byte(4 + len(body))}, body...)...)
}

// control is an L2TP control message.
func (h hostile) control() []byte {
	body := h.junk(h.IntN(60))
	return append([]byte{0xc8, 2, 0, byte(12 + len(body)), 0, byte(h.IntN(4)), 0, byte(h.IntN(4)), 0, byte(h.IntN(10)), 0, byte(h.IntN(10))}, body...)
}

// TestHostileSession: whoever logs in, by L2TP and in tunnel mode, and then sends
// anything, again and again, through a real network stack: nothing panics, nothing is
// left of it, and another session's pings are answered throughout.
func TestHostileSession(t *testing.T) {
	before := runtime.NumGoroutine()
	heapBefore := heapInUse()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	conf, err := config.Parse("test.yaml", []byte(xauthConfig))
	if err != nil {
		t.Fatal(err)
	}
	conf.Workers = 1
	w := &world{t: t, net: simnet.New(simnet.Config{Queue: 4096}), conf: conf, nets: make(map[string]*echoDevice)}
	g, err := New(Config{Config: conf, Log: zap.NewNop(), Listen: w.net.Listen})
	if err != nil {
		t.Fatal(err)
	}
	w.server, w.stop, w.ended = run(g)
	bob := w.client(nil)
	other := bob.honest(t, func(d *DialConfig) { d.User, d.Password = "bob", "bobpw" })
	answered, asked := 0, 0
	for n, end := 0, time.Now().Add(hostileFor(t)); time.Now().Before(end); n++ {
		c := w.client(nil)
		conn := c.honest(t, func(d *DialConfig) { d.XAUTH = n%2 == 1 })
		h := hostile{random, conn.Local}
		for range 50 {
			c.g.do(context.Background(), func(time.Time) { c.attack(h) })
			time.Sleep(time.Millisecond)
		}
		asked++
		if bob.ping(other, netip.MustParseAddr("10.100.1.1"), 20*time.Second) {
			answered++
		}
		c.close()
		w.clients = w.clients[:len(w.clients)-1]
	}
	if n := w.server.faults.Count(); n != 0 || answered != asked {
		t.Errorf("%d panics; %d of %d pings of another session answered", n, answered, asked)
	}
	w.close()
	for range 500 {
		if runtime.NumGoroutine() <= before+2 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before+2 {
		t.Errorf("%d goroutines, there were %d", n, before)
	}
	if grown := heapInUse() - heapBefore; grown > 32<<20 {
		t.Errorf("%d MB are kept", grown>>20)
	}
}

func heapInUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// honest dials in real time.
func (c *client) honest(t *testing.T, edits ...func(*DialConfig)) *Connection {
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
	for _, s := range c.g.sessions {
		for range 16 {
			if s.link == nil {
				c.g.plane.SendIP(s.plane, h.packet())
			} else if h.IntN(8) == 0 {
				c.g.plane.SendL2TP(s.peer.plane, h.control())
			} else {
				c.g.plane.SendPPP(s.plane, h.frame())
			}
		}
	}
	c.g.plane.Flush()
}
