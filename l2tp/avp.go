package l2tp

import "encoding/binary"

// AttributeType is the type of an AVP whose vendor is 0, the IETF (RFC 2661
// section 4.4).
type AttributeType uint16

// The attributes of RFC 2661.
const (
	AttrMessageType         AttributeType = 0
	AttrResultCode          AttributeType = 1
	AttrProtocolVersion     AttributeType = 2
	AttrFramingCapabilities AttributeType = 3
	AttrBearerCapabilities  AttributeType = 4
	AttrTieBreaker          AttributeType = 5
	AttrFirmwareRevision    AttributeType = 6
	AttrHostName            AttributeType = 7
	AttrVendorName          AttributeType = 8
	AttrAssignedTunnel      AttributeType = 9
	AttrReceiveWindow       AttributeType = 10
	AttrChallenge           AttributeType = 11
	AttrCauseCode           AttributeType = 12
	AttrChallengeResponse   AttributeType = 13
	AttrAssignedCall        AttributeType = 14
	AttrCallSerial          AttributeType = 15
	AttrMinimumBPS          AttributeType = 16
	AttrMaximumBPS          AttributeType = 17
	AttrBearerType          AttributeType = 18
	AttrFramingType         AttributeType = 19
	AttrCalledNumber        AttributeType = 21
	AttrCallingNumber       AttributeType = 22
	AttrSubAddress          AttributeType = 23
	AttrTxSpeed             AttributeType = 24
	AttrPhysicalChannel     AttributeType = 25
	AttrInitialLCP          AttributeType = 26
	AttrLastSentLCP         AttributeType = 27
	AttrLastReceivedLCP     AttributeType = 28
	AttrProxyAuthenType     AttributeType = 29
	AttrProxyAuthenName     AttributeType = 30
	AttrProxyAuthenChal     AttributeType = 31
	AttrProxyAuthenID       AttributeType = 32
	AttrProxyAuthenResponse AttributeType = 33
	AttrCallErrors          AttributeType = 34
	AttrACCM                AttributeType = 35
	AttrRandomVector        AttributeType = 36
	AttrPrivateGroup        AttributeType = 37
	AttrRxSpeed             AttributeType = 38
	AttrSequencingRequired  AttributeType = 39
)

// attribute is what section 4.4 says about one attribute: the length of its value
// and whether it may be hidden.
type attribute struct {
	name     string
	min, max int
	hideable bool
}

const maxValue = 0x3ff - avpHeaderSize

// attributeTable is indexed by AttributeType; no name: no such attribute.
var attributeTable = [...]attribute{
	AttrMessageType:         {"Message Type", 2, 2, false},
	AttrResultCode:          {"Result Code", 0, maxValue, false}, // lenient: clients send 2 octets and more
	AttrProtocolVersion:     {"Protocol Version", 2, 2, false},
	AttrFramingCapabilities: {"Framing Capabilities", 4, 4, true},
	AttrBearerCapabilities:  {"Bearer Capabilities", 4, 4, true},
	AttrTieBreaker:          {"Tie Breaker", 8, 8, false},
	AttrFirmwareRevision:    {"Firmware Revision", 2, 2, true},
	AttrHostName:            {"Host Name", 0, maxValue, false}, // lenient: the RFC asks for at least one octet
	AttrVendorName:          {"Vendor Name", 0, maxValue, true},
	AttrAssignedTunnel:      {"Assigned Tunnel ID", 2, 2, true},
	AttrReceiveWindow:       {"Receive Window Size", 2, 2, false},
	AttrChallenge:           {"Challenge", 1, maxValue, true},
	AttrCauseCode:           {"Q.931 Cause Code", 3, maxValue, false},
	AttrChallengeResponse:   {"Challenge Response", 16, 16, true},
	AttrAssignedCall:        {"Assigned Session ID", 2, 2, true},
	AttrCallSerial:          {"Call Serial Number", 4, 4, true},
	AttrMinimumBPS:          {"Minimum BPS", 4, 4, true},
	AttrMaximumBPS:          {"Maximum BPS", 4, 4, true},
	AttrBearerType:          {"Bearer Type", 4, 4, true},
	AttrFramingType:         {"Framing Type", 4, 4, true},
	AttrCalledNumber:        {"Called Number", 0, maxValue, true},
	AttrCallingNumber:       {"Calling Number", 0, maxValue, true},
	AttrSubAddress:          {"Sub-Address", 0, maxValue, true},
	AttrTxSpeed:             {"Tx Connect Speed", 4, 4, true},
	AttrPhysicalChannel:     {"Physical Channel ID", 4, 4, true},
	AttrInitialLCP:          {"Initial Received LCP CONFREQ", 0, maxValue, true},
	AttrLastSentLCP:         {"Last Sent LCP CONFREQ", 0, maxValue, true},
	AttrLastReceivedLCP:     {"Last Received LCP CONFREQ", 0, maxValue, true},
	AttrProxyAuthenType:     {"Proxy Authen Type", 2, 2, true},
	AttrProxyAuthenName:     {"Proxy Authen Name", 0, maxValue, true},
	AttrProxyAuthenChal:     {"Proxy Authen Challenge", 0, maxValue, true},
	AttrProxyAuthenID:       {"Proxy Authen ID", 2, 2, true},
	AttrProxyAuthenResponse: {"Proxy Authen Response", 0, maxValue, true},
	AttrCallErrors:          {"Call Errors", 26, 26, true},
	AttrACCM:                {"ACCM", 10, 10, true},
	AttrRandomVector:        {"Random Vector", 0, maxValue, false},
	AttrPrivateGroup:        {"Private Group ID", 0, maxValue, true},
	AttrRxSpeed:             {"Rx Connect Speed", 4, 4, true},
	AttrSequencingRequired:  {"Sequencing Required", 0, 0, false},
}

