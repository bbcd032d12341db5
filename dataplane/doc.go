// Package dataplane moves packets between clients and their tenant's network.
//
// A Plane owns the UDP sockets, the workers and the tables. A worker reads a
// batch of datagrams, opens ESP in place, walks down the L2TP and PPP headers
// and commits each inner packet to the device of the tenant; the devices that
// a batch touched are flushed once, at its end. A downlink reads a batch from
// one source of a device, finds the session by the destination, lays the
// headers backwards into the headroom of the packet, seals it and commits it
// to the socket; the sockets are flushed once a batch too. See up.go and
// down.go for the two roads and layout.go for the headers.
//
// ESP packets whose transform gains by it (AES-CBC with HMAC) are sealed and
// opened side by side, as many as a batch has: see batch.go and opening.go. All
// others are done one by one, while they are in the nearest cache. Neither way
// changes what becomes of a packet, or the order of those of one SA.
//
// When more arrives than a worker can carry, package shed says what is carried of
// it, and what the system drops before it takes the worker's time. lookahead.go has what the next
// packets need fetched from memory, and lines.go is the table that it is found in:
// a packet of one client among thousands should not wait longer than one of a
// single client. For that, what it needs lies together, too: see SA, Session and
// peerBlock, none of which is used for another client later.
//
// What is not data (IKE, L2TP control, PPP control) is copied into the Inbox,
// which is bounded; when it is full the message is dropped and counted, as a
// network would. The control loop of the gateway reads it, and speaks back
// through SendIKE, SendL2TP and SendPPP. What a client asks of its own end of
// the link (local.go) takes the same way, and SendIP answers.
//
// Ownership. The buffers of a batch belong to the reader that lent them, until
// its next Read. A Message of the Inbox belongs to its receiver until Release.
// The tables belong to the goroutine that reads them: each has a mutex, held
// for a batch by the reader and for an update by the control loop, so that an
// idle worker has no queue of updates that could grow.
//
// The package decides nothing about who may connect: it knows peers, security
// associations and sessions as values that the gateway made, and speaks no
// protocol beyond the headers of data packets.
package dataplane
