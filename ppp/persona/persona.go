package persona

import (
	"time"

	"github.com/culvert-vpn/culvert/ppp"
)

// Named returns the client of one of the Names; of culvert itself nil, which is what
// stands for it in a Config. All who ask share it, and nobody writes to it.
func Named(name string) (*ppp.Persona, bool) {
	for _, p := range clients() {
		if p.Name == name {
			return p, true
		}
	}
	return nil, name == own
}

// Names lists the names that Named knows.
func Names() []string {
	names := []string{own}
	for _, p := range clients() {
		names = append(names, p.Name)
	}
	return names
}

const own = "culvert"

func clients() []*ppp.Persona {
	return []*ppp.Persona{&windows7, &windows10, &macos, &ios, &android, &chromeos, &mikrotik, &networkManager, &kl2tpd}
}

const (
	lcpPPPD    = "\x01\x02\x05\x07\x08"                             // MRU, ACCM, magic, PFC, ACFC
	lcpApple   = "\x02\x05\x07\x08"                                 // ACCM, magic, PFC, ACFC
	lcpWindows = "\x01\x05\x07\x08\x0d"                             // MRU, magic, PFC, ACFC, callback
	ipcpDNS    = "\x03\x81\x83"                                     // address, both DNS
	ipcpAll    = "\x03\x81\x82\x83\x84"                             // address, DNS, NBNS, DNS, NBNS
	mppeNone   = "\x12\x06\x01\x00\x00\x00"                         // stateless, and no encryption
	mppe128    = "\x12\x06\x01\x00\x00\x40"                         // stateless, 128 bits
	acspRoutes = "\x01\x06\x00\x00\x00\x01\x02\x06\x00\x00\x00\x01" // routes and domains, version 1
)

const never = time.Duration(-1)

// windowsLike is what Windows 7 and 10 have in common: one count of identifiers from
// 0 on, the callback option, three Identifications once LCP is open, then IPV6CP, CCP
// with nothing but the stateless bit, and IPCP with name servers of both kinds.
func windowsLike(name, host string) ppp.Persona {
	return ppp.Persona{
		Name: name, HostName: host, RASCodes: true, Version: "MSRASV5.20", HostPrefix: "MSRAS-0-", SharedIDs: true, FreshIDs: true,
		LCP: lcpWindows, MRU: 1400,
		Networks: []ppp.Network{{Protocol: ppp.ProtocolIPV6CP}, {Protocol: ppp.ProtocolCCP, Options: mppeNone}, {Protocol: ppp.ProtocolIPCP}},
		IPCP:     ipcpAll, Auth: ppp.AuthPolicy{MSCHAPv2: true, EAP: true}, Echo: never,
	}
}

// pppdLike is a client that runs pppd with usepeerdns and noccp. pppd also asks for
// Van Jacobson's compression; this does not, as it could not expand what
// a server then sends.
func pppdLike(name string, mru uint16) ppp.Persona {
	return ppp.Persona{
		Name: name, FirstID: 1, LCP: lcpPPPD, MRU: mru,
		Networks: []ppp.Network{{Protocol: ppp.ProtocolIPCP}}, IPCP: ipcpDNS,
		Auth: ppp.AuthPolicy{MSCHAPv2: true, CHAPMD5: true, PAP: true}, Echo: never,
	}
}

// appleLike asks for no MRU, and asks the server for routes in a protocol of Apple's.
func appleLike(name string) ppp.Persona {
	return ppp.Persona{
		Name: name, FirstID: 1, LCP: lcpApple, HardwareID: true,
		Networks: []ppp.Network{{Protocol: ppp.ProtocolIPCP}, {Protocol: ppp.ProtocolIPV6CP}, {Protocol: ppp.ProtocolACSCP, Options: acspRoutes}},
		IPCP:     ipcpDNS, Auth: ppp.AuthPolicy{MSCHAPv2: true, CHAPMD5: true, PAP: true},
		Echo: 20 * time.Second, EchoFailures: 15,
	}
}

var (
	windows7       = windowsLike("windows7", "ENIGMA-PC")
	windows10      = windowsLike("windows10", "DESKTOP")
	macos          = appleLike("macos")
	ios            = appleLike("ios")
	android        = pppdLike("android", 1400)
	chromeos       = chromeosLike()
	mikrotik       = mikrotikLike()
	networkManager = pppdLike("networkmanager", 1400)
	kl2tpd         = pppdLike("kl2tpd", 1400)
)

func chromeosLike() ppp.Persona {
	p := pppdLike("chromeos", 1410)
	p.Echo, p.EchoFailures = 30*time.Second, 4
	return p
}

// mikrotikLike offers MPPE as the default profile of RouterOS does.
func mikrotikLike() ppp.Persona {
	return ppp.Persona{
		Name: "mikrotik", FirstID: 1, LCP: "\x01\x05", MRU: 1450,
		Networks: []ppp.Network{{Protocol: ppp.ProtocolIPCP}, {Protocol: ppp.ProtocolCCP, Options: mppe128}}, IPCP: "\x03",
		Auth: ppp.AuthPolicy{MSCHAPv2: true, CHAPMD5: true, PAP: true}, Echo: 30 * time.Second,
	}
}
