package wire

import "encoding/binary"

const fragmentLast = 1

// Fragment is a piece of a message that was too long for one datagram: Microsoft's
// and Cisco's scheme, from before IKEv2 had its own. The message it is taken from
// has the header of the whole one, with this payload alone behind it.
//
//	+-------------------------------+---------------+---------------+
//	|          Message id           |    Number     |     Flags     |
//	+-------------------------------+---------------+---------------+
type Fragment struct {
	ID     uint16 // the same in all pieces of a message
	Number uint8  // counts from 1
	Last   bool
	Data   []byte // borrowed
}

// PayloadType returns PayloadFragmentation.
func (Fragment) PayloadType() PayloadType { return PayloadFragmentation }

// AppendBody appends the body of the payload.
func (f Fragment) AppendBody(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, f.ID)
	flags := byte(0)
	if f.Last {
		flags = fragmentLast
	}
	return append(append(dst, f.Number, flags), f.Data...)
}

// ConsumeFragment reads the body of a fragment payload.
func ConsumeFragment(b []byte) (Fragment, error) {
	if len(b) < 5 {
		return Fragment{}, ErrShort
	}
	f := Fragment{ID: binary.BigEndian.Uint16(b), Number: b[2], Last: b[3]&fragmentLast != 0, Data: b[4:]}
	if f.Number == 0 {
		return Fragment{}, ErrValue
	}
	return f, nil
}