// lookup returns what is known about the attribute.
func (t AttributeType) lookup() (attribute, bool) {
	if int(t) >= len(attributeTable) || attributeTable[t].name == "" {
		return attribute{}, false
	}
	return attributeTable[t], true
}

// String returns the name that RFC 2661 gives the attribute.
func (t AttributeType) String() string {
	if a, ok := t.lookup(); ok {
		return a.name
	}
	return "attribute " + decimal(uint64(t))
}

// AVP is one attribute value pair (RFC 2661 section 4.1):
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|M|H| rsvd  |      Length       |           Vendor ID           |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|         Attribute Type        |        Attribute Value...
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
type AVP struct {
	Mandatory bool
	Hidden    bool
	Reserved  uint8  // the four reserved bits
	Vendor    uint16 // IANA enterprise number, 0 for the IETF
	Type      AttributeType
	Value     []byte // as it is on the wire, hidden or not; a part of the message
}

const (
	avpHeaderSize   = 6
	avpMandatory    = 0x8000
	avpHidden       = 0x4000
	avpReservedMask = 0x3c00
	avpLengthMask   = 0x03ff
)

// consumeAVP splits the first AVP off b.
func consumeAVP(b []byte) (a AVP, rest []byte, err error) {
	if len(b) < avpHeaderSize {
		return a, nil, ErrAVP
	}
	flags := binary.BigEndian.Uint16(b)
	length := int(flags & avpLengthMask)
	if length < avpHeaderSize || length > len(b) {
		return a, nil, ErrAVP
	}
	a = AVP{
		Mandatory: flags&avpMandatory != 0,
		Hidden:    flags&avpHidden != 0,
		Reserved:  uint8(flags & avpReservedMask >> 10),
		Vendor:    binary.BigEndian.Uint16(b[2:]),
		Type:      AttributeType(binary.BigEndian.Uint16(b[4:])),
		Value:     b[avpHeaderSize:length:length],
	}
	return a, b[length:], nil
}

// appendAVP appends a. Its value must not be longer than 1,017 octets.
func appendAVP(b []byte, a AVP) []byte {
	flags := uint16(avpHeaderSize+len(a.Value)) | uint16(a.Reserved)<<10&avpReservedMask
	if a.Mandatory {
		flags |= avpMandatory
	}
	if a.Hidden {
		flags |= avpHidden
	}
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint16(b, a.Vendor)
	b = binary.BigEndian.AppendUint16(b, uint16(a.Type))
	return append(b, a.Value...)
}
