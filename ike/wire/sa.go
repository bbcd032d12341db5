package wire

import (
	"encoding/binary"
	"slices"
)

const (
	// MaxProposals is the largest number of proposals an SA payload may have.
	MaxProposals = 64
	// MaxTransforms is the largest number of transforms in all its proposals: no client
	// offers 100.
	MaxTransforms = 128

	proposalLen  = 8
	transformLen = 8
)

// SA is a security association payload: an offer of proposals, or the answer
// with the one chosen (RFC 2408, section 3.4; RFC 2407, section 4.6.1).
type SA struct {
	DOI       DOI
	Situation uint32
	Proposals []Proposal
}

// Proposal is one way to protect traffic; proposals of the same number belong
// together (RFC 2408, section 3.5).
type Proposal struct {
	Number     uint8
	Protocol   ProtocolID
	SPI        []byte // the sender's inbound SPI, borrowed
	Transforms []Transform
}

// Transform is one choice of algorithms under a proposal (RFC 2408, section 3.6).
type Transform struct {
	Number     uint8
	ID         uint8
	Attributes Attributes // exactly as found, borrowed
}

// Clone returns a copy that shares no memory with t.
func (t Transform) Clone() Transform {
	t.Attributes = slices.Clone(t.Attributes)
	return t
}

// PayloadType returns PayloadSA.
func (SA) PayloadType() PayloadType { return PayloadSA }

// ConsumeSA reads the body of an SA payload.
func ConsumeSA(b []byte) (SA, error) {
	if len(b) < 8 {
		return SA{}, ErrShort
	}
	sa := SA{DOI: DOI(binary.BigEndian.Uint32(b)), Situation: binary.BigEndian.Uint32(b[4:])}
	if sa.DOI != DOIIPsec && sa.DOI != DOIISAKMP {
		return SA{}, ErrDOI
	}
	// Situations with secrecy or integrity labels have more fields and no users.
	if sa.DOI == DOIIPsec && sa.Situation != SituationIdentityOnly {
		return SA{}, ErrValue
	}
	var err error
	sa.Proposals, err = consumeProposals(b[8:])
	return sa, err
}

// AppendBody appends the body of the payload.
func (sa SA) AppendBody(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(sa.DOI))
	dst = binary.BigEndian.AppendUint32(dst, sa.Situation)
	for i, p := range sa.Proposals {
		dst = appendProposal(dst, p, i == len(sa.Proposals)-1)
	}
	return dst
}

func consumeProposals(b []byte) ([]Proposal, error) {
	var list []Proposal
	transforms := 0
	for more := true; more; {
		if len(list) == MaxProposals {
			return nil, ErrCount
		}
		body, rest, next, err := consumeSub(b, PayloadProposal)
		if err != nil {
			return nil, err
		}
		p, err := consumeProposal(body)
		if err != nil {
			return nil, err
		}
		if transforms += len(p.Transforms); transforms > MaxTransforms {
			return nil, ErrCount
		}
		list, b, more = append(list, p), rest, next
	}
	if len(b) != 0 {
		return nil, ErrLength
	}
	return list, nil
}

// consumeSub reads the generic header of a proposal or transform of type t and
// returns its body, the bytes after it and whether another one follows.
func consumeSub(b []byte, t PayloadType) (body, rest []byte, more bool, err error) {
	p, next, rest, err := ConsumePayload(V1, t, b)
	if err != nil {
		return nil, nil, false, err
	}
	if next != t && next != PayloadNone {
		return nil, nil, false, ErrNext
	}
	return p.Body, rest, next == t, nil
}

func consumeProposal(b []byte) (Proposal, error) {
	if len(b) < proposalLen-genericLen {
		return Proposal{}, ErrShort
	}
	p := Proposal{Number: b[0], Protocol: ProtocolID(b[1])}
	size, count := int(b[2]), int(b[3])
	b = b[4:]
	if size > len(b) {
		return Proposal{}, ErrShort
	}
	if count == 0 {
		return Proposal{}, ErrCount
	}
	p.SPI, b = b[:size:size], b[size:]
	p.Transforms = make([]Transform, 0, min(count, len(b)/transformLen))
	for range count {
		body, rest, more, err := consumeSub(b, PayloadTransform)
		if err != nil {
			return Proposal{}, err
		}
		t, err := consumeTransform(body)
		if err != nil {
			return Proposal{}, err
		}
		p.Transforms = append(p.Transforms, t)
		if more != (len(p.Transforms) < count) {
			return Proposal{}, ErrCount
		}
		b = rest
	}
	if len(b) != 0 {
		return Proposal{}, ErrLength
	}
	return p, nil
}

func consumeTransform(b []byte) (Transform, error) {
	if len(b) < transformLen-genericLen {
		return Transform{}, ErrShort
	}
	if b[2] != 0 || b[3] != 0 {
		return Transform{}, ErrReserved
	}
	t := Transform{Number: b[0], ID: b[1], Attributes: Attributes(b[4:])}
	return t, t.Attributes.check1()
}

func appendProposal(dst []byte, p Proposal, last bool) []byte {
	at := len(dst)
	dst = append(dst, subNext(PayloadProposal, last), 0, 0, 0,
		p.Number, byte(p.Protocol), byte(len(p.SPI)), byte(len(p.Transforms)))
	dst = append(dst, p.SPI...)
	for i, t := range p.Transforms {
		dst = appendTransform(dst, t, i == len(p.Transforms)-1)
	}
	binary.BigEndian.PutUint16(dst[at+2:], uint16(len(dst)-at))
	return dst
}

func appendTransform(dst []byte, t Transform, last bool) []byte {
	dst = append(dst, subNext(PayloadTransform, last), 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(transformLen+len(t.Attributes)))
	dst = append(dst, t.Number, t.ID, 0, 0)
	return append(dst, t.Attributes...)
}

func subNext(t PayloadType, last bool) byte {
	if last {
		return byte(PayloadNone)
	}
	return byte(t)
}
