package v2

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

func prefixes(list ...string) (out []Range) {
	for _, s := range list {
		out = append(out, prefixRange(netip.MustParsePrefix(s)))
	}
	return out
}

func TestNarrow(t *testing.T) {
	web := prefixRange(netip.MustParsePrefix("10.0.0.0/8"))
	web.Protocol, web.FromPort, web.ToPort = 6, 80, 80
	tests := []struct {
		name                 string
		asked, allowed, want []Range
	}{
		{"all to one address", everything(), prefixes("10.9.0.2/32"), prefixes("10.9.0.2/32")},
		{"all to both families", everything(), prefixes("10.9.0.2/32", "2001:db8::2/128"), prefixes("10.9.0.2/32", "2001:db8::2/128")},
		{"IPv4 only", prefixes("0.0.0.0/0"), prefixes("10.9.0.2/32", "2001:db8::2/128"), prefixes("10.9.0.2/32")},
		{"another's address", prefixes("10.9.0.3/32"), prefixes("10.9.0.2/32"), nil},
		{"a part", prefixes("10.1.0.0/16"), prefixes("10.0.0.0/8"), prefixes("10.1.0.0/16")},
		{"overlapping", prefixes("10.0.0.0/8"), prefixes("0.0.0.0/0"), prefixes("10.0.0.0/8")},
		{"said twice", prefixes("10.0.0.0/8", "0.0.0.0/0"), prefixes("10.1.0.0/16"), prefixes("10.1.0.0/16")},
		{"one port", []Range{web}, prefixes("10.1.0.0/16"), []Range{{From: netip.MustParseAddr("10.1.0.0"), To: netip.MustParseAddr("10.1.255.255"), Protocol: 6, FromPort: 80, ToPort: 80}}},
		{"families do not mix", prefixes("::/0"), prefixes("10.0.0.0/8"), nil},
	}
	for _, x := range tests {
		got := narrow(x.asked, x.allowed)
		if len(got) != len(x.want) {
			t.Errorf("%s: %v", x.name, got)
			continue
		}
		for n := range got {
			if got[n] != x.want[n] {
				t.Errorf("%s: %v", x.name, got)
			}
		}
	}
}

func TestNarrowIsBounded(t *testing.T) {
	var asked []Range
	for n := range 250 {
		a := netip.AddrFrom4([4]byte{10, 0, byte(n), 1})
		asked = append(asked, prefixRange(netip.PrefixFrom(a, 32)))
	}
	if got := narrow(asked, everything()); len(got) != maxRanges {
		t.Fatalf("%d ranges", len(got))
	}
}

func TestCookies(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rand := stretch(bytes.Repeat([]byte{1}, 32))
	q := &Request{Path: Path{Remote: netip.MustParseAddrPort("192.0.2.1:500")}, header: wire.Header{Initiator: wire.Cookie{1}}, nonce: make([]byte, 32)}
	var c Cookies
	if c.Good(now, rand, q) {
		t.Fatal("no cookie is good")
	}
	reply, err := c.Ask(now, rand, q)
	if err != nil {
		t.Fatal(err)
	}
	h, body, _ := wire.ConsumeHeader(reply)
	chain, err := wire.ParsePayloads(nil, wire.V2, h.Next, body)
	if err != nil || len(chain) != 1 || !h.Responder.IsZero() || h.Flags != wire.FlagResponse {
		t.Fatalf("%+v %v %v", h, chain, err)
	}
	n, _ := findNotify(chain, wire.Notify2Cookie)
	q.cookie = bytes.Clone(n.Data)
	for _, x := range []struct {
		after time.Duration
		good  bool
	}{{0, true}, {50 * time.Second, true}, {70 * time.Second, true}, {140 * time.Second, false}, {time.Hour, false}} {
		if c.Good(now.Add(x.after), rand, q) != x.good {
			t.Errorf("after %v: not %v", x.after, x.good)
		}
	}
	reply, _ = c.Ask(now.Add(2*time.Hour), rand, q)
	q.cookie = bytes.Clone(reply[len(reply)-33:])
	other := *q
	other.Path.Remote = netip.MustParseAddrPort("192.0.2.2:500")
	if !c.Good(now.Add(2*time.Hour), rand, q) || c.Good(now.Add(2*time.Hour), rand, &other) {
		t.Error("a cookie is good for one address only")
	}
	other = *q
	other.nonce = bytes.Repeat([]byte{9}, 32)
	if c.Good(now.Add(2*time.Hour), rand, &other) {
		t.Error("a cookie is good for one nonce only")
	}
}

