package suite

// recordedOffer is what a kind of client offers in IKEv2.
type recordedOffer struct {
	Name string
	IKE  []IKE2Proposal
	Sent Group          // of the KE payload beside the offer
	ESP  []ESP2Proposal // in IKE_AUTH
	// Rekey is the offer of a child SA that renews another; empty: as ESP.
	Rekey []ESP2Proposal
}

// recordedOffers returns what the clients of today were seen to offer, in the order in
// which they offer it, and what culvert offers itself.
func recordedOffers() []recordedOffer {
	return []recordedOffer{
		{Name: "culvert", IKE: culvert2(), Sent: GroupX25519, ESP: culvertESP2(nil), Rekey: culvertESP2([]Group{GroupX25519})},
		{Name: "windows10", IKE: windows2(GroupMODP1024, "3des", "aes128", "aes192", "aes256"), Sent: GroupMODP1024, ESP: windowsESP2()},
		{Name: "windows11", IKE: append(windows2(GroupMODP1024, "3des", "aes128", "aes192", "aes256"), windowsGCM(GroupMODP1024)...),
			Sent: GroupMODP1024, ESP: windowsESP2()},
		{Name: "windows-modp2048", IKE: windows2(GroupMODP2048, "aes256"), Sent: GroupMODP2048, ESP: windowsESP2()},
		{Name: "windows-powershell", IKE: []IKE2Proposal{suite2("aes128-sha384-ecp256")}, Sent: GroupECP256, ESP: windowsESP2()},
		{Name: "ios16", IKE: suites2("aes256-sha256-modp2048", "aes256-sha256-ecp256", "aes256-sha256-modp1536", "aes128-sha1-modp1024", "3des-sha1-modp1024"),
			Sent:  GroupMODP2048,
			ESP:   esps2(nil, "aes256-sha256", "aes256-sha256", "aes256-sha256", "aes128-sha1", "3des-sha1"),
			Rekey: append(esps2([]Group{GroupMODP2048}, "aes256-sha256"), esps2(nil, "aes256-sha256")...)},
		{Name: "macos13", IKE: suites2("aes256-sha256-modp2048"), Sent: GroupMODP2048, ESP: esps2(nil, "aes256-sha256")},
		{Name: "macos14", IKE: suites2("aes256gcm16-prfsha256-ecp256", "aes256gcm16-prfsha256-modp2048", "aes256-sha256-ecp256", "aes256-sha256-modp2048"),
			Sent:  GroupECP256,
			ESP:   esps2(nil, "aes256gcm16", "aes256gcm16", "aes256-sha256", "aes256-sha256"),
			Rekey: append(esps2([]Group{GroupECP256}, "aes256gcm16"), esps2(nil, "aes256gcm16")...)},
		{Name: "android", IKE: android2(), Sent: GroupMODP4096, ESP: androidESP2()},
		{Name: "strongswan-app", IKE: strongswanApp2(), Sent: GroupECP256, ESP: strongswanAppESP2()},
	}
}

// recordedNamed returns the offer of that name.
func recordedNamed(name string) (recordedOffer, bool) {
	for _, p := range recordedOffers() {
		if p.Name == name {
			return p, true
		}
	}
	return recordedOffer{}, false
}

// suite2 is the proposal of one suite by its name, which this file knows to be
// right; legacy ones as well.
func suite2(name string) IKE2Proposal {
	s, err := ParseIKE2Suite(name)
	if err != nil {
		panic(err) // a fault of this file
	}
	return s.Proposal()
}

func suites2(names ...string) []IKE2Proposal {
	var out []IKE2Proposal
	for _, n := range names {
		out = append(out, suite2(n))
	}
	return out
}

// esps2 is one proposal a suite, each with the same groups.
func esps2(groups []Group, names ...string) []ESP2Proposal {
	var out []ESP2Proposal
	for _, n := range names {
		s, err := ParseESPSuite(n)
		if err != nil {
			panic(err) // a fault of this file
		}
		p := ESP2{ESPSuite: s}.Proposal()
		p.Groups = groups
		out = append(out, p)
	}
	return out
}

// culvert2 is what we offer: AEADs first, then CBC, and ML-KEM beside the group
// where the server has it.
func culvert2() []IKE2Proposal {
	p := DefaultIKE2(false)
	prf := []PRF2{PRF2SHA256, PRF2SHA384, PRF2SHA512}
	aead := IKE2Proposal{Ciphers: p.Ciphers[:4], PRF: prf, Groups: p.Groups}
	quantum := aead
	quantum.Additional[0] = []Group{GroupMLKEM768, GroupMLKEM1024}
	cbc := IKE2Proposal{Ciphers: p.Ciphers[4:], Integ: []Integ2{Integ2SHA256, Integ2SHA384, Integ2SHA512}, PRF: prf, Groups: p.Groups}
	return []IKE2Proposal{quantum, aead, cbc}
}

func culvertESP2(groups []Group) []ESP2Proposal {
	aead := ESP2Proposal{Ciphers: []Cipher{{EncAESGCM16, 256}, {EncAESGCM16, 192}, {EncAESGCM16, 128}}, Groups: groups}
	cbc := ESP2Proposal{Ciphers: []Cipher{{EncAESCBC, 256}, {EncAESCBC, 192}, {EncAESCBC, 128}},
		Integ: []Integ2{Integ2SHA256, Integ2SHA384, Integ2SHA512}, Groups: groups}
	return []ESP2Proposal{aead, cbc}
}

