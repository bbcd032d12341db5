package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// body2 is a payload of IKEv2 with its bytes.
type body2 struct {
	body Body
	hex  string
	// whole says that every truncation is refused; the others end in data of any
	// length, and least is what they need.
	whole bool
	least int
}

func bodies2() []body2 {
	aes := Attributes(nil).AppendTV(Attribute2KeyLength, 256)
	return []body2{
		{SA2{[]Proposal2{
			{Number: 1, Protocol: ProtocolIKE, SPI: []byte{}, Transforms: []Transform2{
				{TransformENCR, 20, aes}, {TransformPRF, 5, Attributes{}}, {TransformKE, 19, Attributes{}}}},
			{Number: 2, Protocol: ProtocolESP, SPI: []byte{1, 2, 3, 4}, Transforms: []Transform2{{TransformESN, 0, Attributes{}}}},
		}}, "02000024010100030300000c01000014800e0100030000080200000500000008040000130000001402030401010203040000000805000000", true, 0},
		{KeyExchange2{19, []byte{0xaa}}, "00130000aa", true, 0},
		{ID2{false, IDFQDN, []byte("vpn")}, "0200000076706e", false, 4},
		{ID2{true, IDIPv4Addr, []byte{192, 0, 2, 1}}, "01000000c0000201", true, 0},
		{Auth{AuthDigital, []byte{1, 2}}, "0e0000000102", false, 5},
		{Nonce2(bytes.Repeat([]byte{7}, 16)), strings.Repeat("07", 16), true, 0},
		{Cert2{CertX509Signature, []byte{0x30}}, "0430", true, 0},
		{CertRequest2{CertX509Signature, bytes.Repeat([]byte{9}, 20)}, "04" + strings.Repeat("09", 20), false, 1},
		{VendorID2("vendor"), "76656e646f72", false, 0},
		{EAP{1, 2, 0, 5, 1}, "0102000501", true, 0},
		{Notify2{ProtocolESP, []byte{1, 2, 3, 4}, Notify2RekeySA, []byte{}}, "0304400901020304", true, 0},
		{Delete2{ProtocolESP, 4, []byte{1, 2, 3, 4, 5, 6, 7, 8}}, "030400020102030405060708", true, 0},
		{Delete2{ProtocolIKE, 0, []byte{}}, "01000000", true, 0},
		{TS{false, []TrafficSelector{PrefixSelector(netip.MustParsePrefix("10.0.0.0/8"), 17, 1701)}},
			"0100000007110010" + "06a506a5" + "0a0000000affffff", true, 0},
		{TS{true, []TrafficSelector{PrefixSelector(netip.MustParsePrefix("2001:db8::/32"), 0, 0), {Type: 9, Data: []byte{1}}}},
			"02000000" + "080000280000ffff" + "20010db8000000000000000000000000" + "20010db8ffffffffffffffffffffffff" +
				"0900000900000000" + "01", true, 0},
		{Config{ConfigReply, []ConfigAttribute{{ConfigIP4Address, []byte{10, 0, 0, 2}}, {ConfigMicrosoftSRV4, []byte{}}}},
			"02000000" + "000100040a000002" + "5ba00000", false, 4},
	}
}

func TestBodies2(t *testing.T) {
	for _, b := range bodies2() {
		got := b.body.AppendBody(nil)
		if hex.EncodeToString(got) != b.hex {
			t.Errorf("%v: %x, want %s", b.body.PayloadType(), got, b.hex)
		}
		read, err := consumeBody2(b.body.PayloadType(), got)
		if err != nil || !reflect.DeepEqual(read, b.body) {
			t.Errorf("%v: read %#v, want %#v: %v", b.body.PayloadType(), read, b.body, err)
		}
		for i := range got {
			_, err := consumeBody2(b.body.PayloadType(), got[:i])
			if (b.whole || i < b.least) && err == nil {
				t.Errorf("%v cut to %d bytes is read", b.body.PayloadType(), i)
			}
		}
	}
}

