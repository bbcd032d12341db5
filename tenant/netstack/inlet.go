package netstack

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// maxSegment is how many bytes the stack sends in one piece.
const maxSegment = maxJoined - header.TCPTotalHeaderMaximumSize - 1

// inlet is what a host's stream socket has for a client. The stack reads it as
// the payload of a write: the bytes go from the kernel straight into memory of
// the stack, and none is held while there are none.
type inlet struct {
	raw  syscall.RawConn
	mss  int // a piece is so many bytes, or a multiple of them, or less
	n    int // bytes that may be read without waiting
	err  error
	b    []byte // where fill reads to
	one  [1]byte
	look func(fd uintptr) bool
	fill func(fd uintptr) bool
}

// newInlet makes an inlet for a connection whose packets carry mss bytes.
func newInlet(raw syscall.RawConn, mss int) *inlet {
	in := &inlet{raw: raw, mss: mss}
	in.look, in.fill = in.tryLook, in.tryFill
	return in
}

// await blocks until there are bytes, and returns how many; none are the end
// of the stream.
func (in *inlet) await() (int, error) {
	if err := in.raw.Read(in.look); err != nil {
		return 0, err
	}
	return in.n, in.err
}

// tryLook reports false, for the runtime to wait, when there is nothing to read.
func (in *inlet) tryLook(fd uintptr) bool {
	for {
		n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ)
		if in.n, in.err = in.whole(n), err; n > 0 || err != nil {
			return true
		}
		n, _, err = unix.Recvfrom(int(fd), in.one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN:
			return false
		case err != nil && err != unix.EINTR, err == nil && n == 0:
			in.err = err
			return true
		}
	}
}

// whole is how many of n bytes to take at once: whole packets, so that a piece
// does not end in a short one while there is more to send.
func (in *inlet) whole(n int) int {
	n = min(n, maxSegment)
	if n < in.mss {
		return n
	}
	return n - n%in.mss
}

// payloadPerPacket is how many bytes the stack puts into a packet towards the
// sender of a SYN: its MSS less the room that the stack keeps for options
// (RFC 9293 section 3.7.1).
func payloadPerPacket(syn header.TCP, mtu, ipHeader int) int {
	const timestamps, sack, both = 12, 36, 40
	o := header.ParseSynOptions(syn.Options(), false)
	n := min(int(o.MSS), mtu-ipHeader-header.TCPMinimumSize)
	switch {
	case o.TS && o.SACKPermitted:
		n -= both
	case o.TS:
		n -= timestamps
	case o.SACKPermitted:
		n -= sack
	}
	return max(n, 1)
}

// Len implements tcpip.Payloader.
func (in *inlet) Len() int { return in.n }

// Read implements tcpip.Payloader. It is asked for no more than Len bytes.
func (in *inlet) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	in.b = b
	before := in.n
	err := in.raw.Read(in.fill)
	in.b = nil
	if err == nil {
		err = in.err
	}
	in.err = err
	return before - in.n, err
}

func (in *inlet) tryFill(fd uintptr) bool {
	for {
		n, err := unix.Read(int(fd), in.b)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		in.n, in.err = in.n-max(n, 0), err
		return true
	}
}
