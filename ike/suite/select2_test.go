package suite

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// TestRecordedOffers is the table of what is chosen for each kind of client, without
// and with legacy algorithms. Minus: nothing.
func TestRecordedOffers(t *testing.T) {
	table := map[string]struct{ ike, legacy, esp, rekey string }{
		"culvert":            {"aes256gcm16-prfsha256-curve25519-mlkem768", "", "aes256gcm16", "aes256gcm16-curve25519"},
		"windows10":          {"-", "aes256-sha256-modp1024", "aes256-sha1", "aes256-sha1"},
		"windows11":          {"-", "aes256gcm16-prfsha256-modp1024", "aes256-sha1", "aes256-sha1"},
		"windows-modp2048":   {"aes256-sha256-modp2048", "", "aes256-sha1", "aes256-sha1"},
		"windows-powershell": {"aes128-sha384-ecp256", "", "aes256-sha1", "aes256-sha1"},
		"ios16":              {"aes256-sha256-modp2048", "", "aes256-sha256", "aes256-sha256-modp2048"},
		"macos13":            {"aes256-sha256-modp2048", "", "aes256-sha256", "aes256-sha256"},
		"macos14":            {"aes256gcm16-prfsha256-ecp256", "", "aes256gcm16", "aes256gcm16-ecp256"},
		"android":            {"aes256gcm16-prfsha256-curve25519", "", "aes256gcm16", "aes256gcm16"},
		"strongswan-app":     {"aes256gcm16-prfsha256-ecp256", "", "aes256gcm16", "aes256gcm16"},
	}
	for _, p := range recordedOffers() {
		want, ok := table[p.Name]
		if !ok {
			t.Errorf("%s is not in the table", p.Name)
		}
		if want.legacy == "" {
			want.legacy = want.ike
		}
		for legacy, name := range map[bool]string{false: want.ike, true: want.legacy} {
			wantIKE(t, p, legacy, name)
		}
		wantESP(t, p, p.ESP, true, want.esp)
		if len(p.Rekey) == 0 {
			p.Rekey = p.ESP
		}
		wantESP(t, p, p.Rekey, false, want.rekey)
	}
}

// wantIKE chooses from a persona's offer as it comes off the wire, and accepts the
// answer as the client.
func wantIKE(t *testing.T, p recordedOffer, legacy bool, name string) {
	t.Helper()
	offer, err := wire.ConsumeSA2(OfferIKE2(nil, p.IKE).AppendBody(nil))
	if err != nil {
		t.Fatal(err)
	}
	policy := DefaultIKE2(legacy)
	policy.Sent = p.Sent
	c, err := SelectIKE2(offer, policy)
	if err != nil {
		var r *Refusal
		if name != "-" || !errors.As(err, &r) || !legacy && r.refused.legacy() == "" {
			t.Errorf("%s: %v", p.Name, err)
		}
		return
	}
	if c.IKE2Suite.String() != name {
		t.Errorf("%s: %v, want %s", p.Name, c.IKE2Suite, name)
	}
	answer, err := wire.ConsumeSA2(c.AnswerSPI(nil).AppendBody(nil))
	if err != nil {
		t.Fatal(err)
	}
	got, err := AcceptIKE2(offer, answer)
	if err != nil || got.IKE2Suite != c.IKE2Suite {
		t.Errorf("%s: its answer is %v, %v", p.Name, got.IKE2Suite, err)
	}
}

func wantESP(t *testing.T, p recordedOffer, list []ESP2Proposal, first bool, name string) {
	t.Helper()
	offer := OfferESP2([4]byte{1, 2, 3, 4}, list)
	policy := DefaultESP2(true)
	policy.First = first
	if len(list[0].Groups) > 0 {
		policy.Sent = list[0].Groups[0]
	}
	c, err := SelectESP2(offer, policy)
	if err != nil || c.ESP2.String() != name || c.SPI != [4]byte{1, 2, 3, 4} {
		t.Errorf("%s: %v, want %s: %v", p.Name, c.ESP2, name, err)
		return
	}
	got, err := AcceptESP2(offer, c.AnswerSPI([4]byte{5, 6, 7, 8}), first)
	if err != nil || got.ESP2 != c.ESP2 || got.SPI != [4]byte{5, 6, 7, 8} {
		t.Errorf("%s: its answer is %v, %v", p.Name, got.ESP2, err)
	}
}

