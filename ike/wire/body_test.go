package wire

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// bodies are one of each payload. Those marked open have no length of their own,
// so that some of what is left after a cut is a payload as well.
func bodies() []struct {
	body Body
	hex  string
	open bool
} {
	return []struct {
		body Body
		hex  string
		open bool
	}{
		{SA{DOI: DOIIPsec, Situation: 1, Proposals: []Proposal{{Number: 1, Protocol: ProtocolESP, SPI: []byte{1, 2, 3, 4},
			Transforms: []Transform{{Number: 1, ID: 12, Attributes: Attributes{}.AppendTV(4, 2).AppendTLV(2, 3600)}}}}},
			"0000000100000001" + "00000020" + "01030401" + "01020304" + "00000014" + "010c0000" + "80040002" +
				"0002000400000e10", false},
		{KeyExchange("public"), "7075626c6963", true},
		{ID{Type: IDIPv4Addr, Protocol: 17, Port: 1701, Data: []byte{192, 0, 2, 1}}, "011106a5c0000201", false},
		{Cert{Encoding: CertX509Signature, Data: []byte("der")}, "04646572", true},
		{CertRequest{Encoding: CertX509Signature, Authority: []byte("dn")}, "04646e", true},
		{Hash("hash"), "68617368", true},
		{Signature("sig"), "736967", true},
		{Nonce("12345678"), "3132333435363738", false},
		{Notify{DOI: DOIIPsec, Protocol: ProtocolISAKMP, SPI: []byte("spi!"), Type: NotifyInitialContact, Data: []byte{}},
			"00000001" + "01046002" + "73706921", false},
		{Delete{DOI: DOIIPsec, Protocol: ProtocolESP, SPISize: 4, SPIs: []byte("spi1spi2")},
			"00000001" + "03040002" + "73706931" + "73706932", false},
		{VendorID("vid"), "766964", true},
		{NATD{Type: PayloadNATD, Hash: []byte("hash")}, "68617368", true},
		{NATOA{Type: PayloadNATOADraft, Addr: netip.MustParseAddr("192.0.2.1")}, "01000000c0000201", false},
		{NATOA{Type: PayloadNATOA, Addr: netip.MustParseAddr("2001:db8::1")},
			"0500000020010db8000000000000000000000001", false},
		{ModeConfig{Type: ConfigReply, Identifier: 7, Attributes: []Attribute{{Type: ModeIP4Address, Value: []byte{10, 9, 0, 2}},
			{Type: XAUTHStatus, Short: true, Value: []byte{0, 1}}}}, "02000007" + "000100040a090002" + "c08f0001", true},
		{Fragment{ID: 1, Number: 2, Last: true, Data: []byte("piece")}, "000102017069656365", true},
	}
}

func TestBodies(t *testing.T) {
	for _, tt := range bodies() {
		b := tt.body.AppendBody(nil)
		if got := hex.EncodeToString(b); got != tt.hex {
			t.Errorf("%v is written as %s, want %s", tt.body.PayloadType(), got, tt.hex)
		}
		got, err := readBody(Payload{Type: tt.body.PayloadType(), Body: b})
		if err != nil || !reflect.DeepEqual(got, tt.body) {
			t.Errorf("%v is read as %+v (%v), want %+v", tt.body.PayloadType(), got, err, tt.body)
		}
	}
}

func TestEveryTruncationOfBodiesFails(t *testing.T) {
	for _, tt := range bodies() {
		b := tt.body.AppendBody(nil)
		for n := range b {
			_, err := readBody(Payload{Type: tt.body.PayloadType(), Body: b[:n]})
			if err == nil && (!tt.open || n == 0) {
				t.Errorf("%v cut to %d bytes is accepted", tt.body.PayloadType(), n)
			}
		}
	}
}

