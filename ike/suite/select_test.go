package suite

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

func oneIKE(a wire.Attributes) wire.SA {
	return wire.SA{DOI: wire.DOIIPsec, Situation: 1, Proposals: []wire.Proposal{{Number: 1, Protocol: wire.ProtocolISAKMP,
		Transforms: []wire.Transform{{Number: 1, ID: wire.TransformKeyIKE, Attributes: a}}}}}
}

func oneESP(e Encryption, a wire.Attributes) wire.SA {
	return wire.SA{DOI: wire.DOIIPsec, Situation: 1, Proposals: []wire.Proposal{{Number: 1, Protocol: wire.ProtocolESP,
		SPI: offerSPI[:], Transforms: []wire.Transform{{Number: 1, ID: uint8(e), Attributes: a}}}}}
}

// plainIKE is aes256-sha256-modp2048 with a PSK.
func plainIKE() wire.Attributes {
	return wire.Attributes{}.AppendTV(1, 7).AppendTV(14, 256).AppendTV(2, 4).AppendTV(4, 14).AppendTV(3, 1)
}

// plainESP is what follows AES: 256 bits with SHA1 in UDP transport mode.
func plainESP() wire.Attributes {
	return wire.Attributes{}.AppendTV(4, 4).AppendTV(6, 256).AppendTV(5, 2)
}

func TestPhase1Attributes(t *testing.T) {
	long := append(plainIKE().AppendTV(11, 1), 0, 12, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0)
	tests := []struct {
		name string
		a    wire.Attributes
		ok   bool
		life Life
	}{
		{"no lifetime", plainIKE(), true, Life{}},
		{"seconds in two bytes", plainIKE().AppendTV(11, 1).AppendTV(12, 3600), true, Life{Seconds: 3600}},
		{"seconds in four bytes", plainIKE().AppendTV(11, 1).AppendTLV(12, 86400), true, Life{Seconds: 86400}},
		{"both lifetimes", plainIKE().AppendTV(11, 2).AppendTLV(12, 1<<20).AppendTV(11, 1).AppendTV(12, 60), true,
			Life{Seconds: 60, Kilobytes: 1 << 20}},
		{"nine bytes of seconds", wire.Attributes(long), true, Life{Seconds: 1<<32 - 1}},
		{"algorithms in four bytes", wire.Attributes{}.AppendTLV(1, 7).AppendTLV(14, 256).AppendTLV(2, 4).AppendTLV(4, 14).AppendTLV(3, 1), true, Life{}},
		{"duration without type", plainIKE().AppendTV(12, 3600), false, Life{}},
		{"duration of an unknown type", plainIKE().AppendTV(11, 3).AppendTV(12, 3600), false, Life{}},
		{"two durations of one type", plainIKE().AppendTV(11, 1).AppendTV(12, 60).AppendTV(12, 61), false, Life{}},
		{"a PRF", plainIKE().AppendTV(13, 1), false, Life{}},
		{"a group of its own", plainIKE().AppendTV(5, 1), false, Life{}},
		{"an unknown attribute", plainIKE().AppendTV(16384, 1), false, Life{}},
		{"two groups", plainIKE().AppendTV(4, 2), false, Life{}},
		{"a hash beyond 16 bits", wire.Attributes{}.AppendTV(1, 7).AppendTV(14, 256).AppendTLV(2, 0x10004).AppendTV(4, 14).AppendTV(3, 1), false, Life{}},
		{"a hash beyond 8 bits", wire.Attributes{}.AppendTV(1, 7).AppendTV(14, 256).AppendTV(2, 0x104).AppendTV(4, 14).AppendTV(3, 1), false, Life{}},
		{"AES without key length", wire.Attributes{}.AppendTV(1, 7).AppendTV(2, 4).AppendTV(4, 14).AppendTV(3, 1), false, Life{}},
		{"nothing", nil, false, Life{}},
	}
	for _, tt := range tests {
		c, err := SelectIKE(oneIKE(tt.a), DefaultIKE(false, AuthPSK))
		if (err == nil) != tt.ok || c.Life != tt.life {
			t.Errorf("%s: %+v, %v", tt.name, c.IKE, err)
		}
	}
	if d := (Life{Seconds: 3600}).Duration(); d != time.Hour {
		t.Errorf("3600 seconds are %v", d)
	}
}

