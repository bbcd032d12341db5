package v1

import "github.com/culvert-vpn/culvert/ike/suite"

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
}

// PortHabit is what a client puts into the port of IDci.
type PortHabit uint8

// The habits.
const (
	Port1701   PortHabit = iota
	PortAny              // 0, whatever it sends from
	PortSocket           // the real port of its L2TP socket
)

// HabitsOf returns the habits of the persona of that name.
func HabitsOf(persona string) Habits {
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