func TestRefusedBodies(t *testing.T) {
	tests := []struct {
		name string
		t    PayloadType
		hex  string
		err  error
	}{
		{"SA of an unknown DOI", PayloadSA, "0000000200000001" + "00000008" + "01010001", ErrDOI},
		{"SA with labels", PayloadSA, "0000000100000002", ErrValue},
		{"SA without proposal", PayloadSA, "0000000100000001", ErrShort},
		{"proposal without transform", PayloadSA, "0000000100000001" + "00000008" + "01010000", ErrCount},
		{"proposal followed by a transform", PayloadSA, "0000000100000001" + "03000010" + "01010001" + "00000008" + "01010000", ErrNext},
		{"proposal behind the last", PayloadSA, "0000000100000001" + "00000010" + "01010001" + "00000008" + "01010000" + "00", ErrLength},
		{"more transforms than counted", PayloadSA, "0000000100000001" + "00000010" + "01010001" + "03000008" + "01010000", ErrCount},
		{"fewer transforms than counted", PayloadSA, "0000000100000001" + "00000010" + "01010002" + "00000008" + "01010000", ErrCount},
		{"transform followed by a proposal", PayloadSA, "0000000100000001" + "00000010" + "01010001" + "02000008" + "01010000", ErrNext},
		{"bytes behind the transforms", PayloadSA, "0000000100000001" + "00000011" + "01010001" + "00000008" + "01010000" + "00", ErrLength},
		{"transform with reserved bits", PayloadSA, "0000000100000001" + "00000010" + "01010001" + "00000008" + "01010001", ErrReserved},
		{"proposal with reserved bits", PayloadSA, "0000000100000001" + "00800010" + "01010001" + "00000008" + "01010000", ErrReserved},
		{"attribute cut short", PayloadSA, "0000000100000001" + "00000014" + "01010001" + "0000000c" + "01010000" + "000c0004", ErrShort},
		{"SPI longer than the proposal", PayloadSA, "0000000100000001" + "00000008" + "0101ff01", ErrShort},
		{"address of five bytes", PayloadID, "0111000001020304" + "05", ErrLength},
		{"subnet of four bytes", PayloadID, "0411000001020304", ErrLength},
		{"nonce of 257 bytes", PayloadNonce, strings.Repeat("00", 257), ErrLength},
		{"notify with a long SPI", PayloadNotify, "00000001" + "01056002" + "73706921", ErrShort},
		{"delete of SPIs without size", PayloadDelete, "00000001" + "03000001", ErrValue},
		{"delete with a byte more", PayloadDelete, "00000001" + "03040001" + "7370693100", ErrLength},
		{"delete of 65535 SPIs of 255 bytes", PayloadDelete, "00000001" + "03ffffff" + "73706931", ErrShort},
		{"NAT-OA of a name", PayloadNATOA, "0200000061", ErrValue},
		{"NAT-OA with a byte more", PayloadNATOA, "01000000c000020100", ErrLength},
		{"fragment number zero", PayloadFragmentation, "0001000061", ErrValue},
	}
	for _, tt := range tests {
		b, err := hex.DecodeString(tt.hex)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		if _, err := readBody(Payload{Type: tt.t, Body: b}); !errors.Is(err, tt.err) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.err)
		}
	}
}

func TestWrongNumberOfNATPayload(t *testing.T) {
	if _, err := ConsumeNATD(PayloadNonce, []byte("12345678")); !errors.Is(err, ErrNext) {
		t.Errorf("NAT-D: %v", err)
	}
	if _, err := ConsumeNATOA(PayloadNATD, []byte{1, 0, 0, 0, 1, 2, 3, 4}); !errors.Is(err, ErrNext) {
		t.Errorf("NAT-OA: %v", err)
	}
}

func TestSAIsBounded(t *testing.T) {
	one := Transform{Number: 1, ID: 1}
	sa := SA{DOI: DOIIPsec, Situation: 1}
	for range MaxProposals {
		sa.Proposals = append(sa.Proposals, Proposal{Protocol: ProtocolESP, Transforms: []Transform{one}})
	}
	if _, err := ConsumeSA(sa.AppendBody(nil)); err != nil {
		t.Errorf("%d proposals: %v", MaxProposals, err)
	}
	sa.Proposals = append(sa.Proposals, sa.Proposals[0])
	if _, err := ConsumeSA(sa.AppendBody(nil)); !errors.Is(err, ErrCount) {
		t.Errorf("%d proposals: error %v", MaxProposals+1, err)
	}
	many := make([]Transform, 255)
	sa.Proposals = []Proposal{{Transforms: many}, {Transforms: many}, {Transforms: many}}
	if _, err := ConsumeSA(sa.AppendBody(nil)); !errors.Is(err, ErrCount) {
		t.Errorf("%d transforms: error %v", 3*255, err)
	}
}

