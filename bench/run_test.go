package bench

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
)

func wantConfig(t *testing.T, text string) {
	t.Helper()
	if _, err := config.Parse("bench", []byte(text)); err != nil {
		t.Error(err)
	}
}

// wantFigures fails the test unless each of the figures is there and above zero.
func wantFigures(t *testing.T, s Section, names ...string) {
	t.Helper()
	for _, name := range names {
		if f, ok := s.Figure(name); !ok || f.Median <= 0 {
			t.Errorf("%s is %+v", name, f)
		}
	}
	for _, c := range s.Charts {
		wantXML(t, c.SVG())
	}
}

func TestCrypto(t *testing.T) {
	s, err := Crypto(context.Background(), CryptoConfig{Sizes: []int{64, 1400}, Duration: time.Millisecond, Rounds: 2}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFigures(t, s, "seal aes256gcm16 64 B", "open aes256-sha1 1400 B")
}

func TestForward(t *testing.T) {
	c := ForwardConfig{Suites: []string{"aes256gcm16", "aes256-sha1"}, Sizes: []int{1400}, Sessions: []int{1, 5}, Duration: time.Millisecond, Rounds: 1}
	s, err := Forward(context.Background(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFigures(t, s, "up aes256gcm16 1400 B", "down aes256gcm16 1400 B", "up aes256-sha1 1400 B 5 sessions", "down share aes256-sha1 1400 B 5 sessions")
}

// TestForwardWithPolicy: what a policy leaves of the rate is said, and every packet goes.
func TestForwardWithPolicy(t *testing.T) {
	c := ForwardConfig{Suites: []string{"aes256gcm16"}, Sizes: []int{64}, Duration: time.Millisecond, Rounds: 1, Policy: 100}
	s, err := Forward(context.Background(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFigures(t, s, "up aes256gcm16 64 B 100 rules", "up left of the rate without a policy, aes256gcm16 64 B 100 rules", "down left of the rate without a policy, aes256gcm16 64 B 100 rules")
	if _, err := Forward(context.Background(), ForwardConfig{Policy: 1 << 20}, nil); !errors.Is(err, ErrOptions) {
		t.Errorf("a million rules: %v", err)
	}
}

func TestFlows(t *testing.T) {
	s, err := Flows(context.Background(), FlowsConfig{Flows: 20000, Duration: time.Millisecond, Rounds: 2}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFigures(t, s, "new flows", "packets of known flows", "memory a flow")
}

func TestInterruptedMeasurementsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Crypto(ctx, CryptoConfig{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("crypto: %v", err)
	}
	if _, err := Forward(ctx, ForwardConfig{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("forward: %v", err)
	}
}

func TestTrafficBetweenProcessesOfOne(t *testing.T) {
	for name, down := range map[string]bool{"tcp": false, "tcp down": true, "udp": false} {
		proto := name[:3]
		ctx, cancel := context.WithCancel(t.Context())
		j := TrafficJob{Proto: proto, Addr: netip.MustParseAddrPort("127.0.0.1:0"), Streams: 2, Sizes: []int{512}, Down: down, Duration: 50 * time.Millisecond}
		out, ended := make(chan string, 8), make(chan error, 2)
		go func() { ended <- RunTraffic(ctx, listening, j, channelWriter(out)) }()
		there := j
		there.Addr = wantAddress(t, <-out)
		go func() { ended <- RunTraffic(ctx, dialling, there, channelWriter(out)) }()
		// What a connection holds when it ends early would be counted in no time.
		if got, err := parseTransfer(<-out); err != nil || got.Bytes < 1<<20 || got.All < got.Bytes {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		cancel()
		if err := errors.Join(<-ended, <-ended); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// wantAddress reads where the end that listens is ready.
func wantAddress(t *testing.T, line string) netip.AddrPort {
	t.Helper()
	addr, ready := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	at, err := netip.ParseAddrPort(addr)
	if err != nil || !ready {
		t.Fatalf("%q says no address", line)
	}
	return at
}