func TestESPAttributes(t *testing.T) {
	tests := []struct {
		name string
		e    Encryption
		a    wire.Attributes
		ok   bool
		life Life
	}{
		{"as usual", EncAESCBC, plainESP(), true, Life{}},
		{"Windows' lifetimes", EncAESCBC, plainESP().AppendTV(1, 1).AppendTLV(2, 3600).AppendTV(1, 2).AppendTLV(2, 250000), true,
			Life{Seconds: 3600, Kilobytes: 250000}},
		{"GCM", EncAESGCM16, wire.Attributes{}.AppendTV(6, 128).AppendTV(4, 4), true, Life{}},
		{"GCM with an authentication algorithm", EncAESGCM16, plainESP(), false, Life{}},
		{"GCM with a short tag", EncAESGCM8, wire.Attributes{}.AppendTV(6, 128).AppendTV(4, 4), false, Life{}},
		{"CBC without authentication", EncAESCBC, wire.Attributes{}.AppendTV(6, 256).AppendTV(4, 4), false, Life{}},
		{"NULL", EncNULL, wire.Attributes{}.AppendTV(5, 2).AppendTV(4, 4), false, Life{}},
		{"DES", EncDES, wire.Attributes{}.AppendTV(5, 2).AppendTV(4, 4), false, Life{}},
		{"3DES", Enc3DES, wire.Attributes{}.AppendTV(5, 2).AppendTV(4, 4), true, Life{}},
		{"3DES with a key length", Enc3DES, wire.Attributes{}.AppendTV(5, 2).AppendTV(4, 4).AppendTV(6, 192), true, Life{}},
		{"MD5", EncAESCBC, wire.Attributes{}.AppendTV(4, 4).AppendTV(6, 256).AppendTV(5, 1), false, Life{}},
		{"64-bit sequence numbers", EncAESCBC, plainESP().AppendTV(11, 1), false, Life{}},
		{"compression", EncAESCBC, plainESP().AppendTV(8, 1), false, Life{}},
		{"an unexpected group", EncAESCBC, plainESP().AppendTV(3, 14), false, Life{}},
	}
	for _, tt := range tests {
		c, err := SelectESP(oneESP(tt.e, tt.a), DefaultESP(true))
		if (err == nil) != tt.ok || c.Life != tt.life {
			t.Errorf("%s: %+v, %v", tt.name, c.ESP, err)
		}
	}
}

func TestEncapsulation(t *testing.T) {
	udp := map[Encapsulation]bool{UDPTunnel: true, UDPTransport: true, UDPTunnelDraft: true, UDPTransportDraft: true}
	transport := map[Encapsulation]bool{Transport: true, UDPTransport: true, UDPTransportDraft: true}
	for _, e := range []Encapsulation{Tunnel, Transport, UDPTunnel, UDPTransport, UDPTunnelDraft, UDPTransportDraft} {
		if e.UDP() != udp[e] || e.IsTransport() != transport[e] {
			t.Errorf("%v: UDP %v, transport %v", e, e.UDP(), e.IsTransport())
		}
		offer := oneESP(EncAESCBC, wire.Attributes{}.AppendTV(4, uint16(e)).AppendTV(6, 256).AppendTV(5, 2))
		p := DefaultESP(false)
		if c, err := SelectESP(offer, p); err != nil || c.Encapsulation != e {
			t.Errorf("%v: %v, %v", e, c.Encapsulation, err)
		}
		p.Encapsulations = []Encapsulation{UDPTransport}
		if _, err := SelectESP(offer, p); (err == nil) != (e == UDPTransport) {
			t.Errorf("%v where only udp-transport is allowed: %v", e, err)
		}
	}
}

