package l2tp

import "encoding/binary"

// TunnelID names a tunnel. Its two ends each assign their own.
type TunnelID uint16

// CallID names a call (the RFC says session) in its tunnel. Its two ends each
// assign their own.
type CallID uint16

// RFC 2661 section 3.1:
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|T|L|x|x|S|x|O|P|x|x|x|x|  Ver  |          Length (opt)         |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|           Tunnel ID           |           Session ID          |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|             Ns (opt)          |             Nr (opt)          |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|      Offset Size (opt)        |    Offset pad... (opt)
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
const (
	flagControl  = 0x8000
	flagLength   = 0x4000
	flagSequence = 0x0800
	flagOffset   = 0x0200
	flagPriority = 0x0100
	maskVersion  = 0x000f
	version2     = 0x0002

	controlFlags      = flagControl | flagLength | flagSequence | version2
	controlMask       = flagControl | flagLength | flagSequence | flagOffset | flagPriority | maskVersion
	controlHeaderSize = 12
)

// IsControl says whether a UDP payload is a control message, for [Endpoint.Input],
// and not data, for [ParseData].
func IsControl(b []byte) bool { return len(b) > 0 && b[0]&0x80 != 0 }

// Header is the header of a control message.
type Header struct {
	Tunnel TunnelID // the receiver's; 0 before it is known
	Call   CallID   // the receiver's; 0 for a message about the tunnel
	Ns     uint16   // number of this message
	Nr     uint16   // number of the message expected next
}

// consumeHeader splits a control message into its header and its AVPs. Octets
// beyond the length field are no part of the message.
func consumeHeader(b []byte) (Header, []byte, error) {
	if len(b) < 2 {
		return Header{}, nil, ErrShort
	}
	flags := binary.BigEndian.Uint16(b)
	switch {
	case flags&flagControl == 0:
		return Header{}, nil, ErrNotControl
	case flags&maskVersion != version2:
		return Header{}, nil, ErrVersion
	// Section 3.1: L and S must be set in a control message, O and P must not. The
	// bits that are reserved are ignored.
	case flags&controlMask != controlFlags:
		return Header{}, nil, ErrHeader
	case len(b) < controlHeaderSize:
		return Header{}, nil, ErrShort
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	if length < controlHeaderSize || length > len(b) {
		return Header{}, nil, ErrLength
	}
	h := Header{
		Tunnel: TunnelID(binary.BigEndian.Uint16(b[4:])),
		Call:   CallID(binary.BigEndian.Uint16(b[6:])),
		Ns:     binary.BigEndian.Uint16(b[8:]),
		Nr:     binary.BigEndian.Uint16(b[10:]),
	}
	return h, b[controlHeaderSize:length:length], nil
}

// appendHeader appends the header; the length field waits for sealLength.
func appendHeader(b []byte, h Header) []byte {
	b = binary.BigEndian.AppendUint16(b, controlFlags)
	b = binary.BigEndian.AppendUint16(b, controlHeaderSize)
	b = binary.BigEndian.AppendUint16(b, uint16(h.Tunnel))
	b = binary.BigEndian.AppendUint16(b, uint16(h.Call))
	b = binary.BigEndian.AppendUint16(b, h.Ns)
	return binary.BigEndian.AppendUint16(b, h.Nr)
}

// sealLength writes the length of the finished message msg into its header.
func sealLength(msg []byte) { binary.BigEndian.PutUint16(msg[2:], uint16(len(msg))) }
