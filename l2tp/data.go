package l2tp

import "encoding/binary"

// DataHeader is the header of a data message (RFC 2661 section 3.1). The optional
// fields have a meaning only where their Has flag is set.
type DataHeader struct {
	Tunnel      TunnelID // the receiver's
	Call        CallID   // the receiver's
	Ns, Nr      uint16   // Nr means nothing in data messages (section 5.4)
	Offset      uint16   // octets of padding behind the header
	HasLength   bool
	HasSequence bool
	HasOffset   bool
	Priority    bool
}

// MaxDataHeader is the length of the longest header that has no offset padding.
const MaxDataHeader = 14

// ParseData reads the header of a data message. The payload is a part of b, cut to
// the length field where there is one. It allocates nothing.
func ParseData(b []byte) (h DataHeader, payload []byte, err error) {
	if len(b) < 6 {
		return h, nil, ErrShort
	}
	flags := binary.BigEndian.Uint16(b)
	if flags&(flagControl|maskVersion) != version2 {
		return h, nil, dataFlagError(flags)
	}
	h.HasLength = flags&flagLength != 0
	h.HasSequence = flags&flagSequence != 0
	h.HasOffset = flags&flagOffset != 0
	h.Priority = flags&flagPriority != 0
	size := h.size()
	if len(b) < size {
		return h, nil, ErrShort
	}
	p := 2
	if h.HasLength {
		length := int(binary.BigEndian.Uint16(b[2:]))
		if length < size || length > len(b) {
			return h, nil, ErrLength
		}
		b = b[:length]
		p = 4
	}
	h.Tunnel = TunnelID(binary.BigEndian.Uint16(b[p:]))
	h.Call = CallID(binary.BigEndian.Uint16(b[p+2:]))
	p += 4
	if h.HasSequence {
		h.Ns = binary.BigEndian.Uint16(b[p:])
		h.Nr = binary.BigEndian.Uint16(b[p+2:])
		p += 4
	}
	if h.HasOffset {
		h.Offset = binary.BigEndian.Uint16(b[p:])
		p += 2 + int(h.Offset)
		if p > len(b) {
			return h, nil, ErrShort
		}
	}
	return h, b[p:], nil
}

func dataFlagError(flags uint16) error {
	if flags&flagControl != 0 {
		return ErrNotData
	}
	return ErrVersion
}

// size returns the length of the header without its offset padding.
func (h *DataHeader) size() int {
	n := 6
	if h.HasLength {
		n += 2
	}
	if h.HasSequence {
		n += 4
	}
	if h.HasOffset {
		n += 2
	}
	return n
}

// DataHeaderLen returns how many octets [AppendDataHeader] appends.
func DataHeaderLen(h DataHeader) int {
	n := h.size()
	if h.HasOffset {
		n += int(h.Offset)
	}
	return n
}

// AppendDataHeader appends the header of a data message that carries payload octets.
// Given memory with room for [DataHeaderLen] octets it allocates nothing; the header
// and payload together must stay below 65,536 octets if the length is included.
func AppendDataHeader(b []byte, h DataHeader, payload int) []byte {
	flags := uint16(version2)
	if h.Priority {
		flags |= flagPriority
	}
	start := len(b)
	b = append(b, 0, 0)
	if h.HasLength {
		flags |= flagLength
		b = binary.BigEndian.AppendUint16(b, uint16(DataHeaderLen(h)+payload))
	}
	b = binary.BigEndian.AppendUint16(b, uint16(h.Tunnel))
	b = binary.BigEndian.AppendUint16(b, uint16(h.Call))
	if h.HasSequence {
		flags |= flagSequence
		b = binary.BigEndian.AppendUint16(b, h.Ns)
		b = binary.BigEndian.AppendUint16(b, h.Nr)
	}
	if h.HasOffset {
		flags |= flagOffset
		b = binary.BigEndian.AppendUint16(b, h.Offset)
		b = append(b, make([]byte, h.Offset)...)
	}
	binary.BigEndian.PutUint16(b[start:], flags)
	return b
}
