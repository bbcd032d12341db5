package dataplane

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/tenant"
)

// throng is a plane with many peers, in an order that has nothing to do with
// where they lie in memory.
type throng struct {
	*rig
	theirs []client
	vault  *esp.Vault
}

// client is one of many, as it is itself.
type client struct {
	*esp.Outbound
	addr netip.Addr
}

func throngAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func newThrong(t testing.TB, n int, transform esp.Transform) *throng {
	c := &throng{rig: newRig(t, esp.EncryptionGCM16, 256, 0), vault: new(esp.Vault)}
	c.device.discard, c.wire.discard = true, true
	for i := range n {
		c.join(i, transform)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { c.theirs[i], c.theirs[j] = c.theirs[j], c.theirs[i] })
	return c
}

// join makes the i-th peer, with a session of its own.
func (c *throng) join(i int, transform esp.Transform) {
	keys := esp.Keys{Encryption: make([]byte, transform.EncryptionKeyLen()), Integrity: make([]byte, transform.IntegrityKeyLen())}
	binary.BigEndian.PutUint32(keys.Encryption, uint32(i))
	spi := esp.SPI(i+1) << 12
	peer := NewPeer(uint64(i))
	in, err1 := NewSA(peer, esp.InboundConfig{SPI: spi, Transform: transform, Keys: keys, Vault: c.vault})
	out, err2 := esp.NewOutbound(esp.OutboundConfig{SPI: spi, Transform: transform, Keys: keys, Vault: c.vault})
	theirs, err3 := esp.NewOutbound(esp.OutboundConfig{SPI: spi, Transform: transform, Keys: keys})
	if err1 != nil || err2 != nil || err3 != nil {
		c.t.Fatal(err1, err2, err3)
	}
	c.plane.AddSA(spi, in)
	if err := c.plane.Route(peer, Encapsulation{Out: out, Path: c.path, LocalPort: 1701, RemotePort: 1701}); err != nil {
		c.t.Fatal(err)
	}
	s := c.plane.NewSession(SessionConfig{Peer: peer, Tunnel: 7, Call: 9, RemoteTunnel: 70, RemoteCall: 90})
	c.plane.Bind(s, c.link.port, throngAddr(i), LinkOptions{MTU: 1400})
	c.theirs = append(c.theirs, client{theirs, throngAddr(i)})
}

// sealed is a packet of each peer.
func (c *throng) sealed(size int) []udp.Message {
	all := make([]udp.Message, len(c.theirs))
	for i, theirs := range c.theirs {
		frame := append(ppp.AppendHeader(nil, ppp.ProtocolIPv4, false, false), ipPacket(theirs.addr, internet, size)...)
		c.rig.theirs = theirs.Outbound
		all[i] = c.message(c.sealL2TP(append(l2tp.AppendDataHeader(nil, l2tp.DataHeader{Tunnel: 7, Call: 9}, len(frame)), frame...)))
	}
	return all
}

// up carries n packets up, and returns how long that took.
func (c *throng) up(n int) (took time.Duration) {
	room := make([][]byte, batchSize)
	for i := range room {
		room[i] = make([]byte, 2048+192)
	}
	batch := make([]udp.Message, batchSize)
	var all []udp.Message
	for left := n; left > 0; left -= batchSize {
		for i := range batch {
			if len(all) == 0 {
				for len(all) < 8*batchSize {
					all = append(all, c.sealed(1400)...)
				}
			}
			batch[i] = all[0]
			batch[i].Data = room[i][:copy(room[i], all[0].Data)]
			all = all[1:]
		}
		began := cpuTime()
		c.worker.batch(batch)
		took += cpuTime() - began
	}
	return took
}

// ring is a source of packets for all peers in turn.
type ring struct {
	headers [][]byte
	room    [][]byte
	at      int
	lent    int
	left    int
}

func (r *ring) Read() error {
	if r.left <= 0 {
		return io.EOF
	}
	r.lent = 0
	return nil
}

func (r *ring) Next() ([]byte, int, bool) {
	if r.lent == batchSize {
		return nil, 0, false
	}
	buf := r.room[r.lent]
	copy(buf[tenant.Headroom:], r.headers[r.at])
	r.at, r.lent, r.left = (r.at+1)%len(r.headers), r.lent+1, r.left-1
	return buf[:tenant.Headroom+1400], tenant.Headroom, true
}

// Peek implements tenant.Peeker.
func (r *ring) Peek(i int) []byte {
	if i == batchSize {
		return nil
	}
	return r.headers[(r.at+i)%len(r.headers)]
}

func (c *throng) down(n int) time.Duration {
	r := &ring{left: n}
	memory := make([]byte, 0, 20*len(c.theirs))
	for _, theirs := range c.theirs {
		memory = append(memory, ipPacket(internet, theirs.addr, 1400)[:20]...)
		r.headers = append(r.headers, memory[len(memory)-20:])
	}
	for range batchSize {
		r.room = append(r.room, make([]byte, 2048+192))
	}
	link := c.plane.newDownlink(c.link.port, r, c.device.Writer(), 0)
	began := cpuTime()
	link.run()
	return cpuTime() - began
}

// cpuTime is what the thread has used: what else the machine does is not counted.
func cpuTime() time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now) != nil {
		panic("no clock of the thread")
	}
	return time.Duration(now.Nano())
}

// BenchmarkMany: a packet of another session each time, as in `culvert bench
// forward`. ns/packet is to be the same with any number of sessions.
func BenchmarkMany(b *testing.B) {
	for _, suite := range []struct {
		encryption uint8
		integrity  uint16
	}{{esp.EncryptionGCM16, 0}, {esp.EncryptionAESCBC, esp.IntegritySHA256}} {
		transform, err := esp.ByIANA(suite.encryption, 256, suite.integrity)
		if err != nil {
			b.Fatal(err)
		}
		for _, n := range []int{1, 100, 20000} {
			c := newThrong(b, n, transform)
			for name, way := range map[string]func(int) time.Duration{"up": c.up, "down": c.down} {
				b.Run(fmt.Sprintf("%s/%v/%d", name, transform, n), func(b *testing.B) {
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
					runtime.GC()
					took := way(b.N)
					b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/packet")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}
