// Package netstack is a tenant's network as a program: a TCP/IP stack in user
// space that terminates what clients send and continues it with the host's
// own sockets. It needs no privilege, no forwarding and no firewall rule.
//
// # Verbs
//
// New makes a Device with its stack, and goroutines that last until Close. The
// stack answers for every destination: a TCP connection is dialled from the
// host first and completed towards the client only when that worked, so that a
// client sees refused ports as refused; each address and port of a client that
// sends UDP gets a host socket of its own, a mapping; an ICMP echo is sent by the
// host, and answered when the destination answers. The tenant's gateway address
// answers echo and DNS itself. Join says which addresses are of one session, and
// Forget ends everything that one has under way: for when its session ends.
//
// # Bounds
//
// Flows are bounded in total and by client, TCP handshakes under way likewise;
// idle flows are closed. UDP mappings are bounded apart, by the ports and
// descriptors that devices share (Ports): when they are all in use, who holds
// most gives up what it used longest ago. A destination that policy.NeverReached
// lists, or the pool holds, or the configuration denies, is refused as if
// nothing listened there.
//
// What waits to be read is bounded in bytes: clients take turns, and so do the
// flows of one; who fills the queue is who loses packets, and who writes to a
// TCP connection waits before it comes to that (see gate). All that TCP
// connections hold counts, for the client, the device and all devices that share
// a Host (see purse): their buffers begin small, follow bandwidth and delay once
// something was acknowledged, and the less the more is held; when memory is short
// those that hold on to theirs without moving are let go. What is
// under way to a client is bounded by what its road holds (see window), so that
// neither a long road nor a lossy one stays empty. Fragments are put together
// before the stack sees them, and bounded in bytes, by client and in total; when
// there is no room whoever holds most gives up its oldest.
//
// # Offload
//
// The stack sends TCP data in pieces of up to 64 KB, which Next cuts into
// packets. Flush joins packets of one connection that follow each other, so
// the stack sees few large ones. Checksums of clients are always verified. The
// datagrams of a mapping to one destination that come in one batch leave in few
// segmented sends, and those that a host sends so are read at once.
//
// # As a NAT
//
// A mapping is the same for all destinations (RFC 4787 REQ-1), whoever was sent
// to may answer, and nobody else. TTLs are counted; what routers and hosts say
// about a datagram is passed on in their name, and what this host says is the
// gateway's. What leads back to the host or to another mapping is refused unless
// Hairpin is set. The first datagram to a destination waits for a goroutine of the
// device that asks the kernel about it.
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
