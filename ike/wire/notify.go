package wire

import "encoding/binary"

// Notify is a notification payload (RFC 2408, section 3.14).
type Notify struct {
	DOI      DOI
	Protocol ProtocolID
	SPI      []byte // borrowed
	Type     NotifyType
	Data     []byte // borrowed
}

// PayloadType returns PayloadNotify.
func (Notify) PayloadType() PayloadType { return PayloadNotify }

// AppendBody appends the body of the payload.
func (n Notify) AppendBody(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(n.DOI))
	dst = append(dst, byte(n.Protocol), byte(len(n.SPI)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(n.Type))
	dst = append(dst, n.SPI...)
	return append(dst, n.Data...)
}

// ConsumeNotify reads the body of a notification payload.
func ConsumeNotify(b []byte) (Notify, error) {
	if len(b) < 8 {
		return Notify{}, ErrShort
	}
	n := Notify{
		DOI:      DOI(binary.BigEndian.Uint32(b)),
		Protocol: ProtocolID(b[4]),
		Type:     NotifyType(binary.BigEndian.Uint16(b[6:])),
	}
	size := int(b[5])
	if b = b[8:]; size > len(b) {
		return Notify{}, ErrShort
	}
	n.SPI, n.Data = b[:size:size], b[size:]
	return n, nil
}

// CookieSPI is the SPI of an IKE SA in a notify or delete: both cookies.
func CookieSPI(initiator, responder Cookie) []byte {
	return append(initiator[:], responder[:]...)
}

// Sequence returns the number a dead peer detection message carries (RFC 3706,
// section 5.3).
func (n Notify) Sequence() (uint32, bool) {
	if len(n.Data) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(n.Data), true
}
