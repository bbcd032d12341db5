package persona

import (
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v2"
	"github.com/culvert-vpn/culvert/ike/wire"
)

func aes(bits ...uint16) (list []suite.Cipher) {
	for _, b := range bits {
		list = append(list, suite.Cipher{Encryption: suite.EncAESCBC, KeyBits: b})
	}
	return list
}

func gcm(bits ...uint16) (list []suite.Cipher) {
	for _, b := range bits {
		list = append(list, suite.Cipher{Encryption: suite.EncAESGCM16, KeyBits: b})
	}
	return list
}

// windows2 is Windows 10 and 11 with the server's groups allowed
// (NegotiateDH2048_AES256): one suite a proposal.
func windows2() v2.Persona {
	p := v2.Persona{NonceLen: 48, OtherAuthorities: 53,
		Vendors: []wire.VendorID{wire.VendorMSNT5.ID(0, 0, 0, 9), wire.VendorMSNegotiation.ID(), wire.VendorMSInitialContact.ID(),
			wire.VendorMSKeyModules.ID(0, 0, 0, 2)},
		Wanted: []wire.ConfigAttributeType{wire.ConfigIP4Address, wire.ConfigIP4DNS, wire.ConfigIP4NBNS, wire.ConfigMicrosoftSRV4,
			wire.ConfigIP6Address, wire.ConfigIP6DNS, wire.ConfigMicrosoftSRV6},
		Init: []v2.Slot{v2.SlotSA, v2.SlotKE, v2.SlotNonce, v2.SlotFragmentation, v2.SlotNATD, v2.SlotVendors},
		Auth: []v2.Slot{v2.SlotIDi, v2.SlotCert, v2.SlotCertReq, v2.SlotAuth, v2.SlotMobike, v2.SlotCP, v2.SlotTransport, v2.SlotSA, v2.SlotTSi, v2.SlotTSr},
	}
	for _, h := range windowsHashes {
		p.IKE = append(p.IKE, suite.IKE2Proposal{Ciphers: aes(256), Integ: []suite.Integ2{h.i}, PRF: []suite.PRF2{h.p}, Groups: []suite.Group{suite.GroupMODP2048}})
	}
	p.Habits = v2.Habits{WideSelectors: true, RenewIKE: windowsRenewal()}
	for _, c := range append(aes(256, 128), suite.Cipher{Encryption: suite.Enc3DES}) {
		p.ESP = append(p.ESP, suite.ESP2Proposal{Ciphers: []suite.Cipher{c}, Integ: []suite.Integ2{suite.Integ2SHA1}})
	}
	return p
}

// windowsRenewal is what Windows offers when it renews an IKE SA whatever the
// first one was made with: its default list, with one group.
func windowsRenewal() (list []suite.IKE2Proposal) {
	for _, c := range append([]suite.Cipher{{Encryption: suite.Enc3DES}}, aes(128, 192, 256)...) {
		for _, h := range windowsHashes {
			list = append(list, suite.IKE2Proposal{Ciphers: []suite.Cipher{c}, Integ: []suite.Integ2{h.i}, PRF: []suite.PRF2{h.p},
				Groups: []suite.Group{suite.GroupMODP1024}})
		}
	}
	return list
}

// windowsHashes are what it offers each cipher with.
var windowsHashes = []struct {
	i suite.Integ2
	p suite.PRF2
}{{suite.Integ2SHA1, suite.PRF2SHA1}, {suite.Integ2SHA256, suite.PRF2SHA256}, {suite.Integ2SHA384, suite.PRF2SHA384}}

// appleShape renews after 24 and 48 minutes: 80 % of the lifetimes that profiles
// have by default.
func appleShape() v2.Persona {
	return v2.Persona{NonceLen: 16,
		Habits: v2.Habits{IKELifetime: time.Hour, ChildLifetime: 30 * time.Minute, OptionalPFS: true},
		Wanted: []wire.ConfigAttributeType{wire.ConfigIP4Address, wire.ConfigIP4Netmask, wire.ConfigIP4DHCP, wire.ConfigIP4DNS,
			wire.ConfigIP6Address, wire.ConfigIP6DHCP, wire.ConfigIP6DNS, wire.ConfigDNSDomain},
		Init: []v2.Slot{v2.SlotSA, v2.SlotKE, v2.SlotNonce, v2.SlotRedirect, v2.SlotNATD, v2.SlotFragmentation},
		Auth: []v2.Slot{v2.SlotIDi, v2.SlotCert, v2.SlotInitialContact, v2.SlotIDr, v2.SlotAuth, v2.SlotCP, v2.SlotNoTFC, v2.SlotNonFirst, v2.SlotTransport, v2.SlotSA, v2.SlotTSi, v2.SlotTSr, v2.SlotMobike},
	}
}

// apple2 is macOS 14 and later, and iOS 17 and later: GCM, then CBC.
func apple2(groups []suite.Group) v2.Persona {
	p := appleShape()
	p.Habits.RepeatNumber = true
	sha := []suite.PRF2{suite.PRF2SHA256}
	for _, g := range groups {
		p.IKE = append(p.IKE, suite.IKE2Proposal{Ciphers: gcm(256), PRF: sha, Groups: []suite.Group{g}})
	}
	for _, g := range groups {
		p.IKE = append(p.IKE, suite.IKE2Proposal{Ciphers: aes(256), Integ: []suite.Integ2{suite.Integ2SHA256}, PRF: sha, Groups: []suite.Group{g}})
	}
	cbc := suite.ESP2Proposal{Ciphers: aes(256), Integ: []suite.Integ2{suite.Integ2SHA256}}
	p.ESP = []suite.ESP2Proposal{{Ciphers: gcm(256)}, {Ciphers: gcm(256)}, cbc, cbc}
	return p
}

