package suite

import "github.com/culvert-vpn/culvert/ike/wire"

// Field is a part of a transform in a Layout.
type Field uint8

// The fields of a transform. A field whose value is zero is left out. A lifetime
// is two attributes, type and duration.
const (
	FieldEncryption    Field = iota // phase 1 only: ESP has it as transform id
	FieldKeyLength                  //
	FieldHash                       // phase 1 only
	FieldIntegrity                  // ESP only
	FieldGroup                      //
	FieldAuth                       // phase 1 only
	FieldSeconds                    //
	FieldKilobytes                  //
	FieldEncapsulation              // ESP only
	FieldESN                        // ESP only
)

// Layout is how a client writes its offers.
type Layout struct {
	Order    []Field
	LongLife bool // durations have four bytes even where two would do
	Split    bool // a proposal for each transform, instead of one for all
}

// The numbers of life types, the same in both phases.
const (
	lifeSeconds   = 1
	lifeKilobytes = 2
)

// OfferIKE returns a phase 1 offer of the transforms in their order. More than
// 255 cannot be numbered and are left out.
func OfferIKE(transforms []IKE, l Layout) wire.SA {
	var list []wire.Transform
	for _, t := range transforms {
		list = append(list, wire.Transform{ID: wire.TransformKeyIKE, Attributes: l.encodeIKE(t)})
	}
	return l.offer(wire.ProtocolISAKMP, nil, list)
}

// OfferESP returns a quick mode offer of the transforms in their order; spi is
// that of our inbound SA. More than 255 are left out.
func OfferESP(transforms []ESP, spi [4]byte, l Layout) wire.SA {
	var list []wire.Transform
	for _, t := range transforms {
		list = append(list, wire.Transform{ID: uint8(t.Encryption), Attributes: l.encodeESP(t)})
	}
	return l.offer(wire.ProtocolESP, spi[:], list)
}

// offer arranges transforms into proposals and numbers both from one.
func (l Layout) offer(protocol wire.ProtocolID, spi []byte, list []wire.Transform) wire.SA {
	sa := wire.SA{DOI: wire.DOIIPsec, Situation: wire.SituationIdentityOnly}
	list = list[:min(len(list), 255)]
	for i := range list {
		list[i].Number = uint8(i + 1)
	}
	if !l.Split {
		sa.Proposals = []wire.Proposal{{Number: 1, Protocol: protocol, SPI: spi, Transforms: list}}
		return sa
	}
	for i := range list {
		number := list[i].Number
		list[i].Number = 1
		sa.Proposals = append(sa.Proposals,
			wire.Proposal{Number: number, Protocol: protocol, SPI: spi, Transforms: list[i : i+1]})
	}
	return sa
}

func (l Layout) encodeIKE(t IKE) wire.Attributes {
	var a wire.Attributes
	for _, f := range l.Order {
		switch f {
		case FieldEncryption:
			a = appendValue(a, wire.AttributeEncryption, phase1Number(t.Encryption))
		case FieldKeyLength:
			a = appendValue(a, wire.AttributeKeyLength, t.KeyBits)
		case FieldHash:
			a = appendValue(a, wire.AttributeHash, uint16(t.Hash))
		case FieldGroup:
			a = appendValue(a, wire.AttributeGroup, uint16(t.Group))
		case FieldAuth:
			a = appendValue(a, wire.AttributeAuth, uint16(t.Auth))
		case FieldSeconds:
			a = l.appendLife(a, wire.AttributeLifeType, wire.AttributeLifeDuration, lifeSeconds, t.Life.Seconds)
		case FieldKilobytes:
			a = l.appendLife(a, wire.AttributeLifeType, wire.AttributeLifeDuration, lifeKilobytes, t.Life.Kilobytes)
		}
	}
	return a
}

func (l Layout) encodeESP(t ESP) wire.Attributes {
	var a wire.Attributes
	for _, f := range l.Order {
		switch f {
		case FieldKeyLength:
			a = appendValue(a, wire.AttributeESPKeyLength, t.KeyBits)
		case FieldIntegrity:
			a = appendValue(a, wire.AttributeAuthentication, uint16(t.Integrity))
		case FieldGroup:
			a = appendValue(a, wire.AttributeGroupDescription, uint16(t.Group))
		case FieldEncapsulation:
			a = appendValue(a, wire.AttributeEncapsulation, uint16(t.Encapsulation))
		case FieldESN:
			if t.ESN {
				a = appendValue(a, wire.AttributeExtendedSequence, 1)
			}
		case FieldSeconds:
			a = l.appendLife(a, wire.AttributeSALifeType, wire.AttributeSALifeDuration, lifeSeconds, t.Life.Seconds)
		case FieldKilobytes:
			a = l.appendLife(a, wire.AttributeSALifeType, wire.AttributeSALifeDuration, lifeKilobytes, t.Life.Kilobytes)
		}
	}
	return a
}

func appendValue(a wire.Attributes, t wire.AttributeType, v uint16) wire.Attributes {
	if v == 0 {
		return a
	}
	return a.AppendTV(t, v)
}

// appendLife appends the pair of attributes of a lifetime.
func (l Layout) appendLife(a wire.Attributes, t, d wire.AttributeType, unit uint16, v uint32) wire.Attributes {
	if v == 0 {
		return a
	}
	a = a.AppendTV(t, unit)
	if l.LongLife || v > 0xffff {
		return a.AppendTLV(d, v)
	}
	return a.AppendTV(d, uint16(v))
}
