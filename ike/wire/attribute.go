package wire

import (
	"encoding/binary"
	"iter"
)

// attributeTV marks an attribute whose value stands in the length field
// (RFC 2408, section 3.3).
const attributeTV = 0x8000

// Attribute is one data attribute.
//
//	+-+-----------------------------+-------------------------------+
//	|F|       Attribute Type        |  F=0 Length, F=1 Value        |
//	+-+-----------------------------+-------------------------------+
//	|                F=0 Value, F=1 nothing                         |
type Attribute struct {
	Type  AttributeType
	Short bool   // F=1: the value has 16 bits and stands in the header
	Value []byte // big endian, two bytes if Short; borrowed
}

// Uint returns the value as a number. Values of more than eight significant
// bytes give the largest number.
func (a Attribute) Uint() uint64 {
	var v uint64
	for _, x := range a.Value {
		if v > 1<<56-1 {
			return 1<<64 - 1
		}
		v = v<<8 | uint64(x)
	}
	return v
}

// Attributes is a list of attributes exactly as it stands on the wire.
type Attributes []byte

// ConsumeAttribute reads the attribute at the front of b.
func ConsumeAttribute(b []byte) (Attribute, []byte, error) {
	if len(b) < 4 {
		return Attribute{}, nil, ErrShort
	}
	t := binary.BigEndian.Uint16(b)
	a := Attribute{Type: AttributeType(t &^ attributeTV), Short: t&attributeTV != 0}
	if a.Short {
		a.Value = b[2:4:4]
		return a, b[4:], nil
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n > len(b)-4 {
		return Attribute{}, nil, ErrShort
	}
	a.Value = b[4 : 4+n : 4+n]
	return a, b[4+n:], nil
}

// All yields the attributes in the order in which they stand. It ends at the
// first one that is cut short; in a list that was read by ConsumeSA that is padding.
func (l Attributes) All() iter.Seq[Attribute] {
	return func(yield func(Attribute) bool) {
		for b := []byte(l); len(b) > 0; {
			a, rest, err := ConsumeAttribute(b)
			if err != nil || !yield(a) {
				return
			}
			b = rest
		}
	}
}

// maxAttributePadding is how many zero octets may follow the last attribute of IKEv1: some
// align every payload to four octets, not only the message.
const maxAttributePadding = 3

// paddingOnly reports whether nothing but padding is left of a list of IKEv1.
func paddingOnly(b []byte) bool { return len(b) <= maxAttributePadding && allZero(b) }

// check1 is check for IKEv1, where padding may follow. The list keeps it, and All ends
// before it.
func (l Attributes) check1() error {
	b := []byte(l)
	for !paddingOnly(b) {
		_, rest, err := ConsumeAttribute(b)
		if err != nil {
			return err
		}
		b = rest
	}
	return nil
}

func (l Attributes) check() error {
	for b := []byte(l); len(b) > 0; {
		_, rest, err := ConsumeAttribute(b)
		if err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// AppendTV appends an attribute in the short form.
func (l Attributes) AppendTV(t AttributeType, v uint16) Attributes {
	b := binary.BigEndian.AppendUint16([]byte(l), uint16(t)|attributeTV)
	return binary.BigEndian.AppendUint16(b, v)
}

// AppendTLV appends an attribute in the long form with four bytes of value.
func (l Attributes) AppendTLV(t AttributeType, v uint32) Attributes {
	b := binary.BigEndian.AppendUint16([]byte(l), uint16(t)&^attributeTV)
	b = binary.BigEndian.AppendUint16(b, 4)
	return binary.BigEndian.AppendUint32(b, v)
}