// ios2 is iOS before 17.
func ios2() v2.Persona {
	p := appleShape()
	sha, sha1 := []suite.Integ2{suite.Integ2SHA256}, []suite.Integ2{suite.Integ2SHA1}
	for _, g := range []suite.Group{suite.GroupMODP2048, suite.GroupECP256, suite.GroupMODP1536} {
		p.IKE = append(p.IKE, suite.IKE2Proposal{Ciphers: aes(256), Integ: sha, PRF: []suite.PRF2{suite.PRF2SHA256}, Groups: []suite.Group{g}})
		p.ESP = append(p.ESP, suite.ESP2Proposal{Ciphers: aes(256), Integ: sha})
	}
	weak := []suite.Group{suite.GroupMODP1024}
	des := []suite.Cipher{{Encryption: suite.Enc3DES}}
	p.IKE = append(p.IKE, suite.IKE2Proposal{Ciphers: aes(128), Integ: sha1, PRF: []suite.PRF2{suite.PRF2SHA1}, Groups: weak},
		suite.IKE2Proposal{Ciphers: des, Integ: sha1, PRF: []suite.PRF2{suite.PRF2SHA1}, Groups: weak})
	p.ESP = append(p.ESP, suite.ESP2Proposal{Ciphers: aes(128), Integ: sha1}, suite.ESP2Proposal{Ciphers: des, Integ: sha1})
	return p
}

// android2 is the platform's client of Android 11 and later. Its first key
// exchange is of the largest group.
func android2() v2.Persona {
	prf := []suite.PRF2{suite.PRF2SHA512, suite.PRF2SHA384, suite.PRF2SHA256, suite.PRF2AESXCBC, suite.PRF2AESCMAC, suite.PRF2SHA1}
	groups := []suite.Group{suite.GroupMODP4096, suite.GroupX25519, suite.GroupMODP3072, suite.GroupMODP2048}
	integ := []suite.Integ2{suite.Integ2SHA512, suite.Integ2SHA384, suite.Integ2SHA256, suite.Integ2AESXCBC, suite.Integ2AESCMAC}
	ctr := []suite.Cipher{{Encryption: suite.EncAESCTR, KeyBits: 256}}
	aead := append([]suite.Cipher{{Encryption: suite.EncChaCha20}}, gcm(256, 192, 128)...)
	return v2.Persona{
		IKE: []suite.IKE2Proposal{
			{Ciphers: append(ctr, aes(256, 192, 128)...), Integ: integ, PRF: prf, Groups: groups},
			{Ciphers: aead, PRF: prf, Groups: groups},
		},
		ESP: []suite.ESP2Proposal{
			{Ciphers: append(slices.Clone(ctr), aes(256, 192, 128)...), Integ: integ},
			{Ciphers: aead},
		},
		NonceLen: 32, Hashes: []uint16{1},
		Habits: v2.Habits{IKELifetime: 2 * time.Hour, ChildLifetime: time.Hour},
		Wanted: []wire.ConfigAttributeType{wire.ConfigIP4Address, wire.ConfigIP6Address, wire.ConfigIP4DNS, wire.ConfigIP6DNS,
			wire.ConfigIP4Netmask, wire.ConfigVersion},
		Init: []v2.Slot{v2.SlotSA, v2.SlotKE, v2.SlotNonce, v2.SlotNATD, v2.SlotFragmentation, v2.SlotHashes},
		Auth: []v2.Slot{v2.SlotIDi, v2.SlotIDr, v2.SlotMobike, v2.SlotInitialContact, v2.SlotCert, v2.SlotAuth, v2.SlotTransport, v2.SlotSA, v2.SlotTSi, v2.SlotTSr, v2.SlotCP},
	}
}

// strongSwan2 is its daemon with default proposals.
func strongSwan2() v2.Persona {
	integ := []suite.Integ2{suite.Integ2SHA256, suite.Integ2SHA384, suite.Integ2SHA512, suite.Integ2SHA1, suite.Integ2AESXCBC}
	prf := []suite.PRF2{suite.PRF2SHA256, suite.PRF2SHA384, suite.PRF2SHA512, suite.PRF2AESXCBC, suite.PRF2SHA1}
	groups := []suite.Group{suite.GroupECP256, suite.GroupECP384, suite.GroupECP521, suite.GroupX25519, suite.GroupMODP3072,
		suite.GroupMODP4096, suite.GroupMODP2048}
	aead := append(gcm(128, 192, 256), suite.Cipher{Encryption: suite.EncChaCha20})
	return v2.Persona{
		IKE: []suite.IKE2Proposal{
			{Ciphers: aes(128, 192, 256), Integ: integ, PRF: prf, Groups: groups},
			{Ciphers: aead, PRF: prf, Groups: groups},
		},
		ESP: []suite.ESP2Proposal{
			{Ciphers: gcm(128, 192, 256)},
			{Ciphers: aes(128, 192, 256), Integ: []suite.Integ2{suite.Integ2SHA256, suite.Integ2SHA384, suite.Integ2SHA512, suite.Integ2SHA1}},
		},
		NonceLen: 32, Wanted: []wire.ConfigAttributeType{wire.ConfigIP4Address, wire.ConfigIP6Address, wire.ConfigIP4DNS, wire.ConfigIP6DNS},
		Init: []v2.Slot{v2.SlotSA, v2.SlotKE, v2.SlotNonce, v2.SlotNATD, v2.SlotFragmentation, v2.SlotHashes, v2.SlotRedirect},
		Auth: v2.Own().Auth,
	}
}