// TestForwardSecrecyIsOptional: child SAs are made with and without a key exchange,
// as the offer has it.
func TestForwardSecrecyIsOptional(t *testing.T) {
	with, without := esps2([]Group{GroupECP256}, "aes256gcm16"), esps2(nil, "aes256gcm16")
	either := append(esps2([]Group{GroupECP256}, "aes256gcm16"), without...)
	optional := esps2([]Group{GroupECP256, GroupNone}, "aes256gcm16")
	for _, c := range []struct {
		offer []ESP2Proposal
		sent  Group
		want  Group
	}{
		{with, GroupECP256, GroupECP256}, {with, GroupNone, GroupECP256}, {with, GroupMODP2048, GroupECP256},
		{without, GroupNone, GroupNone}, {without, GroupECP256, GroupNone},
		{either, GroupECP256, GroupECP256}, {either, GroupNone, GroupNone}, {either, GroupMODP4096, GroupNone},
		{optional, GroupNone, GroupNone}, {optional, GroupECP256, GroupECP256},
	} {
		p := DefaultESP2(false)
		p.Sent = c.sent
		got, err := SelectESP2(OfferESP2([4]byte{1}, c.offer), p)
		if err != nil || got.Group != c.want {
			t.Errorf("%v with KE %v: %v, %v", c.offer, c.sent, got.Group, err)
		}
	}
}

// TestProposalNumbers: macOS 14 renews with number 3, and gets it back.
func TestProposalNumbers(t *testing.T) {
	offer := OfferIKE2(make([]byte, 8), suites2("aes256-sha256-ecp256"))
	offer.Proposals[0].Number = 3
	c, err := SelectIKE2(offer, DefaultIKE2(false))
	if err != nil || c.Answer.Proposals[0].Number != 3 || len(c.SPI) != 8 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestUnknownTransforms: a type that is not understood refuses a proposal, and an
// attribute its transform (RFC 7296, section 3.3.6).
func TestUnknownTransforms(t *testing.T) {
	good := OfferIKE2(nil, suites2("aes256-sha256-ecp256")).Proposals[0]
	strange := good
	strange.Transforms = append([]wire.Transform2{{Type: 200, ID: 1}}, good.Transforms...)
	attribute := good
	attribute.Transforms = append([]wire.Transform2(nil), good.Transforms...)
	attribute.Transforms[0].Attributes = wire.Attributes(nil).AppendTV(wire.Attribute2KeyLength, 256).AppendTV(99, 1)
	for _, p := range []wire.Proposal2{strange, attribute} {
		if c, err := SelectIKE2(wire.SA2{Proposals: []wire.Proposal2{p}}, DefaultIKE2(false)); err == nil {
			t.Errorf("chose %v", c)
		}
		if _, err := SelectIKE2(wire.SA2{Proposals: []wire.Proposal2{p, good}}, DefaultIKE2(false)); err != nil {
			t.Error(err)
		}
	}
	if ok := len(good.Transforms) == 4; !ok {
		t.Error("the offer was changed")
	}
}

// TestAdditional is RFC 9370, section 2.2.2: none twice, NONE makes one optional, and
// what is wanted and not known refuses.
func TestAdditional(t *testing.T) {
	base := suite2("aes256gcm16-prfsha256-curve25519")
	choose := func(p IKE2Policy, lists ...[]Group) string {
		offer := base
		copy(offer.Additional[:], lists)
		c, err := SelectIKE2(OfferIKE2(nil, []IKE2Proposal{offer}), p)
		if err != nil {
			return "-"
		}
		return c.Additional.String()
	}
	all, none := DefaultIKE2(false), DefaultIKE2(false)
	none.Additional = nil
	both := []Group{GroupMLKEM768, GroupMLKEM1024}
	for _, c := range []struct {
		p     IKE2Policy
		lists [][]Group
		want  string
	}{
		{all, [][]Group{both}, "-mlkem768"}, {all, [][]Group{both, both}, "-mlkem768-mlkem1024"},
		{all, [][]Group{{GroupMLKEM512}}, "-"}, {all, [][]Group{{GroupMLKEM512, GroupNone}}, ""},
		{all, [][]Group{{GroupMLKEM768}, {GroupMLKEM768}}, "-"},
		{none, [][]Group{both}, "-"}, {none, [][]Group{{GroupMLKEM768, GroupNone}}, ""},
	} {
		if got := choose(c.p, c.lists...); got != c.want {
			t.Errorf("%v: %q, want %q", c.lists, got, c.want)
		}
	}
}

// TestMixedCiphers: an AEAD with integrity is no choice, CBC without neither.
func TestMixedCiphers(t *testing.T) {
	mixed := IKE2Proposal{Ciphers: []Cipher{{EncAESGCM16, 256}, {EncAESCBC, 256}}, Integ: []Integ2{Integ2SHA256},
		PRF: []PRF2{PRF2SHA256}, Groups: []Group{GroupECP256}}
	c, err := SelectIKE2(OfferIKE2(nil, []IKE2Proposal{mixed}), DefaultIKE2(false))
	if err != nil || c.Encryption != EncAESCBC {
		t.Errorf("%v, %v", c.IKE2Suite, err)
	}
	mixed.Integ = []Integ2{Integ2None, Integ2SHA256}
	if c, err = SelectIKE2(OfferIKE2(nil, []IKE2Proposal{mixed}), DefaultIKE2(false)); err != nil || c.Encryption != EncAESGCM16 || c.Integrity != IntegNone {
		t.Errorf("%v, %v", c.IKE2Suite, err)
	}
	mixed.Integ = nil
	if c, err = SelectIKE2(OfferIKE2(nil, []IKE2Proposal{mixed}), DefaultIKE2(false)); err != nil || c.Encryption != EncAESGCM16 {
		t.Errorf("%v, %v", c.IKE2Suite, err)
	}
}

// TestAnswersThatWereNotOffered are refused.
func TestAnswersThatWereNotOffered(t *testing.T) {
	offer := OfferIKE2(nil, suites2("aes256-sha256-ecp256", "aes128-sha1-modp2048"))
	for _, s := range []string{"aes256-sha1-ecp256", "aes256-sha256-modp2048", "aes256gcm16-prfsha256-ecp256", "3des-sha1-modp1024"} {
		if c, err := AcceptIKE2(offer, OfferIKE2(nil, suites2(s))); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v, %v", s, c.IKE2Suite, err)
		}
	}
	for _, answer := range []wire.SA2{{}, offer} {
		if _, err := AcceptIKE2(offer, answer); !errors.Is(err, ErrAnswer) {
			t.Error(err)
		}
	}
	cut := OfferIKE2(nil, suites2("aes256-sha256-ecp256"))
	cut.Proposals[0].Transforms = cut.Proposals[0].Transforms[:3]
	if _, err := AcceptIKE2(offer, cut); !errors.Is(err, ErrAnswer) {
		t.Error(err)
	}
	// The choice of the second proposal is a good answer.
	if _, err := AcceptIKE2(offer, OfferIKE2(nil, suites2("aes128-sha1-modp2048"))); err != nil {
		t.Error(err)
	}
}

