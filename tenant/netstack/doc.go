// Package netstack is a tenant's network as a program: a TCP/IP stack in user
// space that terminates what clients send and continues it with the host's
// own sockets. It needs no privilege, no forwarding and no firewall rule.
//
// # Verbs
//
// New makes a Device with its stack, and goroutines that last until Close. The
// stack answers for every destination: a TCP connection is dialled from the
// host first and completed towards the client only when that worked, so that a
// client sees refused ports as refused; each UDP flow gets a host socket of its
// own; an ICMP echo is sent by the host, and answered when the destination
// answers. The tenant's gateway address answers echo and DNS itself. Forget
// ends everything that an address had under way: for when its session ends.
//
// # Bounds
//
// Flows are bounded in total and by client address, TCP handshakes under way
// likewise; idle flows are closed. A destination that tenant.NeverReached
// lists, or the pool holds, or the configuration denies, is refused as if
// nothing listened there.
//
// What waits to be read is bounded in bytes: clients take turns, and so do the
// flows of one; who fills the queue is who loses packets, and who writes to a
// TCP connection waits before it comes to that (see gate). The buffers of TCP
// connections follow bandwidth and delay, and a budget for all of them. What is
// under way to a client is bounded by what its road holds (see window), so that
// neither a long road nor a lossy one stays empty.
//
// # Offload
//
// The stack sends TCP data in pieces of up to 64 KB, which Next cuts into
// packets. Flush joins packets of one connection that follow each other, so
// the stack sees few large ones. Checksums of clients are always verified. The
// datagrams of a flow that come in one batch leave in few segmented sends, and
// those that a host sends so are read at once.
//
// # Memory
//
// Flush copies what was committed, once, into memory of the stack; from there
// it is written to the host's socket. Data of a host's TCP socket is read into
// memory of the stack, and Next copies it, once, into a buffer of the Source.
// Memory for either is taken when there is something to copy, so an idle flow
// holds none, and a device without flows holds no more than its stack.
//
// # What it does not do
//
// It reaches no client by itself: there are no connections from outside to
// clients. It carries no other protocol than TCP, UDP and ICMP echo.
package netstack