func TestForwardSecrecy(t *testing.T) {
	for _, g := range []Group{GroupNone, GroupMODP1024, GroupMODP2048, GroupX25519, 22} {
		a := plainESP()
		if g != GroupNone {
			a = a.AppendTV(3, uint16(g))
		}
		for _, ke := range []bool{false, true} {
			p := DefaultESP(false)
			p.KeyExchange = ke
			want := ke == (g != GroupNone) && g != 22
			if _, err := SelectESP(oneESP(EncAESCBC, a), p); (err == nil) != want {
				t.Errorf("%v with KE %v: %v", g, ke, err)
			}
		}
	}
}

func TestProposalsThatCannotBeChosen(t *testing.T) {
	change := func(f func(sa *wire.SA)) wire.SA {
		sa := oneESP(EncAESCBC, plainESP())
		f(&sa)
		return sa
	}
	tests := []struct {
		name string
		sa   wire.SA
		said string
	}{
		{"AH", change(func(sa *wire.SA) { sa.Proposals[0].Protocol = wire.ProtocolAH }), "AH"},
		{"reserved SPI", change(func(sa *wire.SA) { sa.Proposals[0].SPI = []byte{0, 0, 0, 255} }), "ESP"},
		{"SPI of two bytes", change(func(sa *wire.SA) { sa.Proposals[0].SPI = []byte{1, 2} }), "ESP"},
		{"with compression", change(func(sa *wire.SA) {
			both := sa.Proposals[0]
			both.Protocol = wire.ProtocolIPComp
			sa.Proposals = append(sa.Proposals, both)
		}), "ESP in a bundle, IPCOMP in a bundle"},
		{"no proposal at all", wire.SA{}, "nothing"},
	}
	for _, tt := range tests {
		_, err := SelectESP(tt.sa, DefaultESP(true))
		if !errors.Is(err, ErrNoProposal) || !strings.Contains(err.Error(), "offers for ESP "+tt.said+";") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	// With another number it is an alternative, and ESP alone can be had.
	sa := change(func(sa *wire.SA) {
		ah := sa.Proposals[0]
		ah.Protocol, ah.Number = wire.ProtocolAH, 2
		sa.Proposals = append(sa.Proposals, ah)
	})
	if _, err := SelectESP(sa, DefaultESP(false)); err != nil {
		t.Errorf("AH as an alternative: %v", err)
	}
}

// "During phase 1 the SPI MUST be ignored" (RFC 2408, section 3.5).
func TestPhase1SPIIsIgnored(t *testing.T) {
	sa := oneIKE(plainIKE())
	sa.Proposals[0].SPI = []byte("initiatr")
	c, err := SelectIKE(sa, DefaultIKE(false, AuthPSK))
	if err != nil || len(c.Answer.Proposals[0].SPI) != 0 {
		t.Errorf("answer %+v, %v", c.Answer, err)
	}
}

func TestOurOrderDecides(t *testing.T) {
	suites := []IKESuite{
		{EncAESCBC, 128, HashSHA1, GroupMODP2048}, {EncAESCBC, 256, HashSHA256, GroupMODP2048},
		{EncAESCBC, 256, HashSHA256, GroupX25519},
	}
	offer := OfferIKE(WithPSK(3600, suites...), Own().IKELayout)
	for _, want := range suites {
		c, err := SelectIKE(offer, IKEPolicy{Suites: []IKESuite{want, suites[0]}, Auth: []AuthMethod{AuthPSK}})
		if err != nil || c.IKESuite != want {
			t.Errorf("%v: %v, %v", want, c.IKESuite, err)
		}
	}
}

func TestAuthentication(t *testing.T) {
	rsa := oneIKE(wire.Attributes{}.AppendTV(1, 7).AppendTV(14, 256).AppendTV(2, 4).AppendTV(4, 14).AppendTV(3, 3))
	_, err := SelectIKE(rsa, DefaultIKE(false, AuthPSK))
	if err == nil || !strings.Contains(err.Error(), "aes256-sha256-modp2048 (rsa)") ||
		!strings.HasSuffix(err.Error(), "authenticated by psk") {
		t.Errorf("certificates where a PSK is wanted: %v", err)
	}
	if c, err := SelectIKE(rsa, DefaultIKE(false, AuthPSK, AuthRSASignature)); err != nil || c.Auth != AuthRSASignature {
		t.Errorf("certificates where they are allowed: %v, %v", c.IKE, err)
	}
}

func TestRefusalIsASentence(t *testing.T) {
	_, err := SelectIKE(flowSA(t, "android-main1"), IKEPolicy{
		Suites: []IKESuite{{EncAESCBC, 256, HashSHA256, GroupECP256}, {EncAESCBC, 128, HashSHA256, GroupECP256}},
		Auth:   []AuthMethod{AuthPSK},
	})
	want := "suite: no proposal chosen: the peer offers for IKE aes256-sha384-modp1024, aes256-sha256-modp1024, " +
		"aes256-sha512-modp1024, aes256-sha1-modp1024, aes256-md5-modp1024, aes128-sha512-modp1024, " +
		"aes128-sha384-modp1024, aes128-sha256-modp1024, aes128-sha1-modp1024, aes128-md5-modp1024, " +
		"3des-sha256-modp1024, 3des-sha1-modp1024, 3des-md5-modp1024, des-sha256-modp1024, des-sha1-modp1024, " +
		"des-md5-modp1024; allowed are aes256|aes128 with sha256 and ecp256, authenticated by psk; " +
		"the legacy algorithms would allow aes256-sha256-modp1024"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
	p := DefaultESP(false)
	p.Suites, p.Encapsulations = p.Suites[:1], []Encapsulation{UDPTransport}
	_, err = SelectESP(persona(t, "tplink").OfferESP(offerSPI, UDPTransport), p)
	want = "suite: no proposal chosen: the peer offers for ESP 3des-md5 (udp-transport), 3des-sha1 (udp-transport); " +
		"allowed are aes256gcm16, encapsulation udp-transport, group none; " +
		"the legacy algorithms would allow 3des-sha1 (udp-transport)"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
}

func TestRefusalIsBounded(t *testing.T) {
	var many []IKE
	for bits := uint16(1); bits < 250; bits++ {
		many = append(many, IKE{IKESuite: IKESuite{EncBlowfish, bits, HashTiger, 99}, Auth: AuthPSK})
	}
	_, err := SelectIKE(OfferIKE(many, Own().IKELayout), DefaultIKE(false, AuthPSK))
	if err == nil || len(err.Error()) > 1500 || !strings.Contains(err.Error(), "and 225 more") {
		t.Errorf("refusal of %d bytes: %v", len(err.Error()), err)
	}
}

func TestDefaultPolicies(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		seen := map[IKESuite]bool{}
		for _, s := range DefaultIKE(legacy).Suites {
			old := s.Encryption == Enc3DES || s.Group == GroupMODP1024 || s.Group == GroupMODP1536
			if !s.Supported() || seen[s] || old && !legacy {
				t.Errorf("legacy %v: %v", legacy, s)
			}
			seen[s] = true
		}
		esp := map[ESPSuite]bool{}
		for _, s := range DefaultESP(legacy).Suites {
			if !s.Supported() || esp[s] || s.Encryption == Enc3DES && !legacy {
				t.Errorf("legacy %v: %v", legacy, s)
			}
			esp[s] = true
		}
	}
}

