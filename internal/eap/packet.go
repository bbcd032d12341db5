package eap

import (
	"encoding/binary"
	"fmt"
)

// Code is the code of a packet.
type Code uint8

// Codes (RFC 3748, section 4).
const (
	CodeRequest  Code = 1
	CodeResponse Code = 2
	CodeSuccess  Code = 3
	CodeFailure  Code = 4
)

// Type is the type of a request or response: a method, or one of the first three.
type Type uint8

// Types (RFC 3748, section 5, and IANA).
const (
	TypeIdentity     Type = 1
	TypeNotification Type = 2
	TypeNak          Type = 3
	TypeMD5          Type = 4
	TypeGTC          Type = 6
	TypeTLS          Type = 13
	TypeTTLS         Type = 21
	TypePEAP         Type = 25
	TypeMSCHAPv2     Type = 26
	TypeExpanded     Type = 254
)

// String returns the usual name of the method.
func (t Type) String() string {
	names := map[Type]string{TypeIdentity: "identity", TypeNotification: "notification", TypeNak: "nak",
		TypeMD5: "md5", TypeGTC: "gtc", TypeTLS: "tls", TypeTTLS: "ttls", TypePEAP: "peap",
		TypeMSCHAPv2: "mschapv2", TypeExpanded: "expanded"}
	if s, ok := names[t]; ok {
		return s
	}
	return fmt.Sprintf("type %d", uint8(t))
}

const (
	headerLen = 4
	maxName   = 253 // of identities and user names
)

// Packet is an EAP packet (RFC 3748, section 4).
type Packet struct {
	Code       Code
	Identifier uint8
	Type       Type   // of requests and responses
	Data       []byte // after the type; borrowed
}

// ConsumePacket reads a packet. Bytes behind its length are padding of the link
// below (RFC 3748, section 4.1).
func ConsumePacket(b []byte) (Packet, error) {
	if len(b) < headerLen {
		return Packet{}, ErrMalformed
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	p := Packet{Code: Code(b[0]), Identifier: b[1]}
	if n < headerLen || n > len(b) {
		return Packet{}, ErrMalformed
	}
	switch p.Code {
	case CodeSuccess, CodeFailure:
		if n != headerLen {
			return Packet{}, ErrMalformed
		}
		return p, nil
	case CodeRequest, CodeResponse:
		if n == headerLen {
			return Packet{}, ErrMalformed
		}
		p.Type, p.Data = Type(b[headerLen]), b[headerLen+1:n:n]
		return p, nil
	}
	return Packet{}, ErrMalformed
}

// AppendPacket appends a packet. Success and failure have neither type nor data.
func AppendPacket(dst []byte, p Packet) []byte {
	n := headerLen
	if p.Code == CodeRequest || p.Code == CodeResponse {
		n += 1 + len(p.Data)
	}
	dst = append(dst, byte(p.Code), p.Identifier)
	dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	if n == headerLen {
		return dst
	}
	return append(append(dst, byte(p.Type)), p.Data...)
}
