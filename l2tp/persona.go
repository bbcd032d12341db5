package l2tp

import "time"

// Persona is how a known client behaves as LAC: its messages, their AVPs and M bits,
// its way with identifiers, and its timing. The lists leave out the Message Type AVP.
// Package persona has those of clients; the nil Persona is culvert itself. Nobody
// writes to one that is in use.
type Persona struct {
	HostName   string // sent unless the dialler names another
	Window     uint16 // receive window; not always sent
	TunnelIDs  Numbering
	CallIDs    Numbering
	Serials    Numbering
	Challenge  int  // octets of our Challenge
	Hellos     int  // HELLOs on tunnel 0 before SCCRQ
	WaitAck    bool // ICRQ waits for the ack of SCCCN, PPP for the ack of ICCN
	StopOnly   bool // a closing LAC sends no CDN
	Retransmit Retransmit
	Timeout    time.Duration // for the whole dial
	Hello      time.Duration // quiet before a HELLO; 0: none is ever sent
	StopCode   uint16        // of the StopCCN at the end

	SCCRQ, SCCCN, StopCCN []Item
	ICRQ, ICCN, CDN       []Item

	own         bool // timing and window come from Config
	sccrp, icrp []Item
}

// orOwn returns the persona, or for nil our own.
func (p *Persona) orOwn() *Persona {
	if p == nil {
		return &ownPersona
	}
	return p
}

// Numbering is how a client chooses its identifiers and serial numbers.
type Numbering uint8

// The ways of numbering.
const (
	NumberRandom   Numbering = iota
	NumberCounting           // 1, 2, 3 ...
	NumberProcess            // like a process number
	NumberZero
	NumberOne
)

// Item is one AVP of a message that we send.
type Item struct {
	Attribute AttributeType
	Optional  bool // M bit clear
	From      Source
	Number    uint32
	Text      string
	Vendor    uint16
}

// Source says where the value of an AVP that we send comes from.
type Source uint8

// The sources.
const (
	FromNumber16      Source = iota // Item.Number, two octets
	FromNumber32                    // Item.Number, four octets
	FromText                        // Item.Text
	FromHost                        // host name
	FromHostNUL                     // host name and a NUL, as Apple sends it
	FromVendor                      // Config.Vendor
	FromFirmware                    // Config.Firmware
	FromTunnel                      // our tunnel ID
	FromCall                        // our call ID
	FromSerial                      // call serial number
	FromWindow                      // our receive window
	FromSpeed                       // DialConfig.TxSpeed, or Item.Number
	FromResult                      // code, error and message
	FromResultBare                  // code and error
	FromResultCode                  // code alone
	FromResultSwapped               // code in little-endian order and six zeros
	FromCorrelation                 // sixteen octets
	FromChallenge                   // tunnel authentication; left out without a secret
	FromResponse                    // left out when nobody challenged us
	FromTie                         // left out unless asked for
	FromSequencing                  // empty; left out unless asked for
)

// What the AVPs of RFC 2661, section 4.4, say of us.
const (
	ProtocolVersion = 0x0100 // version 1, revision 0: L2TPv2 (section 4.4.3)
	FramingSync     = 1
	FramingBoth     = 3
)

// ownPersona is culvert, as LNS and as LAC.
var ownPersona = Persona{
	TunnelIDs: NumberRandom,
	CallIDs:   NumberRandom,
	Serials:   NumberCounting,
	Challenge: 16,
	StopCode:  StopClear,
	own:       true,
	SCCRQ: []Item{
		{Attribute: AttrProtocolVersion, Number: ProtocolVersion},
		{Attribute: AttrFramingCapabilities, From: FromNumber32, Number: FramingBoth},
		{Attribute: AttrBearerCapabilities, From: FromNumber32},
		{Attribute: AttrFirmwareRevision, Optional: true, From: FromFirmware},
		{Attribute: AttrHostName, From: FromHost},
		{Attribute: AttrVendorName, Optional: true, From: FromVendor},
		{Attribute: AttrAssignedTunnel, From: FromTunnel},
		{Attribute: AttrReceiveWindow, From: FromWindow},
		{Attribute: AttrTieBreaker, Optional: true, From: FromTie},
		{Attribute: AttrChallenge, From: FromChallenge},
	},
	sccrp: []Item{
		{Attribute: AttrProtocolVersion, Number: ProtocolVersion},
		{Attribute: AttrFramingCapabilities, From: FromNumber32, Number: FramingBoth},
		{Attribute: AttrBearerCapabilities, From: FromNumber32},
		{Attribute: AttrFirmwareRevision, Optional: true, From: FromFirmware},
		{Attribute: AttrHostName, From: FromHost},
		{Attribute: AttrVendorName, Optional: true, From: FromVendor},
		{Attribute: AttrAssignedTunnel, From: FromTunnel},
		{Attribute: AttrReceiveWindow, From: FromWindow},
		{Attribute: AttrChallenge, From: FromChallenge},
		{Attribute: AttrChallengeResponse, From: FromResponse},
	},
	SCCCN: []Item{{Attribute: AttrChallengeResponse, From: FromResponse}},
	ICRQ: []Item{
		{Attribute: AttrAssignedCall, From: FromCall},
		{Attribute: AttrCallSerial, From: FromSerial},
		{Attribute: AttrBearerType, From: FromNumber32},
	},
	icrp: []Item{{Attribute: AttrAssignedCall, From: FromCall}},
	ICCN: []Item{
		{Attribute: AttrTxSpeed, From: FromSpeed, Number: 1_000_000_000},
		{Attribute: AttrFramingType, From: FromNumber32, Number: FramingSync},
		{Attribute: AttrSequencingRequired, From: FromSequencing},
	},
	CDN: []Item{
		{Attribute: AttrResultCode, From: FromResult},
		{Attribute: AttrAssignedCall, From: FromCall},
	},
	StopCCN: []Item{
		{Attribute: AttrAssignedTunnel, From: FromTunnel},
		{Attribute: AttrResultCode, From: FromResult},
	},
}