func TestGatewayIdentity(t *testing.T) {
	nonce := []byte("nonce")
	for _, g := range []string{"192.0.2.1", "2001:db8::1", "vpn.example.org"} {
		b := append(gatewayData(g), nonce...)
		if got, ok := gatewayOf(b, nonce); !ok || got != g {
			t.Errorf("%s: %q %v", g, got, ok)
		}
		if _, ok := gatewayOf(b, []byte("other")); ok {
			t.Errorf("%s: taken with another's nonce", g)
		}
		for n := range b {
			if _, ok := gatewayOf(b[:n], nonce); ok {
				t.Errorf("%s: %d bytes are taken", g, n)
			}
		}
	}
}

func TestFragments(t *testing.T) {
	var f fragments
	piece := func(id wire.MessageID, n, total uint16, s string) (string, bool) {
		_, b, ok := f.add(id, wire.Encrypted{First: 35, Number: n, Total: total}, []byte(s))
		return string(b), ok
	}
	for _, x := range []struct {
		id       wire.MessageID
		n, total uint16
		s, want  string
	}{
		{1, 2, 3, "b", ""}, {1, 2, 3, "x", ""}, {1, 3, 3, "c", ""}, {1, 1, 3, "a", "abc"},
		{2, 1, 2, "a", ""}, {2, 1, 3, "A", ""}, {2, 2, 2, "b", ""}, {2, 2, 3, "B", ""}, {2, 3, 3, "C", "ABC"},
		{3, 1, 2, "a", ""}, {4, 2, 2, "z", ""}, {4, 1, 2, "y", "yz"},
		{5, 1, maxFragments + 1, "a", ""},
	} {
		if got, ok := piece(x.id, x.n, x.total, x.s); got != x.want || ok != (x.want != "") {
			t.Errorf("message %d, %d of %d: %q", x.id, x.n, x.total, got)
		}
	}
	big := string(make([]byte, maxFragmentBytes/2))
	for n := range uint16(4) {
		piece(6, n+1, 5, big)
	}
	if f.bytes > maxFragmentBytes {
		t.Errorf("%d bytes are kept", f.bytes)
	}
}

func TestConfigurationRoundTrip(t *testing.T) {
	a := Assignment{OK: true, IPv4: netip.MustParseAddr("10.9.0.2"), IPv6: netip.MustParsePrefix("2001:db8::2/64"),
		DNS:     []netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("2001:db8::1")},
		NBNS:    []netip.Addr{netip.MustParseAddr("10.9.0.5")},
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}, Domains: []string{"corp.example"}}
	c, err := wire.ConsumeConfig(a.reply(Wants{Request: true, IPv4: true, IPv6: true, NBNS: true, Domains: true}).AppendBody(nil))
	if err != nil {
		t.Fatal(err)
	}
	got := assignmentOf(c)
	if got.IPv4 != a.IPv4 || got.IPv6 != a.IPv6 || len(got.DNS) != 2 || len(got.NBNS) != 1 || len(got.Subnets) != 2 || len(got.Domains) != 1 {
		t.Fatalf("%+v", got)
	}
	less := assignmentOf(a.reply(Wants{Request: true, IPv4: true}))
	if less.IPv6.IsValid() || len(less.DNS) != 1 || len(less.Domains) != 0 {
		t.Fatalf("more than was asked for: %+v", less)
	}
}

