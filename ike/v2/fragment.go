package v2

import (
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Bounds of a message that comes in fragments.
const (
	maxFragments     = 64
	maxFragmentBytes = 64 << 10
	defaultDatagram  = 1228
)

// fragments is a message of which some pieces are here. All of them are
// authentic: each carries its own checksum (RFC 7383, section 2.6).
type fragments struct {
	id    wire.MessageID
	total uint16
	first wire.PayloadType
	parts [][]byte
	have  int
	bytes int
}

// size is about how many bytes they take.
func (f *fragments) size() int { return len(f.parts)*pieceOverhead + f.bytes }

// pieceOverhead is what a piece takes beside its bytes.
const pieceOverhead = 24

// add keeps a copy of one piece and returns the payloads once all are there.
func (f *fragments) add(id wire.MessageID, e wire.Encrypted, inner []byte) (wire.PayloadType, []byte, bool) {
	if e.Total > maxFragments {
		return 0, nil, false
	}
	// "If the Total Fragments field is greater than that in the fragments
	// received before, the receiver MUST discard all of them" (section 2.6).
	if f.parts == nil || f.id != id || e.Total > f.total {
		*f = fragments{id: id, total: e.Total, parts: make([][]byte, e.Total)}
	}
	if e.Total < f.total || f.parts[e.Number-1] != nil || f.bytes+len(inner) > maxFragmentBytes {
		return 0, nil, false
	}
	if e.Number == 1 {
		f.first = e.First
	}
	f.parts[e.Number-1] = append([]byte{}, inner...)
	f.bytes += len(inner)
	if f.have++; f.have < int(f.total) {
		return 0, nil, false
	}
	whole := make([]byte, 0, f.bytes)
	for _, p := range f.parts {
		whole = append(whole, p...)
	}
	first := f.first
	*f = fragments{}
	return first, whole, true
}
