package wire

import (
	"encoding/binary"
	"iter"
)

// Delete is a delete payload: the sender has removed these SAs of its own
// (RFC 2408, section 3.15).
type Delete struct {
	DOI      DOI
	Protocol ProtocolID
	SPISize  uint8
	SPIs     []byte // one after the other, each SPISize long; borrowed
}

// PayloadType returns PayloadDelete.
func (Delete) PayloadType() PayloadType { return PayloadDelete }

// AppendBody appends the body of the payload.
func (d Delete) AppendBody(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(d.DOI))
	dst = append(dst, byte(d.Protocol), d.SPISize)
	dst = binary.BigEndian.AppendUint16(dst, uint16(d.Count()))
	return append(dst, d.SPIs...)
}

// Count returns the number of SPIs.
func (d Delete) Count() int {
	if d.SPISize == 0 {
		return 0
	}
	return len(d.SPIs) / int(d.SPISize)
}

// All yields the SPIs, borrowed.
func (d Delete) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		size := int(d.SPISize)
		for i := range d.Count() {
			if !yield(d.SPIs[i*size : (i+1)*size]) {
				return
			}
		}
	}
}

// ConsumeDelete reads the body of a delete payload.
func ConsumeDelete(b []byte) (Delete, error) {
	if len(b) < 8 {
		return Delete{}, ErrShort
	}
	d := Delete{DOI: DOI(binary.BigEndian.Uint32(b)), Protocol: ProtocolID(b[4]), SPISize: b[5], SPIs: b[8:]}
	count := int(binary.BigEndian.Uint16(b[6:]))
	if d.SPISize == 0 && count != 0 {
		return Delete{}, ErrValue
	}
	switch want := count * int(d.SPISize); {
	case len(d.SPIs) < want:
		return Delete{}, ErrShort
	case len(d.SPIs) > want:
		return Delete{}, ErrLength
	}
	return d, nil
}
