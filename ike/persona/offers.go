package persona

import (
	"slices"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// racoonIKE and racoonESP are the layouts of racoon, which Apple, Android and
// MikroTik descend from.
func racoonIKE() suite.Layout {
	return suite.Layout{Order: []suite.Field{suite.FieldSeconds, suite.FieldEncryption, suite.FieldKeyLength, suite.FieldAuth, suite.FieldHash, suite.FieldGroup}}
}

func racoonESP() suite.Layout {
	return suite.Layout{Order: []suite.Field{suite.FieldSeconds, suite.FieldEncapsulation, suite.FieldKeyLength, suite.FieldIntegrity, suite.FieldGroup}}
}

// strongSwanIKE and strongSwanESP are the layouts of strongSwan.
func strongSwanIKE() suite.Layout {
	return suite.Layout{Order: []suite.Field{suite.FieldEncryption, suite.FieldKeyLength, suite.FieldHash, suite.FieldGroup, suite.FieldAuth, suite.FieldSeconds}}
}

func strongSwanESP() suite.Layout {
	return suite.Layout{Order: []suite.Field{suite.FieldKeyLength, suite.FieldIntegrity, suite.FieldGroup, suite.FieldEncapsulation, suite.FieldSeconds}}
}

func strongSwanVendors() []wire.VendorID {
	return []wire.VendorID{
		wire.VendorXAUTH.ID(), wire.VendorDPD.ID(1, 0), wire.VendorFragmentation.ID(0x80, 0, 0, 0),
		wire.VendorRFC3947.ID(), wire.VendorNATTDraft02N.ID(),
	}
}

func windows(version byte, esp []suite.ESPSuite) suite.Persona {
	return suite.Persona{
		IKE: suite.WithPSK(28800,
			phase1(suite.EncAESCBC, 256, suite.HashSHA1, suite.GroupECP384),
			phase1(suite.EncAESCBC, 128, suite.HashSHA1, suite.GroupECP256),
			phase1(suite.EncAESCBC, 256, suite.HashSHA1, suite.GroupMODP2048),
			phase1(suite.Enc3DES, 0, suite.HashSHA1, suite.GroupMODP2048),
			phase1(suite.Enc3DES, 0, suite.HashSHA1, suite.GroupMODP1024)),
		IKELayout: suite.Layout{
			Order:    []suite.Field{suite.FieldEncryption, suite.FieldKeyLength, suite.FieldHash, suite.FieldGroup, suite.FieldAuth, suite.FieldSeconds},
			LongLife: true,
		},
		ESP: suite.WithLife(suite.Life{Seconds: 3600, Kilobytes: 250000}, esp...),
		ESPLayout: suite.Layout{
			Order:    []suite.Field{suite.FieldEncapsulation, suite.FieldKeyLength, suite.FieldIntegrity, suite.FieldSeconds, suite.FieldKilobytes},
			LongLife: true,
			Split:    true,
		},
		Vendors: []wire.VendorID{
			wire.VendorMSNT5.ID(0, 0, 0, version), wire.VendorRFC3947.ID(), wire.VendorNATTDraft02N.ID(),
			wire.VendorFragmentation.ID(), wire.VendorMSNegotiation.ID(), wire.VendorMSInitialContact.ID(),
			wire.VendorMSCGA.ID(),
		},
		NonceLen: 48,
	}
}

func windows7ESP() []suite.ESPSuite {
	return []suite.ESPSuite{phase2(suite.EncAESCBC, 128, suite.IntegSHA1), phase2(suite.Enc3DES, 0, suite.IntegSHA1), phase2(suite.EncDES, 0, suite.IntegSHA1)}
}

func windows10ESP() []suite.ESPSuite {
	return []suite.ESPSuite{
		phase2(suite.EncAESCBC, 256, suite.IntegSHA1), phase2(suite.EncAESCBC, 128, suite.IntegSHA1), phase2(suite.Enc3DES, 0, suite.IntegSHA1),
		phase2(suite.EncDES, 0, suite.IntegSHA1), phase2(suite.EncNULL, 0, suite.IntegSHA1),
	}
}

func apple() suite.Persona {
	aes256, aes128, des3 := suite.IKESuite{Encryption: suite.EncAESCBC, KeyBits: 256},
		suite.IKESuite{Encryption: suite.EncAESCBC, KeyBits: 128}, suite.IKESuite{Encryption: suite.Enc3DES}
	strong := []suite.IKESuite{aes256}
	return suite.Persona{
		IKE: suite.WithPSK(3600, slices.Concat(
			crossIKE(suite.GroupMODP2048, strong, suite.HashSHA256, suite.HashSHA1, suite.HashMD5, suite.HashSHA512),
			crossIKE(suite.GroupMODP1536, strong, suite.HashSHA256, suite.HashSHA1, suite.HashMD5),
			crossIKE(suite.GroupMODP1024, strong, suite.HashSHA256, suite.HashSHA1, suite.HashMD5),
			crossIKE(suite.GroupMODP1024, []suite.IKESuite{aes128, des3}, suite.HashSHA1, suite.HashMD5))...),
		IKELayout: racoonIKE(),
		ESP: suite.WithLife(suite.Life{Seconds: 3600}, crossESP(
			[]suite.ESPSuite{phase2(suite.EncAESCBC, 256, 0), phase2(suite.EncAESCBC, 128, 0), phase2(suite.Enc3DES, 0, 0)},
			suite.IntegSHA256, suite.IntegSHA1, suite.IntegMD5)...),
		ESPLayout: racoonESP(),
		Vendors: []wire.VendorID{
			wire.VendorRFC3947.ID(), wire.VendorNATTApple.ID(), wire.VendorNATTDraft08.ID(),
			wire.VendorNATTDraft07.ID(), wire.VendorNATTDraft06.ID(), wire.VendorNATTDraft05.ID(),
			wire.VendorNATTDraft04.ID(), wire.VendorNATTDraft03.ID(), wire.VendorNATTDraft02.ID(),
			wire.VendorNATTDraft02N.ID(), wire.VendorFragmentation.ID(0x80, 0, 0, 0), wire.VendorDPD.ID(1, 0),
		},
		NonceLen: 16,
	}
}

func android() suite.Persona {
	return suite.Persona{
		IKE: suite.WithPSK(28800, slices.Concat(
			crossIKE(suite.GroupMODP1024, []suite.IKESuite{phase1(suite.EncAESCBC, 256, 0, 0)},
				suite.HashSHA384, suite.HashSHA256, suite.HashSHA512, suite.HashSHA1, suite.HashMD5),
			crossIKE(suite.GroupMODP1024, []suite.IKESuite{phase1(suite.EncAESCBC, 128, 0, 0)},
				suite.HashSHA512, suite.HashSHA384, suite.HashSHA256, suite.HashSHA1, suite.HashMD5),
			crossIKE(suite.GroupMODP1024, []suite.IKESuite{phase1(suite.Enc3DES, 0, 0, 0), phase1(suite.EncDES, 0, 0, 0)},
				suite.HashSHA256, suite.HashSHA1, suite.HashMD5))...),
		IKELayout: racoonIKE(),
		ESP: suite.WithLife(suite.Life{Seconds: 28800}, crossESP(
			[]suite.ESPSuite{phase2(suite.EncAESCBC, 256, 0), phase2(suite.EncAESCBC, 128, 0), phase2(suite.Enc3DES, 0, 0), phase2(suite.EncDES, 0, 0)},
			suite.IntegSHA512, suite.IntegSHA384, suite.IntegSHA1, suite.IntegSHA256, suite.IntegMD5)...),
		ESPLayout: racoonESP(),
		Vendors:   append(racoonVendors(), wire.VendorFragmentation.ID(0x80, 0, 0, 0), wire.VendorDPD.ID(1, 0)),
		NonceLen:  16,
	}
}

// racoonVendors are the NAT traversal methods of stock racoon.
func racoonVendors() []wire.VendorID {
	return []wire.VendorID{
		wire.VendorRFC3947.ID(), wire.VendorNATTDraft02.ID(), wire.VendorNATTDraft02N.ID(), wire.VendorNATTDraft00.ID(),
	}
}

func chromeOS() suite.Persona {
	return suite.Persona{
		IKE: suite.WithPSK(10800,
			phase1(suite.EncAESCBC, 128, suite.HashSHA256, suite.GroupMODP3072),
			phase1(suite.EncAESCBC, 128, suite.HashSHA1, suite.GroupMODP2048),
			phase1(suite.Enc3DES, 0, suite.HashSHA1, suite.GroupMODP1536),
			phase1(suite.Enc3DES, 0, suite.HashSHA1, suite.GroupMODP1024)),
		IKELayout: strongSwanIKE(),
		ESP: suite.WithLife(suite.Life{Seconds: 3600},
			phase2(suite.EncAESGCM16, 128, suite.IntegNone),
			phase2(suite.EncAESCBC, 128, suite.IntegSHA256),
			phase2(suite.EncAESCBC, 128, suite.IntegSHA1),
			phase2(suite.Enc3DES, 0, suite.IntegSHA1),
			phase2(suite.Enc3DES, 0, suite.IntegMD5)),
		ESPLayout: strongSwanESP(),
		Vendors:   strongSwanVendors(),
		NonceLen:  32,
	}
}

func networkManager() suite.Persona {
	return suite.Persona{
		IKE: suite.WithPSK(10800,
			phase1(suite.EncAESCBC, 256, suite.HashSHA256, suite.GroupMODP2048),
			phase1(suite.EncAESCBC, 256, suite.HashSHA256, suite.GroupMODP1536),
			phase1(suite.EncAESCBC, 256, suite.HashSHA256, suite.GroupMODP1024),
			phase1(suite.EncAESCBC, 256, suite.HashSHA1, suite.GroupMODP2048),
			phase1(suite.EncAESCBC, 256, suite.HashSHA1, suite.GroupMODP1536),
			phase1(suite.EncAESCBC, 256, suite.HashSHA1, suite.GroupMODP1024),
			phase1(suite.EncAESCBC, 256, suite.HashSHA1, suite.GroupECP384),
			phase1(suite.EncAESCBC, 128, suite.HashSHA1, suite.GroupMODP1024),
			phase1(suite.EncAESCBC, 128, suite.HashSHA1, suite.GroupECP256),
			phase1(suite.Enc3DES, 0, suite.HashSHA1, suite.GroupMODP2048),
			phase1(suite.Enc3DES, 0, suite.HashSHA1, suite.GroupMODP1024)),
		IKELayout: strongSwanIKE(),
		ESP: suite.WithLife(suite.Life{Seconds: 3600},
			phase2(suite.EncAESCBC, 256, suite.IntegSHA1),
			phase2(suite.EncAESCBC, 128, suite.IntegSHA1),
			phase2(suite.Enc3DES, 0, suite.IntegSHA1)),
		ESPLayout: strongSwanESP(),
		Vendors:   strongSwanVendors(),
		NonceLen:  32,
	}
}

// mikroTik is RouterOS with its defaults: forward secrecy by MODP1024.
func mikroTik() suite.Persona {
	esp := suite.WithLife(suite.Life{Seconds: 1800}, crossESP(
		[]suite.ESPSuite{phase2(suite.EncAESCBC, 256, 0), phase2(suite.EncAESCBC, 192, 0), phase2(suite.EncAESCBC, 128, 0)}, suite.IntegSHA1)...)
	for i := range esp {
		esp[i].Group = suite.GroupMODP1024
	}
	return suite.Persona{
		IKE: suite.WithPSK(86400,
			phase1(suite.EncAESCBC, 128, suite.HashSHA1, suite.GroupMODP2048),
			phase1(suite.EncAESCBC, 128, suite.HashSHA1, suite.GroupMODP1024),
			phase1(suite.Enc3DES, 0, suite.HashSHA1, suite.GroupMODP2048),
			phase1(suite.Enc3DES, 0, suite.HashSHA1, suite.GroupMODP1024)),
		IKELayout: racoonIKE(),
		ESP:       esp,
		ESPLayout: racoonESP(),
		Vendors:   append(racoonVendors(), wire.VendorDPD.ID(1, 0)),
		NonceLen:  24,
	}
}

// tpLink is a small router that knows nothing but 3DES and MODP1024.
func tpLink() suite.Persona {
	return suite.Persona{
		IKE: suite.WithPSK(28800,
			phase1(suite.Enc3DES, 0, suite.HashMD5, suite.GroupMODP1024),
			phase1(suite.Enc3DES, 0, suite.HashSHA1, suite.GroupMODP1024)),
		IKELayout: racoonIKE(),
		ESP: suite.WithLife(suite.Life{Seconds: 3600},
			phase2(suite.Enc3DES, 0, suite.IntegMD5),
			phase2(suite.Enc3DES, 0, suite.IntegSHA1)),
		ESPLayout: racoonESP(),
		Vendors:   []wire.VendorID{wire.VendorRFC3947.ID(), wire.VendorDPD.ID(1, 0)},
		NonceLen:  16,
	}
}

// crossIKE pairs each cipher with each hash, in this order.
func crossIKE(g suite.Group, ciphers []suite.IKESuite, hashes ...suite.Hash) []suite.IKESuite {
	var out []suite.IKESuite
	for _, c := range ciphers {
		for _, h := range hashes {
			out = append(out, phase1(c.Encryption, c.KeyBits, h, g))
		}
	}
	return out
}

// crossESP pairs each cipher with each integrity algorithm, in this order.
func crossESP(ciphers []suite.ESPSuite, integ ...suite.Integrity) []suite.ESPSuite {
	var out []suite.ESPSuite
	for _, c := range ciphers {
		for _, i := range integ {
			out = append(out, phase2(c.Encryption, c.KeyBits, i))
		}
	}
	return out
}

func phase1(e suite.Encryption, bits uint16, h suite.Hash, g suite.Group) suite.IKESuite {
	return suite.IKESuite{Encryption: e, KeyBits: bits, Hash: h, Group: g}
}

func phase2(e suite.Encryption, bits uint16, i suite.Integrity) suite.ESPSuite {
	return suite.ESPSuite{Encryption: e, KeyBits: bits, Integrity: i}
}
