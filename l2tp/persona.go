package l2tp

import "time"

// Persona is how a known client behaves as LAC: its messages, their AVPs and M bits,
// its way with identifiers, and its timing. The zero Persona is culvert itself.
type Persona struct{ p *persona }

func (p Persona) table() *persona {
	if p.p == nil {
		return &ownPersona
	}
	return p.p
}

// Personas returns the persona of that name: culvert, windows7, windows10, macos, ios,
// android, chromeos, mikrotik, networkmanager (xl2tpd as NetworkManager-l2tp configures
// it) or kl2tpd (go-l2tp).
func Personas(name string) (Persona, bool) {
	for _, p := range personas() {
		if p.name == name {
			return Persona{p}, true
		}
	}
	return Persona{}, false
}

// PersonaNames lists the names that Personas knows.
func PersonaNames() []string {
	var names []string
	for _, p := range personas() {
		names = append(names, p.name)
	}
	return names
}

func personas() []*persona {
	return []*persona{
		&ownPersona, &windows7, &windows10, &macos, &ios, &android,
		&chromeos, &mikrotik, &networkManager, &kl2tpd,
	}
}

// numbering is how a client chooses its identifiers and serial numbers.
type numbering uint8

const (
	numberRandom   numbering = iota
	numberCounting           // 1, 2, 3 ...
	numberProcess            // like a process number
	numberZero
	numberOne
)

// persona is the table behind a Persona. The lists leave out the Message Type AVP.
type persona struct {
	name       string
	hostName   string // sent unless the dialler names another
	window     uint16 // receive window; not always sent
	tunnelIDs  numbering
	callIDs    numbering
	serials    numbering
	challenge  int  // octets of our Challenge
	hellos     int  // HELLOs on tunnel 0 before SCCRQ
	waitAck    bool // ICRQ waits for the ack of SCCCN, PPP for the ack of ICCN
	stopOnly   bool // a closing LAC sends no CDN
	retransmit Retransmit
	timeout    time.Duration // for the whole dial
	hello      time.Duration // quiet before a HELLO; 0: none is ever sent
	stopCode   uint16        // of the StopCCN at the end
	own        bool          // timing and window come from Config

	sccrq, sccrp, scccn, stopccn []item
	icrq, icrp, iccn, cdn        []item
}

// ownPersona is culvert, as LNS and as LAC.
var ownPersona = persona{
	name:      "culvert",
	tunnelIDs: numberRandom,
	callIDs:   numberRandom,
	serials:   numberCounting,
	challenge: 16,
	stopCode:  StopClear,
	own:       true,
	sccrq: []item{
		{attribute: AttrProtocolVersion, number: protocolVersion},
		{attribute: AttrFramingCapabilities, from: fromNumber32, number: framingBoth},
		{attribute: AttrBearerCapabilities, from: fromNumber32},
		{attribute: AttrFirmwareRevision, optional: true, from: fromFirmware},
		{attribute: AttrHostName, from: fromHost},
		{attribute: AttrVendorName, optional: true, from: fromVendor},
		{attribute: AttrAssignedTunnel, from: fromTunnel},
		{attribute: AttrReceiveWindow, from: fromWindow},
		{attribute: AttrTieBreaker, optional: true, from: fromTie},
		{attribute: AttrChallenge, from: fromChallenge},
	},
	sccrp: []item{
		{attribute: AttrProtocolVersion, number: protocolVersion},
		{attribute: AttrFramingCapabilities, from: fromNumber32, number: framingBoth},
		{attribute: AttrBearerCapabilities, from: fromNumber32},
		{attribute: AttrFirmwareRevision, optional: true, from: fromFirmware},
		{attribute: AttrHostName, from: fromHost},
		{attribute: AttrVendorName, optional: true, from: fromVendor},
		{attribute: AttrAssignedTunnel, from: fromTunnel},
		{attribute: AttrReceiveWindow, from: fromWindow},
		{attribute: AttrChallenge, from: fromChallenge},
		{attribute: AttrChallengeResponse, from: fromResponse},
	},
	scccn: []item{{attribute: AttrChallengeResponse, from: fromResponse}},
	icrq: []item{
		{attribute: AttrAssignedCall, from: fromCall},
		{attribute: AttrCallSerial, from: fromSerial},
		{attribute: AttrBearerType, from: fromNumber32},
	},
	icrp: []item{{attribute: AttrAssignedCall, from: fromCall}},
	iccn: []item{
		{attribute: AttrTxSpeed, from: fromSpeed, number: 1_000_000_000},
		{attribute: AttrFramingType, from: fromNumber32, number: framingSync},
		{attribute: AttrSequencingRequired, from: fromSequencing},
	},
	cdn: []item{
		{attribute: AttrResultCode, from: fromResult},
		{attribute: AttrAssignedCall, from: fromCall},
	},
	stopccn: []item{
		{attribute: AttrAssignedTunnel, from: fromTunnel},
		{attribute: AttrResultCode, from: fromResult},
	},
}

const (
	protocolVersion = 0x0100 // version 1, revision 0: L2TPv2 (section 4.4.3)
	framingSync     = 1
	framingBoth     = 3
	bearerAnalog    = 2
	vendorMicrosoft = 311
)
