package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// A login that fails is one line, by each protocol: with the user and the cause, and
// with nothing that is not so.
func TestRefusedLoginIsOneLine(t *testing.T) {
	a := newAuthority(t, "a")
	lines := a.server(vpn)
	for name, edits := range map[string][]func(*dialer.DialConfig){
		"l2tp":                    {func(d *dialer.DialConfig) { d.Password = "wrong" }},
		"ikev2":                   {a.trusts(vpn), func(d *dialer.DialConfig) { d.Password = "wrong" }},
		"ikev2 unknown user":      {a.trusts(vpn), func(d *dialer.DialConfig) { d.User = "mallory" }},
		"ikev2 by the key alone":  {func(d *dialer.DialConfig) { d.V2 = &dialer.DialV2{} }},
		"ikev2 of a foreign name": {a.trusts(vpn), func(d *dialer.DialConfig) { d.User = "alice@elsewhere" }},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, testConfig+lines, func(t *testing.T, w *world) {
				w.client(nil).wantRefused(edits...)
				var warnings []string
				for _, entry := range w.log.All() {
					line := fmt.Sprint(entry.Message, " ", entry.ContextMap())
					if entry.Level >= zapcore.WarnLevel {
						warnings = append(warnings, line)
					}
					if strings.Contains(line, "invalid IP") {
						t.Errorf("a line names an address that nobody has: %s", line)
					}
				}
				if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "login-refused ") {
					t.Errorf("the refused login is %d lines: %s", len(warnings), strings.Join(warnings, "\n"))
				}
			})
		})
	}
}

// Who dials is told what the server said, as a refusal of ours, and what to look at on
// this side; the other side is called the server.
func TestDiallerIsToldOfRefusal(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		core, logs := observer.New(zapcore.InfoLevel)
		local := netip.MustParseAddr("192.0.2.77")
		conf := &config.Config{Listen: []netip.Addr{local}, Workers: 1, Ports: config.Ports{IKE: 500, NATT: 4500}}
		g, err := dialer.New(dialer.Config{Addresses: conf.Listen, IKEPort: conf.Ports.IKE, NATTPort: conf.Ports.NATT, Listen: w.net.Listen, Log: zap.New(core)})
		if err != nil {
			t.Fatal(err)
		}
		c := &client{w: w, local: local}
		c.g, c.stop, c.ended = run(g)
		w.clients = append(w.clients, c)
		_, err = c.dial(t.Context(), func(d *dialer.DialConfig) { d.V2 = &dialer.DialV2{} })
		const want = "refused by the other side: the other side answered AUTHENTICATION_FAILED"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("dial: %v; want %q", err, want)
		}
		lines := logs.FilterMessage("ike-refused").All()
		if len(lines) != 1 {
			t.Fatalf("%d lines: %v", len(lines), logs.All())
		}
		said := lines[0].ContextMap()
		if said["server"] != serverAddr+":4500" || said["client"] != nil || said["tenant"] != nil {
			t.Errorf("the line does not name the server: %v", said)
		}
		if hint, _ := said["hint"].(string); !strings.Contains(hint, "its log says why") {
			t.Errorf("the hint does not say where to look: %q", hint)
		}
	})
}

// Who dials is told so at once: a server that does not answer is waited for half a minute
// and more, in which nothing else is said.
func TestDialIsTold(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	ctx, stop := context.WithCancel(t.Context())
	told := zap.New(core, zap.Hooks(func(zapcore.Entry) error { stop(); return nil }))
	if err := dialer.Connect(ctx, dialer.ConnectConfig{Server: "127.0.0.1", PSK: []byte("secret"), User: "a", Password: "b", Once: true, Log: told}); err != nil {
		t.Fatal(err)
	}
	first := logs.All()[0]
	if first.Message != "dialling" || first.ContextMap()["server"] != "127.0.0.1" || first.ContextMap()["local"] != "127.0.0.1" {
		t.Errorf("the first line is %v", first)
	}
}
