package persona

import (
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// habits are what a client does by IKEv1 beyond its offers.
func habits(name string) v1.Habits {
	h := v1.Habits{InitialContact: true}
	switch name {
	case "windows7", "windows10":
		h.InitialContact, h.Counting = false, true
	case "macos", "ios":
		h.IDPort, h.Port, h.AsksOnce = true, v1.PortSocket, true
	case "android":
		h.IDPort, h.Port, h.EndsWithNUL, h.NamesGroups = true, v1.PortAny, true, true
	case "mikrotik":
		h.PFS = suite.GroupMODP1024
	}
	h.Asks = asks(name)
	return h
}

// asks is what a client wants of mode config. Apple's and Android's lists are
// those of isakmp_cfg_getconfig in their racoon (isakmp_cfg.c), which, in Apple's,
// is not called again when phase 1 is renewed.
func asks(name string) []wire.AttributeType {
	list := []wire.AttributeType{wire.ModeIP4Address}
	switch name {
	case "macos", "ios":
		return append(list, wire.ModeIP4Netmask, wire.ModeIP4DNS, wire.ModeIP4NBNS, wire.ModeExpiry, wire.ModeVersion,
			wire.UnityBanner, wire.UnityDomain, wire.UnitySplitDNS, wire.UnitySplitInclude, wire.UnityLocalLAN)
	case "android":
		return append(list, wire.ModeIP4Netmask, wire.ModeIP4DNS, wire.ModeIP4NBNS, wire.UnityBanner, wire.UnityDomain,
			wire.UnitySplitDNS, wire.UnitySplitInclude, wire.UnityLocalLAN, wire.ModeVersion)
	}
	return append(list, wire.ModeIP4DNS)
}
