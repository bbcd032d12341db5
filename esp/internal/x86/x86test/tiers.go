package x86test

import (
	"testing"

	"github.com/culvert-vpn/culvert/esp/internal/x86"
)

// Tier is a kind of processor.
type Tier struct {
	Name string
	Is   x86.Features
}

// Each runs f as each kind of processor that this one can pass for, by way of *cpu,
// which is what it was afterwards.
func Each(t testing.TB, cpu *x86.Features, tiers []Tier, f func(name string)) {
	real := *cpu
	defer func() { *cpu = real }()
	for _, tier := range tiers {
		if !covers(real, tier.Is) {
			t.Logf("this processor has no %s", tier.Name)
			continue
		}
		*cpu = tier.Is
		f(tier.Name)
	}
}

// covers reports whether a processor has all that another one has.
func covers(real, is x86.Features) bool {
	has := func(need, have bool) bool { return have || !need }
	return has(is.AES, real.AES) && has(is.VAES, real.VAES) && has(is.SHA, real.SHA) && has(is.Wide, real.Wide) &&
		has(is.VAES256, real.VAES256) && has(is.VPCLMUL, real.VPCLMUL)
}