func TestWishes(t *testing.T) {
	w := wantsOf(wire.Config{Type: wire.ConfigRequest, Attributes: []wire.ConfigAttribute{
		{Type: wire.ConfigIP4Address}, {Type: wire.ConfigMicrosoftSRV4},
		{Type: wire.ConfigIP6Address, Value: netip.MustParsePrefix("2001:db8::3/64").Addr().AsSlice()},
		{Type: wire.ConfigVersion, Value: []byte("x\ny")}}})
	if !w.Request || !w.IPv4 || w.Addr4.IsValid() || w.Addr6 != netip.MustParseAddr("2001:db8::3") || w.Version != "x?y" {
		t.Fatalf("%+v", w)
	}
}

// PersonaNamed and Personas are V2 and NamesV2 of package persona: see TestMain.
var (
	PersonaNamed func(name string) (Persona, error)
	Personas     func() []string
)

func TestPersonasOfferWhatWeTake(t *testing.T) {
	for _, name := range Personas() {
		p, err := PersonaNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := suite.SelectIKE2(suite.OfferIKE2(nil, p.IKE), suite.DefaultIKE2(false)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		policy := suite.DefaultESP2(false)
		policy.First = true
		if _, err := suite.SelectESP2(suite.OfferESP2([4]byte{1, 2, 3, 4}, p.ESP), policy); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := PersonaNamed("nobody"); err == nil {
		t.Error("nobody is known")
	}
}

// TestUnusedPPKIsOverwritten: of a responder without our PPK, the keys that it was mixed
// into are no more, and those without it stand.
func TestUnusedPPKIsOverwritten(t *testing.T) {
	mixed := [][]byte{{1}, {2}, {3}, {4}}
	plain := &suite.Keys2{D: []byte{5}, Pi: []byte{6}, Pr: []byte{7}}
	s := &Session{dial: &DialConfig{}, opening: &opening{ppk: mixed[3], dial: dialState{plain: plain}}}
	a := &sa{s: s, keys: &suite.Keys2{D: mixed[0], Pi: mixed[1], Pr: mixed[2]}}
	s.settlePPK(a, &message{})
	for n, b := range mixed {
		if b[0] != 0 {
			t.Errorf("secret %d is left", n)
		}
	}
	if a.keys.D[0] != 5 || a.keys.Pi[0] != 6 || a.keys.Pr[0] != 7 || s.opening.ppk != nil {
		t.Errorf("%+v", a.keys)
	}
}

// ends is an Owner that is told of the end alone.
type ends struct {
	Owner
	because string
}

func (e *ends) Closed(_ time.Time, _ *Session, _ Reason, _ Cause, detail string) { e.because = detail }

// A server without MOBIKE goes on sending to where we were: a connection to it stays there.
func TestOnlyMobikeMoves(t *testing.T) {
	was := Path{Local: netip.MustParseAddrPort("192.0.2.10:4500"), NATT: true}
	s := &Session{initiator: true, up: true, current: &sa{}, path: was}
	if s.Readdress(time.Now(), Path{Local: netip.MustParseAddrPort("192.0.2.77:4500"), NATT: true}) || s.Path() != was {
		t.Errorf("moved to %v", s.Path())
	}
}

// A server that refuses our new address is of no use there.
func TestRefusedAddressEnds(t *testing.T) {
	for n, over := range map[wire.Notify2Type]bool{
		wire.Notify2UnacceptableAddresses: true, wire.Notify2UnexpectedNATDetected: true, wire.Notify2NATDetectionSource: false,
	} {
		owner := &ends{}
		s := &Session{initiator: true, up: true, owner: owner}
		answer := &message{chain: []wire.Payload{{Type: wire.PayloadNotify2, Body: wire.Notify2{Type: n}.AppendBody(nil)}}}
		err := s.readdressed(time.Now(), answer)
		if (err != nil) != over || over != strings.Contains(owner.because, n.String()) {
			t.Errorf("%v: %v, ended because %q", n, err, owner.because)
		}
	}
}
