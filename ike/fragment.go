package ike

import (
	"time"
	"unsafe"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// Bounds of a message that comes in fragments.
const (
	maxFragments     = 32
	maxFragmentBytes = 16 << 10
)

// fragments is a message of which some pieces are here.
type fragments struct {
	id    uint16
	parts [maxFragments][]byte
	last  int // number of the last piece; 0: not here yet
	bytes int
}

// add keeps a copy of one piece. It returns the message once all are there.
// Clients may use one id for all their messages, so a piece that contradicts
// what is here begins anew.
func (f *fragments) add(p wire.Fragment) []byte {
	n := int(p.Number)
	if n > maxFragments || len(p.Data) == 0 {
		return nil
	}
	if f.id != p.ID || f.last != 0 && (n > f.last || p.Last && n != f.last) {
		*f = fragments{id: p.ID}
	}
	if f.parts[n-1] != nil {
		f.bytes -= len(f.parts[n-1])
	}
	if f.bytes+len(p.Data) > maxFragmentBytes {
		*f = fragments{}
		return nil
	}
	f.parts[n-1] = append([]byte(nil), p.Data...)
	f.bytes += len(p.Data)
	if p.Last {
		f.last = n
	}
	return f.whole()
}

// size is about how many bytes they take.
func (f *fragments) size() int { return int(unsafe.Sizeof(*f)) + f.bytes }

func (f *fragments) whole() []byte {
	if f.last == 0 {
		return nil
	}
	msg := make([]byte, 0, f.bytes)
	for _, part := range f.parts[:f.last] {
		if part == nil {
			return nil
		}
		msg = append(msg, part...)
	}
	*f = fragments{}
	return msg
}

// handleFragment takes one piece of a message. Pieces are kept only for SAs whose
// peer has shown that its address is real, one message each.
func (s *Server) handleFragment(now time.Time, path Path, h wire.Header, body []byte) error {
	i := s.find(h)
	if i == nil {
		return ErrUnknownSA
	}
	if i.phase1 != nil && !i.phase1.Answered() {
		return ErrState
	}
	chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
	if err != nil {
		return malformed(err)
	}
	if len(chain) != 1 {
		return ErrMalformed
	}
	piece, err := wire.ConsumeFragment(chain[0].Body)
	if err != nil {
		return malformed(err)
	}
	if i.fragments == nil {
		i.fragments = &fragments{}
	}
	msg := i.fragments.add(piece)
	if msg != nil {
		i.fragments = nil
	}
	if !i.carry(now) || msg == nil {
		return nil
	}
	return s.input(now, path, msg, true)
}

// fragment cuts a message into pieces that are not longer than limit. They have the
// header of the whole, its flags too, and its first fragment id: there is never more
// than one message of an exchange under way.
func fragment(msg []byte, limit int) [][]byte {
	h, _, err := wire.ConsumeHeader(msg)
	room := limit - wire.HeaderLen - fragmentOverhead
	if err != nil || room <= 0 || len(msg) > maxFragments*room {
		return [][]byte{msg}
	}
	var out [][]byte
	for n := 1; len(msg) > 0; n++ {
		size := min(room, len(msg))
		m := wire.StartMessage(nil, h)
		m.Add(wire.Fragment{ID: 1, Number: uint8(n), Last: size == len(msg), Data: msg[:size]})
		out = append(out, m.Finish())
		msg = msg[size:]
	}
	return out
}

// fragmentOverhead is the length of a fragment payload without its data.
const fragmentOverhead = 8
