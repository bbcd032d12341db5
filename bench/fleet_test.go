package bench

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// builtIn is where culvert was built for all tests that need processes of it;
// empty: none did yet.
var builtIn string

// program returns culvert's file, built once.
func program(t *testing.T) string {
	t.Helper()
	if builtIn == "" {
		dir, err := os.MkdirTemp("", "culvert-bench-test-")
		if err != nil {
			t.Fatal(err)
		}
		builtIn = dir
	}
	path := filepath.Join(builtIn, "culvert")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	build := exec.Command("go", "build", "-o", path, "../cmd/culvert")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

func TestLogins(t *testing.T) {
	c := LoginsConfig{Target: Target{Program: program(t)}, Groups: []string{"ecp256"}, Duration: 300 * time.Millisecond, Rounds: 1, Parallel: 8}
	s, err := Logins(context.Background(), c, NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	wantFigures(t, s, "dial-ins ecp256", "bare exponentiations ecp256")
}

func TestSessions(t *testing.T) {
	c := SessionsConfig{Target: Target{Program: program(t)}, Sessions: 6, Steps: 2, Hold: 100 * time.Millisecond}
	s, err := Sessions(context.Background(), c, NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	wantFigures(t, s, "echo p50 at 3", "echo p99 after the hold", "memory a session at 6")
	if f, _ := s.Figure("sessions without an answer after the hold"); f.Median != 0 {
		t.Errorf("%g sessions do not answer", f.Median)
	}
}

func TestStorm(t *testing.T) {
	c := StormConfig{Program: program(t), Clients: 20, Persona: "windows10", Limit: time.Minute}
	s, err := Storm(context.Background(), c, NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	wantFigures(t, s, "the last back after")
	if f, _ := s.Figure("clients back"); f.Median != 20 {
		t.Errorf("%g of 20 are back", f.Median)
	}
}

func TestFleetOptionsAreRefused(t *testing.T) {
	ctx, ours := context.Background(), Target{Program: "x"}
	for name, err := range map[string]error{
		"persona":  second(Logins(ctx, LoginsConfig{Target: Target{Program: "x", Persona: "amiga"}}, nil)),
		"group":    second(Logins(ctx, LoginsConfig{Target: ours, Groups: []string{"modp7"}}, nil)),
		"parallel": second(Logins(ctx, LoginsConfig{Target: ours, Parallel: -1}, nil)),
		"secret":   second(Logins(ctx, LoginsConfig{Target: Target{Program: "x", Secret: "s"}}, nil)),
		"server":   second(Logins(ctx, LoginsConfig{Target: Target{Server: serverAddr()}}, nil)),
		"sessions": second(Sessions(ctx, SessionsConfig{Target: ours, Sessions: 70000}, nil)),
		"steps":    second(Sessions(ctx, SessionsConfig{Target: ours, Sessions: 2, Steps: 3}, nil)),
		"hold":     second(Sessions(ctx, SessionsConfig{Target: ours, Hold: -1}, nil)),
		"clients":  second(Storm(ctx, StormConfig{Program: "x", Clients: -1}, nil)),
		"limit":    second(Storm(ctx, StormConfig{Program: "x", Limit: 1}, nil)),
		"with":     second(Compare(ctx, CompareConfig{Program: "x", With: []string{"ipx"}}, nil)),
		"load":     second(Compare(ctx, CompareConfig{Program: "x", Loads: []string{"x"}}, nil)),
	} {
		if !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// wantRoad says whether namespaces and TUN devices can be made here. CI can.
func wantRoad(t *testing.T) bool {
	t.Helper()
	err := errors.Join(checkNamespaces(), checkTUN())
	if err != nil {
		t.Logf("without traffic between namespaces: %v", err)
	}
	return err == nil
}

func TestThroughput(t *testing.T) {
	c := ThroughputConfig{
		Program: program(t), Suites: []string{"aes256gcm16"}, Loads: []string{"tcp", "udp512"},
		Duration: 100 * time.Millisecond, Warmup: 50 * time.Millisecond, Rounds: 1,
	}
	s, err := Throughput(context.Background(), c, NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	if !wantRoad(t) {
		if len(s.Notes) == 0 {
			t.Error("nothing says what is missing")
		}
		return
	}
	wantFigures(t, s, "culvert aes256gcm16 tun, TCP, one stream", "culvert aes256gcm16 netstack, UDP, 512 B", "no VPN, TCP, one stream")
}

func TestCompare(t *testing.T) {
	c := CompareConfig{
		Program: program(t), With: []string{"culvert-tun-aes256gcm16", "wireguard-go"}, Loads: []string{"tcp"},
		Duration: 100 * time.Millisecond, Warmup: 50 * time.Millisecond, Rounds: 2,
	}
	s, err := Compare(context.Background(), c, NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	if wantRoad(t) {
		wantFigures(t, s, "culvert aes256gcm16 tun against wireguard-go, TCP, one stream")
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	lacks := way{name: "x", title: "a VPN", missing: func() error { return missing("a VPN: apt install vpn") }}
	m := newMatrix([]way{lacks}, nil)
	var s Section
	if err := m.run(context.Background(), "x", 1, timing{}, &s, nil); err != nil {
		t.Fatal(err)
	}
	if len(s.Notes) != 1 || len(m.ways) != 0 && wantRoad(t) {
		t.Errorf("%q, %d ways", s.Notes, len(m.ways))
	}
}

func TestRatiosOfWays(t *testing.T) {
	l := tcpLoad(1, false)
	m := newMatrix(nil, []load{l})
	m.samples["a, "+l.name], m.samples["b, "+l.name] = []float64{2, 6}, []float64{1, 2}
	var s Section
	m.ratios(&s, []match{{"a", "b"}, {"a", "nobody"}})
	if len(s.Figures) != 1 || s.Figures[0].Median != 2.5 || len(s.Charts) != 1 {
		t.Errorf("%+v", s.Figures)
	}
}

func TestSoftEtherIsToldEverything(t *testing.T) {
	text := softEtherCommands("s3cret")
	for _, want := range []string{"/PSK:s3cret", "UserCreate bench", "UserPasswordSet bench /PASSWORD:s3cret", "SecureNatEnable"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

func TestEchoRequestsAreValid(t *testing.T) {
	pkt := echoRequest(clientAddr(), serverAddr(), 0xfffe1234)
	sum := uint32(0)
	for i := 20; i < len(pkt); i += 2 {
		sum += uint32(pkt[i])<<8 | uint32(pkt[i+1])
	}
	if sum = sum&0xffff + sum>>16; sum != 0xffff {
		t.Errorf("checksum %#x", sum)
	}
	p := newProbes()
	answered := make(chan struct{})
	p.waiting[0xfffe1234] = answered
	p.received(pkt)
	select {
	case <-answered:
		t.Error("a request is no answer")
	default:
	}
	pkt[20] = 0
	p.received(pkt)
	p.received(pkt[:10])
	<-answered
}
