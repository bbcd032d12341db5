package wire

import "encoding/binary"

// HeaderLen is the length of the ISAKMP header in bytes.
const HeaderLen = 28

// Cookie is one side's half of the name of an IKE SA; IKEv2 calls it the IKE
// SA's SPI. The zero Cookie is the responder's in the first message.
type Cookie [8]byte

// IsZero reports whether c is the cookie of a side that has not answered yet.
func (c Cookie) IsZero() bool { return c == Cookie{} }

// MessageID tells the exchanges under one IKE SA apart; zero in phase 1.
type MessageID uint32

// Version is the version octet: the major number in the upper four bits.
type Version uint8

// The versions this package knows.
const (
	V1 Version = 0x10
	V2 Version = 0x20
)

// Major returns the major version number.
func (v Version) Major() uint8 { return uint8(v >> 4) }

// Flags is the flags octet of the header.
type Flags uint8

// Flags of IKEv1 (RFC 2408, section 3.1).
const (
	FlagEncryption     Flags = 1 << 0
	FlagCommit         Flags = 1 << 1
	FlagAuthentication Flags = 1 << 2
)

// Header is the fixed part in front of every message (RFC 2408, section 3.1).
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+---------------------------------------------------------------+
//	|                       Initiator Cookie (8)                    |
//	|                       Responder Cookie (8)                    |
//	+---------------+-------+-------+---------------+---------------+
//	|  Next Payload | MjVer | MnVer | Exchange Type |     Flags     |
//	+---------------+-------+-------+---------------+---------------+
//	|                          Message ID                           |
//	|                            Length                             |
//	+---------------------------------------------------------------+
type Header struct {
	Initiator, Responder Cookie
	Next                 PayloadType
	Version              Version
	Exchange             ExchangeType
	Flags                Flags
	MessageID            MessageID
	Length               uint32 // of the whole message in bytes, header included
}

// ConsumeHeader reads the header of the message b and returns the bytes after
// it, up to the length the header states. A message may be followed by zero
// bytes, which some clients add, but not by anything else.
func ConsumeHeader(b []byte) (Header, []byte, error) {
	if len(b) < HeaderLen {
		return Header{}, nil, ErrShort
	}
	h := Header{
		Initiator: Cookie(b[0:8]),
		Responder: Cookie(b[8:16]),
		Next:      PayloadType(b[16]),
		Version:   Version(b[17]),
		Exchange:  ExchangeType(b[18]),
		Flags:     Flags(b[19]),
		MessageID: MessageID(binary.BigEndian.Uint32(b[20:])),
		Length:    binary.BigEndian.Uint32(b[24:]),
	}
	if h.Length < HeaderLen {
		return Header{}, nil, ErrLength
	}
	if uint64(h.Length) > uint64(len(b)) {
		return Header{}, nil, ErrShort
	}
	if !allZero(b[h.Length:]) {
		return Header{}, nil, ErrLength
	}
	return h, b[HeaderLen:h.Length:h.Length], nil
}

// AppendHeader appends h as it stands, its Length included.
func AppendHeader(dst []byte, h Header) []byte {
	dst = append(dst, h.Initiator[:]...)
	dst = append(dst, h.Responder[:]...)
	dst = append(dst, byte(h.Next), byte(h.Version), byte(h.Exchange), byte(h.Flags))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.MessageID))
	return binary.BigEndian.AppendUint32(dst, h.Length)
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
