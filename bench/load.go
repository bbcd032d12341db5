package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// load is traffic from one place to another.
type load struct {
	option  string // as parseLoad reads it
	name    string
	proto   string // tcp or udp
	streams int
	down    bool    // towards the client; TCP only
	device  string  // as in TrafficJob
	sizes   []int   // of IP packets, of UDP
	rate    float64 // packets a second of UDP; 0: as many as go
}

// imix is the usual mixture of packet sizes: 7 small, 4 medium, 1 large.
func imix() []int { return []int{64, 64, 64, 64, 64, 64, 64, 576, 576, 576, 576, 1400} }

func tcpLoad(streams int, down bool) load {
	name := "TCP, one stream"
	if streams > 1 {
		name = fmt.Sprintf("TCP, %d streams", streams)
	}
	if down {
		name += " down"
	}
	return load{name: name, proto: "tcp", streams: streams, down: down}
}

func udpLoad(name string, rate float64, sizes ...int) load {
	return load{name: "UDP, " + name, proto: "udp", streams: 1, sizes: sizes, rate: rate}
}

// parseLoads reads a list such as tcp,tcpdown,tcp4,udp1400,imix.
func parseLoads(names []string) ([]load, error) {
	var all []load
	for _, name := range names {
		l, err := parseLoad(name)
		if err != nil {
			return nil, err
		}
		l.option = name
		all = append(all, l)
	}
	return all, nil
}

func parseLoad(name string) (load, error) {
	if name == "imix" {
		return udpLoad("IMIX", 0, imix()...), nil
	}
	if rest, ok := strings.CutPrefix(name, "tcp"); ok {
		rest, down := strings.CutSuffix(rest, "down")
		if n, err := strconv.Atoi(cmp.Or(rest, "1")); err == nil && n >= 1 && n <= 1000 {
			return tcpLoad(n, down), nil
		}
	}
	if rest, ok := strings.CutPrefix(name, "udp"); ok {
		if n, err := strconv.Atoi(rest); err == nil && n >= 40 && n <= maxForwardSize {
			return udpLoad(fmt.Sprintf("%d B", n), 0, n), nil
		}
	}
	return load{}, badOption("no load %q: tcp, tcpN for N streams, tcpdown and tcpNdown from the server to the client, udpN for packets of N bytes (40 to %d), imix", name, maxForwardSize)
}

// transfer is what a receiver counted.
type transfer struct {
	Bytes   uint64  `json:"bytes"`   // of payload
	All     uint64  `json:"all"`     // bytes of payload, with those of the warmup
	Packets uint64  `json:"packets"` // of UDP
	Seconds float64 `json:"seconds"`
}

// BitsPerSecond is the payload's rate.
func (t transfer) bitsPerSecond() float64 {
	if t.Seconds <= 0 {
		return 0
	}
	return float64(t.Bytes) * 8 / t.Seconds
}

// The commands of our own binary that are run within namespaces.
const (
	// TrafficCommand is the hidden sub-command of bench that RunTraffic serves.
	TrafficCommand = "traffic"
	// WireGuardCommand is the hidden sub-command that RunWireGuard serves.
	WireGuardCommand = "wireguard"
)

// trafficPort is where the first load of a road goes. Each has a port of its
// own, so that none counts what an earlier one left on the way.
const trafficPort = 5201

// carry sends a load from one namespace to an address in another and returns
// what arrived.
func (r *road) carry(ctx context.Context, from, to *namespace, at netip.Addr, l load, t timing) (transfer, error) {
	if t.iperf {
		return r.carryIperf(ctx, from, to, at, l, t)
	}
	mark := r.mark()
	defer r.closeTo(mark)
	r.carried++
	job := TrafficJob{
		Proto: l.proto, Addr: netip.AddrPortFrom(at, trafficPort+r.carried), Streams: l.streams, Down: l.down, Device: l.device, Sizes: l.sizes, Rate: l.rate,
		Warmup: t.warmup, Duration: t.duration,
	}
	listener, err := r.traffic(to, listening, job)
	if err != nil {
		return transfer{}, err
	}
	limit, cancel := context.WithTimeout(ctx, t.warmup+t.duration+patience)
	defer cancel()
	if _, err := listener.wantLine(limit, "ready"); err != nil {
		return transfer{}, err
	}
	dialler, err := r.traffic(from, dialling, job)
	if err != nil {
		return transfer{}, err
	}
	receiver, sender := listener, dialler
	if l.down {
		receiver, sender = dialler, listener
	}
	out, err := receiver.result(limit)
	if err != nil {
		return transfer{}, fmt.Errorf("%w; the other end said: %s", err, sender.lines.last(2))
	}
	return parseTransfer(out)
}

// traffic starts one end of a job.
func (r *road) traffic(ns *namespace, role string, j TrafficJob) (*process, error) {
	return r.start(ns, "traffic "+role, append([]string{r.program, "bench", TrafficCommand, role}, j.arguments()...)...)
}

// parseTransfer reads what a receiver wrote, the last of it what it counted.
func parseTransfer(out string) (t transfer, err error) {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(line), &t); err != nil {
				return t, failed("traffic: %w", err)
			}
			return t, nil
		}
	}
	return t, failed("traffic: no result in %q", out)
}

// timing says how long loads last.
type timing struct {
	warmup, duration time.Duration
	iperf            bool // by iperf3 instead of our own tool
}
