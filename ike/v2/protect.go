package v2

import (
	"bytes"
	"fmt"
	"io"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// useKeys gives the SA its keys, in place of those it may have had.
func (a *sa) useKeys(k *suite.Keys2) error {
	ours, theirs, oursA, theirsA := k.Er, k.Ei, k.Ar, k.Ai
	if a.initiator {
		ours, theirs, oursA, theirsA = k.Ei, k.Er, k.Ai, k.Ar
	}
	seal, err := suite.NewSK(a.suite, ours, oursA)
	if err != nil {
		return err
	}
	open, err := suite.NewSK(a.suite, theirs, theirsA)
	if err != nil {
		return err
	}
	a.zeroKeys()
	a.keys, a.seal, a.open, a.keyed = k, seal, open, true
	return nil
}

// zeroKeys overwrites the keys.
func (a *sa) zeroKeys() {
	if a.keys == nil {
		return
	}
	a.keys.Zero()
	a.seal.Zero()
	a.open.Zero()
	a.keys = nil
}

// protect is a message of ours, in fragments if it is long and the peer takes
// them.
func (a *sa) protect(h wire.Header, payloads []wire.Body) [][]byte {
	var c wire.Chain
	for _, p := range payloads {
		c.Add(p)
	}
	a.authenticateIntermediate(h, c.First(), c.Bytes(), true)
	most := 0
	if a.s.features.fragmentation {
		most = a.s.config.MaxDatagram
	}
	data, err := a.seal.SealFragments(a.s.owner.Rand(), h, c.First(), c.Bytes(), most)
	if err != nil {
		// No randomness, or a message that nobody could take: it is as if lost.
		return nil
	}
	return data
}

// decrypt opens a message, or one piece of it; nil without an error: more pieces
// are wanted. The message belongs to the caller; with an error it is authentic and
// cannot be read.
func (a *sa) decrypt(p Path, h wire.Header, msg []byte, box *fragments) (*message, error) {
	e, inner, err := a.open.Open(bytes.Clone(msg))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAuth, err)
	}
	m := &message{path: p, header: h, first: e.First, inner: inner}
	if e.Fragment() {
		// "The responder MUST ... only if it is the first fragment" answer a
		// repetition (RFC 7383, section 2.6.1).
		if h.MessageID != a.nextIn && h.Flags&wire.FlagResponse == 0 {
			if e.Number != 1 {
				return nil, ErrDuplicate
			}
			return m, nil
		}
		var whole bool
		if m.first, m.inner, whole = box.add(h.MessageID, e, inner); !whole {
			return nil, nil
		}
	}
	if m.chain, err = wire.ParsePayloads(nil, wire.V2, m.first, m.inner); err != nil {
		return m, malformed(err)
	}
	return m, nil
}

// random returns n random bytes.
func (s *Session) random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.owner.Rand(), b); err != nil {
		return nil, fmt.Errorf("v2: randomness: %w", err)
	}
	return b, nil
}
