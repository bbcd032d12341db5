package tenant

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// packet is a UDP datagram without checksum.
func packet(src, dst string) []byte {
	from, to := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	udp := []byte{0, 1, 0, 2, 0, 8, 0, 0}
	if from.Is4() {
		b := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0}
		b = append(append(b, from.AsSlice()...), to.AsSlice()...)
		ipkt.SetHeaderChecksum(b)
		return append(b, udp...)
	}
	b := []byte{0x60, 0, 0, 0, 0, 8, 17, 64}
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	return append(b, udp...)
}

func TestPolicyUp(t *testing.T) {
	p, err := NewPolicy(PolicyConfig{
		Deny:  prefixes("192.0.2.0/24", "2001:db8:1::/48"),
		Allow: prefixes("192.0.2.80/32", "169.254.7.0/24"),
	})
	if err != nil {
		t.Fatal(err)
	}
	v4, v6 := netip.MustParsePrefix("10.0.0.2/32"), netip.MustParsePrefix("fd00:1::/64")
	badSum := packet("10.0.0.2", "8.8.8.8")
	badSum[11]++
	for name, tc := range map[string]struct {
		pkt  []byte
		from netip.Prefix
		want Verdict
	}{
		"pass":           {packet("10.0.0.2", "8.8.8.8"), v4, Pass},
		"trailing bytes": {append(packet("10.0.0.2", "8.8.8.8"), 0, 0), v4, Pass},
		"other source":   {packet("10.0.0.3", "8.8.8.8"), v4, Spoofed},
		"empty":          {nil, v4, Malformed},
		"short":          {packet("10.0.0.2", "8.8.8.8")[:27], v4, Malformed},
		"header sum":     {badSum, v4, Malformed},
		"version":        {[]byte{0x50, 1, 2}, v4, Malformed},
		"loopback":       {packet("10.0.0.2", "127.0.0.1"), v4, Forbidden},
		"metadata":       {packet("10.0.0.2", "169.254.169.254"), v4, Forbidden},
		"allowed link":   {packet("10.0.0.2", "169.254.7.9"), v4, Pass},
		"this network":   {packet("10.0.0.2", "0.0.0.0"), v4, Forbidden},
		"multicast":      {packet("10.0.0.2", "239.255.255.250"), v4, Multicast},
		"broadcast":      {packet("10.0.0.2", "255.255.255.255"), v4, Broadcast},
		"denied":         {packet("10.0.0.2", "192.0.2.79"), v4, Forbidden},
		"exception":      {packet("10.0.0.2", "192.0.2.80"), v4, Pass},
		"pass 6":         {packet("fd00:1::5", "2606:4700::1"), v6, Pass},
		"other 6":        {packet("fd00:2::5", "2606:4700::1"), v6, Spoofed},
		"family":         {packet("fd00:1::5", "2606:4700::1"), v4, Spoofed},
		"denied 6":       {packet("fd00:1::5", "2001:db8:1::7"), v6, Forbidden},
		"mapped":         {packet("fd00:1::5", "::ffff:7f00:1"), v6, Forbidden},
		"multicast 6":    {packet("fd00:1::5", "ff02::1"), v6, Multicast},
	} {
		before := p.Dropped(tc.want)
		got, verdict := p.Up(tc.pkt, tc.from)
		if verdict != tc.want || verdict == Pass && len(got.Payload()) != 8 {
			t.Errorf("%s: %v, %d bytes, want %v", name, verdict, len(got.Bytes), tc.want)
		}
		if tc.want != Pass && p.Dropped(tc.want) != before+1 {
			t.Errorf("%s: not counted", name)
		}
	}
}

func TestPolicyDown(t *testing.T) {
	p, _ := NewPolicy(PolicyConfig{})
	to := netip.MustParsePrefix("10.0.0.2/32")
	if _, v := p.Down(packet("127.0.0.1", "10.0.0.2"), to); v != Pass {
		t.Errorf("got %v", v)
	}
	if _, v := p.Down(packet("8.8.8.8", "10.0.0.3"), to); v != Malformed {
		t.Errorf("got %v", v)
	}
	if Pass.String() != "pass" || Verdict(99).String() != "unknown" {
		t.Error("names")
	}
}

func TestPolicyDoesNotAllocate(t *testing.T) {
	p, _ := NewPolicy(PolicyConfig{Deny: prefixes("192.0.2.0/24")})
	good, bad := packet("10.0.0.2", "8.8.8.8"), packet("10.0.0.2", "192.0.2.1")
	from := netip.MustParsePrefix("10.0.0.2/32")
	if n := testing.AllocsPerRun(1000, func() { p.Up(good, from); p.Up(bad, from); p.Down(bad, from) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReachErrors(t *testing.T) {
	for _, bad := range []netip.Prefix{{}, netip.MustParsePrefix("10.0.0.1/8")} {
		if _, err := NewPolicy(PolicyConfig{Allow: []netip.Prefix{bad}}); !errors.Is(err, ErrPrefix) {
			t.Errorf("%v: got %v", bad, err)
		}
	}
	if new(Reach).Denies(netip.MustParseAddr("10.0.0.1")) {
		t.Error("the zero Reach denies")
	}
}

// The compiled ranges say what the longest prefix says.
func TestReachIsTheLongestPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], rapid.Uint32().Draw(t, "address")&0xe000000f)
			bits := rapid.SampledFrom([]int{0, 1, 2, 3, 28, 29, 30, 31, 32}).Draw(t, "bits")
			return netip.PrefixFrom(netip.AddrFrom4(b), bits).Masked()
		})
		deny, allow := rapid.SliceOfN(prefix, 0, 8).Draw(t, "deny"), rapid.SliceOfN(prefix, 0, 8).Draw(t, "allow")
		r, err := NewReach(deny, allow)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], rapid.Uint32().Draw(t, "dst")&0xe000001f)
			dst := netip.AddrFrom4(b)
			if want := longest(deny, dst) > longest(allow, dst); r.Denies(dst) != want {
				t.Fatalf("%v: denied %v, want %v", dst, !want, want)
			}
		}
	})
}

// longest is the length of the longest prefix that holds addr, or -1.
func longest(list []netip.Prefix, addr netip.Addr) int {
	bits := -1
	for _, p := range list {
		if p.Contains(addr) {
			bits = max(bits, p.Bits())
		}
	}
	return bits
}
