package netstack

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// road is the end of a connection as a window sees it, of a path that takes so
// many bytes a second.
type road struct {
	tcpip.Endpoint
	options tcpip.SocketOptions
	info    tcpip.TCPInfoOption
	stats   tcp.Stats
	fresh   int // slow starts
}

func (r *road) SocketOptions() *tcpip.SocketOptions { return &r.options }
func (r *road) Stats() tcpip.EndpointStats          { return &r.stats }
func (r *road) GetSockOpt(o tcpip.GettableSocketOption) tcpip.Error {
	*o.(*tcpip.TCPInfoOption) = r.info
	return nil
}

func (r *road) SetSockOpt(tcpip.SettableSocketOption) tcpip.Error {
	r.fresh++
	return nil
}

// windowOver returns a window over a road, and what lets it have a round: the
// road takes all that is under way, at its rate and not before its round trip,
// and loses so many packets in a hundred.
func windowOver(rate float64, rtt time.Duration) (*road, *window, func(lost int)) {
	r := &road{info: tcpip.TCPInfoOption{RTT: rtt, SndCwnd: 10, SndSsthresh: 1<<32 - 1}}
	r.options.InitHandler(&tcpip.DefaultSocketOptionsHandler{}, nil, nil, nil)
	r.options.SetSendBufferSize(defaultBuffer, false)
	w := newWindow(r, 1000, maxBuffer)
	now := time.Now()
	used := defaultBuffer
	w.written = defaultBuffer
	w.full(now, maxBuffer)
	return r, &w, func(lost int) {
		now = now.Add(max(rtt, time.Duration(float64(used)/rate*1e9)))
		r.stats.SendErrors.Retransmits.IncrementBy(uint64(lost * used / 1000 / 100))
		used = w.size
		w.written += uint64(used)
		w.full(now, maxBuffer)
	}
}

func TestWindowFollowsBandwidthAndDelay(t *testing.T) {
	const rate, rtt = 10e6, 100 * time.Millisecond // holds a megabyte
	_, w, round := windowOver(rate, rtt)
	for range 12 {
		round(0)
	}
	if w.size < 1_200_000 || w.size > 1_300_000 {
		t.Errorf("%d bytes for a road of a million", w.size)
	}
	if p := w.pause(); p != rtt/8 {
		t.Errorf("writes after %v", p)
	}
	for range 40 {
		round(5)
	}
	if w.size < 1_000_000 || w.size > 1_050_000 {
		t.Errorf("%d bytes for a crowded road of a million", w.size)
	}
	_, w, round = windowOver(1e12, 50*time.Millisecond)
	for range 20 {
		round(0)
	}
	if w.size != maxBuffer {
		t.Errorf("%d bytes, want at most %d", w.size, maxBuffer)
	}
}

// What is lost by the way does not keep the stack small; what is lost in a
// crowd does.
func TestWindowKnowsLossFromCrowds(t *testing.T) {
	r, _, round := windowOver(10e6, 20*time.Millisecond)
	r.info.SndSsthresh = 10
	round(0)
	if r.fresh == 0 {
		t.Error("no slow start after a loss")
	}
	before := r.fresh
	round(5)
	if r.fresh != before {
		t.Error("a slow start where 5 % are lost")
	}
	r.info.CcState = tcpip.SACKRecovery
	round(1)
	if r.fresh != before {
		t.Error("a slow start while losses are mended")
	}
	r.info.CcState = tcpip.Open
	if round(1); r.fresh != before+1 {
		t.Error("no slow start where 1 % is lost")
	}
}

// download returns how many bits came over a path in one second: in the first one,
// after some, in which that was as much as wanted, or in the last of ten. So a busy
// machine has the time that it needs.
func download(t *testing.T, down *path, after int, want float64) float64 {
	t.Helper()
	port := listenTCP(t, func(conn net.Conn) {
		piece := make([]byte, benchPiece)
		for {
			if _, err := conn.Write(piece); err != nil {
				return
			}
		}
	})
	up := (&path{delay: down.delay}).start()
	twin := newTwinOver(t, newBenchDevice(t), up.carry, down.carry)
	conn, err := gonet.DialTCP(twin.stack, full(netip.AddrPortFrom(serverIP, port)), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rate := 0.0
	for second := range after + 10 {
		if rate = receive(t, conn, time.Second); second >= after && rate >= want {
			break
		}
	}
	return rate
}

// receive returns how many bits a second come in that time.
func receive(t *testing.T, conn net.Conn, d time.Duration) float64 {
	t.Helper()
	began, n, buf := time.Now(), 0, make([]byte, 1<<20)
	for time.Since(began) < d {
		m, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	return float64(n) * 8 / time.Since(began).Seconds()
}

func TestLongRoadIsFilled(t *testing.T) {
	t.Parallel()
	const rate, want = 50e6, 25e6 // with the buffer as it is at first: 10e6
	got := download(t, (&path{rate: rate / 8, delay: 50 * time.Millisecond, queue: 500_000}).start(), 1, want)
	if got < want {
		t.Errorf("%.1f Mbit/s of 50 over 100 ms", got/1e6)
	}
}

func TestLossDoesNotStopADownload(t *testing.T) {
	t.Parallel()
	const want = 10e6
	got := download(t, (&path{rate: 100e6 / 8, delay: 10 * time.Millisecond, queue: 250_000, loss: 0.01}).start(), 2, want)
	if got < want {
		t.Errorf("%.1f Mbit/s over 20 ms with 1 %% lost", got/1e6)
	}
}
