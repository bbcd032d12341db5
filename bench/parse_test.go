package bench

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
)

func TestOptionsAreRefused(t *testing.T) {
	ctx := context.Background()
	for name, err := range map[string]error{
		"suite":    second(Crypto(ctx, CryptoConfig{Suites: []string{"rot13"}}, nil)),
		"size":     second(Crypto(ctx, CryptoConfig{Sizes: []int{1}}, nil)),
		"rounds":   second(Crypto(ctx, CryptoConfig{Rounds: -1}, nil)),
		"time":     second(Forward(ctx, ForwardConfig{Duration: time.Microsecond}, nil)),
		"sessions": second(Forward(ctx, ForwardConfig{Sessions: []int{0}}, nil)),
		"too big":  second(Forward(ctx, ForwardConfig{Sizes: []int{1401}}, nil)),
		"load":     second(Throughput(ctx, ThroughputConfig{Program: "x", Loads: []string{"sctp"}}, nil)),
		"egress":   second(Throughput(ctx, ThroughputConfig{Program: "x", Egress: []string{"tap"}}, nil)),
		"tool":     second(Throughput(ctx, ThroughputConfig{Program: "x", Tool: "netperf"}, nil)),
		"iperf":    second(Throughput(ctx, ThroughputConfig{Program: "x", Tool: "iperf3", Duration: time.Millisecond}, nil)),
		"imix":     second(Throughput(ctx, ThroughputConfig{Program: "x", Tool: "iperf3"}, nil)),
		"program":  second(Throughput(ctx, ThroughputConfig{}, nil)),
	} {
		if !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestLoads(t *testing.T) {
	all, err := parseLoads([]string{"tcp", "tcp8", "udp512", "imix", "tcp2down"})
	if err != nil || len(all) != 5 || !all[4].down || all[4].streams != 2 || all[1].down || all[1].streams != 8 || all[2].sizes[0] != 512 || len(all[3].sizes) != 12 {
		t.Errorf("%+v, %v", all, err)
	}
	for _, bad := range []string{"", "udp", "udp9", "udp1500", "tcp0", "tcpx", "imix2", "udp512down", "down"} {
		if _, err := parseLoad(bad); !errors.Is(err, ErrOptions) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestTransfers(t *testing.T) {
	got, err := parseTransfer("ready\n{\"bytes\":1000,\"packets\":2,\"seconds\":0.5}\n")
	if err != nil || got.bitsPerSecond() != 16000 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "ready\n", "ready\n{\n"} {
		if _, err := parseTransfer(bad); !errors.Is(err, ErrFailed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestIperfResults(t *testing.T) {
	tcp, err := parseIperf(`{"end":{"sum_received":{"bytes":125000000,"seconds":1.0}}}`, tcpLoad(1, false))
	if err != nil || tcp.bitsPerSecond() != 1e9 {
		t.Errorf("%+v, %v", tcp, err)
	}
	udp, err := parseIperf(`{"end":{"sum_received":{"bytes":0,"packets":100,"lost_packets":40,"seconds":2}}}`, udpLoad("x", 0, 1028))
	if err != nil || udp.Packets != 60 || udp.Bytes != 60000 {
		t.Errorf("%+v, %v", udp, err)
	}
	for _, bad := range []string{"", "{}", `{"error":"unable to connect"}`} {
		if _, err := parseIperf(bad, tcpLoad(1, false)); !errors.Is(err, ErrFailed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	args := strings.Join(iperfArguments(serverAddr(), udpLoad("x", 1000, 1028), timing{duration: 2 * time.Second, warmup: time.Second}), " ")
	if args != "-c 198.18.0.2 -J -P 1 -t 2 -O 1 -u -b 8000000 -l 1000" {
		t.Error(args)
	}
}

func TestProcFiles(t *testing.T) {
	const stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 1000 200"
	if got := cpuOf(stat); got != 3*time.Second {
		t.Errorf("%v of CPU time", got)
	}
	if groupOf(stat) != 42 || groupOf("") != 0 {
		t.Errorf("group %d", groupOf(stat))
	}
	if cpuOf("") != 0 || residentOf("") != 0 {
		t.Error("something of nothing")
	}
	if got := residentOf("Name:\tx\nVmRSS:\t  1024 kB\n"); got != 1<<20 {
		t.Errorf("%d bytes resident", got)
	}
	if got := cpuName("processor\t: 0\nmodel name\t: A Chip\n"); got != "A Chip" {
		t.Error(got)
	}
	const table = "  sl  local_address rem_address\n 1: 00000000:1194 00000000:0000 07\n"
	if !hasPort(table, 0x1194) || hasPort(table, 0x0007) {
		t.Error("ports")
	}
}

func TestSendersTakeTurns(t *testing.T) {
	a, b := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:1")
	var all []udp.Message
	for i, from := range []netip.AddrPort{a, a, a, b} {
		all = append(all, udp.Message{Remote: from, Data: []byte{byte(i)}})
	}
	var order []byte
	for _, m := range inTurn(all) {
		order = append(order, m.Data[0])
	}
	if string(order) != "\x00\x03\x01\x02" {
		t.Errorf("%v", order)
	}
}

func TestServerConfigIsValid(t *testing.T) {
	c := serverConfig{listen: serverAddr(), ike: 500, natt: 4500, secret: newSecret(), egress: "netstack"}
	wantConfig(t, c.text(t.TempDir()))
	c.rules = 100
	wantConfig(t, c.text(t.TempDir()))
}
