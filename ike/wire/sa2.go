package wire

import (
	"encoding/binary"
	"slices"
)

// SA2 is a security association payload of IKEv2: an offer of proposals, or the
// answer with the one chosen (RFC 7296, section 3.3).
type SA2 struct{ Proposals []Proposal2 }

// Proposal2 is one way to protect traffic, with one transform of each type to be
// chosen (RFC 7296, section 3.3.1). Numbers are kept as found and not checked:
// macOS 14 does not begin at one when it renews an IKE SA.
type Proposal2 struct {
	Number     uint8
	Protocol   ProtocolID
	SPI        []byte // the sender's: 4 bytes for ESP, 8 for an IKE SA being renewed, else none; borrowed
	Transforms []Transform2
}

// Transform2 is one algorithm (RFC 7296, section 3.3.2).
type Transform2 struct {
	Type       TransformType
	ID         uint16
	Attributes Attributes // exactly as found, borrowed
}

// Clone returns a copy that shares no memory with t.
func (t Transform2) Clone() Transform2 {
	t.Attributes = slices.Clone(t.Attributes)
	return t
}

// KeyBits returns the key length attribute, zero without one, and whether there
// is no other attribute: a transform with one that is not understood cannot be
// chosen (RFC 7296, section 3.3.6).
func (t Transform2) KeyBits() (bits uint16, ok bool) {
	for a := range t.Attributes.All() {
		if a.Type != Attribute2KeyLength || !a.Short {
			return bits, false
		}
		bits = uint16(a.Uint())
	}
	return bits, true
}

// PayloadType returns PayloadSA2.
func (SA2) PayloadType() PayloadType { return PayloadSA2 }

// AppendBody appends the body of the payload.
func (sa SA2) AppendBody(dst []byte) []byte {
	for i, p := range sa.Proposals {
		dst = appendProposal2(dst, p, i == len(sa.Proposals)-1)
	}
	return dst
}

// ConsumeSA2 reads the body of an SA payload.
func ConsumeSA2(b []byte) (SA2, error) {
	var sa SA2
	transforms := 0
	for more := true; more; {
		if len(sa.Proposals) == MaxProposals {
			return SA2{}, ErrCount
		}
		body, rest, next, err := consumeSub2(b, PayloadProposal)
		if err != nil {
			return SA2{}, err
		}
		p, err := consumeProposal2(body)
		if err != nil {
			return SA2{}, err
		}
		if transforms += len(p.Transforms); transforms > MaxTransforms {
			return SA2{}, ErrCount
		}
		sa.Proposals, b, more = append(sa.Proposals, p), rest, next
	}
	if len(b) != 0 {
		return SA2{}, ErrLength
	}
	return sa, nil
}

// consumeSub2 reads the header of a substructure: 2 or 3 in its first byte says
// that another proposal or transform follows, zero that none does. Reserved
// bytes are ignored (RFC 7296, section 2.5).
func consumeSub2(b []byte, t PayloadType) (body, rest []byte, more bool, err error) {
	p, next, rest, err := ConsumePayload(V2, t, b)
	if err != nil {
		return nil, nil, false, err
	}
	if next != t && next != PayloadNone {
		return nil, nil, false, ErrNext
	}
	return p.Body, rest, next == t, nil
}

func consumeProposal2(b []byte) (Proposal2, error) {
	if len(b) < proposalLen-genericLen {
		return Proposal2{}, ErrShort
	}
	p := Proposal2{Number: b[0], Protocol: ProtocolID(b[1])}
	size, count := int(b[2]), int(b[3])
	if b = b[4:]; size > len(b) {
		return Proposal2{}, ErrShort
	}
	if count == 0 {
		return Proposal2{}, ErrCount
	}
	p.SPI, b = b[:size:size], b[size:]
	p.Transforms = make([]Transform2, 0, min(count, len(b)/transformLen))
	for range count {
		body, rest, more, err := consumeSub2(b, PayloadTransform)
		if err != nil {
			return Proposal2{}, err
		}
		t, err := consumeTransform2(body)
		if err != nil {
			return Proposal2{}, err
		}
		p.Transforms = append(p.Transforms, t)
		if more != (len(p.Transforms) < count) {
			return Proposal2{}, ErrCount
		}
		b = rest
	}
	if len(b) != 0 {
		return Proposal2{}, ErrLength
	}
	return p, nil
}

func consumeTransform2(b []byte) (Transform2, error) {
	if len(b) < transformLen-genericLen {
		return Transform2{}, ErrShort
	}
	t := Transform2{Type: TransformType(b[0]), ID: binary.BigEndian.Uint16(b[2:]), Attributes: Attributes(b[4:])}
	return t, t.Attributes.check()
}

func appendProposal2(dst []byte, p Proposal2, last bool) []byte {
	at := len(dst)
	dst = append(dst, subNext(PayloadProposal, last), 0, 0, 0,
		p.Number, byte(p.Protocol), byte(len(p.SPI)), byte(len(p.Transforms)))
	dst = append(dst, p.SPI...)
	for i, t := range p.Transforms {
		dst = append(dst, subNext(PayloadTransform, i == len(p.Transforms)-1), 0)
		dst = binary.BigEndian.AppendUint16(dst, uint16(transformLen+len(t.Attributes)))
		dst = append(dst, byte(t.Type), 0)
		dst = binary.BigEndian.AppendUint16(dst, t.ID)
		dst = append(dst, t.Attributes...)
	}
	binary.BigEndian.PutUint16(dst[at+2:], uint16(len(dst)-at))
	return dst
}
