package wire

import (
	"encoding/binary"
	"iter"
)

// Notify2 is a notify payload of IKEv2 (RFC 7296, section 3.10).
type Notify2 struct {
	Protocol ProtocolID // zero without SPI
	SPI      []byte     // borrowed
	Type     Notify2Type
	Data     []byte // borrowed
}

// PayloadType returns PayloadNotify2.
func (Notify2) PayloadType() PayloadType { return PayloadNotify2 }

// AppendBody appends the body of the payload.
func (n Notify2) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(n.Protocol), byte(len(n.SPI)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(n.Type))
	dst = append(dst, n.SPI...)
	return append(dst, n.Data...)
}

// ConsumeNotify2 reads the body of a notify payload.
func ConsumeNotify2(b []byte) (Notify2, error) {
	if len(b) < 4 {
		return Notify2{}, ErrShort
	}
	n := Notify2{Protocol: ProtocolID(b[0]), Type: Notify2Type(binary.BigEndian.Uint16(b[2:]))}
	size := int(b[1])
	if b = b[4:]; size > len(b) {
		return Notify2{}, ErrShort
	}
	n.SPI, n.Data = b[:size:size], b[size:]
	return n, nil
}

// Status returns the Windows error code of a Notify2MSStatus: four bytes, of
// which the network order gives the number.
func (n Notify2) Status() (uint32, bool) {
	if n.Type != Notify2MSStatus || len(n.Data) < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(n.Data), true
}

// Uint16s yields the numbers of which some notifies have a list:
// Notify2SignatureHashAlgorithms, and Notify2InvalidKEPayload with one.
func (n Notify2) Uint16s() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for b := n.Data; len(b) >= 2; b = b[2:] {
			if !yield(binary.BigEndian.Uint16(b)) {
				return
			}
		}
	}
}

// Uint16Notify returns a notify whose data is a list of numbers.
func Uint16Notify(t Notify2Type, list ...uint16) Notify2 {
	n := Notify2{Type: t}
	for _, v := range list {
		n.Data = binary.BigEndian.AppendUint16(n.Data, v)
	}
	return n
}

// Delete2 is a delete payload of IKEv2 (RFC 7296, section 3.11). For an IKE SA
// there is no SPI.
type Delete2 struct {
	Protocol ProtocolID
	SPISize  uint8
	SPIs     []byte // one after the other, each SPISize long; borrowed
}

// PayloadType returns PayloadDelete2.
func (Delete2) PayloadType() PayloadType { return PayloadDelete2 }

// AppendBody appends the body of the payload.
func (d Delete2) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(d.Protocol), d.SPISize)
	dst = binary.BigEndian.AppendUint16(dst, uint16(d.Count()))
	return append(dst, d.SPIs...)
}

// Count returns the number of SPIs.
func (d Delete2) Count() int { return Delete{SPISize: d.SPISize, SPIs: d.SPIs}.Count() }

// All yields the SPIs, borrowed.
func (d Delete2) All() iter.Seq[[]byte] { return Delete{SPISize: d.SPISize, SPIs: d.SPIs}.All() }

// ConsumeDelete2 reads the body of a delete payload.
func ConsumeDelete2(b []byte) (Delete2, error) {
	if len(b) < 4 {
		return Delete2{}, ErrShort
	}
	d := Delete2{Protocol: ProtocolID(b[0]), SPISize: b[1], SPIs: b[4:]}
	count := int(binary.BigEndian.Uint16(b[2:]))
	if d.SPISize == 0 && count != 0 {
		return Delete2{}, ErrValue
	}
	switch want := count * int(d.SPISize); {
	case len(d.SPIs) < want:
		return Delete2{}, ErrShort
	case len(d.SPIs) > want:
		return Delete2{}, ErrLength
	}
	return d, nil
}
