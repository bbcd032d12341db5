package l2tp

import "encoding/binary"

// fields is what a message says, read out of its AVPs once. Slices are parts of the
// message, or fresh memory where the AVP was hidden.
type fields struct {
	seen       uint64 // a bit for each attribute that is present and well-formed
	version    uint16
	tie        uint64
	firmware   uint16
	window     uint16
	host       []byte
	vendor     []byte
	tunnel     TunnelID
	call       CallID
	serial     uint32
	txSpeed    uint32
	rxSpeed    uint32
	challenge  []byte
	response   []byte
	resultCode []byte
}

// violation is a fault for which the RFC wants the call or the tunnel ended.
type violation struct {
	code ErrorCode
	text string
}

func (v *violation) result() Result {
	// StopError and ClearError are the same number.
	return Result{Code: StopError, Error: v.code, Message: v.text}
}

func (f *fields) has(t AttributeType) bool { return f.seen&(1<<t) != 0 }

// readFields reads the AVPs of m behind its message type. Unknown AVPs are skipped; the
// first one that is unknown or malformed and marked mandatory is the violation. All
// others are read nevertheless, so that the fault can be answered.
func readFields(m Message, secret []byte) (f fields, v *violation) {
	var vector []byte
	for _, a := range m.AVPs[1:] {
		value, fault := a.read(secret, vector)
		if fault != nil {
			if a.Mandatory && v == nil {
				v = fault
			}
			continue
		}
		if a.Type == AttrRandomVector {
			vector = value
		}
		if !f.has(a.Type) {
			f.seen |= 1 << a.Type
			f.set(a.Type, value)
		}
	}
	return f, v
}

// read returns the plain value of an AVP that we know. Vendors number their attributes
// themselves: those of Microsoft collide with the IETF's, so the vendor is looked at
// first. An AVP with reserved bits set is an unrecognized one (section 4.1).
func (a AVP) read(secret, vector []byte) ([]byte, *violation) {
	known, ok := a.Type.lookup()
	if a.Vendor != 0 || a.Reserved != 0 || !ok {
		return nil, &violation{ErrorUnknownAVP, a.describe()}
	}
	value := a.Value
	if a.Hidden {
		var err error
		if value, err = revealValue(a.Type, secret, vector, a.Value); err != nil {
			return nil, &violation{ErrorUnknownAVP, "hidden " + known.name}
		}
	}
	if len(value) < known.min || len(value) > known.max {
		return nil, &violation{ErrorLength, known.name}
	}
	return value, nil
}

// describe names an AVP for an error message (section 4.4.2, error code 8).
func (a AVP) describe() string {
	if a.Vendor != 0 {
		return "vendor " + decimal(uint64(a.Vendor)) + " attribute " + decimal(uint64(a.Type))
	}
	return a.Type.String()
}

func (f *fields) set(t AttributeType, v []byte) {
	switch t {
	case AttrProtocolVersion:
		f.version = binary.BigEndian.Uint16(v)
	case AttrTieBreaker:
		f.tie = binary.BigEndian.Uint64(v)
	case AttrFirmwareRevision:
		f.firmware = binary.BigEndian.Uint16(v)
	case AttrReceiveWindow:
		f.window = binary.BigEndian.Uint16(v)
	case AttrHostName:
		f.host = v
	case AttrVendorName:
		f.vendor = v
	case AttrAssignedTunnel:
		f.tunnel = TunnelID(binary.BigEndian.Uint16(v))
	case AttrAssignedCall:
		f.call = CallID(binary.BigEndian.Uint16(v))
	case AttrCallSerial:
		f.serial = binary.BigEndian.Uint32(v)
	case AttrTxSpeed:
		f.txSpeed = binary.BigEndian.Uint32(v)
	case AttrRxSpeed:
		f.rxSpeed = binary.BigEndian.Uint32(v)
	case AttrChallenge:
		f.challenge = v
	case AttrChallengeResponse:
		f.response = v
	case AttrResultCode:
		f.resultCode = v
	}
}

// defaultWindow is the receive window of a peer that names none (section 4.4.3).
const defaultWindow = 4

// receiveWindow returns the peer's window; it must not be 0, and 1 is the least that
// can work.
func (f *fields) receiveWindow() uint16 {
	if !f.has(AttrReceiveWindow) {
		return defaultWindow
	}
	return max(f.window, 1)
}
