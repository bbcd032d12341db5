package bench

import (
	"context"
	"errors"
	"strings"
	"testing"
)

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

func TestWhatIsMissingIsSaid(t *testing.T) {
	lacks := way{name: "x", title: "a VPN", missing: func() error { return missing("a VPN: apt install vpn") }}
	m := newMatrix([]way{lacks}, nil)
	var s Section
	if err := m.run(context.Background(), "x", 1, timing{}, &s, nil); err != nil {
		t.Fatal(err)
	}
	if len(s.Notes) != 1 || checkNamespaces() == nil && s.Notes[0] != "a VPN was left out: bench: missing: a VPN: apt install vpn" {
		t.Errorf("%q", s.Notes)
	}
}

func TestRatiosOfWays(t *testing.T) {
	l := tcpLoad(1, false)
	l.option = "tcp"
	m := newMatrix([]way{{name: "a", title: "A"}, {name: "b", title: "B"}}, []load{l})
	m.samples["A, "+l.name], m.samples["B, "+l.name] = []float64{2, 6}, []float64{1, 2}
	var s Section
	m.ratios(&s, []match{{"a", "b", map[string]float64{"tcp": 1.5}}, {"a", "nobody", nil}})
	if len(s.Figures) != 1 || s.Figures[0].Median != 2.5 || s.Figures[0].Goal == nil || s.Figures[0].Goal.Value != 1.5 || len(s.Charts) != 1 {
		t.Errorf("%+v", s.Figures)
	}
}

func TestMatchesAreBetweenContestants(t *testing.T) {
	c := CompareConfig{Clients: 50, Policy: 100}
	m := newMatrix(c.contestants(), nil)
	for _, pair := range c.matches() {
		if _, ok := m.way(pair.of); !ok {
			t.Errorf("no contestant %s", pair.of)
		}
		if _, ok := m.way(pair.to); !ok {
			t.Errorf("no contestant %s", pair.to)
		}
	}
}

func TestManyClientsCarryOneStreamEach(t *testing.T) {
	w := culvertWay("aes256-sha1", "tun", 50)
	if l, ok := w.load(tcpLoad(1, false)); !ok || l.streams != 50 || l.device != callerDevice {
		t.Errorf("%+v, %v", l, ok)
	}
	for _, l := range []load{tcpLoad(4, false), udpLoad("1400 B", 0, 1400)} {
		if _, ok := w.load(l); ok {
			t.Errorf("%s by many clients", l.name)
		}
		if got, ok := w.many(0).load(l); ok {
			t.Errorf("%+v", got)
		}
	}
}

func TestSoftEtherIsToldEverything(t *testing.T) {
	nat, bridge := softEtherCommands("s3cret", "netstack"), softEtherCommands("s3cret", "tun")
	for _, want := range []string{"/PSK:s3cret", "UserCreate bench", "UserPasswordSet bench /PASSWORD:s3cret", "SecureNatEnable", "LogDisable packet"} {
		if !strings.Contains(nat, want) || !strings.Contains(bridge, want) {
			t.Errorf("no %q in %s and %s", want, nat, bridge)
		}
	}
	for _, want := range []string{"NatDisable", "BridgeCreate DEFAULT /DEVICE:bench /TAP:yes"} {
		if strings.Contains(nat, want) || !strings.Contains(bridge, want) {
			t.Errorf("%q in %s, or not in %s", want, nat, bridge)
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
