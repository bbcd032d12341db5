package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// ErrConfig: an address that cannot be listened on, or a negative buffer size.
var ErrConfig = errors.New("udp: invalid configuration")

// Conn is a bound UDP socket, real or simulated.
type Conn interface {
	// NewReader makes a reader of up to batch receive buffers a call.
	NewReader(batch int) Reader
	// NewWriter makes a writer that holds up to batch datagrams.
	NewWriter(batch int) Writer
	// LocalAddr is the address bound to, with the port that the system chose.
	LocalAddr() netip.AddrPort
	// Close ends all reading and writing. It may be called more than once.
	Close() error
}

// Resolver is a Conn that knows for whom what it sends would wait.
type Resolver interface {
	// Unresolved reports whether an eighth of the send buffer or more is in use and
	// remote is on a link of our own, where the kernel is asking for its hardware
	// address and nobody has answered: what is sent there stays in the buffer until it
	// gives up, after some seconds, and whoever makes up many such addresses fills the
	// buffer of everybody. It never waits, knows what was so some milliseconds ago, and
	// may be called by any goroutine.
	Unresolved(remote netip.Addr) bool
}

// Message is one datagram received.
type Message struct {
	// Data is writable until the next Read; its capacity is its own.
	Data []byte
	// Remote is where it came from. IPv4 addresses are never in IPv6 form.
	Remote netip.AddrPort
	// Local is the address it was sent to, also of a socket bound to all
	// addresses. Answers should come from there.
	Local netip.Addr
}

// Reader receives datagrams for one goroutine.
type Reader interface {
	// Read blocks until there is at least one message, and returns all that one
	// system call brought, in the order of arrival. They are lent until the
	// next Read, and may be moved within the slice. The error is net.ErrClosed
	// after Close.
	Read() ([]Message, error)
}

// Pressed is a Reader that knows how full its socket is.
type Pressed interface {
	// Backlog is the part of the receive buffer that was in use after the last
	// Read, between 0 and 1 or a little above; 0 when that Read emptied it. It is
	// at least 1 if the socket has lost datagrams since it was last crowded, other
	// than those that a Filter was told to drop.
	Backlog() float64
}

// Filter is a Reader that can have the system drop some of what comes, before it
// takes room in the socket, and time of whoever reads that: it has a socket filter.
type Filter interface {
	// SetFilter has only a part of the datagrams of some streams come through, for as
	// long as lease; what is in none of them always does. It takes the place of
	// what it was told before; no streams: all comes through. streams is reordered
	// and not kept; of more than MaxStreams, or two of one head, it takes none. It
	// is for the goroutine that reads. After an error everything comes through.
	SetFilter(streams []Stream, lease time.Duration) error
}

// MaxStreams is how many streams a Filter thins at a time.
const MaxStreams = 256

// Stream is the datagrams that begin with the same four bytes.
type Stream struct {
	// Head is these bytes, in network byte order.
	Head uint32
	// Pass is which part of the stream comes through, from 0 to 1: of datagrams,
	// or of runs that the kernel has joined, at random.
	Pass float64
}

// Writer sends datagrams for one goroutine.
type Writer interface {
	// Commit adds a datagram to the batch. data is borrowed until Flush. local
	// is the address to send from; the zero Addr leaves it to the system.
	Commit(data []byte, remote netip.AddrPort, local netip.Addr)
	// Flush sends the batch, without ever waiting. Datagrams refused by the
	// system are counted and dropped without an error. A Full says how many
	// since the last Flush found the socket's buffer full, and were dropped;
	// every other error says that the socket is unusable, and is net.ErrClosed
	// after Close.
	Flush() error
}

// Full is how many datagrams were dropped since the send buffer was full.
type Full int

// Error implements error.
func (f Full) Error() string { return fmt.Sprintf("udp: no room for %d datagrams", int(f)) }

// Config describes a socket.
type Config struct {
	// Addr to bind. An unspecified address listens on all addresses of its
	// family only: 0.0.0.0 and :: are two sockets.
	Addr netip.AddrPort
	// ReusePort lets several sockets bind Addr and share what arrives.
	ReusePort bool
	// ReceiveBuffer and SendBuffer are the sizes asked of the kernel, in bytes;
	// 0: the system's default. Socket.Granted tells what came of it.
	ReceiveBuffer, SendBuffer int
}

// Granted is what the system gave a socket.
type Granted struct {
	// ReceiveBuffer and SendBuffer are in bytes, comparable to those of Config.
	ReceiveBuffer, SendBuffer int
	// GRO and GSO: the kernel joins what arrives and splits what leaves.
	GRO, GSO bool
}

// Stats count datagrams since Listen.
type Stats struct {
	Received  uint64 // handed out by Read
	Truncated uint64 // dropped: longer than a receive buffer, or without the kernel's notes on it
	Sent      uint64 // accepted by the kernel
	Refused   uint64 // dropped: refused by the kernel, or of the wrong address family
	Calls     uint64 // system calls that sent or received something
}

// Add adds what another socket has counted.
func (s *Stats) Add(o Stats) {
	s.Received += o.Received
	s.Truncated += o.Truncated
	s.Sent += o.Sent
	s.Refused += o.Refused
	s.Calls += o.Calls
}

func (c *Config) check() error {
	if !c.Addr.IsValid() {
		return fmt.Errorf("%w: no address to listen on", ErrConfig)
	}
	if c.ReceiveBuffer < 0 || c.SendBuffer < 0 {
		return fmt.Errorf("%w: negative buffer size", ErrConfig)
	}
	c.Addr = netip.AddrPortFrom(c.Addr.Addr().Unmap(), c.Addr.Port())
	return nil
}

// network is the one of net.ListenPacket for the address family.
func (c *Config) network() string {
	if c.Addr.Addr().Is4() {
		return "udp4"
	}
	return "udp6"
}
