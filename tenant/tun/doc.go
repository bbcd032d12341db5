// Package tun is a tenant's network as a TUN device of the Linux kernel, which
// routes and filters as the host is told to.
//
// # Verbs
//
// New makes the device, in a network namespace when one is named, gives it
// addresses and routes and sets it up; Close removes it. Both need
// CAP_NET_ADMIN, and a namespace CAP_SYS_ADMIN besides; reading and writing
// need nothing. The device has as many queues as sources are asked for.
//
// With vnet headers the kernel hands over TCP and UDP data in pieces of up to
// 64 KB, which Next cuts into packets one by one, and Flush joins packets of
// one flow that follow each other into such pieces. Where the kernel grants no
// vnet headers, packets go one by one.
//
// # Memory
//
// A Source has one buffer, for as many pieces as there are: a Read ends when
// nothing is left, or with some 32 packets. The headers of a segment are written
// before its payload, over the end of the segment before, whose loan has ended by
// then; what a borrower may write behind a packet is saved before the loan and
// put back after it. A Writer keeps the slices committed to it until Flush.
//
// # What it does not do
//
// It makes no namespace, sets no firewall rule and switches no forwarding on.
package tun
