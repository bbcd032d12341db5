package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/dialer"
	l2tppersona "github.com/culvert-vpn/culvert/l2tp/persona"
)

// TestQuirks walks the table of quirks: a family that has one is treated so in a
// handshake of its own, and one that has it not is treated as everybody is.
func TestQuirks(t *testing.T) {
	shown := map[family.Quirk]func(t *testing.T){
		family.EchoNATD:          testEchoNATD,
		family.KnownNotifiesOnly: testKnownNotifiesOnly,
		family.NoChildRenewal:    testNoChildRenewal,
		family.BroadcastSelector: testBroadcastSelector,
	}
	for _, e := range family.Table() {
		if shown[e.Quirk] == nil {
			t.Errorf("nothing shows %s", e.Name)
			continue
		}
		t.Run(e.Name, shown[e.Quirk])
	}
}

// TestFamilies: what each persona of L2TP is taken for.
func TestFamilies(t *testing.T) {
	want := map[string]family.Family{
		"culvert": family.Other, "windows7": family.Windows7, "windows10": family.Windows10, "macos": family.Apple, "ios": family.Apple,
		"android": family.Android, "chromeos": family.StrongSwan, "networkmanager": family.StrongSwan, "kl2tpd": family.StrongSwan,
		"mikrotik": family.MikroTik, "tplink": family.Xl2tpd,
	}
	inWorld(t, goodRoad, testConfig+"    legacy: true\n", func(t *testing.T, w *world) {
		for _, persona := range l2tppersona.Names() {
			w.log.TakeAll()
			c := w.client(nil)
			c.wantPing(c.mustDial(func(d *dialer.DialConfig) { d.Persona = persona }), "198.18.0.2")
			w.wantLog("session-up", "family", string(want[persona]))
			w.wantLog("session-up", "protocol", "l2tp/ikev1")
		}
	})
}

// golden returns the messages of a recorded handshake that one side sent.
func golden(t *testing.T, persona, side string) (list [][]byte) {
	t.Helper()
	text, err := os.ReadFile("../../ike/testdata/" + persona + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if data, ok := strings.CutPrefix(line, side+" "); ok {
			b, err := hex.DecodeString(strings.TrimSpace(data))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, b)
		}
	}
	return list
}

// payloads returns the bodies of a type in a message that is in clear.
func payloads(t *testing.T, msg []byte, want wire.PayloadType) (list [][]byte) {
	t.Helper()
	h, body, err := wire.ConsumeHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range chain {
		if p.Type == want {
			list = append(list, bytes.Clone(p.Body))
		}
	}
	return list
}

// replayShare replays messages 1 and 3 of a recorded main mode to a server behind
// a NAT of its own, and returns message 4 and the recorded message 3.
func replayShare(t *testing.T, persona string) (theirs, ours []byte) {
	t.Helper()
	s, err := ike.NewServer(ike.Config{Rand: rand.Reader, Candidates: func(netip.Addr, netip.Addr) []ike.Candidate {
		return []ike.Candidate{{Tenant: "acme", PSK: []byte("secret"), Policy: &ike.Policy{Legacy: true}}}
	}})
	if err != nil {
		t.Fatal(err)
	}
	path := ike.Path{Local: netip.MustParseAddrPort("10.0.0.5:500"), Remote: netip.MustParseAddrPort("192.0.2.7:500")}
	recorded := golden(t, persona, "client")
	var cookie []byte
	for _, msg := range [][]byte{recorded[0], recorded[1]} {
		msg = bytes.Clone(msg)
		copy(msg[8:16], cookie)
		if err := s.Input(bubbleStart, path, msg); err != nil {
			t.Fatal(err)
		}
		ours = drainSent(s)
		cookie = ours[8:16]
	}
	return recorded[1], ours
}

// drainSent does what a server asks for, and returns the last message it sends.
func drainSent(s *ike.Server) (last []byte) {
	for {
		event, ok := s.Next()
		if !ok {
			return last
		}
		switch e := event.(type) {
		case ike.Compute:
			s.Computed(bubbleStart, e.ID, e.Do())
		case ike.Send:
			last = e.Data
		}
	}
}

func testEchoNATD(t *testing.T) {
	for persona, quirk := range map[string]bool{"windows7": true, "windows10": true, "macos": false, "android": false, "networkmanager": false} {
		theirs, ours := replayShare(t, persona)
		dialled, told := payloads(t, theirs, wire.PayloadNATD), payloads(t, ours, wire.PayloadNATD)
		if len(dialled) != 2 || len(told) != 2 {
			t.Fatalf("%s: %d and %d NAT-D payloads", persona, len(dialled), len(told))
		}
		if bytes.Equal(told[1], dialled[0]) != quirk {
			t.Errorf("%s sees a NAT before the server: %v", persona, quirk)
		}
		if bytes.Equal(told[0], dialled[1]) {
			t.Errorf("%s sees no NAT before itself: it would not encapsulate", persona)
		}
	}
}

