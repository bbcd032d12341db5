package v2

import (
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// slot is a payload, or a group of payloads, in the order in which a kind of
// client writes its messages.
type slot uint8

const (
	slotSA slot = iota
	slotKE
	slotNonce
	slotNATD
	slotFragmentation
	slotRedirect
	slotHashes
	slotIntermediate
	slotPPK
	slotVendors
	slotIDi
	slotCert
	slotCertReq
	slotInitialContact
	slotIDr
	slotAuth
	slotCP
	slotNoTFC
	slotNonFirst
	slotTransport
	slotTSi
	slotTSr
	slotMobike
)

// Persona is how one family of clients dials: what it offers and how it writes it.
type Persona struct {
	Name      string
	IKE       []suite.IKE2Proposal
	ESP       []suite.ESP2Proposal
	NonceLen  int // bytes
	Vendors   []wire.VendorID
	Wanted    []wire.ConfigAttributeType
	Hashes    []uint16 // of signatures, before ours
	Habits    Habits
	init      []slot
	auth      []slot
	unauthors int // authorities named in CERTREQ that stand for nobody here
}

// Personas lists the names that PersonaNamed takes.
func Personas() []string {
	return []string{"culvert-ikev2", "windows10-ikev2", "macos-ikev2", "ios-ikev2", "android-ikev2", "strongswan-ikev2"}
}

// PersonaNamed returns the persona of that name. The caller owns it.
func PersonaNamed(name string) (Persona, bool) {
	var p Persona
	switch name {
	case "", "culvert-ikev2":
		p = culvert()
	case "windows10-ikev2":
		p = windows()
	case "macos-ikev2":
		p = apple([]suite.Group{suite.GroupECP256, suite.GroupMODP2048})
	case "ios-ikev2":
		p = ios()
	case "android-ikev2":
		p = android()
	case "strongswan-ikev2":
		p = strongSwan()
	default:
		return p, false
	}
	p.Name = name
	return p, true
}

// Propose puts these suites in the place of the persona's own; an empty list
// leaves those. A suite with additional key exchanges needs IKE_INTERMEDIATE,
// which is then announced.
func (p *Persona) Propose(ike []suite.IKE2Suite, esp []suite.ESP2) {
	if len(ike) > 0 {
		p.IKE = nil
	}
	for _, s := range ike {
		p.IKE = append(p.IKE, s.Proposal())
		for _, x := range []slot{slotFragmentation, slotIntermediate} {
			if len(s.Additional.List()) > 0 && !slices.Contains(p.init, x) {
				p.init = append(slices.Clone(p.init), x)
			}
		}
	}
	if len(esp) > 0 {
		p.ESP = nil
	}
	for _, s := range esp {
		s.Group, s.Additional = suite.GroupNone, suite.Additional{} // for renewals
		p.ESP = append(p.ESP, s.Proposal())
	}
}

var usual = []wire.ConfigAttributeType{wire.ConfigIP4Address, wire.ConfigIP4DNS, wire.ConfigIP4Subnet, wire.ConfigIP6Address,
	wire.ConfigIP6DNS, wire.ConfigIP6Subnet, wire.ConfigDNSDomain}

var authOrder = []slot{slotIDi, slotCert, slotInitialContact, slotCertReq, slotIDr, slotAuth, slotCP, slotTransport, slotSA, slotTSi, slotTSr, slotMobike}

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

func culvert() Persona {
	groups := []suite.Group{suite.GroupX25519, suite.GroupECP256, suite.GroupECP384, suite.GroupMODP2048}
	prf := []suite.PRF2{suite.PRF2SHA256, suite.PRF2SHA384, suite.PRF2SHA512}
	added := [7][]suite.Group{{suite.GroupMLKEM768}}
	aead := append(gcm(256, 128), suite.Cipher{Encryption: suite.EncChaCha20})
	return Persona{
		IKE: suite.Either(
			suite.IKE2Proposal{Ciphers: aead, PRF: prf, Groups: groups, Additional: added},
			suite.IKE2Proposal{Ciphers: aes(256, 128), Integ: []suite.Integ2{suite.Integ2SHA256, suite.Integ2SHA384, suite.Integ2SHA512}, PRF: prf, Groups: groups, Additional: added}),
		ESP: []suite.ESP2Proposal{
			{Ciphers: aead},
			{Ciphers: aes(256, 128), Integ: []suite.Integ2{suite.Integ2SHA256, suite.Integ2SHA512}},
		},
		NonceLen: 32, Wanted: usual,
		init: []slot{slotSA, slotKE, slotNonce, slotNATD, slotFragmentation, slotHashes, slotRedirect, slotIntermediate, slotPPK},
		auth: authOrder,
	}
}

// windows is Windows 10 and 11 with the server's groups allowed
// (NegotiateDH2048_AES256): one suite a proposal.
func windows() Persona {
	p := Persona{NonceLen: 48, unauthors: 53,
		Vendors: []wire.VendorID{wire.VendorMSNT5.ID(0, 0, 0, 9), wire.VendorMSNegotiation.ID(), wire.VendorMSInitialContact.ID(),
			wire.VendorMSKeyModules.ID(0, 0, 0, 2)},
		Wanted: []wire.ConfigAttributeType{wire.ConfigIP4Address, wire.ConfigIP4DNS, wire.ConfigIP4NBNS, wire.ConfigMicrosoftSRV4,
			wire.ConfigIP6Address, wire.ConfigIP6DNS, wire.ConfigMicrosoftSRV6},
		init: []slot{slotSA, slotKE, slotNonce, slotFragmentation, slotNATD, slotVendors},
		auth: []slot{slotIDi, slotCert, slotCertReq, slotAuth, slotMobike, slotCP, slotTransport, slotSA, slotTSi, slotTSr},
	}
	for _, h := range windowsHashes {
		p.IKE = append(p.IKE, suite.IKE2Proposal{Ciphers: aes(256), Integ: []suite.Integ2{h.i}, PRF: []suite.PRF2{h.p}, Groups: []suite.Group{suite.GroupMODP2048}})
	}
	p.Habits = Habits{WideSelectors: true, RenewIKE: windowsRenewal()}
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
func appleShape() Persona {
	return Persona{NonceLen: 16,
		Habits: Habits{IKELifetime: time.Hour, ChildLifetime: 30 * time.Minute, OptionalPFS: true},
		Wanted: []wire.ConfigAttributeType{wire.ConfigIP4Address, wire.ConfigIP4Netmask, wire.ConfigIP4DHCP, wire.ConfigIP4DNS,
			wire.ConfigIP6Address, wire.ConfigIP6DHCP, wire.ConfigIP6DNS, wire.ConfigDNSDomain},
		init: []slot{slotSA, slotKE, slotNonce, slotRedirect, slotNATD, slotFragmentation},
		auth: []slot{slotIDi, slotCert, slotInitialContact, slotIDr, slotAuth, slotCP, slotNoTFC, slotNonFirst, slotTransport, slotSA, slotTSi, slotTSr, slotMobike},
	}
}

// apple is macOS 14 and later, and iOS 17 and later: GCM, then CBC.
func apple(groups []suite.Group) Persona {
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

// ios is iOS before 17.
func ios() Persona {
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

// android is the platform's client of Android 11 and later. Its first key
// exchange is of the largest group.
func android() Persona {
	prf := []suite.PRF2{suite.PRF2SHA512, suite.PRF2SHA384, suite.PRF2SHA256, suite.PRF2AESXCBC, suite.PRF2AESCMAC, suite.PRF2SHA1}
	groups := []suite.Group{suite.GroupMODP4096, suite.GroupX25519, suite.GroupMODP3072, suite.GroupMODP2048}
	integ := []suite.Integ2{suite.Integ2SHA512, suite.Integ2SHA384, suite.Integ2SHA256, suite.Integ2AESXCBC, suite.Integ2AESCMAC}
	ctr := []suite.Cipher{{Encryption: suite.EncAESCTR, KeyBits: 256}}
	aead := append([]suite.Cipher{{Encryption: suite.EncChaCha20}}, gcm(256, 192, 128)...)
	return Persona{
		IKE: []suite.IKE2Proposal{
			{Ciphers: append(ctr, aes(256, 192, 128)...), Integ: integ, PRF: prf, Groups: groups},
			{Ciphers: aead, PRF: prf, Groups: groups},
		},
		ESP: []suite.ESP2Proposal{
			{Ciphers: append(slices.Clone(ctr), aes(256, 192, 128)...), Integ: integ},
			{Ciphers: aead},
		},
		NonceLen: 32, Hashes: []uint16{1},
		Habits: Habits{IKELifetime: 2 * time.Hour, ChildLifetime: time.Hour},
		Wanted: []wire.ConfigAttributeType{wire.ConfigIP4Address, wire.ConfigIP6Address, wire.ConfigIP4DNS, wire.ConfigIP6DNS,
			wire.ConfigIP4Netmask, wire.ConfigVersion},
		init: []slot{slotSA, slotKE, slotNonce, slotNATD, slotFragmentation, slotHashes},
		auth: []slot{slotIDi, slotIDr, slotMobike, slotInitialContact, slotCert, slotAuth, slotTransport, slotSA, slotTSi, slotTSr, slotCP},
	}
}

// strongSwan is its daemon with default proposals.
func strongSwan() Persona {
	integ := []suite.Integ2{suite.Integ2SHA256, suite.Integ2SHA384, suite.Integ2SHA512, suite.Integ2SHA1, suite.Integ2AESXCBC}
	prf := []suite.PRF2{suite.PRF2SHA256, suite.PRF2SHA384, suite.PRF2SHA512, suite.PRF2AESXCBC, suite.PRF2SHA1}
	groups := []suite.Group{suite.GroupECP256, suite.GroupECP384, suite.GroupECP521, suite.GroupX25519, suite.GroupMODP3072,
		suite.GroupMODP4096, suite.GroupMODP2048}
	aead := append(gcm(128, 192, 256), suite.Cipher{Encryption: suite.EncChaCha20})
	return Persona{
		IKE: []suite.IKE2Proposal{
			{Ciphers: aes(128, 192, 256), Integ: integ, PRF: prf, Groups: groups},
			{Ciphers: aead, PRF: prf, Groups: groups},
		},
		ESP: []suite.ESP2Proposal{
			{Ciphers: gcm(128, 192, 256)},
			{Ciphers: aes(128, 192, 256), Integ: []suite.Integ2{suite.Integ2SHA256, suite.Integ2SHA384, suite.Integ2SHA512, suite.Integ2SHA1}},
		},
		NonceLen: 32, Wanted: []wire.ConfigAttributeType{wire.ConfigIP4Address, wire.ConfigIP6Address, wire.ConfigIP4DNS, wire.ConfigIP6DNS},
		init: []slot{slotSA, slotKE, slotNonce, slotNATD, slotFragmentation, slotHashes, slotRedirect},
		auth: authOrder,
	}
}
