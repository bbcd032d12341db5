package suite

import "slices"

// IKEPolicy is what we accept in phase 1, the best first.
type IKEPolicy struct {
	Suites []IKESuite
	Auth   []AuthMethod
}

// ESPPolicy is what we accept in quick mode, the best first.
type ESPPolicy struct {
	Suites         []ESPSuite
	Encapsulations []Encapsulation // empty: any
	// KeyExchange says that the request carries a KE payload: exactly the
	// transforms that name a group of Groups fit then, else exactly those that
	// name none.
	KeyExchange bool
	Groups      []Group
}

// DefaultIKE is the policy in which every supported client of today finds
// something, with the authentication methods given. SHA-1 is among it because
// stock Windows offers nothing else in phase 1, and as the PRF of an HMAC it is
// sound. legacy adds 3DES and the groups MODP1536 and MODP1024, behind everything
// else: the only ones old Android and small routers have.
func DefaultIKE(legacy bool, auth ...AuthMethod) IKEPolicy {
	groups := []Group{
		GroupX25519, GroupECP256, GroupECP384, GroupECP521, GroupMODP2048, GroupMODP3072, GroupMODP4096,
	}
	aes := []IKESuite{
		{EncAESCBC, 256, HashSHA256, 0}, {EncAESCBC, 256, HashSHA384, 0}, {EncAESCBC, 256, HashSHA512, 0},
		{EncAESCBC, 192, HashSHA256, 0}, {EncAESCBC, 128, HashSHA256, 0}, {EncAESCBC, 128, HashSHA384, 0},
		{EncAESCBC, 128, HashSHA512, 0}, {EncAESCBC, 256, HashSHA1, 0}, {EncAESCBC, 192, HashSHA1, 0},
		{EncAESCBC, 128, HashSHA1, 0},
	}
	p := IKEPolicy{Suites: combine(aes, groups), Auth: auth}
	if !legacy {
		return p
	}
	des := []IKESuite{{Enc3DES, 0, HashSHA256, 0}, {Enc3DES, 0, HashSHA1, 0}}
	p.Suites = append(p.Suites, combine(des, groups)...)
	for _, g := range []Group{GroupMODP1536, GroupMODP1024} {
		p.Suites = append(p.Suites, combine(slices.Concat(aes, des), []Group{g})...)
	}
	return p
}

func combine(suites []IKESuite, groups []Group) []IKESuite {
	out := make([]IKESuite, 0, len(suites)*len(groups))
	for _, s := range suites {
		for _, g := range groups {
			s.Group = g
			out = append(out, s)
		}
	}
	return out
}

// DefaultESP is the same for ESP. SHA2-512 and SHA2-384 come before SHA2-256:
// kernels before Linux 2.6.33, which some Android phones run, cut the latter to 96
// bits instead of 128, and those phones offer the longer ones as well.
//
// The small groups are always accepted for forward secrecy: they come on top of
// the keys of phase 1, so that even a weak one is no weaker than none at all.
func DefaultESP(legacy bool) ESPPolicy {
	p := ESPPolicy{
		Suites: []ESPSuite{
			{EncAESGCM16, 256, IntegNone}, {EncAESGCM16, 192, IntegNone}, {EncAESGCM16, 128, IntegNone},
			{EncAESCBC, 256, IntegSHA512}, {EncAESCBC, 256, IntegSHA384}, {EncAESCBC, 256, IntegSHA256},
			{EncAESCBC, 192, IntegSHA256}, {EncAESCBC, 128, IntegSHA512}, {EncAESCBC, 128, IntegSHA384},
			{EncAESCBC, 128, IntegSHA256}, {EncAESCBC, 256, IntegSHA1}, {EncAESCBC, 192, IntegSHA1},
			{EncAESCBC, 128, IntegSHA1},
		},
		Groups: []Group{
			GroupX25519, GroupECP256, GroupECP384, GroupECP521, GroupMODP2048, GroupMODP3072, GroupMODP4096,
			GroupMODP1536, GroupMODP1024,
		},
	}
	if legacy {
		p.Suites = append(p.Suites, ESPSuite{Enc3DES, 0, IntegSHA256}, ESPSuite{Enc3DES, 0, IntegSHA1})
	}
	return p
}

// rank returns the place of t in the policy, zero the best, or false if it is not
// allowed.
func (p IKEPolicy) rank(t IKE) (int, bool) {
	if !slices.Contains(p.Auth, t.Auth) {
		return 0, false
	}
	i := slices.Index(p.Suites, t.IKESuite)
	return i, i >= 0
}

// rank returns the place of t in the policy, zero the best, or false if it is not
// allowed.
func (p ESPPolicy) rank(t ESP) (int, bool) {
	if t.ESN || !p.allowsGroup(t.Group) {
		return 0, false
	}
	if len(p.Encapsulations) > 0 && !slices.Contains(p.Encapsulations, t.Encapsulation) {
		return 0, false
	}
	i := slices.Index(p.Suites, t.ESPSuite)
	return i, i >= 0
}

func (p ESPPolicy) allowsGroup(g Group) bool {
	if !p.KeyExchange {
		return g == GroupNone
	}
	return slices.Contains(p.Groups, g)
}
