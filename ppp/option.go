package ppp

import (
	"encoding/binary"
	"fmt"
)

// code is the code of a packet (RFC 1661 section 5 and those that extend it).
type code uint8

const (
	configureRequest code = 1
	configureAck     code = 2
	configureNak     code = 3
	configureReject  code = 4
	terminateRequest code = 5
	terminateAck     code = 6
	codeReject       code = 7
	protocolReject   code = 8
	echoRequest      code = 9
	echoReply        code = 10
	discardRequest   code = 11
	identification   code = 12 // RFC 1570 section 2.1
	timeRemaining    code = 13 // RFC 1570 section 2.2
)

// packet is what frames of control protocols carry.
//
//	| code 1 | identifier 1 | length 2 | data ...
type packet struct {
	code code
	id   uint8
	data []byte // within the frame that came
}

const packetHeaderLen = 4

// parsePacket reads a packet. What follows its length is padding (RFC 1661 section 5).
func parsePacket(b []byte) (packet, error) {
	if len(b) < packetHeaderLen {
		return packet{}, fmt.Errorf("%w: %d octets", ErrPacket, len(b))
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < packetHeaderLen || n > len(b) {
		return packet{}, fmt.Errorf("%w: length %d in %d octets", ErrPacket, n, len(b))
	}
	return packet{code(b[0]), b[1], b[packetHeaderLen:n:n]}, nil
}

// startFrame begins a frame with one packet in it; finishFrame completes it. Control
// frames always have address and control octets: every peer understands them.
func startFrame(proto Protocol, c code, id uint8) []byte {
	b := AppendHeader(make([]byte, 0, 64), proto, false, false)
	return append(b, byte(c), id, 0, 0)
}

// finishFrame writes the length of the packet.
func finishFrame(b []byte) []byte {
	binary.BigEndian.PutUint16(b[maxHeaderLen+2:], uint16(len(b)-maxHeaderLen))
	return b
}

// option is a configuration option (RFC 1661 section 6).
//
//	| kind 1 | length 1 | data ...
type option struct {
	kind uint8
	data []byte
}

const optionHeaderLen = 2

// consumeOption takes the first option off b.
func consumeOption(b []byte) (o option, rest []byte, err error) {
	if len(b) < optionHeaderLen {
		return option{}, nil, fmt.Errorf("%w: %d octets", ErrOption, len(b))
	}
	n := int(b[1])
	if n < optionHeaderLen || n > len(b) {
		return option{}, nil, fmt.Errorf("%w: option %d says length %d in %d octets", ErrOption, b[0], n, len(b))
	}
	return option{b[0], b[optionHeaderLen:n:n]}, b[n:], nil
}

// checkOptions tells whether b is nothing but well-formed options.
func checkOptions(b []byte) error {
	for len(b) > 0 {
		_, rest, err := consumeOption(b)
		if err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// appendOption appends an option. Its data has at most 253 octets.
func appendOption(b []byte, kind uint8, data ...byte) []byte {
	b = append(b, kind, byte(optionHeaderLen+len(data)))
	return append(b, data...)
}
