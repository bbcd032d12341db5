package bench

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/culvert-vpn/culvert/tenant/policy"
)

// checkRules refuses a policy of more rules than a tenant may have.
func checkRules(n int) error {
	if n < 0 || n > policy.MaxRules {
		return badOption("%d rules: at most %d", n, policy.MaxRules)
	}
	return nil
}

// policyText are so many rules in the configuration of a tenant, of which the last is about
// what is measured, and no other; 0: none.
func policyText(rules int) string {
	if rules == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("    policy:\n      default: deny\n      rules:\n")
	for i := range rules - 1 {
		fmt.Fprintf(&b, "        - {name: rule-%d, to: %s, ports: [tcp/%d], allow: true}\n", i, elsewhere(i), 1+i)
	}
	b.WriteString("        - {name: bench, from: pool, allow: true}\n")
	return b.String()
}

// policySet are the rules of policyText for clients of a network, as they are compiled.
func policySet(rules int, pool netip.Prefix) policy.Set {
	s := policy.Set{Name: "tenant"}
	for i := range rules - 1 {
		s.Rules = append(s.Rules, policy.Rule{
			Name: fmt.Sprint("rule-", i), To: []policy.Target{{Peer: policy.Peer{Kind: policy.InNetwork, Network: elsewhere(i)}}},
			Ports: []policy.Ports{{Protocol: 6, First: uint16(1 + i), Last: uint16(1 + i)}}, Allow: true,
		})
	}
	s.Rules = append(s.Rules, policy.Rule{Name: "bench", From: []policy.Peer{{Kind: policy.InNetwork, Network: pool}}, Allow: true})
	return s
}

// elsewhere is a network where nothing goes that is measured.
func elsewhere(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(16 + i>>8), byte(i), 0}), 24)
}
