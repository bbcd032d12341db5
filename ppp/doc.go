// Package ppp speaks the Point-to-Point Protocol: LCP (RFC 1661), authentication
// by MS-CHAPv2 (RFC 2759), CHAP (RFC 1994), PAP (RFC 1334) and EAP (RFC 3748),
// IPCP (RFC 1332, RFC 1877) and IPV6CP (RFC 5072), as the server that clients dial
// into and as the client.
//
// A [Link] is one link, and a machine without I/O: it opens no socket, starts no
// goroutine, reads no clock, takes no lock; one goroutine owns it.
//
//	Start(now)            the lower layer is up: begin with LCP
//	Input(now, frame)     a frame of a control protocol came
//	Authenticated(...)    the answer to an Authenticate event
//	EAPRequest(...)       what the owner's EAP machine sends; of a client EAPRespond
//	                      and EAPFinished. See eap.go
//	Traffic(now)          the peer sent data: it lives
//	Advance(now)          do what is due
//	Deadline()            when Advance is wanted next; zero: nothing is scheduled
//	Next()                the next event; drain after every call
//	Close(now, reason)    end it politely;  Forget()  the lower layer is gone
//
// A Link is used once: after [Closed] nothing is sent any more and no deadline is
// left. The bytes given to Input are borrowed for the call and never written to.
// The bytes in an event belong to whoever drained it. An error of Input means
// that the frame was dropped and that all state is as it was.
//
// The automaton of RFC 1661 is in fsm.go, once, as the RFC's own table; LCP, IPCP
// and what a [Persona] negotiates beside them are layers on top of it. A [Persona]
// makes the client send what a native client was seen to send; package persona has
// them, and none is known here.
//
// A link in use costs less than 2 KiB. Everything that a peer can make grow
// is bounded: rounds of negotiation, renegotiations, attempts to authenticate,
// the time until it is up. Challenges, responses and passwords are zeroed
// when they are no longer needed.
//
// [ParseFrame] and [AppendHeader] are the view of data frames for the hot path;
// they allocate nothing and know no link.
//
// The package does not carry data, does not compress or encrypt (CCP is rejected),
// does not know what is inside EAP, does not speak multilink, callback or change of passwords, and does
// not know users: who may enter is for the owner to say.
package ppp
