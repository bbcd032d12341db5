package suite

// DefaultIKE2 is the policy in which every supported client of today finds
// something. legacy adds 3DES and the groups MODP1536 and MODP1024, behind
// everything else: stock Windows offers no other group.
func DefaultIKE2(legacy bool) IKE2Policy {
	p := IKE2Policy{
		Ciphers: []Cipher{
			{EncAESGCM16, 256}, {EncAESGCM16, 192}, {EncAESGCM16, 128}, {EncChaCha20, 0},
			{EncAESCBC, 256}, {EncAESCBC, 192}, {EncAESCBC, 128},
		},
		PRFs:        []Hash{HashSHA256, HashSHA384, HashSHA512, HashSHA1},
		Integrities: []Integrity{IntegSHA256, IntegSHA384, IntegSHA512, IntegSHA1},
		Groups: []Group{
			GroupX25519, GroupECP256, GroupECP384, GroupECP521, GroupMODP2048, GroupMODP3072, GroupMODP4096,
		},
		Additional: []Group{GroupMLKEM768, GroupMLKEM1024},
	}
	if legacy {
		p.Ciphers = append(p.Ciphers, Cipher{Enc3DES, 0})
		p.Groups = append(p.Groups, GroupMODP1536, GroupMODP1024)
	}
	return p
}

// DefaultESP2 is the same for child SAs. Those that want SHA2 with old Androids'
// 96 bits do not speak IKEv2, so that SHA2-256 comes first here.
func DefaultESP2(legacy bool) ESP2Policy {
	p := ESP2Policy{
		Suites: []ESPSuite{
			{EncAESGCM16, 256, IntegNone}, {EncAESGCM16, 192, IntegNone}, {EncAESGCM16, 128, IntegNone},
			{EncChaCha20, 0, IntegNone},
			{EncAESCBC, 256, IntegSHA256}, {EncAESCBC, 256, IntegSHA384}, {EncAESCBC, 256, IntegSHA512},
			{EncAESCBC, 192, IntegSHA256}, {EncAESCBC, 128, IntegSHA256}, {EncAESCBC, 128, IntegSHA384},
			{EncAESCBC, 128, IntegSHA512}, {EncAESCBC, 256, IntegSHA1}, {EncAESCBC, 192, IntegSHA1},
			{EncAESCBC, 128, IntegSHA1},
		},
		Groups:     DefaultESP(false).Groups,
		Additional: []Group{GroupMLKEM768, GroupMLKEM1024},
	}
	if legacy {
		p.Suites = append(p.Suites, ESPSuite{Enc3DES, 0, IntegSHA256}, ESPSuite{Enc3DES, 0, IntegSHA1})
	}
	return p
}
