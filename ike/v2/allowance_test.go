package v2

import (
	"net/netip"
	"testing"
)

// FuzzAllowance: whatever comes from where, no address that has not shown that it
// receives anything is sent more than three times what came from it.
func FuzzAllowance(f *testing.F) {
	f.Add([]byte{0, 10, 1, 30, 1, 1, 4, 5, 0, 1, 2, 0, 1, 200})
	f.Add([]byte{0, 255, 4, 255, 0, 1, 1, 3, 5, 3, 5, 255})
	f.Fuzz(func(t *testing.T, script []byte) {
		var a Allowance
		in, out := map[netip.Addr]int{}, map[netip.Addr]int{}
		var shown netip.Addr
		for ; len(script) >= 2; script = script[2:] {
			addr, n := netip.AddrFrom4([4]byte{192, 0, 2, script[0] >> 2 & 3}), int(script[1])
			switch script[0] & 3 {
			case 0, 3:
				a.Received(addr, n)
				in[addr] += n
			case 1:
				if a.Allows(addr, n) && addr != shown {
					out[addr] += n
				}
			case 2:
				if n%8 == 0 {
					a.Shown(addr)
					shown = addr
				}
			}
			for x := range out {
				if out[x] > maxFactor*in[x] {
					t.Fatalf("%v was sent %d for %d", x, out[x], in[x])
				}
			}
		}
	})
}