// consumeBody2 reads a body by its type.
func consumeBody2(t PayloadType, b []byte) (Body, error) {
	switch t {
	case PayloadSA2:
		return ConsumeSA2(b)
	case PayloadKE2:
		return ConsumeKeyExchange2(b)
	case PayloadIDi, PayloadIDr:
		return ConsumeID2(t, b)
	case PayloadCert2:
		return ConsumeCert2(b)
	case PayloadCertReq2:
		return ConsumeCertRequest2(b)
	case PayloadAuth:
		return ConsumeAuth(b)
	case PayloadNonce2:
		return ConsumeNonce2(b)
	case PayloadNotify2:
		return ConsumeNotify2(b)
	case PayloadDelete2:
		return ConsumeDelete2(b)
	case PayloadTSi, PayloadTSr:
		return ConsumeTS(t, b)
	case PayloadCP:
		return ConsumeConfig(b)
	case PayloadEAP:
		return ConsumeEAP(b)
	}
	return VendorID2(append([]byte{}, b...)), nil
}

// TestRefusedBodies2: what contradicts itself is refused.
func TestRefusedBodies2(t *testing.T) {
	for _, c := range []struct {
		kind PayloadType
		hex  string
		want error
	}{
		{PayloadSA2, "00000008010100000000000801000003", ErrCount},                 // no transforms
		{PayloadSA2, "00000010010100010300000801000003", ErrCount},                 // another is announced
		{PayloadSA2, "01000010010100010000000801000003", ErrNext},                  // neither 0 nor 2
		{PayloadSA2, "0000001001010001000000080100000300", ErrLength},              // bytes behind
		{PayloadSA2, "000000140101000100000008010000030000", ErrShort},             // length too long
		{PayloadNonce2, strings.Repeat("00", 257), ErrLength},                      //
		{PayloadIDi, "01000000c00002", ErrLength},                                  // address of three bytes
		{PayloadCertReq2, "0401", ErrLength},                                       // not whole hashes
		{PayloadEAP, "010200050100", ErrLength},                                    //
		{PayloadDelete2, "0304000101020304ff", ErrLength},                          //
		{PayloadDelete2, "01000001", ErrValue},                                     //
		{PayloadTSi, "00000000", ErrCount},                                         //
		{PayloadTSi, "01000000070000100000ffff0a0000010a000000", ErrValue},         // end before start
		{PayloadTSi, "01000000070000110000ffff0a0000000a00000100", ErrLength},      // length of no address
		{PayloadTSi, "01000000070000040000ffff", ErrLength},                        // shorter than its header
		{PayloadCP, "01000000" + strings.Repeat("00010000", 257), ErrCount},        //
		{PayloadCP, "010000000001000a", ErrShort},                                  //
		{PayloadTSr, "01000000070000100000ffff0a0000000a000001" + "00", ErrLength}, // bytes behind
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := consumeBody2(c.kind, b); !errors.Is(err, c.want) {
			t.Errorf("%v %s: %v, %v, want %v", c.kind, c.hex, got, err, c.want)
		}
	}
}

// TestSA2IsBounded: an offer cannot make us hold more than the limits.
func TestSA2IsBounded(t *testing.T) {
	many := SA2{}
	for i := range MaxProposals + 1 {
		many.Proposals = append(many.Proposals, Proposal2{Number: uint8(i), Transforms: make([]Transform2, 1)})
	}
	if _, err := ConsumeSA2(many.AppendBody(nil)); !errors.Is(err, ErrCount) {
		t.Errorf("%d proposals: %v", len(many.Proposals), err)
	}
	many.Proposals = many.Proposals[:3]
	for i := range many.Proposals {
		many.Proposals[i].Transforms = make([]Transform2, 200)
	}
	if _, err := ConsumeSA2(many.AppendBody(nil)); !errors.Is(err, ErrCount) {
		t.Errorf("600 transforms: %v", err)
	}
}