// TestESN: 64-bit sequence numbers are used only where nothing else is offered, or
// where they are wanted.
func TestESN(t *testing.T) {
	for _, c := range []struct {
		offer []bool
		want  bool
		got   bool
	}{{nil, false, false}, {[]bool{true}, false, true}, {[]bool{true, false}, false, false}, {[]bool{false, true}, true, true}} {
		p := ESP2Proposal{Ciphers: []Cipher{{EncAESGCM16, 256}}, ESN: c.offer}
		policy := DefaultESP2(false)
		policy.ESN = c.want
		if got, err := SelectESP2(OfferESP2([4]byte{1}, []ESP2Proposal{p}), policy); err != nil || got.ESN != c.got {
			t.Errorf("%v: %v, %v", c, got.ESN, err)
		}
	}
	offer := OfferESP2([4]byte{1}, esps2(nil, "aes256gcm16"))
	offer.Proposals[0].Transforms = offer.Proposals[0].Transforms[:1]
	if got, err := SelectESP2(offer, DefaultESP2(false)); err != nil || got.ESN || len(got.Answer.Proposals[0].Transforms) != 1 {
		t.Errorf("without ESN: %+v, %v", got, err)
	}
}

// TestRefusal2 says what was offered, and what would help.
func TestRefusal2(t *testing.T) {
	p, _ := recordedNamed("windows10")
	_, err := SelectIKE2(OfferIKE2(nil, p.IKE), DefaultIKE2(false))
	for _, part := range []string{"3des-prfsha1-sha1-modp1024", "legacy algorithms would allow aes256-sha256-modp1024"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	_, err = SelectESP2(OfferESP2([4]byte{1}, esps2(nil, "3des-sha1")), DefaultESP2(false))
	if err == nil || !strings.Contains(err.Error(), "allow 3des-sha1") {
		t.Error(err)
	}
	if _, ok := recordedNamed("nobody"); ok {
		t.Error("nobody")
	}
}

func TestIKE2SuiteNames(t *testing.T) {
	for _, s := range []string{"aes256-sha256-modp2048", "aes256gcm16-prfsha384-ecp384-mlkem768", "aes128-sha1-prfsha256-curve25519",
		"chacha20poly1305-prfsha512-curve25519-mlkem768-mlkem1024"} {
		got, err := ParseIKE2Suite(s)
		if err != nil || got.String() != s {
			t.Errorf("%s: %v, %v", s, got, err)
		}
		if back := got.Proposal(); !reflect.DeepEqual(OfferIKE2(nil, []IKE2Proposal{back}), OfferIKE2(nil, []IKE2Proposal{back})) {
			t.Error(back)
		}
	}
	for _, s := range []string{"", "aes256", "aes256-sha256", "aes256gcm16-ecp256", "aes256gcm16-sha256-ecp256", "aes256-sha256-mlkem768",
		"rot13-sha1-modp2048", "aes256-sha256-modp2048-banana"} {
		if got, err := ParseIKE2Suite(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}
