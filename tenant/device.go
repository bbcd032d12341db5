package tenant

import (
	"fmt"
	"net/netip"
)

// Room that a lent packet leaves around itself, in bytes. The way down lays
// its headers into the one and the encryption's trailer into the other, so a
// packet is sealed where it lies.
const (
	// Headroom is what may be overwritten before a packet: PPP, L2TP, UDP and
	// ESP headers with their initialisation vector.
	Headroom = 128
	// Tailroom is what may be overwritten behind a packet: ESP padding, pad
	// length, next header and the integrity check value.
	Tailroom = 64
)

// Device is where a tenant's traffic leaves culvert and comes back: a user
// space network stack or a TUN device. Packets are IPv4 or IPv6 without any
// link header.
type Device interface {
	// Sources returns the queues of packets towards clients. There is at least
	// one, the slice is the same at every call, and each Source is read by one
	// goroutine.
	Sources() []Source

	// Writer returns a new Writer. Each belongs to one goroutine; several may
	// be in use at once.
	Writer() Writer

	// MTU is the size in bytes of the largest packet that the device lends or
	// takes.
	MTU() int

	// Close removes the device and frees what it holds. A Read under way
	// returns an error that is os.ErrClosed or io.EOF.
	Close() error
}

// Source is what a tenant's network sends towards its clients. It is for one
// goroutine.
type Source interface {
	// Read blocks until at least one packet is there. After Close it returns
	// an error that is os.ErrClosed or io.EOF; no other error is final.
	Read() error

	// Next lends the packets of the last Read in turn; ok is false when there
	// are none left. buf[off:] is one IP packet of at most the device's MTU.
	// The Headroom bytes before off and the Tailroom bytes behind the packet
	// (within the capacity of buf) may be overwritten, and so may the packet.
	// All of it is lent until the next call of Next or Read.
	Next() (buf []byte, off int, ok bool)
}

// Peeker is a Source whose packets can be looked at before it lends them, so that
// what each of them needs is prefetched.
type Peeker interface {
	// Peek returns the beginning of the i-th packet of the last Read, with at
	// least its IP header, or nil if there are not so many. A packet that will be
	// cut into several counts as one. It may be asked between Read and Next, and
	// what it returns is lent until Next.
	Peek(i int) []byte
}

// Writer takes what clients send into a tenant's network. It is for one
// goroutine.
type Writer interface {
	// Commit adds one IP packet to the batch. pkt is borrowed until Flush
	// returns, and is not written to.
	Commit(pkt []byte)

	// Flush hands the batch over. A packet that is refused costs itself only;
	// the error is for the log and the next batch may well succeed.
	Flush() error
}

// Fault is the error of a Flush in which packets of some sources met a fault of
// the program. They were dropped, and what the device kept for these sources may
// be half done; everything else was written.
type Fault struct{ Sources []netip.Addr }

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("tenant: packets of %v met a fault", f.Sources) }