func TestAttributes(t *testing.T) {
	l := Attributes{}.AppendTV(1, 7).AppendTLV(12, 28800)
	if got := hex.EncodeToString(l); got != "80010007000c000400007080" {
		t.Errorf("written as %s", got)
	}
	a, ok := find(l, AttributeLifeDuration)
	if !ok || a.Short || a.Uint() != 28800 {
		t.Errorf("found %+v, %v", a, ok)
	}
	if _, ok := find(l, AttributeGroup); ok {
		t.Error("found a group that is not there")
	}
	for a := range l.All() {
		if a.Type == AttributeEncryption {
			break
		}
	}
	n := 0
	for range Attributes("\x80\x01\x00\x07\x00\x0c\x00\x09").All() {
		n++
	}
	if n != 1 {
		t.Errorf("%d attributes before the one cut short, want 1", n)
	}
	long := Attribute{Value: bytes.Repeat([]byte{0xff}, 9)}
	if long.Uint() != 1<<64-1 {
		t.Errorf("nine bytes are %d", long.Uint())
	}
	zeroes := Attribute{Value: append(make([]byte, 20), 5)}
	if zeroes.Uint() != 5 {
		t.Errorf("five with zeroes in front is %d", zeroes.Uint())
	}
}

func TestTransformClone(t *testing.T) {
	a := Transform{Attributes: Attributes{}.AppendTV(1, 7)}
	b := a.Clone()
	a.Attributes[3] = 9
	if b.Attributes[3] != 7 {
		t.Error("the clone shares memory")
	}
}

func TestDeleteYieldsItsSPIs(t *testing.T) {
	d := Delete{Protocol: ProtocolESP, SPISize: 4, SPIs: []byte("spi1spi2")}
	var got []string
	for spi := range d.All() {
		got = append(got, string(spi))
	}
	if !reflect.DeepEqual(got, []string{"spi1", "spi2"}) {
		t.Errorf("yields %q", got)
	}
	for range d.All() {
		break
	}
}

func TestNotifySequence(t *testing.T) {
	n := Notify{Type: NotifyRUThere, SPI: CookieSPI(Cookie{1}, Cookie{2}), Data: []byte{0, 0, 1, 2}}
	if v, ok := n.Sequence(); !ok || v != 258 || len(n.SPI) != 16 || n.SPI[8] != 2 {
		t.Errorf("sequence %d, %v, SPI %x", v, ok, n.SPI)
	}
	n.Data = n.Data[1:]
	if _, ok := n.Sequence(); ok {
		t.Error("a sequence of three bytes is accepted")
	}
}

func TestIDs(t *testing.T) {
	tests := []struct {
		id     ID
		text   string
		prefix string
	}{
		{AddrID(netip.MustParseAddr("192.0.2.1"), 17, 1701), "ID_IPV4_ADDR 192.0.2.1 proto 17 port 1701", "192.0.2.1/32"},
		{AddrID(netip.MustParseAddr("::ffff:192.0.2.1"), 0, 0), "ID_IPV4_ADDR 192.0.2.1", "192.0.2.1/32"},
		{AddrID(netip.MustParseAddr("2001:db8::1"), 0, 0), "ID_IPV6_ADDR 2001:db8::1", "2001:db8::1/128"},
		{PrefixID(netip.MustParsePrefix("192.0.2.77/25"), 0, 0), "ID_IPV4_ADDR_SUBNET 192.0.2.0/25", "192.0.2.0/25"},
		{PrefixID(netip.MustParsePrefix("2001:db8::/33"), 0, 0), "ID_IPV6_ADDR_SUBNET 2001:db8::/33", "2001:db8::/33"},
		{ID{Type: IDIPv4AddrSubnet, Data: []byte{192, 0, 2, 0, 255, 0, 255, 0}},
			`ID_IPV4_ADDR_SUBNET "\xc0\x00\x02\x00\xff\x00\xff\x00"`, ""},
		{ID{Type: IDIPv4AddrRange, Data: []byte{192, 0, 2, 1, 192, 0, 2, 1}}, "ID_IPV4_ADDR_RANGE 192.0.2.1", "192.0.2.1/32"},
		{ID{Type: IDIPv4AddrRange, Data: []byte{192, 0, 2, 1, 192, 0, 2, 9}}, "ID_IPV4_ADDR_RANGE 192.0.2.1-192.0.2.9", ""},
		{ID{Type: IDFQDN, Data: []byte("host\n\xff")}, `ID_FQDN "host\n\xff"`, ""},
		{ID{Type: 99, Data: []byte("x")}, `id 99 "x"`, ""},
	}
	for _, tt := range tests {
		if got := tt.id.String(); got != tt.text {
			t.Errorf("%v reads %q, want %q", tt.id.Type, got, tt.text)
		}
		p, ok := tt.id.Prefix()
		if ok != (tt.prefix != "") || ok && p.String() != tt.prefix {
			t.Errorf("%s: network %v, %v, want %q", tt.text, p, ok, tt.prefix)
		}
		back, err := ConsumeID(tt.id.AppendBody(nil))
		if err != nil || !reflect.DeepEqual(back, tt.id) {
			t.Errorf("%s: read as %+v, %v", tt.text, back, err)
		}
	}
	if a, ok := tests[0].id.Addr(); !ok || a.String() != "192.0.2.1" {
		t.Errorf("address %v, %v", a, ok)
	}
	if _, ok := tests[3].id.Addr(); ok {
		t.Error("a network is an address")
	}
}