// windows2 is one proposal for each cipher with each of three hashes.
func windows2(g Group, ciphers ...string) []IKE2Proposal {
	var out []IKE2Proposal
	for _, c := range ciphers {
		for _, h := range []string{"sha1", "sha256", "sha384"} {
			out = append(out, suite2(c+"-"+h+"-"+g.String()))
		}
	}
	return out
}

// windowsGCM is what Windows 11 adds.
func windowsGCM(g Group) []IKE2Proposal {
	var out []IKE2Proposal
	for _, c := range []string{"aes128gcm16", "aes256gcm16"} {
		for _, h := range []string{"prfsha1", "prfsha256", "prfsha384"} {
			out = append(out, suite2(c+"-"+h+"-"+g.String()))
		}
	}
	return out
}

// windowsESP2 is esp=aes256-aes128-3des-des-null-sha1.
func windowsESP2() []ESP2Proposal {
	out := esps2(nil, "aes256-sha1", "aes128-sha1", "3des-sha1")
	for _, e := range []Encryption{EncDES, EncNULL} {
		out = append(out, ESP2Proposal{Ciphers: []Cipher{{e, 0}}, Integ: []Integ2{Integ2SHA1}})
	}
	return out
}

// android2 is the platform's own client (Android 11 and later).
func android2() []IKE2Proposal {
	prf := []PRF2{PRF2SHA512, PRF2SHA384, PRF2SHA256, PRF2AESXCBC, PRF2AESCMAC, PRF2SHA1}
	groups := []Group{GroupMODP4096, GroupX25519, GroupMODP3072, GroupMODP2048}
	integ := []Integ2{Integ2SHA512, Integ2SHA384, Integ2SHA256, Integ2AESXCBC, Integ2AESCMAC}
	return []IKE2Proposal{
		{Ciphers: lengths(EncAESCTR, EncAESCBC), Integ: integ, PRF: prf, Groups: groups},
		{Ciphers: append([]Cipher{{EncChaCha20, 0}}, lengths(EncAESGCM16, EncAESGCM12, EncAESGCM8)...), PRF: prf, Groups: groups},
	}
}

func androidESP2() []ESP2Proposal {
	integ := []Integ2{Integ2SHA512, Integ2SHA384, Integ2SHA256, Integ2AESXCBC, Integ2AESCMAC}
	return []ESP2Proposal{
		{Ciphers: append([]Cipher{{EncChaCha20, 0}}, lengths(EncAESGCM16, EncAESGCM12, EncAESGCM8)...)},
		{Ciphers: lengths(EncAESCTR, EncAESCBC), Integ: integ},
	}
}

// lengths is each cipher with each length of key, the longest first.
func lengths(ciphers ...Encryption) (out []Cipher) {
	for _, e := range ciphers {
		for _, bits := range []uint16{256, 192, 128} {
			out = append(out, Cipher{e, bits})
		}
	}
	return out
}

// Groups that the strongSwan app offers and this package does not have.
const (
	groupMODP8192     Group = 18
	groupBrainpool256 Group = 28
	groupBrainpool384 Group = 29
	groupBrainpool512 Group = 30
)

// strongswanApp2 is strongSwan's app for Android of 2018: weak algorithms are in the
// middle of its lists.
func strongswanApp2() []IKE2Proposal {
	prf := []PRF2{PRF2SHA256, PRF2SHA384, PRF2SHA512, PRF2AESXCBC, PRF2SHA1}
	groups := []Group{GroupECP256, GroupECP384, GroupECP521, groupBrainpool256, groupBrainpool384, groupBrainpool512,
		GroupX25519, GroupMODP3072, GroupMODP4096, groupMODP8192, GroupMODP2048}
	return []IKE2Proposal{
		{Ciphers: []Cipher{{EncAESCBC, 128}, {EncAESCBC, 192}, {EncAESCBC, 256}, {Enc3DES, 0}},
			Integ: []Integ2{Integ2SHA256, Integ2SHA384, Integ2SHA512, Integ2SHA1, Integ2AESXCBC}, PRF: prf, Groups: groups},
		{Ciphers: []Cipher{{EncAESGCM16, 128}, {EncAESGCM16, 192}, {EncAESGCM16, 256}, {EncChaCha20, 0},
			{EncAESGCM12, 128}, {EncAESGCM12, 192}, {EncAESGCM12, 256}, {EncAESGCM8, 128}}, PRF: prf, Groups: groups},
	}
}

func strongswanAppESP2() []ESP2Proposal {
	return []ESP2Proposal{
		{Ciphers: []Cipher{{EncAESGCM16, 128}, {EncAESGCM16, 256}, {EncChaCha20, 0}}},
		{Ciphers: []Cipher{{EncAESCBC, 128}, {EncAESCBC, 192}, {EncAESCBC, 256}},
			Integ: []Integ2{Integ2SHA256, Integ2SHA384, Integ2SHA512, Integ2SHA1}},
	}
}
