package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// TestManyRanges: however many ranges a tenant's pools have, an address is a client's if it is
// in one of them, and no other is.
func TestManyRanges(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, fewPrefixes, fewPrefixes + 1, 300} {
		var all []netip.Prefix
		for i := range n {
			p := fmt.Sprintf("10.%d.%d.0/24", random.IntN(2), random.IntN(256))
			switch i % 3 {
			case 1:
				p = fmt.Sprintf("10.0.%d.%d/32", random.IntN(256), random.IntN(256))
			case 2:
				p = fmt.Sprintf("2001:db8:0:%x::/64", random.IntN(1024))
			}
			all = append(all, netip.MustParsePrefix(p))
		}
		r := newRange(all)
		for range 20000 {
			a := netip.AddrFrom4([4]byte{10, byte(random.IntN(2)), byte(random.IntN(256)), byte(random.IntN(256))})
			b := make([]byte, 20)
			b[0] = 4 << 4
			if random.IntN(2) == 0 {
				a = netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::%x", random.IntN(1100), random.IntN(9)))
				b = make([]byte, 40)
				b[0] = 6 << 4
			}
			is := false
			for _, p := range all {
				is = is || p.Contains(a)
			}
			for name, has := range map[string]func(*ipkt.Packet) bool{"source": r.source, "destination": r.destination} {
				at := map[string]int{"source": 12, "destination": 16}[name]
				if a.Is6() {
					at = map[string]int{"source": 8, "destination": 24}[name]
				}
				clear(b[1:])
				copy(b[at:], a.AsSlice())
				if got := has(&ipkt.Packet{Bytes: b}); got != is {
					t.Fatalf("%d ranges: %s %v: %v", n, name, a, got)
				}
			}
		}
	}
}
