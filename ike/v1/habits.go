package v1

import (
	"slices"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Persona is how a kind of client dials. Package persona has those of clients.
type Persona struct {
	suite.Persona
	Habits
}

// Own is how culvert itself dials. The caller owns it.
func Own() Persona {
	return Persona{Persona: suite.Own(), Habits: Habits{InitialContact: true,
		Asks: []wire.AttributeType{wire.ModeIP4Address, wire.ModeIP4DNS, wire.ModeIP4NBNS, wire.UnitySplitDNS, wire.UnitySplitInclude}}}
}

// Habits is what a kind of client does beyond its proposals and vendor IDs,
// which are in package suite.
type Habits struct {
	// Counting says that quick mode message IDs are 1, 2, 3... under an SA.
	Counting bool
	// InitialContact says that message 5 of the first main mode carries an
	// INITIAL_CONTACT.
	InitialContact bool
	// IDPort says that the identity of phase 1 carries protocol 17 and port 500,
	// one of the two forms that RFC 2407 section 4.6.2 allows.
	IDPort bool
	// Port is what stands in the port of IDci.
	Port PortHabit
	// PFS is the group of quick mode; GroupNone without.
	PFS suite.Group
	// EndsWithNUL says that the password of extended authentication ends with a NUL.
	EndsWithNUL bool
	// Asks is what mode config asks for; AsksOnce that it does not ask again when
	// phase 1 was renewed.
	Asks     []wire.AttributeType
	AsksOnce bool
	// NamesGroups says that the group of aggressive mode is a domain name or a mail
	// address (ID_FQDN, ID_USER_FQDN) where it looks like one, and a KEY_ID otherwise.
	NamesGroups bool
}

// PortHabit is what a client puts into the port of IDci.
type PortHabit uint8

// The habits.
const (
	_          PortHabit = iota // 1701
	PortAny                     // 0, whatever it sends from
	PortSocket                  // the real port of its L2TP socket
)

// XAUTHVendors are the vendor IDs that a persona adds where it does extended
// authentication.
func XAUTHVendors(list []wire.VendorID) []wire.VendorID {
	list = slices.DeleteFunc(slices.Clone(list), func(v wire.VendorID) bool {
		known, _ := v.Known()
		return known == wire.VendorXAUTH
	})
	return append(list, wire.VendorXAUTH.ID(), wire.VendorUnity.ID(1, 0))
}