func TestLegacyComesLast(t *testing.T) {
	plain, all := DefaultIKE(false).Suites, DefaultIKE(true).Suites
	for i, s := range plain {
		if all[i] != s {
			t.Fatalf("place %d: %v, with legacy %v", i, s, all[i])
		}
	}
}

func TestAcceptRefusesWhatWasNotOffered(t *testing.T) {
	p := persona(t, "windows10")
	offer := p.OfferIKE()
	other := OfferIKE(WithPSK(28800, IKESuite{EncAESCBC, 256, HashSHA256, GroupMODP2048}), p.IKELayout)
	bad := map[string]wire.SA{
		"whole offer":    offer,
		"another suite":  other,
		"nothing":        {},
		"another answer": oneESP(EncAESCBC, plainESP()),
	}
	for name, answer := range bad {
		if _, err := AcceptIKE(offer, answer); !errors.Is(err, ErrAnswer) {
			t.Errorf("phase 1, %s: %v", name, err)
		}
	}
	quick := p.OfferESP(offerSPI, UDPTransport)
	single := func(i int, f func(*wire.Proposal)) wire.SA {
		sa := p.OfferESP(offerSPI, UDPTransport)
		sa.Proposals = sa.Proposals[i : i+1]
		f(&sa.Proposals[0])
		return sa
	}
	same := func(*wire.Proposal) {}
	badQuick := map[string]wire.SA{
		"whole offer":   quick,
		"DES":           single(3, same),
		"NULL":          single(4, same),
		"reserved SPI":  single(0, func(p *wire.Proposal) { p.SPI = []byte{0, 0, 0, 1} }),
		"another mode":  oneESP(EncAESCBC, wire.Attributes{}.AppendTV(4, 1).AppendTV(6, 256).AppendTV(5, 2)),
		"another suite": oneESP(EncAESGCM16, wire.Attributes{}.AppendTV(4, 4).AppendTV(6, 256)),
		"unknown extra": single(0, func(p *wire.Proposal) {
			p.Transforms[0].Attributes = p.Transforms[0].Attributes.AppendTV(8, 1)
		}),
	}
	for name, answer := range badQuick {
		if _, err := AcceptESP(quick, answer); !errors.Is(err, ErrAnswer) {
			t.Errorf("quick mode, %s: %v", name, err)
		}
	}
}

