package esp

// window is the receiver's memory of sequence numbers (RFC 4303, section
// 3.4.3): a ring of words with one bit a number, as RFC 6479 describes it. A
// word is cleared when the window's right edge first reaches it, so nothing is
// ever shifted. One more word than the window's size keeps the word that is
// being filled apart from the oldest one.
type window struct {
	top  uint64   // the highest number accepted; 0: none yet
	ring []uint64 // a power of two of them
	size uint32   // numbers of top-size and below are too old
	esn  bool     // numbers are extended
}

// newWindow takes room for the ring if that is enough.
func newWindow(size int, esn bool, room []uint64) window {
	words := 1
	for words < size/64+1 {
		words *= 2
	}
	if words > len(room) {
		room = make([]uint64, words)
	}
	return window{size: uint32(size), esn: esn, ring: room[:words]}
}

// word is where the bit of seq is.
func (w *window) word(seq uint64) *uint64 { return &w.ring[seq/64&uint64(len(w.ring)-1)] }

// fresh reports whether seq may be accepted: it is not 0, not too old and was
// not accepted before.
func (w *window) fresh(seq uint64) bool {
	switch {
	case seq == 0:
		return false
	case seq > w.top:
		return true
	case w.top-seq >= uint64(w.size):
		return false
	}
	return *w.word(seq)&(1<<(seq%64)) == 0
}

// accept remembers seq, and reports false if it is not fresh.
func (w *window) accept(seq uint64) bool {
	if !w.fresh(seq) {
		return false
	}
	if seq > w.top {
		steps := min(seq/64-w.top/64, uint64(len(w.ring)))
		for i := range steps {
			*w.word((w.top/64 + 1 + i) * 64) = 0
		}
		w.top = seq
	}
	*w.word(seq) |= 1 << (seq % 64)
	return true
}

// extend infers the high half of an extended sequence number whose low half the
// packet carries: the one that puts it nearest to the window (RFC 4303,
// appendix A2.2). It reports false for a number from before the first.
func (w *window) extend(low uint32) (seq uint64, ok bool) {
	high := w.top >> 32
	topLow := uint32(w.top)
	bottom := topLow - (w.size - 1) // modulo 2^32
	if topLow >= w.size-1 {
		// Case A: the window lies within one subspace of 2^32 numbers.
		if low < bottom {
			high++
		}
	} else if low >= bottom {
		// Case B: it spans two, and this is of the lower one.
		if high == 0 {
			return 0, false
		}
		high--
	}
	return high<<32 | uint64(low), true
}
