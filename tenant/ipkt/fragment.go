package ipkt

import "encoding/binary"

// FragmentTailroom is how many bytes may be overwritten behind each fragment.
const FragmentTailroom = 64

const maxIPv4Header = 60

// Fragment cuts the IPv4 packet in buf[off:] into fragments of at most mtu
// bytes (RFC 791 section 3.2) and lends them to emit in turn: buf[off:] of each
// call is one fragment, whatever is before it in the buffer and FragmentTailroom
// bytes of capacity behind it may be overwritten, and it is lent until emit returns. Whatever emit does,
// buf holds rubbish afterwards. A packet that fits is lent as it is. It reports
// whether the packet was one that may be cut: IPv4, not DF, and mtu of at least
// 68 bytes.
//
// A header is written over the end of the fragment before, which is done with
// by then; only what emit may clobber behind a fragment is saved and put back.
func Fragment(buf []byte, off, mtu int, emit func(buf []byte, off int)) bool {
	p, err := Parse(buf[off:])
	if err != nil {
		return false
	}
	if len(p.Bytes) <= mtu {
		emit(buf[:off+len(p.Bytes)], off)
		return true
	}
	if p.DontFragment() || mtu < 68 {
		return false
	}
	f := fragmenter{buf: buf[:off+len(p.Bytes)], at: off + p.HeaderLen, place: p.Offset, more: p.More}
	f.headerLen = copy(f.header[:], p.Bytes[:p.HeaderLen])
	for f.at < len(f.buf) {
		f.lend(mtu, emit)
	}
	return true
}

type fragmenter struct {
	buf       []byte
	at        int  // of the next payload byte
	place     int  // of that byte in the whole packet
	more      bool // fragments follow the last one of ours
	header    [maxIPv4Header]byte
	headerLen int
}

// lend writes a header before the next payload bytes and emits the fragment.
func (f *fragmenter) lend(mtu int, emit func([]byte, int)) {
	n := (mtu - f.headerLen) &^ 7
	last := f.at+n >= len(f.buf)
	if last {
		n = len(f.buf) - f.at
	}
	start, end := f.at-f.headerLen, f.at+n
	h := f.buf[start:f.at]
	copy(h, f.header[:f.headerLen])
	flags := uint16(f.place / 8)
	if !last || f.more {
		flags |= 0x2000
	}
	binary.BigEndian.PutUint16(h[2:], uint16(f.headerLen+n))
	binary.BigEndian.PutUint16(h[6:], flags)
	SetHeaderChecksum(h)

	var saved [FragmentTailroom]byte
	kept := copy(saved[:], f.buf[end:])
	emit(f.buf[:end], start)
	copy(f.buf[end:], saved[:kept])

	if f.place == 0 {
		f.dropUncopied()
	}
	f.at, f.place = end, f.place+n
}

// dropUncopied leaves only the options in the header that every fragment
// carries: those with the copied flag (RFC 791 section 3.1).
func (f *fragmenter) dropUncopied() {
	options := f.header[ipv4HeaderLen:f.headerLen]
	kept := 0
	for i := 0; i < len(options) && options[i] != 0; {
		n := 1
		if options[i] != 1 {
			if i+1 >= len(options) || options[i+1] < 2 || i+int(options[i+1]) > len(options) {
				break
			}
			n = int(options[i+1])
		}
		if options[i]&0x80 != 0 {
			kept += copy(options[kept:], options[i:i+n])
		}
		i += n
	}
	padded := (kept + 3) &^ 3
	clear(options[kept:padded])
	f.headerLen = ipv4HeaderLen + padded
	f.header[0] = 0x40 | uint8(f.headerLen/4)
}
