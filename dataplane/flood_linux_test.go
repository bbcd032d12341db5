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

// flood sends the packets of one member as fast as it can, until it is told to
// stop.
func (f *flooded) flood(w udp.Writer, m *member, stop *atomic.Bool) {
	flooder := &crowd{rig: &rig{t: f.t}}
	for !stop.Load() {
		for range batchSize {
			w.Commit(flooder.seal(m, 200), f.to, netip.Addr{})
		}
		w.Flush()
	}
}

// One client sends several times what a worker can carry. Whoever sends little
// loses nothing by it, and control messages arrive, of those who are in and of
// those who are not.
func TestFloodStarvesNobody(t *testing.T) {
	t.Parallel()
	f := newFlooded(t)
	w, own := f.writer(t), f.writer(t)
	flooder, polite := f.members[1], f.members[0]
	var stop atomic.Bool
	var flooding sync.WaitGroup
	flooding.Go(func() { f.flood(w, flooder, &stop) })
	f.send(own, polite) // until the socket is full, and the worker has found its measure
	arrived := 0
	for range 4 { // a machine that is busy may set the worker aside
		before := f.least(polite)
		f.send(own, polite)
		for until := time.Now().Add(time.Second); f.least(polite) < before+floodSent && time.Now().Before(until); {
			time.Sleep(time.Millisecond)
		}
		if arrived = f.least(polite) - before; arrived >= floodSent*95/100 {
			break
		}
		t.Logf("%d of %d arrived", arrived, floodSent)
	}
	stop.Store(true)
	flooding.Wait()
	carried, cut := f.from(flooder.addr), f.plane.Drops()[DropShare]
	t.Logf("of the flood %d were carried, %d cut", carried, cut)
	if arrived < floodSent*95/100 {
		t.Errorf("%d of %d of the others' arrived", arrived, floodSent)
	}
	if cut == 0 || carried == 0 {
		t.Error("this was no flood")
	}
}

// floodSent is how much of everything is sent beside a flood.
const floodSent = 100

// send sends packets, control messages and IKE of a member, slowly.
func (f *flooded) send(w udp.Writer, m *member) {
	me := &crowd{rig: &rig{t: f.t, theirs: m.theirs}}
	for range floodSent {
		w.Commit(me.seal(m, 200), f.to, netip.Addr{})
		w.Commit(me.sealL2TP(append([]byte{0xc8, 2}, make([]byte, 10)...)), f.to, netip.Addr{})
		w.Commit(append(make([]byte, 4), "an IKE message"...), f.to, netip.Addr{})
		w.Flush()
		time.Sleep(4 * time.Millisecond)
		f.takeControl()
	}
}

// least is what came of that of which least came: a member's packets, control
// messages and IKE.
func (f *flooded) least(m *member) int {
	f.takeControl()
	return min(int(f.from(m.addr)), f.control, len(f.plane.Inbox().Strangers()))
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
