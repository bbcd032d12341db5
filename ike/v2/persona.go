package v2

import (
	"slices"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Slot is a payload, or a group of payloads, in the order in which a kind of
// client writes its messages.
type Slot uint8

// The payloads, and groups of them.
const (
	SlotSA Slot = iota
	SlotKE
	SlotNonce
	SlotNATD
	SlotFragmentation
	SlotRedirect
	SlotHashes
	SlotIntermediate
	SlotPPK
	SlotVendors
	SlotIDi
	SlotCert
	SlotCertReq
	SlotInitialContact
	SlotIDr
	SlotAuth
	SlotCP
	SlotNoTFC
	SlotNonFirst
	SlotTransport
	SlotTSi
	SlotTSr
	SlotMobike
)

// Persona is how one family of clients dials: what it offers and how it writes it.
// Package persona has those of clients.
type Persona struct {
	IKE              []suite.IKE2Proposal
	ESP              []suite.ESP2Proposal
	NonceLen         int // bytes
	Vendors          []wire.VendorID
	Wanted           []wire.ConfigAttributeType
	Hashes           []uint16 // of signatures, before ours
	Habits           Habits
	Init             []Slot // IKE_SA_INIT
	Auth             []Slot // the first IKE_AUTH
	OtherAuthorities int    // authorities named in CERTREQ that stand for nobody here
}

// Own is how culvert itself dials. The caller owns it.
func Own() Persona {
	groups := []suite.Group{suite.GroupX25519, suite.GroupECP256, suite.GroupECP384, suite.GroupMODP2048}
	prf := []suite.PRF2{suite.PRF2SHA256, suite.PRF2SHA384, suite.PRF2SHA512}
	added := [7][]suite.Group{{suite.GroupMLKEM768}}
	aead := []suite.Cipher{{Encryption: suite.EncAESGCM16, KeyBits: 256}, {Encryption: suite.EncAESGCM16, KeyBits: 128}, {Encryption: suite.EncChaCha20}}
	cbc := []suite.Cipher{{Encryption: suite.EncAESCBC, KeyBits: 256}, {Encryption: suite.EncAESCBC, KeyBits: 128}}
	return Persona{
		IKE: suite.Either(
			suite.IKE2Proposal{Ciphers: aead, PRF: prf, Groups: groups, Additional: added},
			suite.IKE2Proposal{Ciphers: cbc, Integ: []suite.Integ2{suite.Integ2SHA256, suite.Integ2SHA384, suite.Integ2SHA512}, PRF: prf, Groups: groups, Additional: added}),
		ESP: []suite.ESP2Proposal{
			{Ciphers: aead},
			{Ciphers: cbc, Integ: []suite.Integ2{suite.Integ2SHA256, suite.Integ2SHA512}},
		},
		NonceLen: 32, Wanted: []wire.ConfigAttributeType{wire.ConfigIP4Address, wire.ConfigIP4DNS, wire.ConfigIP4Subnet, wire.ConfigIP6Address,
			wire.ConfigIP6DNS, wire.ConfigIP6Subnet, wire.ConfigDNSDomain},
		Init: []Slot{SlotSA, SlotKE, SlotNonce, SlotNATD, SlotFragmentation, SlotHashes, SlotRedirect, SlotIntermediate, SlotPPK},
		Auth: []Slot{SlotIDi, SlotCert, SlotInitialContact, SlotCertReq, SlotIDr, SlotAuth, SlotCP, SlotTransport, SlotSA, SlotTSi, SlotTSr, SlotMobike},
	}
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
		for _, x := range []Slot{SlotFragmentation, SlotIntermediate} {
			if len(s.Additional.List()) > 0 && !slices.Contains(p.Init, x) {
				p.Init = append(slices.Clone(p.Init), x)
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
