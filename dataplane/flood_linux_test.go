package dataplane

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// flooded is a plane on a socket of the kernel, whose device takes so long
// over each packet that its worker cannot keep up with a flood.
type flooded struct {
	*crowd
	to      netip.AddrPort
	control int      // L2TP messages of any member
	arrived sync.Map // *atomic.Int64 by source address
}

const slowPacket = 20 * time.Microsecond

func newFlooded(t *testing.T) *flooded {
	f := &flooded{crowd: newCrowd(t)}
	conn, err := udp.Listen(udp.Config{Addr: netip.MustParseAddrPort("127.0.0.1:0"), ReceiveBuffer: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	f.to, f.device.discard = conn.LocalAddr(), true
	f.device.taken = func(pkt []byte) {
		for began := time.Now(); time.Since(began) < slowPacket; {
		}
		if ip, err := ipkt.Parse(pkt); err == nil {
			n, _ := f.arrived.LoadOrStore(ip.Source(), new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
		}
	}
	f.worker.conn = conn
	var running sync.WaitGroup
	running.Go(f.worker.run)
	t.Cleanup(func() { conn.Close(); running.Wait() })
	return f
}

func (f *flooded) from(a netip.Addr) int64 {
	if n, ok := f.arrived.Load(a); ok {
		return n.(*atomic.Int64).Load()
	}
	return 0
}

// writer makes a client's socket.
func (f *flooded) writer(t *testing.T) udp.Writer {
	conn, err := udp.Listen(udp.Config{Addr: netip.MustParseAddrPort("127.0.0.1:0"), SendBuffer: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.NewWriter(batchSize)
}

// flood sends the packets of one member as fast as it can, until it is told to stop.
func (f *flooded) flood(w udp.Writer, m *member, stop *atomic.Bool) (sent int64) {
	flooder := &crowd{rig: &rig{t: f.t}}
	for !stop.Load() {
		for range batchSize {
			w.Commit(flooder.seal(m, 200), f.to, netip.Addr{})
			sent++
		}
		w.Flush()
	}
	return sent
}

// One client sends several times what a worker can carry. Whoever sends little
// loses nothing by it, and control messages arrive, of those who are in and of
// those who are not.
func TestFloodStarvesNobody(t *testing.T) {
	t.Parallel()
	f := newFlooded(t)
	flooder, polite := f.members[1], f.members[0]
	w, own := f.writer(t), f.writer(t)
	var stop atomic.Bool
	var flooding sync.WaitGroup
	var sent int64
	flooding.Go(func() { sent = f.flood(w, flooder, &stop) })
	me := &crowd{rig: &rig{t: t, theirs: polite.theirs}}
	for range 100 { // until the socket is full, and the worker has found its measure
		own.Commit(me.seal(polite, 100), f.to, netip.Addr{})
		own.Flush()
		time.Sleep(5 * time.Millisecond)
	}
	const packets, enough = 100, 95
	before := f.from(polite.addr)
	for range packets {
		own.Commit(me.seal(polite, 200), f.to, netip.Addr{})
		own.Commit(me.sealL2TP(append([]byte{0xc8, 2}, make([]byte, 10)...)), f.to, netip.Addr{})
		own.Commit(append(make([]byte, 4), "an IKE message"...), f.to, netip.Addr{})
		own.Flush()
		time.Sleep(5 * time.Millisecond)
		f.takeControl()
	}
	stop.Store(true)
	flooding.Wait()
	for until := time.Now().Add(2 * time.Second); f.least(polite, before) < packets && time.Now().Before(until); {
		time.Sleep(5 * time.Millisecond)
		f.takeControl()
	}
	carried, shared := f.from(flooder.addr), f.plane.Drops()[DropShare]
	const text = "of the flood %d of %d were carried, %d cut; of %d each, %d packets, %d control messages, %d of IKE"
	t.Logf(text, carried, sent, shared, packets, f.from(polite.addr)-before, f.control, len(f.plane.Inbox().Strangers()))
	if f.least(polite, before) < enough {
		t.Error("too little of the others' arrived")
	}
	if shared == 0 || carried == 0 {
		t.Error("this was no flood")
	}
}

// least is what came of that of which least came: a member's packets, control
// messages and IKE.
func (f *flooded) least(m *member, before int64) int {
	return min(int(f.from(m.addr)-before), f.control, len(f.plane.Inbox().Strangers()))
}

// takeControl does what the control loop would.
func (f *flooded) takeControl() {
	for len(f.plane.Inbox().Peers()) > 0 {
		m := <-f.plane.Inbox().Peers()
		if m.Kind == L2TP {
			f.control++
		}
		m.Release()
	}
}
