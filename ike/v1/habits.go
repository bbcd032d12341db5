package v1

import (
	"slices"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// DefaultPersona is what we are if nobody says otherwise.
const DefaultPersona = "culvert"

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
}

// PortHabit is what a client puts into the port of IDci.
type PortHabit uint8

// The habits.
const (
	_          PortHabit = iota // 1701
	PortAny                     // 0, whatever it sends from
	PortSocket                  // the real port of its L2TP socket
)

// HabitsOf returns the habits of the persona of that name.
func HabitsOf(persona string) Habits {
	h := habitsOf(persona)
	h.Asks = asks(persona)
	h.EndsWithNUL = persona == "android"
	h.AsksOnce = persona == "macos" || persona == "ios"
	return h
}

// asks is what a persona wants of mode config. Apple's and Android's lists are
// those of isakmp_cfg_getconfig in their racoon (isakmp_cfg.c), which, in Apple's,
// is not called again when phase 1 is renewed.
func asks(persona string) []wire.AttributeType {
	list := []wire.AttributeType{wire.ModeIP4Address}
	switch persona {
	case "macos", "ios":
		return append(list, wire.ModeIP4Netmask, wire.ModeIP4DNS, wire.ModeIP4NBNS, wire.ModeExpiry, wire.ModeVersion,
			wire.UnityBanner, wire.UnityDomain, wire.UnitySplitDNS, wire.UnitySplitInclude, wire.UnityLocalLAN)
	case "android":
		return append(list, wire.ModeIP4Netmask, wire.ModeIP4DNS, wire.ModeIP4NBNS, wire.UnityBanner, wire.UnityDomain,
			wire.UnitySplitDNS, wire.UnitySplitInclude, wire.UnityLocalLAN, wire.ModeVersion)
	case DefaultPersona:
		return append(list, wire.ModeIP4DNS, wire.ModeIP4NBNS, wire.UnitySplitDNS, wire.UnitySplitInclude)
	}
	return append(list, wire.ModeIP4DNS)
}

// XAUTHVendors are the vendor IDs that a persona adds where it does extended
// authentication.
func XAUTHVendors(list []wire.VendorID) []wire.VendorID {
	list = slices.DeleteFunc(slices.Clone(list), func(v wire.VendorID) bool {
		known, _ := v.Known()
		return known == wire.VendorXAUTH
	})
	return append(list, wire.VendorXAUTH.ID(), wire.VendorUnity.ID(1, 0))
}

func habitsOf(persona string) Habits {
	switch persona {
	case "windows7", "windows10":
		return Habits{Counting: true}
	case "macos", "ios":
		return Habits{InitialContact: true, IDPort: true, Port: PortSocket}
	case "android":
		return Habits{InitialContact: true, IDPort: true, Port: PortAny}
	case "mikrotik":
		return Habits{InitialContact: true, PFS: suite.GroupMODP1024}
	}
	return Habits{InitialContact: true}
}

// Personas lists the names that a dialler may use.
func Personas() []string {
	return []string{DefaultPersona, "windows7", "windows10", "macos", "ios", "android", "chromeos", "mikrotik",
		"networkmanager", "kl2tpd", "tplink"}
}