// overheard are the messages of IKEv2 that travelled, by direction.
type overheard struct {
	mu       sync.Mutex
	up, down [][]byte
	server   netip.Addr
	plain    int // messages of the client to port 500
}

func (o *overheard) tap(from, to netip.AddrPort, data []byte) bool {
	if from.Port() == 4500 || to.Port() == 4500 {
		if len(data) < 4 || !bytes.Equal(data[:4], make([]byte, 4)) {
			return true
		}
		data = data[4:]
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if from.Addr() == o.server {
		o.down = append(o.down, bytes.Clone(data))
	} else {
		if to.Port() == 500 {
			o.plain++
		}
		o.up = append(o.up, bytes.Clone(data))
	}
	return true
}

// requests counts the requests of an exchange that one side began, without their
// repetitions.
func requests(list [][]byte, x wire.ExchangeType) int {
	seen := map[string]bool{}
	for _, msg := range list {
		if h, _, err := wire.ConsumeHeader(msg); err == nil && h.Exchange == x && h.Flags&wire.FlagResponse == 0 {
			seen[string(msg[:wire.HeaderLen])] = true
		}
	}
	return len(seen)
}

// dialOverheard dials by IKEv2 as a persona in a world that lasts for a while.
func dialOverheard(t *testing.T, lines, persona string, lasts time.Duration) *overheard {
	t.Helper()
	a := newAuthority(t, "a")
	o := &overheard{server: netip.MustParseAddr(serverAddr)}
	inWorld(t, goodRoad, testConfig+lines+a.server(vpn), func(t *testing.T, w *world) {
		w.net.Tap(o.tap)
		c := w.client(nil)
		conn := c.mustDial(a.trusts(vpn), func(d *dialer.DialConfig) { d.Persona = persona; d.ChildLifetime = 24 * time.Hour })
		for range lasts / time.Minute {
			c.wantPing(conn, "198.18.0.2")
			time.Sleep(time.Minute)
		}
		w.net.Tap(nil)
		conn.Close(context.Background())
	})
	return o
}

func testKnownNotifiesOnly(t *testing.T) {
	for persona, quirk := range map[string]bool{"windows10-ikev2": true, "macos-ikev2": true, "ios-ikev2": true, "strongswan-ikev2": false} {
		o := dialOverheard(t, "    legacy: true\n", persona, 0)
		asked := map[wire.Notify2Type]bool{}
		for _, b := range payloads(t, o.up[0], wire.PayloadNotify2) {
			if n, err := wire.ConsumeNotify2(b); err == nil {
				asked[n.Type] = true
			}
		}
		var more []wire.Notify2Type
		for _, b := range payloads(t, o.down[0], wire.PayloadNotify2) {
			if n, err := wire.ConsumeNotify2(b); err == nil && !asked[n.Type] {
				more = append(more, n.Type)
			}
		}
		if (len(more) == 0) != quirk {
			t.Errorf("%s is told of %v, which it did not name", persona, more)
		}
	}
}

func testNoChildRenewal(t *testing.T) {
	const lines = "    legacy: true\n    ike: {lifetime: 24h, child_lifetime: 20m, rekey: {initiate: true}}\n"
	for persona, quirk := range map[string]bool{"windows10-ikev2": true, "macos-ikev2": false} {
		o := dialOverheard(t, lines, persona, 50*time.Minute)
		if n := requests(o.down, wire.ExchangeCreateChild); (n == 0) != quirk {
			t.Errorf("%s: we began %d renewals", persona, n)
		}
	}
}

func testBroadcastSelector(t *testing.T) {
	broadcast := netip.MustParseAddr("255.255.255.255")
	for persona, quirk := range map[string]bool{"windows10-ikev2": true, "macos-ikev2": false} {
		a := newAuthority(t, "a")
		inWorld(t, goodRoad, testConfig+a.server(vpn)+"    routes: [10.0.0.0/8]\n", func(t *testing.T, w *world) {
			c := w.client(nil)
			c.mustDial(a.trusts(vpn), func(d *dialer.DialConfig) { d.Persona = persona })
			found := false
			w.server.server.engine.Work.Do(context.Background(), func(time.Time) {
				for _, p := range w.server.server.peers {
					for _, r := range p.Current.LocalTraffic {
						found = found || r.From == broadcast && r.To == broadcast
					}
				}
			})
			if found != quirk {
				t.Errorf("%s may broadcast into the tunnel: %v", persona, found)
			}
		})
	}
}
