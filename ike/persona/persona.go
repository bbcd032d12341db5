package persona

import (
	"errors"
	"fmt"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/v2"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// ErrUnknown is that of a name which no client has.
var ErrUnknown = errors.New("ike: unknown persona")

// NamesV1 lists the clients that dial by IKEv1.
func NamesV1() []string {
	return []string{"culvert", "windows7", "windows10", "macos", "ios", "android", "chromeos", "mikrotik",
		"networkmanager", "kl2tpd", "tplink"}
}

// V1 returns the client of that name, as it dials by IKEv1. The caller owns it.
func V1(name string) (v1.Persona, error) {
	if name == "culvert" {
		return v1.Own(), nil
	}
	p, ok := offers(name)
	if !ok {
		return v1.Persona{}, fmt.Errorf("%w: %q; there are %v", ErrUnknown, name, NamesV1())
	}
	return v1.Persona{Persona: p, Habits: habits(name)}, nil
}

// offers are what a client offers by IKEv1.
func offers(name string) (p suite.Persona, ok bool) {
	switch name {
	case "windows7":
		p = windows(8, windows7ESP())
	case "windows10":
		p = windows(9, windows10ESP())
		p.Vendors = append([]wire.VendorID{wire.VendorMSKeyModules.ID(0, 0, 0, 1)}, p.Vendors...)
	case "macos", "ios":
		p = apple()
	case "android":
		p = android()
	case "chromeos":
		p = chromeOS()
	case "networkmanager", "kl2tpd":
		p = networkManager()
	case "mikrotik":
		p = mikroTik()
	case "tplink":
		p = tpLink()
	default:
		return p, false
	}
	return p, true
}

// NamesV2 lists the clients that dial by IKEv2.
func NamesV2() []string {
	return []string{"culvert-ikev2", "windows10-ikev2", "macos-ikev2", "ios-ikev2", "android-ikev2", "strongswan-ikev2"}
}

// V2 returns the client of that name, as it dials by IKEv2. The caller owns it.
func V2(name string) (v2.Persona, error) {
	switch name {
	case "culvert-ikev2":
		return v2.Own(), nil
	case "windows10-ikev2":
		return windows2(), nil
	case "macos-ikev2":
		return apple2([]suite.Group{suite.GroupECP256, suite.GroupMODP2048}), nil
	case "ios-ikev2":
		return ios2(), nil
	case "android-ikev2":
		return android2(), nil
	case "strongswan-ikev2":
		return strongSwan2(), nil
	}
	return v2.Persona{}, fmt.Errorf("%w: %q; by IKEv2 there are %v", ErrUnknown, name, NamesV2())
}
