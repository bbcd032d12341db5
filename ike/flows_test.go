package ike

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-vpn/culvert/ike/persona"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/ike/wire/wiretest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestFirstPacket compares message 1 of our personas with the recorded ones, byte
// for byte.
func TestFirstPacket(t *testing.T) {
	flows := map[string]string{"windows10": "windows10-main1", "windows7": "windows7-main1", "macos": "macos-main1",
		"ios": "macos-main1", "android": "android-main1"}
	for persona, name := range flows {
		want := wiretest.Load(t, name).Data
		c := dialConfig("secret")
		c.Persona, c.IKE = client(persona), nil
		s, err := NewServer(Config{Rand: io.MultiReader(bytes.NewReader(want[:8]), stream("x"))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Dial(start, c); err != nil {
			t.Fatal(err)
		}
		e, _ := s.Next()
		if got := e.(Send).Data; !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", persona, got, want)
		}
	}
}

// TestFirstQuick compares the payloads of quick mode message 1 with the recorded
// ones, but for the nonce, which is random.
func TestFirstQuick(t *testing.T) {
	tests := []struct {
		persona, flow, local string
		port                 uint16
		spi                  SPI
	}{
		{"windows10", "windows10-quick1", "192.168.1.10", 1701, 0xa0cc7522},
		{"windows7", "windows7-quick1", "192.168.1.10", 1701, 0xa0cc7522},
		{"macos", "macos-quick1", "172.20.10.2", 51302, 0x0a5e3055},
		{"android", "android-quick1", "192.168.0.128", 1701, 0x0a5e3055},
	}
	for _, tt := range tests {
		t.Run(tt.persona, func(t *testing.T) {
			p := newPair(t, 1, Config{Candidates: psk("acme", "secret", &Policy{Legacy: true})})
			p.client.s.config.AllocateSPI = func() SPI { return tt.spi }
			var first []byte
			p.filter = func(from *node, b []byte) bool {
				if x, _ := exchangeOf(b); x == byte(wire.ExchangeQuick) && from == p.client && first == nil {
					first = bytes.Clone(b)
				}
				return true
			}
			c := dialConfig("secret")
			local := netip.MustParseAddr(tt.local)
			c.Path.Local, c.NATTPath.Local = netip.AddrPortFrom(local, 500), netip.AddrPortFrom(local, 4500)
			c.Persona, c.IKE, c.LocalPort = client(tt.persona), nil, tt.port
			p.dial(c)
			wantQM1(t, p, first, wiretest.Load(t, tt.flow).Data, tt.persona)
		})
	}
}

func wantQM1(t *testing.T, p *pair, msg, want []byte, persona string) {
	t.Helper()
	h, body, err := wire.ConsumeHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	if counting := client(persona).Counting; counting != (h.MessageID == 1) {
		t.Errorf("message id %08x", h.MessageID)
	}
	sa := p.server.s.sas[cookies{h.Initiator, h.Responder}].sa
	if _, err := v1.AnswerQuick(sa, stream("y"), h, body); err != nil {
		t.Fatal(err)
	}
	got, n, err := wire.ParseDecrypted(nil, h.Next, body)
	if err != nil {
		t.Fatal(err)
	}
	chain, _, err := wire.ParseDecrypted(nil, wire.PayloadSA, want)
	if err != nil {
		t.Fatal(err)
	}
	if n != len(got[0].Raw)+len(want) {
		t.Errorf("%d bytes, want %d", n, len(got[0].Raw)+len(want))
	}
	for k, w := range chain {
		g := got[k+1]
		if g.Type != w.Type || len(g.Raw) != len(w.Raw) || w.Type != wire.PayloadNonce && !bytes.Equal(g.Raw, w.Raw) {
			t.Errorf("payload %d %v:\n got %x\nwant %x", k, w.Type, g.Raw, w.Raw)
		}
	}
}

// chosen is what we answer to each kind of client.
var chosen = map[string]struct{ family, ike, esp string }{
	"culvert":        {"other", "aes256-sha256-curve25519", "20/256/0"},
	"windows7":       {"windows7", "aes256-sha1-ecp384", "12/128/2"},
	"windows10":      {"windows10", "aes256-sha1-ecp384", "12/256/2"},
	"macos":          {"apple", "aes256-sha256-modp2048", "12/256/5"},
	"ios":            {"apple", "aes256-sha256-modp2048", "12/256/5"},
	"android":        {"android", "aes256-sha256-modp1024", "12/256/7"},
	"chromeos":       {"strongswan", "aes128-sha256-modp3072", "20/128/0"},
	"mikrotik":       {"other", "aes128-sha1-modp2048", "12/256/2"},
	"networkmanager": {"strongswan", "aes256-sha256-modp2048", "12/256/2"},
	"kl2tpd":         {"strongswan", "aes256-sha256-modp2048", "12/256/2"},
	"tplink":         {"other", "3des-sha1-modp1024", "3/0/2"},
}

// TestFlows plays the whole handshake of every persona with pinned randomness and
// compares both sides with the golden files.
func TestFlows(t *testing.T) {
	for _, name := range persona.NamesV1() {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, 99, Config{Candidates: psk("acme", "secret", &Policy{Legacy: true})})
			var log strings.Builder
			p.filter = func(from *node, b []byte) bool {
				fmt.Fprintf(&log, "%s %s\n", from.name, hex.EncodeToString(b))
				return true
			}
			c := dialConfig("secret")
			c.Persona, c.IKE, c.LocalPort = client(name), nil, 51302
			p.dial(c)
			want := chosen[name]
			for _, up := range p.server.up {
				if string(up.Family) != want.family || up.Suite != want.ike {
					t.Errorf("%s with %s, want %+v", up.Family, up.Suite, want)
				}
			}
			for _, c := range p.server.children {
				if esp := fmt.Sprintf("%d/%d/%d", c.Encryption, c.KeyBits, c.Integrity); esp != want.esp {
					t.Errorf("ESP %s, want %s", esp, want.esp)
				}
			}
			wantGolden(t, name, log.String())
			p.closeAll()
		})
	}
}

func wantGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("handshake differs from %s; run with -update if that is meant", file)
	}
}

// TestAnswersToRecorded gives the recorded first packets to a server with pinned
// randomness: the answer carries the transform exactly as it was offered, and no
// vendor ID that was not.
func TestAnswersToRecorded(t *testing.T) {
	for _, f := range wiretest.All(t) {
		if !strings.HasSuffix(f.Name, "-main1") {
			continue
		}
		n := newNode(t, f.Name, Config{Candidates: psk("acme", "secret", &Policy{Legacy: true})})
		if err := n.s.Input(start, Path{Local: serverIKE, Remote: clientIKE}, bytes.Clone(f.Data)); err != nil {
			t.Fatal(err)
		}
		e, _ := n.s.Next()
		answer := e.(Send).Data
		wantGolden(t, f.Name, hex.EncodeToString(answer)+"\n")
		wantAsOffered(t, f.Data, answer)
	}
}

func wantAsOffered(t *testing.T, question, answer []byte) {
	t.Helper()
	q, a := payloads(t, question), payloads(t, answer)
	offer, _ := wire.ConsumeSA(q[0].Body)
	sa, err := wire.ConsumeSA(a[0].Body)
	if err != nil || len(sa.Proposals) != 1 || len(sa.Proposals[0].Transforms) != 1 {
		t.Fatalf("answer: %+v %v", sa, err)
	}
	got, found := sa.Proposals[0].Transforms[0], false
	for _, o := range offer.Proposals[0].Transforms {
		found = found || o.Number == got.Number && bytes.Equal(o.Attributes, got.Attributes)
	}
	if !found {
		t.Errorf("transform %+v was not offered", got)
	}
	for _, v := range a[1:] {
		offered := false
		for _, o := range q {
			offered = offered || o.Type == v.Type && bytes.Equal(o.Body, v.Body)
		}
		if !offered {
			t.Errorf("%v %x was not offered", v.Type, v.Body)
		}
	}
}

func payloads(t *testing.T, msg []byte) []wire.Payload {
	t.Helper()
	h, body, err := wire.ConsumeHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}