// Some responders count proposals anew and shorten lifetimes.
func TestAcceptTakesTheAnswersNumbersAndLife(t *testing.T) {
	p := persona(t, "windows10")
	answer := OfferESP([]ESP{{ESPSuite: ESPSuite{EncAESCBC, 128, IntegSHA1}, Encapsulation: UDPTransport,
		Life: Life{Seconds: 1200}}}, [4]byte{1, 2, 3, 4}, Own().ESPLayout)
	c, err := AcceptESP(p.OfferESP(offerSPI, UDPTransport), answer)
	if err != nil || c.Life.Seconds != 1200 || c.SPI != [4]byte{1, 2, 3, 4} {
		t.Errorf("%+v, %v", c.ESP, err)
	}
}

func TestOffersAreReadBack(t *testing.T) {
	ike := IKE{IKESuite{EncAESCBC, 192, HashSHA384, GroupECP521}, AuthRSASignature, Life{70000, 5}}
	order := []Field{FieldKilobytes, FieldSeconds, FieldAuth, FieldGroup, FieldHash, FieldKeyLength, FieldEncryption}
	sa := OfferIKE([]IKE{ike}, Layout{Order: order})
	if got, ok := DecodeIKE(sa.Proposals[0].Transforms[0]); !ok || got != ike {
		t.Errorf("read back as %+v, %v", got, ok)
	}
	esp := ESP{ESPSuite{EncAESGCM16, 192, IntegNone}, UDPTunnel, GroupMODP3072, true, Life{7, 70000}}
	order = []Field{FieldESN, FieldGroup, FieldEncapsulation, FieldIntegrity, FieldKeyLength, FieldKilobytes, FieldSeconds}
	sa = OfferESP([]ESP{esp, esp}, offerSPI, Layout{Order: order, Split: true, LongLife: true})
	if got, ok := DecodeESP(sa.Proposals[1].Transforms[0]); !ok || got != esp || sa.Proposals[1].Number != 2 {
		t.Errorf("read back as %+v, %v", got, ok)
	}
	many := OfferIKE(make([]IKE, 300), Layout{})
	if n := len(many.Proposals[0].Transforms); n != 255 {
		t.Errorf("%d transforms in one proposal", n)
	}
}

