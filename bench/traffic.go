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

// TrafficJob is what a source or a sink does.
type TrafficJob struct {
	Proto            string
	Addr             netip.AddrPort
	Streams          int
	Sizes            []int // of IP packets, for UDP
	Rate             float64
	Down             bool // of TCP: the source listens, and the sink dials
	Warmup, Duration time.Duration
}

// arguments are the flags that make the same job of it.
func (j TrafficJob) arguments() []string {
	args := []string{
		"--proto", j.Proto, "--addr", j.Addr.String(), "--streams", fmt.Sprint(max(1, j.Streams)),
		"--warmup", j.Warmup.String(), "--duration", j.Duration.String(), "--rate", fmt.Sprint(j.Rate), "--down=" + fmt.Sprint(j.Down),
	}
	if len(j.Sizes) > 0 {
		args = append(args, "--sizes", strings.Trim(strings.ReplaceAll(fmt.Sprint(j.Sizes), " ", ","), "[]"))
	}
	return args
}

// RunTraffic does the job of one end, "source" or "sink". Who listens writes a
// line "ready", and a sink at the end what it counted as a line of JSON.
func RunTraffic(ctx context.Context, role string, j TrafficJob, out io.Writer) error {
	switch role + " " + j.Proto {
	case "sink tcp":
		return j.sinkTCP(ctx, out)
	case "sink udp":
		return j.sinkUDP(ctx, out)
	case "source tcp":
		return j.sourceTCP(ctx, out)
	case "source udp":
		return j.sourceUDP(ctx)
	}
	return badOption("traffic: sink or source, with tcp or udp")
}

// count watches a counter: it waits for the first change and the warmup, and
// returns what came in the time after that.
func (j TrafficJob) count(ctx context.Context, bytes, packets *atomic.Uint64) (transfer, error) {
	if err := until(ctx, patience, func() bool { return bytes.Load() > 0 }); err != nil {
		return transfer{}, failed("nothing arrived: %w", err)
	}
	pause(ctx, j.Warmup)
	began, b, p := time.Now(), bytes.Load(), packets.Load()
	pause(ctx, j.Duration)
	t := transfer{Bytes: bytes.Load() - b, Packets: packets.Load() - p, Seconds: time.Since(began).Seconds()}
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

func (j TrafficJob) sinkTCP(ctx context.Context, out io.Writer) error {
	var bytes, packets atomic.Uint64
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		err := j.connections(ctx, j.Down, out, func(conn net.Conn) { receive(conn, &bytes) })
		if err != nil {
			stop()
		}
		ended <- err
	}()
	t, err := j.count(ctx, &bytes, &packets)
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(t)
}

func receive(conn net.Conn, bytes *atomic.Uint64) {
	buf := make([]byte, 256<<10)
	for {
		n, err := conn.Read(buf)
		bytes.Add(uint64(n))
		if err != nil {
			return
		}
	}
}

// sourceTCP sends until the sink has had enough.
func (j TrafficJob) sourceTCP(ctx context.Context, out io.Writer) error {
	return j.connections(ctx, !j.Down, out, func(conn net.Conn) {
		buf := make([]byte, 128<<10)
		for {
			if _, err := conn.Write(buf); err != nil {
				return
			}
		}
	})
}

// connections dials or accepts the streams, and serves each until it ends or
// ctx is done, which is no error.
func (j TrafficJob) connections(ctx context.Context, dial bool, out io.Writer, serve func(net.Conn)) error {
	next := func() (net.Conn, error) {
		return (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", j.Addr.String())
	}
	if !dial {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", j.Addr.String())
		if err != nil {
			return failed("%w", err)
		}
		context.AfterFunc(ctx, func() { l.Close() })
		next = l.Accept
		fmt.Fprintln(out, "ready")
	}
	err := each(ctx, j.Streams, j.Streams, func(ctx context.Context, _ int) error {
		conn, err := next()
		if err != nil {
			return failed("%w", err)
		}
		untilDone(ctx, conn, serve)
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// untilDone serves a connection, which is closed when ctx is done.
func untilDone(ctx context.Context, conn net.Conn, serve func(net.Conn)) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	serve(conn)
}

func (j TrafficJob) sinkUDP(ctx context.Context, out io.Writer) error {
	conn, err := udp.Listen(udp.Config{Addr: j.Addr, ReceiveBuffer: 8 << 20})
	if err != nil {
		return failed("%w", err)
	}
	fmt.Fprintln(out, "ready")
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

// burst returns how many packets are due now; it sleeps when none is.
func (j TrafficJob) burst(began time.Time, sent int) int {
	if j.Rate <= 0 {
		return 64
	}
	due := int(time.Since(began).Seconds()*j.Rate) - sent
	if due <= 0 {
		time.Sleep(time.Duration(float64(time.Second) / j.Rate))
	}
	return min(max(0, due), 256)
}
