// Package l2tp speaks L2TP version 2 (RFC 2661), as LNS and as LAC, for all the
// peers of one gateway.
//
// An [Endpoint] is a machine without I/O: it opens no socket, starts no
// goroutine, reads no clock and takes no lock; one goroutine owns it.
//
//	Input(now, from, b)   a control message (a UDP payload whose T bit is set) came
//	Advance(now)          do what is due
//	Deadline()            when Advance is wanted next; zero: nothing is scheduled
//	Next()                the next event; drain after every call
//	Dial, CloseCall, CloseTunnel, ClosePeer, Forget, Alive
//
// A peer is an opaque number that the owner gave to one authenticated party.
// Tunnel and call identifiers are unique within one peer only and mean nothing
// without it: two Windows machines behind one address both call their tunnel 1.
//
// The bytes given to Input are borrowed for the call and never written to. The
// bytes of a [Send] event belong to whoever drained it. An error of Input means
// that the message was dropped and that all state is as it was; a fault that
// the RFC answers with StopCCN or CDN is no error of Input but an event.
//
// Everything a peer can make grow is bounded: its tunnels, the calls of a tunnel,
// the messages kept out of order, the AVPs of a message. An established session
// costs less than 2 KiB; queues are made when they are needed and let go when they
// are empty.
//
// A [Persona] makes the LAC send what a native client was seen to send; package persona
// has them, and none is known here.
//
// [ParseData] and [AppendDataHeader] are the view of data packets for the hot path.
// They allocate nothing and know no session.
//
// The package does not carry payload, does not speak PPP, does not place or accept
// outgoing calls (OCRQ is answered with a CDN), and does not speak L2TPv3.
package l2tp