func TestNamesAreReadBack(t *testing.T) {
	for _, s := range DefaultIKE(true).Suites {
		if got, err := ParseIKESuite(s.String()); err != nil || got != s {
			t.Errorf("%v is read as %v, %v", s, got, err)
		}
	}
	for _, s := range DefaultESP(true).Suites {
		if got, err := ParseESPSuite(s.String()); err != nil || got != s {
			t.Errorf("%v is read as %v, %v", s, got, err)
		}
	}
	for s, want := range map[string]error{
		"aes256-sha1": ErrSyntax, "aes256-sha1-modp2048-x": ErrSyntax, "rot13-sha1-modp2048": ErrSyntax,
		"aes256-sha3-modp2048": ErrSyntax, "aes256-sha1-modp20480": ErrSyntax, "": ErrSyntax,
		"des-sha1-modp2048": ErrUnsupported, "aes256-md5-modp2048": ErrUnsupported, "aes256gcm16-sha256-ecp256": ErrUnsupported,
	} {
		if _, err := ParseIKESuite(s); !errors.Is(err, want) {
			t.Errorf("IKE %q: %v", s, err)
		}
	}
	for s, want := range map[string]error{
		"rot13": ErrSyntax, "aes256-sha3": ErrSyntax, "": ErrSyntax, "null-sha1": ErrUnsupported,
		"aes256": ErrUnsupported, "aes256gcm16-sha256": ErrUnsupported, "aes256-md5": ErrUnsupported,
	} {
		if _, err := ParseESPSuite(s); !errors.Is(err, want) {
			t.Errorf("ESP %q: %v", s, err)
		}
	}
	if got := (ESP{ESPSuite: ESPSuite{EncCamellia, 256, IntegSHA1}, Group: GroupMODP2048, ESN: true}).String(); got != "camellia256-sha1-modp2048-esn" {
		t.Errorf("named %q", got)
	}
	if got := (IKE{IKESuite: IKESuite{99, 0, 99, 99}, Auth: 99}).String(); got != "cipher99-hash99-group99 (auth99)" {
		t.Errorf("named %q", got)
	}
}

// FuzzSelect: from no offer is anything chosen that was not offered, is not
// supported, or that the peer could not recognise in the answer.
func FuzzSelect(f *testing.F) {
	for _, name := range []string{"windows10-main1", "macos-main1", "android-main1", "windows10-quick1", "macos-quick1", "android-quick1"} {
		f.Add(flowSA(f, name).AppendBody(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		offer, err := wire.ConsumeSA(b)
		if err != nil {
			return
		}
		if c, err := SelectIKE(offer, DefaultIKE(true, AuthPSK)); err == nil {
			if got, err := AcceptIKE(offer, c.Answer); err != nil || got.IKE != c.IKE || !c.Supported() {
				t.Fatalf("chosen %v, accepted %v, %v", c.IKE, got.IKE, err)
			}
		} else if err.Error() == "" {
			t.Fatal("refused without a word")
		}
		if c, err := SelectESP(offer, DefaultESP(true)); err == nil {
			if got, err := AcceptESP(offer, c.Answer); err != nil || got.ESP != c.ESP || !c.Supported() {
				t.Fatalf("chosen %v, accepted %v, %v", c.ESP, got.ESP, err)
			}
		} else if err.Error() == "" {
			t.Fatal("refused without a word")
		}
	})
}
