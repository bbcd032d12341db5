package ppp

import (
	"encoding/binary"
	"io"
	"slices"
	"time"
)

// Persona is how a known client behaves: which options it asks for in which order, how
// it numbers its packets, which protocols it tries, and what it says it is. The zero
// Persona is culvert itself. It says nothing of the server's role.
type Persona struct{ p *persona }

// Name returns the name, for which Personas returns this Persona.
func (p Persona) Name() string { return p.table().name }

func (p Persona) table() *persona {
	if p.p == nil {
		return &ownPersona
	}
	return p.p
}

// Personas returns the persona of that name: culvert, windows7, windows10, macos, ios,
// android, chromeos, mikrotik, networkmanager or kl2tpd. The empty name is culvert.
func Personas(name string) (Persona, bool) {
	if name == "" {
		return Persona{}, true
	}
	for _, p := range personas() {
		if p.name == name {
			return Persona{p}, true
		}
	}
	return Persona{}, false
}

func personas() []*persona {
	return []*persona{
		&ownPersona, &windows7, &windows10, &macos, &ios, &android,
		&chromeos, &mikrotik, &networkManager, &kl2tpd,
	}
}

// has reports whether the client tries a network control protocol.
func (p *persona) has(proto Protocol) bool {
	return slices.ContainsFunc(p.networks, func(n network) bool { return n.proto == proto })
}

// network is a network control protocol that a client tries. IPCP's options are in
// persona.ipcp, and IPV6CP's only one is made of the link's interface identifier.
type network struct {
	proto   Protocol
	options string
}

// persona is the table behind a Persona. Nobody writes to it.
type persona struct {
	name       string
	host       string // what it calls itself unless the owner says
	windows    bool   // Identification, and error numbers in Terminate-Requests
	version    string // its first Identification
	firstID    uint8  // of the first packet
	sharedIDs  bool   // one count of identifiers for all protocols
	freshIDs   bool   // a repetition gets a new identifier
	hardwareID bool   // its IPV6CP interface identifier is made of a hardware address

	lcp      string // kinds of option, in order
	mru      uint16
	networks []network // in the order in which they begin
	ipcp     string    // kinds of option, in order
	auth     AuthPolicy

	echo         time.Duration // negative: it never asks
	echoFailures uint8
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

// ownPersona is culvert, as server and as client.
var ownPersona = persona{
	name: "culvert", firstID: 1,
	lcp: "\x01\x05\x07\x08", mru: defaultMRU,
	networks: []network{{proto: ProtocolIPCP}}, ipcp: ipcpDNS,
	auth: AuthPolicy{MSCHAPv2: true, CHAPMD5: true, PAP: true, EAP: true},
}

// windowsPersona is what Windows 7 and 10 have in common: one count of identifiers from
// 0 on, the callback option, three Identifications once LCP is open, then IPV6CP, CCP
// with nothing but the stateless bit, and IPCP with name servers of both kinds.
func windowsPersona(name, host string) persona {
	return persona{
		name: name, host: host, windows: true, version: "MSRASV5.20", sharedIDs: true, freshIDs: true,
		lcp: lcpWindows, mru: 1400,
		networks: []network{{proto: ProtocolIPV6CP}, {ProtocolCCP, mppeNone}, {proto: ProtocolIPCP}},
		ipcp:     ipcpAll, auth: AuthPolicy{MSCHAPv2: true, EAP: true}, echo: never,
	}
}

// pppdPersona is a client that runs pppd with usepeerdns and noccp. pppd also asks for
// Van Jacobson's compression; this does not, as it could not expand what
// a server then sends.
func pppdPersona(name string, mru uint16) persona {
	return persona{
		name: name, firstID: 1, lcp: lcpPPPD, mru: mru,
		networks: []network{{proto: ProtocolIPCP}}, ipcp: ipcpDNS,
		auth: AuthPolicy{MSCHAPv2: true, CHAPMD5: true, PAP: true}, echo: never,
	}
}

// applePersona asks for no MRU, and asks the server for routes in a protocol of Apple's.
func applePersona(name string) persona {
	return persona{
		name: name, firstID: 1, lcp: lcpApple, hardwareID: true,
		networks: []network{{proto: ProtocolIPCP}, {proto: ProtocolIPV6CP}, {ProtocolACSCP, acspRoutes}},
		ipcp:     ipcpDNS, auth: AuthPolicy{MSCHAPv2: true, CHAPMD5: true, PAP: true},
		echo: 20 * time.Second, echoFailures: 15,
	}
}

var (
	windows7       = windowsPersona("windows7", "ENIGMA-PC")
	windows10      = windowsPersona("windows10", "DESKTOP")
	macos          = applePersona("macos")
	ios            = applePersona("ios")
	android        = pppdPersona("android", 1400)
	chromeos       = chromeosPersona()
	mikrotik       = mikrotikPersona()
	networkManager = pppdPersona("networkmanager", 1400)
	kl2tpd         = pppdPersona("kl2tpd", 1400)
)

func chromeosPersona() persona {
	p := pppdPersona("chromeos", 1410)
	p.echo, p.echoFailures = 30*time.Second, 4
	return p
}

// mikrotikPersona offers MPPE as the default profile of RouterOS does.
func mikrotikPersona() persona {
	return persona{
		name: "mikrotik", firstID: 1, lcp: "\x01\x05", mru: 1450,
		networks: []network{{proto: ProtocolIPCP}, {ProtocolCCP, mppe128}}, ipcp: "\x03",
		auth: AuthPolicy{MSCHAPv2: true, CHAPMD5: true, PAP: true}, echo: 30 * time.Second,
	}
}

// sendIdentifications says what we are, as Windows does once LCP is open: the version,
// the host's name, and a number that its logs have as well.
func (l *Link) sendIdentifications() {
	p := l.persona()
	if p.version == "" {
		return
	}
	var correlation [16]byte
	io.ReadFull(l.rand, correlation[:])
	for _, text := range []string{p.version, "MSRAS-0-" + l.client.host, string(correlation[:])} {
		b := startFrame(ProtocolLCP, identification, l.lcp.nextID())
		b = binary.BigEndian.AppendUint32(b, l.lcp.magic)
		l.send(finishFrame(append(b, text...)))
	}
}
