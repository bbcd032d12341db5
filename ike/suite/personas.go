package suite

import (
	"slices"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// racoonIKE and racoonESP are the layouts of racoon, which Apple, Android and
// MikroTik descend from.
func racoonIKE() Layout {
	return Layout{Order: []Field{FieldSeconds, FieldEncryption, FieldKeyLength, FieldAuth, FieldHash, FieldGroup}}
}

func racoonESP() Layout {
	return Layout{Order: []Field{FieldSeconds, FieldEncapsulation, FieldKeyLength, FieldIntegrity, FieldGroup}}
}

// strongSwanIKE and strongSwanESP are the layouts of strongSwan.
func strongSwanIKE() Layout {
	return Layout{Order: []Field{FieldEncryption, FieldKeyLength, FieldHash, FieldGroup, FieldAuth, FieldSeconds}}
}

func strongSwanESP() Layout {
	return Layout{Order: []Field{FieldKeyLength, FieldIntegrity, FieldGroup, FieldEncapsulation, FieldSeconds}}
}

func strongSwanVendors() []wire.VendorID {
	return []wire.VendorID{
		wire.VendorXAUTH.ID(), wire.VendorDPD.ID(1, 0), wire.VendorFragmentation.ID(0x80, 0, 0, 0),
		wire.VendorRFC3947.ID(), wire.VendorNATTDraft02N.ID(),
	}
}

// culvert is our own: what DefaultIKE and DefaultESP like best, in few lines.
func culvert() Persona {
	return Persona{
		IKE: withIKE(28800,
			IKESuite{EncAESCBC, 256, HashSHA256, GroupX25519},
			IKESuite{EncAESCBC, 256, HashSHA256, GroupECP256},
			IKESuite{EncAESCBC, 256, HashSHA256, GroupMODP2048},
			IKESuite{EncAESCBC, 128, HashSHA256, GroupMODP3072},
			IKESuite{EncAESCBC, 256, HashSHA1, GroupECP384},
			IKESuite{EncAESCBC, 256, HashSHA1, GroupMODP2048},
			IKESuite{EncAESCBC, 128, HashSHA1, GroupMODP2048}),
		IKELayout: strongSwanIKE(),
		ESP: withESP(Life{Seconds: 3600},
			ESPSuite{EncAESGCM16, 256, IntegNone},
			ESPSuite{EncAESGCM16, 128, IntegNone},
			ESPSuite{EncAESCBC, 256, IntegSHA256},
			ESPSuite{EncAESCBC, 128, IntegSHA256},
			ESPSuite{EncAESCBC, 256, IntegSHA1},
			ESPSuite{EncAESCBC, 128, IntegSHA1}),
		ESPLayout: strongSwanESP(),
		Vendors:   []wire.VendorID{wire.VendorRFC3947.ID(), wire.VendorDPD.ID(1, 0)},
		NonceLen:  32,
	}
}

func windows(version byte, esp []ESPSuite) Persona {
	return Persona{
		IKE: withIKE(28800,
			IKESuite{EncAESCBC, 256, HashSHA1, GroupECP384},
			IKESuite{EncAESCBC, 128, HashSHA1, GroupECP256},
			IKESuite{EncAESCBC, 256, HashSHA1, GroupMODP2048},
			IKESuite{Enc3DES, 0, HashSHA1, GroupMODP2048},
			IKESuite{Enc3DES, 0, HashSHA1, GroupMODP1024}),
		IKELayout: Layout{
			Order:    []Field{FieldEncryption, FieldKeyLength, FieldHash, FieldGroup, FieldAuth, FieldSeconds},
			LongLife: true,
		},
		ESP: withESP(Life{Seconds: 3600, Kilobytes: 250000}, esp...),
		ESPLayout: Layout{
			Order:    []Field{FieldEncapsulation, FieldKeyLength, FieldIntegrity, FieldSeconds, FieldKilobytes},
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

func windows7ESP() []ESPSuite {
	return []ESPSuite{{EncAESCBC, 128, IntegSHA1}, {Enc3DES, 0, IntegSHA1}, {EncDES, 0, IntegSHA1}}
}

func windows10ESP() []ESPSuite {
	return []ESPSuite{
		{EncAESCBC, 256, IntegSHA1}, {EncAESCBC, 128, IntegSHA1}, {Enc3DES, 0, IntegSHA1},
		{EncDES, 0, IntegSHA1}, {EncNULL, 0, IntegSHA1},
	}
}

func apple() Persona {
	aes256, aes128, des3 := IKESuite{Encryption: EncAESCBC, KeyBits: 256},
		IKESuite{Encryption: EncAESCBC, KeyBits: 128}, IKESuite{Encryption: Enc3DES}
	strong := []IKESuite{aes256}
	return Persona{
		IKE: withIKE(3600, slices.Concat(
			crossIKE(GroupMODP2048, strong, HashSHA256, HashSHA1, HashMD5, HashSHA512),
			crossIKE(GroupMODP1536, strong, HashSHA256, HashSHA1, HashMD5),
			crossIKE(GroupMODP1024, strong, HashSHA256, HashSHA1, HashMD5),
			crossIKE(GroupMODP1024, []IKESuite{aes128, des3}, HashSHA1, HashMD5))...),
		IKELayout: racoonIKE(),
		ESP: withESP(Life{Seconds: 3600}, crossESP(
			[]ESPSuite{{EncAESCBC, 256, 0}, {EncAESCBC, 128, 0}, {Enc3DES, 0, 0}},
			IntegSHA256, IntegSHA1, IntegMD5)...),
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

func android() Persona {
	return Persona{
		IKE: withIKE(28800, slices.Concat(
			crossIKE(GroupMODP1024, []IKESuite{{EncAESCBC, 256, 0, 0}},
				HashSHA384, HashSHA256, HashSHA512, HashSHA1, HashMD5),
			crossIKE(GroupMODP1024, []IKESuite{{EncAESCBC, 128, 0, 0}},
				HashSHA512, HashSHA384, HashSHA256, HashSHA1, HashMD5),
			crossIKE(GroupMODP1024, []IKESuite{{Enc3DES, 0, 0, 0}, {EncDES, 0, 0, 0}},
				HashSHA256, HashSHA1, HashMD5))...),
		IKELayout: racoonIKE(),
		ESP: withESP(Life{Seconds: 28800}, crossESP(
			[]ESPSuite{{EncAESCBC, 256, 0}, {EncAESCBC, 128, 0}, {Enc3DES, 0, 0}, {EncDES, 0, 0}},
			IntegSHA512, IntegSHA384, IntegSHA1, IntegSHA256, IntegMD5)...),
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

func chromeOS() Persona {
	return Persona{
		IKE: withIKE(10800,
			IKESuite{EncAESCBC, 128, HashSHA256, GroupMODP3072},
			IKESuite{EncAESCBC, 128, HashSHA1, GroupMODP2048},
			IKESuite{Enc3DES, 0, HashSHA1, GroupMODP1536},
			IKESuite{Enc3DES, 0, HashSHA1, GroupMODP1024}),
		IKELayout: strongSwanIKE(),
		ESP: withESP(Life{Seconds: 3600},
			ESPSuite{EncAESGCM16, 128, IntegNone},
			ESPSuite{EncAESCBC, 128, IntegSHA256},
			ESPSuite{EncAESCBC, 128, IntegSHA1},
			ESPSuite{Enc3DES, 0, IntegSHA1},
			ESPSuite{Enc3DES, 0, IntegMD5}),
		ESPLayout: strongSwanESP(),
		Vendors:   strongSwanVendors(),
		NonceLen:  32,
	}
}

func networkManager() Persona {
	return Persona{
		IKE: withIKE(10800,
			IKESuite{EncAESCBC, 256, HashSHA256, GroupMODP2048},
			IKESuite{EncAESCBC, 256, HashSHA256, GroupMODP1536},
			IKESuite{EncAESCBC, 256, HashSHA256, GroupMODP1024},
			IKESuite{EncAESCBC, 256, HashSHA1, GroupMODP2048},
			IKESuite{EncAESCBC, 256, HashSHA1, GroupMODP1536},
			IKESuite{EncAESCBC, 256, HashSHA1, GroupMODP1024},
			IKESuite{EncAESCBC, 256, HashSHA1, GroupECP384},
			IKESuite{EncAESCBC, 128, HashSHA1, GroupMODP1024},
			IKESuite{EncAESCBC, 128, HashSHA1, GroupECP256},
			IKESuite{Enc3DES, 0, HashSHA1, GroupMODP2048},
			IKESuite{Enc3DES, 0, HashSHA1, GroupMODP1024}),
		IKELayout: strongSwanIKE(),
		ESP: withESP(Life{Seconds: 3600},
			ESPSuite{EncAESCBC, 256, IntegSHA1},
			ESPSuite{EncAESCBC, 128, IntegSHA1},
			ESPSuite{Enc3DES, 0, IntegSHA1}),
		ESPLayout: strongSwanESP(),
		Vendors:   strongSwanVendors(),
		NonceLen:  32,
	}
}

// mikroTik is RouterOS with its defaults: forward secrecy by MODP1024.
func mikroTik() Persona {
	esp := withESP(Life{Seconds: 1800}, crossESP(
		[]ESPSuite{{EncAESCBC, 256, 0}, {EncAESCBC, 192, 0}, {EncAESCBC, 128, 0}}, IntegSHA1)...)
	for i := range esp {
		esp[i].Group = GroupMODP1024
	}
	return Persona{
		IKE: withIKE(86400,
			IKESuite{EncAESCBC, 128, HashSHA1, GroupMODP2048},
			IKESuite{EncAESCBC, 128, HashSHA1, GroupMODP1024},
			IKESuite{Enc3DES, 0, HashSHA1, GroupMODP2048},
			IKESuite{Enc3DES, 0, HashSHA1, GroupMODP1024}),
		IKELayout: racoonIKE(),
		ESP:       esp,
		ESPLayout: racoonESP(),
		Vendors:   append(racoonVendors(), wire.VendorDPD.ID(1, 0)),
		NonceLen:  24,
	}
}

// tpLink is a small router that knows nothing but 3DES and MODP1024.
func tpLink() Persona {
	return Persona{
		IKE: withIKE(28800,
			IKESuite{Enc3DES, 0, HashMD5, GroupMODP1024},
			IKESuite{Enc3DES, 0, HashSHA1, GroupMODP1024}),
		IKELayout: racoonIKE(),
		ESP: withESP(Life{Seconds: 3600},
			ESPSuite{Enc3DES, 0, IntegMD5},
			ESPSuite{Enc3DES, 0, IntegSHA1}),
		ESPLayout: racoonESP(),
		Vendors:   []wire.VendorID{wire.VendorRFC3947.ID(), wire.VendorDPD.ID(1, 0)},
		NonceLen:  16,
	}
}
