package policy

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestReachErrors(t *testing.T) {
	for _, bad := range []netip.Prefix{{}, netip.MustParsePrefix("10.0.0.1/8")} {
		if _, err := NewReach(nil, []netip.Prefix{bad}); !errors.Is(err, ErrPrefix) {
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
