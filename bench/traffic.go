package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
)

// TrafficJob is what the two ends of some traffic do. One listens, the other
// dials; data goes to the one that listens, or with Down to the one that dials.
type TrafficJob struct {
	Proto   string
	Addr    netip.AddrPort
	Streams int
	Down    bool // TCP only
	// Device is the device that streams leave through, with %d for the number of
	// the stream; empty: what the route says.
	Device           string
	Sizes            []int // of IP packets, for UDP
	Rate             float64
	Warmup, Duration time.Duration
}

// arguments are the flags that make the same job of it.
func (j TrafficJob) arguments() []string {
	args := []string{
		"--proto", j.Proto, "--addr", j.Addr.String(), "--streams", fmt.Sprint(max(1, j.Streams)),
		"--warmup", j.Warmup.String(), "--duration", j.Duration.String(), "--rate", fmt.Sprint(j.Rate),
	}
	if j.Down {
		args = append(args, "--down")
	}
	if j.Device != "" {
		args = append(args, "--device", j.Device)
	}
	if len(j.Sizes) > 0 {
		args = append(args, "--sizes", strings.Trim(strings.ReplaceAll(fmt.Sprint(j.Sizes), " ", ","), "[]"))
	}
	return args
}

// The two ends of traffic.
const (
	listening = "listen"
	dialling  = "dial"
)

// receiver is the end that counts.
func (j TrafficJob) receiver() string {
	if j.Down {
		return dialling
	}
	return listening
}

// RunTraffic does the job of one end, "listen" or "dial". The one that listens
// writes a line "ready" and where, and the one that receives, at the end, what it counted
// as a line of JSON.
func RunTraffic(ctx context.Context, role string, j TrafficJob, out io.Writer) error {
	switch role + " " + j.Proto {
	case "listen tcp":
		return j.listenTCP(ctx, out)
	case "dial tcp":
		return j.dialTCP(ctx, out)
	case "listen udp":
		return j.sinkUDP(ctx, out)
	case "dial udp":
		return j.sourceUDP(ctx)
	}
	return badOption("traffic: listen or dial, with tcp or udp")
}

// count watches a counter: it waits for the first change and the warmup, and
// returns what came in the time after that. If that is nothing the time lasts until
// something comes: on a busy machine an end may have had no processor meanwhile.
func (j TrafficJob) count(ctx context.Context, bytes, packets *atomic.Uint64) (transfer, error) {
	if err := until(ctx, patience, func() bool { return bytes.Load() > 0 }); err != nil {
		return transfer{}, failed("nothing arrived: %w", err)
	}
	pause(ctx, j.Warmup)
	began, b, p := time.Now(), bytes.Load(), packets.Load()
	pause(ctx, j.Duration)
	_ = until(ctx, patience/2, func() bool { return bytes.Load() > b })
	t := transfer{Bytes: bytes.Load() - b, Packets: packets.Load() - p, Seconds: time.Since(began).Seconds()}
	t.All = bytes.Load()
	return t, ctx.Err()
}

// until waits for a condition.
func until(ctx context.Context, limit time.Duration, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !ready() {
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// pause sleeps, unless ctx is done before.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (j TrafficJob) sinkUDP(ctx context.Context, out io.Writer) error {
	conn, err := udp.Listen(udp.Config{Addr: j.Addr, ReceiveBuffer: 8 << 20})
	if err != nil {
		return failed("%w", err)
	}
	fmt.Fprintln(out, "ready", conn.LocalAddr())
	var bytes, packets atomic.Uint64
	var running sync.WaitGroup
	background(&running, func() { readAllUDP(conn, &bytes, &packets) })
	t, err := j.count(ctx, &bytes, &packets)
	conn.Close()
	running.Wait()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(t)
}

func readAllUDP(conn udp.Conn, bytes, packets *atomic.Uint64) {
	reader := conn.NewReader(64)
	for {
		batch, err := reader.Read()
		if err != nil {
			return
		}
		n := 0
		for i := range batch {
			n += len(batch[i].Data)
		}
		bytes.Add(uint64(n))
		packets.Add(uint64(len(batch)))
	}
}

// udpOverhead is the IP and the UDP header.
const udpOverhead = 28

func (j TrafficJob) sourceUDP(ctx context.Context) error {
	any := netip.IPv4Unspecified()
	if j.Addr.Addr().Is6() {
		any = netip.IPv6Unspecified()
	}
	conn, err := udp.Listen(udp.Config{Addr: netip.AddrPortFrom(any, 0), SendBuffer: 4 << 20})
	if err != nil {
		return failed("%w", err)
	}
	defer conn.Close()
	w := conn.NewWriter(64)
	buf := make([]byte, maxForwardSize)
	deadline := time.Now().Add(j.Warmup + j.Duration + patience)
	began, sent := time.Now(), 0
	for ctx.Err() == nil && time.Now().Before(deadline) {
		for range j.burst(began, sent) {
			size := max(1, j.Sizes[sent%len(j.Sizes)]-udpOverhead)
			w.Commit(buf[:size], j.Addr, netip.Addr{})
			sent++
		}
		if err := w.Flush(); err != nil && !errors.Is(err, net.ErrClosed) {
			return failed("%w", err)
		}
	}
	return nil
}

// burstSize is how many packets of UDP are sent at once at least: what a source
// costs, on a machine that the VPN shares, is the same at any rate then.
const burstSize = 64

// burst returns how many packets are due now; it sleeps when they are too few.
func (j TrafficJob) burst(began time.Time, sent int) int {
	if j.Rate <= 0 {
		return burstSize
	}
	due := int(time.Since(began).Seconds()*j.Rate) - sent
	if due < burstSize {
		time.Sleep(time.Duration(float64(burstSize-due) / j.Rate * float64(time.Second)))
		return 0
	}
	return min(due, 4*burstSize)
}