func TestLongIdentityIsShownInPart(t *testing.T) {
	id := ID{Type: IDKeyID, Data: make([]byte, 60000)}
	if n := len(id.String()); n > 600 {
		t.Errorf("an identity fills %d bytes of a log line", n)
	}
}

func TestVendorConstants(t *testing.T) {
	hashed := map[Vendor]string{
		VendorNATTDraft02N: "draft-ietf-ipsec-nat-t-ike-02\n", VendorStrongSwan: "strongSwan",
		VendorFragmentation: "FRAGMENTATION", VendorMSNT5: "MS NT5 ISAKMPOAKLEY",
		VendorMSNegotiation: "MS-Negotiation Discovery Capable", VendorMSInitialContact: "Vid-Initial-Contact",
		VendorMSCGA: "IKE CGA version 1",
	}
	for v := VendorRFC3947; v <= VendorNATTDraft08; v++ {
		if _, ok := hashed[v]; !ok {
			hashed[v] = v.String()
		}
	}
	for v, text := range hashed {
		if want := md5.Sum([]byte(text)); !bytes.Equal(v.ID(), want[:]) {
			t.Errorf("%v is %x, want %x", v, v.ID(), want)
		}
	}
}

func TestVendorsAreKnown(t *testing.T) {
	for v := VendorRFC3947; int(v) < len(vendors); v++ {
		if got, rest := v.ID().Known(); got != v || len(rest) != 0 {
			t.Errorf("%v is known as %v with %x", v, got, rest)
		}
		got, rest := v.ID(0, 0, 0, 9).Known()
		if vendors[v].version && (got != v || !bytes.Equal(rest, []byte{0, 0, 0, 9})) {
			t.Errorf("%v with a version is known as %v with %x", v, got, rest)
		}
		if !vendors[v].version && got != VendorUnknown {
			t.Errorf("%v with a version is known as %v", v, got)
		}
	}
	if v, _ := VendorID("x").Known(); v != VendorUnknown || v.ID() != nil || v.String() != "unknown vendor ID" {
		t.Errorf("one byte is %v", v)
	}
}

func TestNames(t *testing.T) {
	tests := []struct{ got, want string }{
		{PayloadNATD.String(), "NAT-D"}, {PayloadType(77).String(), "payload 77"},
		{ExchangeMain.String(), "Main Mode"}, {ExchangeType(77).String(), "exchange 77"},
		{NotifyNoProposalChosen.String(), "NO-PROPOSAL-CHOSEN"}, {NotifyType(40000).String(), "notify 40000"},
		{ProtocolESP.String(), "ESP"}, {IDKeyID.String(), "ID_KEY_ID"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
	if !NotifyNoProposalChosen.IsError() || NotifyInitialContact.IsError() || NotifyType(0).IsError() {
		t.Error("errors and other notifies are mixed up")
	}
	if V1.Major() != 1 || V2.Major() != 2 || !(Cookie{}).IsZero() {
		t.Error("header constants")
	}
}

// find returns the first attribute of a type.
func find(l Attributes, t AttributeType) (Attribute, bool) {
	for a := range l.All() {
		if a.Type == t {
			return a, true
		}
	}
	return Attribute{}, false
}
