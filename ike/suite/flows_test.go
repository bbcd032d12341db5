package suite

import (
	"bytes"
	"errors"
	"testing"

	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/ike/wire/wiretest"
)

// flowSA is the SA payload of a recorded packet.
func flowSA(t testing.TB, name string) wire.SA {
	t.Helper()
	f := wiretest.Load(t, name)
	first, body := wire.PayloadSA, f.Data
	if !f.Chain() {
		h, rest, err := wire.ConsumeHeader(f.Data)
		if err != nil {
			t.Fatal(err)
		}
		first, body = h.Next, rest
	}
	chain, _, err := wire.ParseDecrypted(nil, first, body)
	if err != nil {
		t.Fatal(err)
	}
	sa, err := wire.ConsumeSA(chain[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	return sa
}

// PersonaNamed is V1 of package persona: see TestMain.
var PersonaNamed func(name string) (Persona, error)

func persona(t testing.TB, name string) Persona {
	t.Helper()
	p, err := PersonaNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var offerSPI = [4]byte{0xa0, 0xcc, 0x75, 0x22}

// choices is what is chosen from each client's offer: the suite, the number of
// the proposal and that of the transform. Empty: refused.
type choices struct {
	client    string
	offer     func(t testing.TB) wire.SA
	byDefault string
	proposal  uint8
	transform uint8
	byLegacy  string
	legacyNum uint8 // of the transform, where it is another one
}

func flow(name string) func(testing.TB) wire.SA {
	return func(t testing.TB) wire.SA { return flowSA(t, name) }
}

func ikeOf(name string) func(testing.TB) wire.SA {
	return func(t testing.TB) wire.SA { return persona(t, name).OfferIKE() }
}

func espOf(name string) func(testing.TB) wire.SA {
	return func(t testing.TB) wire.SA { return persona(t, name).OfferESP(offerSPI, UDPTransport) }
}

func openHarmony(testing.TB) wire.SA {
	return OfferIKE(WithPSK(10800, IKESuite{EncAESCBC, 256, HashSHA384, GroupMODP1024}), Own().IKELayout)
}

func TestPhase1Choices(t *testing.T) {
	tests := []choices{
		{"Windows 7", flow("windows7-main1"), "aes256-sha1-ecp384", 1, 1, "aes256-sha1-ecp384", 1},
		{"Windows 10", flow("windows10-main1"), "aes256-sha1-ecp384", 1, 1, "aes256-sha1-ecp384", 1},
		{"macOS, iOS", flow("macos-main1"), "aes256-sha256-modp2048", 1, 1, "aes256-sha256-modp2048", 1},
		{"Android", flow("android-main1"), "", 1, 0, "aes256-sha256-modp1024", 2},
		{"ChromeOS", ikeOf("chromeos"), "aes128-sha256-modp3072", 1, 1, "aes128-sha256-modp3072", 1},
		{"NetworkManager", ikeOf("networkmanager"), "aes256-sha256-modp2048", 1, 1, "aes256-sha256-modp2048", 1},
		{"MikroTik", ikeOf("mikrotik"), "aes128-sha1-modp2048", 1, 1, "aes128-sha1-modp2048", 1},
		{"TP-Link", ikeOf("tplink"), "", 1, 0, "3des-sha1-modp1024", 2},
		{"OpenHarmony", openHarmony, "", 1, 0, "aes256-sha384-modp1024", 1},
		{"culvert", ikeOf("culvert"), "aes256-sha256-curve25519", 1, 1, "aes256-sha256-curve25519", 1},
	}
	for _, tt := range tests {
		offer := tt.offer(t)
		for _, legacy := range []bool{false, true} {
			c, err := SelectIKE(offer, DefaultIKE(legacy, AuthPSK))
			suite, number := tt.byDefault, tt.transform
			if legacy {
				suite, number = tt.byLegacy, tt.legacyNum
			}
			if suite == "" {
				wantRefusal(t, tt.client, err, tt.byLegacy)
				continue
			}
			if err != nil || c.IKESuite.String() != suite {
				t.Errorf("%s, legacy %v: %v, %v, want %s", tt.client, legacy, c.IKESuite, err, suite)
				continue
			}
			wantAsOffered(t, tt.client, offer, c.Answer, tt.proposal, number)
		}
	}
}

func TestQuickModeChoices(t *testing.T) {
	tests := []choices{
		{"Windows 7", flow("windows7-quick1"), "aes128-sha1", 1, 1, "aes128-sha1", 1},
		{"Windows 10", flow("windows10-quick1"), "aes256-sha1", 1, 1, "aes256-sha1", 1},
		{"macOS, iOS", flow("macos-quick1"), "aes256-sha256", 1, 1, "aes256-sha256", 1},
		{"macOS before SHA-2", flow("macos-sha1-quick1"), "aes256-sha1", 1, 1, "aes256-sha1", 1},
		{"Android", flow("android-quick1"), "aes256-sha512", 1, 1, "aes256-sha512", 1},
		{"ChromeOS", espOf("chromeos"), "aes128gcm16", 1, 1, "aes128gcm16", 1},
		{"NetworkManager", espOf("networkmanager"), "aes256-sha1", 1, 1, "aes256-sha1", 1},
		{"MikroTik", espOf("mikrotik"), "aes256-sha1", 1, 1, "aes256-sha1", 1},
		{"TP-Link", espOf("tplink"), "", 1, 0, "3des-sha1", 2},
		{"culvert", espOf("culvert"), "aes256gcm16", 1, 1, "aes256gcm16", 1},
	}
	for _, tt := range tests {
		offer := tt.offer(t)
		for _, legacy := range []bool{false, true} {
			p := DefaultESP(legacy)
			p.Encapsulations = []Encapsulation{UDPTransport}
			p.KeyExchange = tt.client == "MikroTik"
			c, err := SelectESP(offer, p)
			suite, number := tt.byDefault, tt.transform
			if legacy {
				suite, number = tt.byLegacy, tt.legacyNum
			}
			if suite == "" {
				wantRefusal(t, tt.client, err, tt.byLegacy)
				continue
			}
			if err != nil || c.ESPSuite.String() != suite || !bytes.Equal(c.SPI[:], offer.Proposals[0].SPI) {
				t.Errorf("%s, legacy %v: %v, %v, want %s", tt.client, legacy, c.ESPSuite, err, suite)
				continue
			}
			if p.KeyExchange && c.Group != GroupMODP1024 {
				t.Errorf("%s: forward secrecy by %v", tt.client, c.Group)
			}
			wantAsOffered(t, tt.client, offer, c.Answer, tt.proposal, number)
			answer := c.AnswerSPI([4]byte{9, 8, 7, 6})
			if !bytes.Equal(answer.Proposals[0].SPI, []byte{9, 8, 7, 6}) {
				t.Errorf("%s: answer with SPI %x", tt.client, answer.Proposals[0].SPI)
			}
		}
	}
}

// wantRefusal checks for a refusal that names what legacy would allow.
func wantRefusal(t *testing.T, client string, err error, legacy string) {
	t.Helper()
	var r *Refusal
	if !errors.Is(err, ErrNoProposal) || !errors.As(err, &r) {
		t.Errorf("%s: error %v, want a refusal", client, err)
		return
	}
	if !bytes.HasPrefix([]byte(r.refused.legacy()), []byte(legacy)) {
		t.Errorf("%s: legacy would allow %q, want %q", client, r.refused.legacy(), legacy)
	}
}

// wantAsOffered checks that the answer is one proposal with one transform, the
// numbers and bytes of which were offered.
func wantAsOffered(t *testing.T, client string, offer, answer wire.SA, proposal, transform uint8) {
	t.Helper()
	if len(answer.Proposals) != 1 || len(answer.Proposals[0].Transforms) != 1 {
		t.Errorf("%s: answer %+v", client, answer)
		return
	}
	got := answer.Proposals[0]
	if got.Number != proposal || got.Transforms[0].Number != transform {
		t.Errorf("%s: proposal %d transform %d, want %d and %d",
			client, got.Number, got.Transforms[0].Number, proposal, transform)
	}
	for _, p := range offer.Proposals {
		for _, tr := range p.Transforms {
			if p.Number == got.Number && tr.Number == got.Transforms[0].Number {
				if tr.ID != got.Transforms[0].ID || !bytes.Equal(tr.Attributes, got.Transforms[0].Attributes) {
					t.Errorf("%s: answer differs from the transform offered", client)
				}
				return
			}
		}
	}
	t.Errorf("%s: no such transform was offered", client)
}

func TestChoiceOutlivesTheMessage(t *testing.T) {
	offer := flowSA(t, "windows10-quick1")
	c, err := SelectESP(offer, DefaultESP(false))
	if err != nil {
		t.Fatal(err)
	}
	before := c.Answer.AppendBody(nil)
	clear(offer.Proposals[0].SPI)
	clear(offer.Proposals[0].Transforms[0].Attributes)
	if !bytes.Equal(before, c.Answer.AppendBody(nil)) {
		t.Error("the answer shares memory with the message")
	}
}

func TestPersonasOpenAsRecorded(t *testing.T) {
	for flow, name := range map[string]string{
		"windows7-main1": "windows7", "windows10-main1": "windows10", "macos-main1": "macos", "android-main1": "android",
	} {
		want := wiretest.Load(t, flow).Data
		h, _, err := wire.ConsumeHeader(want)
		if err != nil {
			t.Fatal(err)
		}
		p := persona(t, name)
		m := wire.StartMessage(nil, h)
		m.Add(p.OfferIKE())
		for _, v := range p.Vendors {
			m.Add(v)
		}
		if got := m.Finish(); !bytes.Equal(got, want) {
			t.Errorf("%s opens with\n%x\nwant\n%x", name, got, want)
		}
	}
	for flow, name := range map[string]string{
		"windows7-quick1": "windows7", "windows10-quick1": "windows10", "macos-quick1": "macos", "android-quick1": "android",
	} {
		want := flowSA(t, flow)
		p := persona(t, name)
		got := p.OfferESP([4]byte(want.Proposals[0].SPI), UDPTransport)
		if !bytes.Equal(got.AppendBody(nil), want.AppendBody(nil)) {
			t.Errorf("%s offers\n%x\nwant\n%x", name, got.AppendBody(nil), want.AppendBody(nil))
		}
		chain, _, err := wire.ParseDecrypted(nil, wire.PayloadSA, wiretest.Load(t, flow).Data)
		if nonce, ok := wire.Find(chain, wire.PayloadNonce); err != nil || !ok || len(nonce.Body) != p.NonceLen {
			t.Errorf("%s: nonce of %d bytes, want %d", name, p.NonceLen, len(nonce.Body))
		}
	}
}

func TestPersonas(t *testing.T) {
	for _, name := range []string{"culvert", "windows7", "windows10", "macos", "ios", "android", "chromeos",
		"mikrotik", "networkmanager", "kl2tpd", "tplink"} {
		p := persona(t, name)
		if p.NonceLen < wire.MinNonce || p.NonceLen > wire.MaxNonce {
			t.Errorf("%s: a nonce of %d", name, p.NonceLen)
		}
		ike, err := SelectIKE(p.OfferIKE(), DefaultIKE(true, AuthPSK))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := AcceptIKE(p.OfferIKE(), ike.Answer); err != nil || got.IKE != ike.IKE {
			t.Errorf("%s takes %v, %v, answered was %v", name, got.IKE, err, ike.IKE)
		}
		policy := DefaultESP(true)
		policy.KeyExchange = p.ESP[0].Group != GroupNone
		esp, err := SelectESP(p.OfferESP(offerSPI, UDPTransport), policy)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := AcceptESP(p.OfferESP(offerSPI, UDPTransport), esp.AnswerSPI([4]byte{1, 2, 3, 4}))
		if err != nil || got.ESP != esp.ESP || got.SPI != [4]byte{1, 2, 3, 4} {
			t.Errorf("%s takes %v, %v, answered was %v", name, got.ESP, err, esp.ESP)
		}
	}
	if _, err := PersonaNamed("toaster"); err == nil {
		t.Error("there is a persona of any name")
	}
}
