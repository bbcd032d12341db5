package tenant

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func wantPrefixPool(t testing.TB, bits int, ranges ...string) *PrefixPool {
	t.Helper()
	c := PrefixPoolConfig{Bits: bits}
	for _, r := range ranges {
		c.Prefixes = append(c.Prefixes, netip.MustParsePrefix(r))
	}
	p, err := NewPrefixPool(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPrefixPoolLeasesAll: every prefix once, but for the gateway's, and each
// owner gets the same one again.
func TestPrefixPoolLeasesAll(t *testing.T) {
	for _, tt := range []struct {
		bits   int
		ranges []string
	}{
		{0, []string{"2001:db8:1::/60"}}, {64, []string{"fd00:1:2:f0::/62", "2001:db8:1:f000::/60"}}, {56, []string{"2001:db8:ff00::/52"}}, {48, []string{"2001:db8::/44"}},
	} {
		p := wantPrefixPool(t, tt.bits, tt.ranges...)
		seen := map[netip.Prefix]string{}
		for i := range p.Size() {
			owner := fmt.Sprint("user", i)
			got, err := p.Lease(owner, then)
			if err != nil {
				t.Fatalf("%v: %d of %d: %v", tt, i, p.Size(), err)
			}
			if got.Masked() != got || !p.Contains(got.Addr()) || got.Contains(p.prefixes[0].Addr().Next()) || seen[got] != "" || tt.bits != 0 && got.Bits() != tt.bits {
				t.Errorf("%v: %v", tt, got)
			}
			seen[got] = owner
		}
		if _, err := p.Lease("one more", then); !errors.Is(err, ErrExhausted) || p.Leased() != len(seen) {
			t.Errorf("%v: %v, %d leased", tt, err, p.Leased())
		}
		for prefix, owner := range seen {
			if !p.Release(prefix, then) || p.Release(prefix, then) {
				t.Errorf("%v of %s", prefix, owner)
			}
			if again, err := p.Lease(owner, then); again != prefix || err != nil {
				t.Errorf("%s had %v and got %v", owner, prefix, again)
			}
		}
	}
}

func TestPrefixPoolFirst(t *testing.T) {
	p := wantPrefixPool(t, 0, "2001:db8:1::/48")
	if p.Release(netip.MustParsePrefix("2001:db8:1::/64"), then) || p.Release(netip.MustParsePrefix("2001:db8:2::/64"), then) || p.Release(netip.MustParsePrefix("2001:db8:1:2::/65"), then) {
		t.Error("released what nobody has")
	}
	if _, err := p.Lease("", then); !errors.Is(err, ErrOwner) {
		t.Error(err)
	}
}

func TestPrefixPoolRefuses(t *testing.T) {
	for _, tt := range []struct {
		bits   int
		ranges string
	}{
		{0, "10.0.0.0/8"}, {0, "2001:db8::/63"}, {0, "2001:db8::/64"}, {0, "fe80::/48"}, {0, "ff00::/16"}, {0, "2000::/8"},
		{65, "2001:db8::/48"}, {31, "2001:db8::/24"}, {56, "2001:db8::/56"}, {0, "2001:db8::1/48"},
	} {
		if _, err := NewPrefixPool(PrefixPoolConfig{Prefixes: []netip.Prefix{netip.MustParsePrefix(tt.ranges)}, Bits: tt.bits}); !errors.Is(err, ErrPrefix) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	if _, err := NewPrefixPool(PrefixPoolConfig{}); !errors.Is(err, ErrPrefix) {
		t.Errorf("no range: %v", err)
	}
}

func TestPrefixPoolRestore(t *testing.T) {
	p := wantPrefixPool(t, 0, "2001:db8:1::/48")
	var had []netip.Prefix
	for i := range 5 {
		prefix, err := p.Lease(fmt.Sprint("user", i), then)
		if err != nil {
			t.Fatal(err)
		}
		had = append(had, prefix)
	}
	q := wantPrefixPool(t, 0, "2001:db8:1::/48")
	leases := append(p.Leases(), Lease{Owner: "other", Addr: netip.MustParseAddr("10.0.0.7")}, Lease{Owner: "other", Addr: netip.MustParseAddr("2001:db8:1:9::7")})
	if n := q.Restore(leases); n != 5 {
		t.Errorf("restored %d", n)
	}
	for i, want := range slices.Backward(had) {
		if got, err := q.Lease(fmt.Sprint("user", i), then); got != want || err != nil {
			t.Errorf("user%d had %v and got %v", i, want, got)
		}
	}
}

// TestPrefixPoolNeverShares: no two leases overlap, whatever is done in any order.
func TestPrefixPoolNeverShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(60, 64).Draw(t, "bits")
		p, err := NewPrefixPool(PrefixPoolConfig{Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/58")}, Bits: bits})
		if err != nil {
			t.Fatal(err)
		}
		var held []netip.Prefix
		for range 50 {
			if len(held) > 0 && rapid.Bool().Draw(t, "release") {
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				if !p.Release(held[i], then) {
					t.Fatalf("%v was not leased", held[i])
				}
				held = slices.Delete(held, i, i+1)
				continue
			}
			prefix, err := p.Lease(fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "owner")), then)
			if err != nil {
				continue
			}
			for _, other := range held {
				if other.Overlaps(prefix) {
					t.Fatalf("%v and %v", other, prefix)
				}
			}
			held = append(held, prefix)
		}
		if p.Leased() != len(held) {
			t.Fatalf("%d leased, %d held", p.Leased(), len(held))
		}
	})
}
