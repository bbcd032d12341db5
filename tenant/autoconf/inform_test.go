package autoconf

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// appleInform is what macOS sends from 192.168.42.10.
var appleInform = "450001220001000040118f18c0a82a0affffffff00440043010e0000" +
	"010806000000000100000000c0a82a0a" + strings.Repeat("00", 12) +
	"00000000000100000000000000000000" + strings.Repeat("00", 192) +
	"63825363" + "350108" + "3d0708000000010000" + "3706062c2b01f90f" + "ff00"

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func wantResponder(t testing.TB, change func(*Config)) *Responder {
	t.Helper()
	c := Config{
		Name: "acme", Gateway: netip.MustParseAddr("192.168.42.1"),
		Pools: prefixes("192.168.42.0/24", "2001:db8:1::/48"),
		DNS:   addrs("192.168.42.1", "2001:db8:1::1"), NBNS: addrs("10.0.0.7"),
		Domains: []string{"acme.example", "lab.acme.example"},
		Routes:  prefixes("10.0.0.0/8", "172.16.128.0/17", "2001:db8:2::/48"),
	}
	if change != nil {
		change(&c)
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func client() Client {
	return Client{
		Addr: netip.MustParseAddr("192.168.42.10"), Prefix: netip.MustParsePrefix("2001:db8:1:5::/64"),
		Router: netip.MustParseAddr("fe80::1:2:3:4"), MTU: 1400,
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantAnswer returns what a packet is answered with, after a look at its headers.
func wantAnswer(t testing.TB, r *Responder, c Client, packet []byte) ipkt.Packet {
	t.Helper()
	reply, err := r.Answer(c, packet)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ipkt.Parse(reply)
	if err != nil || len(p.Bytes) != len(reply) || len(reply) > c.MTU {
		t.Fatalf("%v: %x", err, reply)
	}
	if sum := ipkt.Checksum(p.Payload(), p.PseudoChecksum(len(p.Payload()))); sum != 0xffff {
		t.Fatalf("checksum sums up to %04x: %x", sum, reply)
	}
	return p
}

// TestAppleInform compares the answer to a recorded DHCPINFORM byte by byte:
// the message type first, a list of domains in option 15, routes in 249, END
// not on the last byte.
func TestAppleInform(t *testing.T) {
	p := wantAnswer(t, wantResponder(t, nil), client(), unhex(t, appleInform))
	want := "45000157000040004011" + "64f0" + "c0a82a01" + "c0a82a0a" + "00430044" + "0143" + "0000" +
		"020806000000000100000000c0a82a0a" + strings.Repeat("00", 12) +
		"00000000000100000000000000000000" + strings.Repeat("00", 192) +
		"63825363" + "350105" + "3604c0a82a01" + "0104ffffff00" + "0604c0a82a01" +
		"0f1d" + hex.EncodeToString([]byte("acme.example lab.acme.example")) +
		"2c040a000007" + "f916" + "080a" + "c0a82a01" + "11ac1080" + "c0a82a01" + "18c0a82a" + "c0a82a01" +
		"ff00"
	b := bytes.Clone(p.Bytes)
	copy(b[10:12], unhex(t, "64f0")) // the header's checksum was verified by Parse
	b[26], b[27] = 0, 0              // and UDP's by wantAnswer
	if !bytes.Equal(b[28:], unhex(t, want)[28:]) {
		t.Errorf("got  %x\nwant %s", b, want)
	}
	if !bytes.Equal(b[12:24], unhex(t, want)[12:24]) {
		t.Errorf("from and to: got %x, want %x", b[12:24], unhex(t, want)[12:24])
	}
}

// informPacket makes a DHCPINFORM with those options.
func informPacket(from netip.Addr, options []byte) []byte {
	b := make([]byte, fieldsLen)
	b[0], b[1], b[2] = opRequest, 1, 6
	copy(b[4:], "\x12\x34\x56\x78")
	copy(b[atCiaddr:], from.AsSlice())
	copy(b[atChaddr:], "\x00\x53\x45\x00\x00\x00")
	b = binary.BigEndian.AppendUint32(b, cookie)
	b = append(b, optionType, 1, typeInform)
	b = append(append(b, options...), optionEnd)
	return udp4(netip.AddrPortFrom(from, portClient4), netip.MustParseAddrPort("255.255.255.255:67"), b)
}

// windowsOptions are those that Windows sends on a RAS interface.
func windowsOptions() []byte {
	b := []byte("\x3d\x07\x01\x00\x53\x45\x00\x00\x00")
	b = append(b, "\x0c\x07DESKTOP"...)
	b = append(b, "\x3c\x08MSFT 5.0"...)
	b = append(b, "\x4d\x0eRRAS.Microsoft"...)
	return append(b, "\x37\x06\x06\x2c\x0f\x01\xf9\x79"...)
}

// TestWindowsInform: one domain in option 15, routes in 249 and, as it asks for
// it too, in 121.
func TestWindowsInform(t *testing.T) {
	p := wantAnswer(t, wantResponder(t, nil), client(), informPacket(client().Addr, windowsOptions()))
	routes := "080a" + "c0a82a01" + "11ac1080" + "c0a82a01" + "18c0a82a" + "c0a82a01"
	want := "02010600" + "12345678" + "00000000" + "c0a82a0a" + strings.Repeat("00", 12) +
		"00534500000000000000000000000000" + strings.Repeat("00", 192) +
		"63825363" + "350105" + "3604c0a82a01" + "0104ffffff00" + "0604c0a82a01" +
		"0f0c" + hex.EncodeToString([]byte("acme.example")) +
		"2c040a000007" + "f916" + routes + "7916" + routes + "ff00"
	if got := p.Bytes[28:]; !bytes.Equal(got, unhex(t, want)) {
		t.Errorf("got  %x\nwant %s", got, want)
	}
}

// TestWindowsWithoutAsking: option 249 goes to Microsoft's clients in any case.
func TestWindowsWithoutAsking(t *testing.T) {
	for _, class := range []string{"\x3c\x08MSFT 5.0", "\x4d\x0eRRAS.Microsoft"} {
		ack := wantAck(t, wantResponder(t, nil), client(), informPacket(client().Addr, []byte(class+"\x37\x02\x06\x0f")))
		if len(ack.Options.Get(dhcpv4.GenericOptionCode(optionRoutesMS))) == 0 {
			t.Errorf("%q got no option 249", class)
		}
	}
}

// wantAck reads an answer with a library that is not ours.
func wantAck(t testing.TB, r *Responder, c Client, packet []byte) *dhcpv4.DHCPv4 {
	t.Helper()
	p := wantAnswer(t, r, c, packet)
	ack, err := dhcpv4.FromBytes(p.Payload()[udpHeaderLen:])
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

// TestAckRead has another implementation make the request and read the answer.
func TestAckRead(t *testing.T) {
	hw := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	ask, err := dhcpv4.NewInform(hw, net.IPv4(192, 168, 42, 10), dhcpv4.WithRequestedOptions(
		dhcpv4.OptionSubnetMask, dhcpv4.OptionDomainNameServer, dhcpv4.OptionDNSDomainSearchList, dhcpv4.OptionClasslessStaticRoute))
	if err != nil {
		t.Fatal(err)
	}
	packet := udp4(netip.MustParseAddrPort("192.168.42.10:68"), netip.MustParseAddrPort("192.168.42.1:67"), ask.ToBytes())
	ack := wantAck(t, wantResponder(t, nil), client(), packet)
	if ack.MessageType() != dhcpv4.MessageTypeAck || ack.TransactionID != ask.TransactionID || !ack.ClientIPAddr.Equal(ask.ClientIPAddr) {
		t.Error(ack)
	}
	if ones, _ := ack.SubnetMask().Size(); ones != 24 || !ack.DNS()[0].Equal(net.IPv4(192, 168, 42, 1)) {
		t.Error(ack.SubnetMask(), ack.DNS())
	}
	if got := strings.Join(ack.DomainSearch().Labels, " "); got != "acme.example lab.acme.example" {
		t.Error(got)
	}
	var routes []string
	for _, r := range ack.ClasslessStaticRoute() {
		routes = append(routes, r.Dest.String())
	}
	if got := strings.Join(routes, " "); got != "10.0.0.0/8 172.16.128.0/17 192.168.42.0/24" {
		t.Error(got)
	}
	if !ack.YourIPAddr.IsUnspecified() || ack.Options.Has(dhcpv4.OptionIPAddressLeaseTime) {
		t.Error("RFC 2131 section 4.3.5: no yiaddr, no lease time")
	}
}

// TestEverything: where everything goes through the tunnel there are no routes.
func TestEverything(t *testing.T) {
	r := wantResponder(t, func(c *Config) { c.Routes = nil })
	ack := wantAck(t, r, client(), unhex(t, appleInform))
	if ack.Options.Has(dhcpv4.GenericOptionCode(optionRoutesMS)) || ack.Options.Has(dhcpv4.OptionClasslessStaticRoute) {
		t.Error(ack)
	}
}

// TestManyRoutes: options of more than 255 bytes are split (RFC 3396), and no
// answer is larger than the client takes.
func TestManyRoutes(t *testing.T) {
	r := wantResponder(t, func(c *Config) {
		for i := range 200 {
			c.Routes = append(c.Routes, netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, byte(i), 0}), 24))
		}
	})
	for _, size := range []int{0, 576, 1000, 1500} {
		options := []byte{optionWanted, 1, optionRoutes}
		if size > 0 {
			options = append(options, optionMaxSize, 2, byte(size>>8), byte(size))
		}
		packet := informPacket(client().Addr, options)
		p := wantAnswer(t, r, client(), packet)
		if most := min(max(size, 576), client().MTU); len(p.Bytes) > most || len(p.Bytes) < most-20 {
			t.Errorf("size %d: %d bytes", size, len(p.Bytes))
		}
		if n := len(wantAck(t, r, client(), packet).ClasslessStaticRoute()); n < 30 {
			t.Errorf("size %d: %d routes", size, n)
		}
	}
}

func TestInformIgnored(t *testing.T) {
	good := func() []byte { return informPacket(client().Addr, nil) }
	tests := map[string]struct {
		change func(b []byte) []byte
		want   error
	}{
		"discover":        {func(b []byte) []byte { b[28+fieldsLen+4+2] = 1; return b }, ErrIgnored},
		"a reply":         {func(b []byte) []byte { b[28] = opReply; return b }, ErrMalformed},
		"no cookie":       {func(b []byte) []byte { b[28+fieldsLen] = 0; return b }, ErrMalformed},
		"another's":       {func(b []byte) []byte { b[28+atCiaddr+3]++; return b }, ErrIgnored},
		"a relay's":       {func(b []byte) []byte { b[28+atGiaddr] = 10; return b }, ErrIgnored},
		"another port":    {func(b []byte) []byte { b[23] = 53; return b }, ErrIgnored},
		"hardware length": {func(b []byte) []byte { b[30] = 17; return b }, ErrMalformed},
		"a fragment":      {func(b []byte) []byte { b[6] = 0x20; ipkt.SetHeaderChecksum(b[:20]); return b }, ErrIgnored},
	}
	for name, tt := range tests {
		b := tt.change(good())
		b[26], b[27] = 0, 0
		if _, err := wantResponder(t, nil).Answer(client(), b); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	b := good()
	b[26] ^= 1
	if _, err := wantResponder(t, nil).Answer(client(), b); !errors.Is(err, ErrMalformed) {
		t.Errorf("wrong checksum: %v", err)
	}
	none := client()
	none.Addr = netip.Addr{}
	if _, err := wantResponder(t, nil).Answer(none, good()); !errors.Is(err, ErrIgnored) {
		t.Errorf("a session without IPv4: %v", err)
	}
}

// TestInformTruncated: no part of a message is a message.
func TestInformTruncated(t *testing.T) {
	whole := informPacket(client().Addr, windowsOptions())[28:]
	for n := range len(whole) {
		if _, err := parseInform(whole[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"gateway":      {Gateway: netip.MustParseAddr("fe80::1")},
		"route":        {Routes: []netip.Prefix{{}}},
		"mapped route": {Routes: prefixes("::ffff:10.0.0.0/104")},
		"empty domain": {Domains: []string{""}},
		"empty label":  {Domains: []string{"a..b"}},
		"long label":   {Domains: []string{strings.Repeat("a", 64) + ".example"}},
		"long domain":  {Domains: []string{strings.Repeat("a.", 130)}},
	} {
		if _, err := New(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzAnswer: whatever comes, an answer is one whole packet for the link, and
// the request is left as it was.
func FuzzAnswer(f *testing.F) {
	f.Add(unhex(f, appleInform))
	f.Add(informPacket(client().Addr, windowsOptions()))
	f.Add(solicitation(hostLocal))
	f.Add(question6(information6, nil))
	r := wantResponder(f, func(c *Config) { c.Delegate = true })
	f.Fuzz(func(t *testing.T, packet []byte) {
		before := bytes.Clone(packet)
		reply, err := r.Answer(client(), packet)
		if !bytes.Equal(before, packet) {
			t.Fatal("the request was written to")
		}
		if err != nil {
			return
		}
		p, err := ipkt.Parse(reply)
		if err != nil || len(p.Bytes) != len(reply) || len(reply) > client().MTU && len(reply) > len(packet)+100 {
			t.Fatalf("%v: %d bytes", err, len(reply))
		}
	})
}
