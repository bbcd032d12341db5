// Package udp moves UDP datagrams in batches: one system call receives or sends
// many, and the kernel joins and splits runs of equal size (UDP GRO and GSO).
//
// Conn, Reader and Writer are the seam between the data plane and the network;
// Listen makes the real one, a Socket, and a simulated network can make others.
//
// # Memory
//
// A Reader owns its receive buffers. What Read returns, the slice of Messages
// and every Data in it, is lent until the next Read of the same Reader. Data
// may be written, decrypted in place for instance; its capacity ends where its
// datagram ends, so that appending cannot reach the next one.
//
// A Writer owns nothing of what it is given: Commit borrows data until the next
// Flush returns. Commit flushes by itself when the batch is full, but which
// Commit that is, is not to be relied upon.
//
// Read, Commit and Flush do not allocate.
//
// # Goroutines
//
// A Reader and a Writer are each for one goroutine. One Conn can have several
// Writers, which send at the same time without waiting for each other, but
// Readers of one Conn take turns: for more readers, Listen several times on one
// address with ReusePort, and the kernel spreads remote addresses over them.
// Close ends a blocked Read and everything after it with net.ErrClosed.
//
// # Order
//
// Datagrams to one remote address from one local address leave in the order of
// their Commits. Those to different ones may pass each other, since datagrams
// to one peer are gathered even when those to others were committed in between.
//
// # Losses
//
// UDP loses datagrams, and so does this package: one that the kernel refuses (no
// route, too long, forbidden by a firewall, a queue that is full) is dropped
// and counted, and the rest of its batch goes on. Nothing waits for room in the
// send buffer: what it has none for is dropped, counted and told by Flush, which
// reports any other error only when the socket itself is unusable. What is for hosts of
// our own links that do not answer the kernel's ARP or neighbour discovery takes that
// room for seconds: a Resolver tells who they are.
//
// A Reader can have the kernel drop more: see Filter. What it is told is a filter of
// classic BPF on the socket, which takes no privilege, costs the CPU that receives
// some nanoseconds a datagram, and ends by itself when nobody renews it.
//
// # Fragments
//
// A datagram longer than the path's MTU leaves in fragments; it is not refused.
// IPv4 packets have DF clear, so that routers may fragment them too. Tunnels
// are set up with an inner MTU that makes this rare, but a path can be narrower
// than anybody assumed, and then a slow packet is better than a lost one. IPv4
// sockets ignore the path MTU that ICMP messages claim, which anybody could
// forge; IPv6 sockets must believe them, since no router fragments for them.
//
// # What it does not do
//
// It knows no protocol above UDP, keeps no peers, sends no retransmissions and
// does not report ICMP errors. On systems other than Linux it is one datagram
// a call, for development only, and there Local is only known for a socket that
// is bound to an address.
package udp