// TestReserved2: reserved bytes are ignored (RFC 7296, section 2.5).
func TestReserved2(t *testing.T) {
	b, _ := hex.DecodeString("00ff001001010001" + "00ff0008" + "01ff0003")
	if sa, err := ConsumeSA2(b); err != nil || sa.Proposals[0].Transforms[0].ID != 3 {
		t.Errorf("%+v, %v", sa, err)
	}
	b, _ = hex.DecodeString("01000000" + "80010000")
	if c, err := ConsumeConfig(b); err != nil || len(c.Attributes) != 1 || c.Attributes[0].Type != ConfigIP4Address {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestUnknownCritical(t *testing.T) {
	chain := []Payload{{Type: 200}, {Type: PayloadSA2, Critical: true}, {Type: PayloadPuzzle, Critical: true}}
	if got, ok := UnknownCritical(chain); !ok || got != PayloadPuzzle {
		t.Errorf("%v %v", got, ok)
	}
	if _, ok := UnknownCritical(chain[:2]); ok {
		t.Error("a payload that is known")
	}
}

func TestSelectors(t *testing.T) {
	for _, s := range []string{"0.0.0.0/0", "10.0.0.0/8", "192.0.2.1/32", "::/0", "2001:db8::1/128"} {
		p := netip.MustParsePrefix(s)
		got, ok := PrefixSelector(p, 0, 0).Prefix()
		if !ok || got != p || PrefixSelector(p, 0, 0).String() != s {
			t.Errorf("%s: %v %v", s, got, ok)
		}
	}
	odd := TrafficSelector{Type: TSIPv4, Protocol: 6, Start: netip.MustParseAddr("10.0.0.1"), End: netip.MustParseAddr("10.0.0.2"), StartPort: 1, EndPort: 2}
	if _, ok := odd.Prefix(); ok || odd.String() != "10.0.0.1-10.0.0.2[6/1-2]" {
		t.Error(odd.String())
	}
	if s := PrefixSelector(netip.MustParsePrefix("10.0.0.0/8"), 17, 1701).String(); s != "10.0.0.0/8[17/1701]" {
		t.Error(s)
	}
	if s := (TrafficSelector{Type: 9, Protocol: 1, EndPort: 65535}).String(); s != "type 9[1]" {
		t.Error(s)
	}
}

func TestConfigAttributes(t *testing.T) {
	v4, v6 := netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::1/64")
	for _, p := range []netip.Prefix{v4, v6} {
		a := PrefixAttribute(ConfigIP4Subnet, p)
		if got, ok := a.Prefix(); !ok || got != p {
			t.Errorf("%v: %v %v", p, got, ok)
		}
		if got, ok := a.Addr(); !ok || got != p.Addr() {
			t.Errorf("%v: %v %v", p, got, ok)
		}
	}
	for _, bad := range [][]byte{nil, {1}, {10, 0, 0, 0, 255, 0, 255, 0}, append(make([]byte, 16), 129)} {
		if p, ok := (ConfigAttribute{Value: bad}).Prefix(); ok {
			t.Errorf("%x is %v", bad, p)
		}
	}
	a := netip.MustParseAddr("192.0.2.53")
	if got, ok := AddrAttribute(ConfigIP4DNS, a).Addr(); !ok || got != a {
		t.Error(got)
	}
	if ConfigDNSDomain.String() != "DOMAIN" || ConfigAttributeType(99).String() != "attribute 99" {
		t.Error("names")
	}
}

func TestNotify2Data(t *testing.T) {
	n := Uint16Notify(Notify2SignatureHashAlgorithms, 2, 3)
	if got := slices.Collect(n.Uint16s()); !slices.Equal(got, []uint16{2, 3}) {
		t.Error(got)
	}
	status := Notify2{Type: Notify2MSStatus, Data: []byte{0, 0, 0x36, 0x27}}
	if code, ok := status.Status(); !ok || code != 13863 {
		t.Error(code)
	}
	if _, ok := n.Status(); ok || n.Type.IsError() || !Notify2MSStatus.IsError() || Notify2Cookie.String() != "COOKIE" {
		t.Error("a status")
	}
}

func TestID2Text(t *testing.T) {
	dn, _ := hex.DecodeString("300e310c300a06035504030c03626f62")
	for want, id := range map[string]ID2{
		`ID_DER_ASN1_DN "CN=bob"`: {Type: IDDERASN1DN, Data: dn}, `ID_FQDN "a\nb"`: {Type: IDFQDN, Data: []byte("a\nb")},
		"ID_IPV4_ADDR 192.0.2.1": {Type: IDIPv4Addr, Data: []byte{192, 0, 2, 1}}, `ID_DER_ASN1_DN "\x01"`: {Type: IDDERASN1DN, Data: []byte{1}},
	} {
		if got := id.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if _, err := ParseDN(append(dn, 0)); err == nil {
		t.Error("bytes behind a name")
	}
}

// TestEncrypted: what is written in front of a body is found again.
func TestEncrypted(t *testing.T) {
	for _, e := range []Encrypted{{First: PayloadIDi}, {First: PayloadIDi, Number: 1, Total: 2}, {Number: 2, Total: 2}} {
		h := Header{Version: V2, Exchange: ExchangeAuth}
		msg := append(AppendEncrypted(nil, h, e, 3), 1, 2, 3)
		got, outer, err := ConsumeEncrypted(nil, msg)
		if err != nil || len(outer) != 0 || got.First != e.First || got.Number != e.Number || got.Total != e.Total ||
			got.Offset != len(msg)-3 || !bytes.Equal(got.Body, []byte{1, 2, 3}) || got.Fragment() != (e.Total > 0) {
			t.Errorf("%+v: %+v, %v", e, got, err)
		}
		for i := range msg[:len(msg)-3] {
			if _, _, err := ConsumeEncrypted(nil, msg[:i]); err == nil {
				t.Errorf("cut to %d", i)
			}
		}
	}
	for _, e := range []Encrypted{{Number: 0, Total: 2}, {Number: 3, Total: 2}, {First: PayloadIDi, Number: 2, Total: 2}} {
		msg := AppendEncrypted(nil, Header{Version: V2}, e, 0)
		if _, _, err := ConsumeEncrypted(nil, msg); err == nil {
			t.Errorf("%+v", e)
		}
	}
	plain := StartMessage(nil, Header{Version: V2})
	plain.Add(Nonce2(make([]byte, 16)))
	if _, _, err := ConsumeEncrypted(nil, plain.Finish()); !errors.Is(err, ErrNext) {
		t.Error(err)
	}
}

func TestInnerChain(t *testing.T) {
	var c Chain
	if c.First() != PayloadNone || len(c.Bytes()) != 0 {
		t.Error("an empty chain")
	}
	for _, b := range bodies2() {
		c.Add(b.body)
	}
	chain, err := ParsePayloads(nil, V2, c.First(), c.Bytes())
	if err != nil || len(chain) != len(bodies2()) {
		t.Fatalf("%d payloads, %v", len(chain), err)
	}
	for i, b := range bodies2() {
		if chain[i].Type != b.body.PayloadType() || hex.EncodeToString(chain[i].Body) != b.hex {
			t.Errorf("%v %x", chain[i].Type, chain[i].Body)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a payload longer than its length field")
		}
	}()
	c.Add(VendorID2(make([]byte, 1<<16)))
}

func TestNames2(t *testing.T) {
	for want, got := range map[string]string{
		"IDr": PayloadIDr.String(), "SKF": PayloadSKF.String(), "IKE_AUTH": ExchangeAuth.String(),
		"DIGITAL-SIGNATURE": AuthDigital.String(), "auth method 99": AuthMethod2(99).String(), "Quick Mode": ExchangeQuick.String(),
	} {
		if want != got {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// FuzzBodies2: what can be read of any payload is written and read again the same.
func FuzzBodies2(f *testing.F) {
	for _, b := range bodies2() {
		f.Add(byte(b.body.PayloadType()), b.body.AppendBody(nil))
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		read, err := consumeBody2(PayloadType(kind), b)
		if err != nil {
			return
		}
		once := read.AppendBody(nil)
		again, err := consumeBody2(PayloadType(kind), once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %x: %v", once, err)
		}
		if !reflect.DeepEqual(read, again) {
			t.Fatalf("read %#v, then %#v", read, again)
		}
		if twice := again.AppendBody(nil); !bytes.Equal(once, twice) {
			t.Fatalf("written as %x, then as %x", once, twice)
		}
		if s, ok := read.(interface{ String() string }); ok {
			_ = s.String()
		}
	})
}

// FuzzEncrypted: the offset of what is protected stays within the message.
func FuzzEncrypted(f *testing.F) {
	f.Add(append(AppendEncrypted(nil, Header{Version: V2}, Encrypted{First: PayloadIDi, Number: 1, Total: 2}, 3), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, _, err := ConsumeEncrypted(nil, b)
		if err == nil && (e.Offset < HeaderLen+4 || e.Offset+len(e.Body) > len(b) || !bytes.Equal(b[e.Offset:e.Offset+len(e.Body)], e.Body)) {
			t.Fatalf("%+v", e)
		}
	})
}
