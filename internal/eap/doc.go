// Package eap is the Extensible Authentication Protocol (RFC 3748) as machines
// without I/O, in both roles: Server asks and Client answers. Methods are
// Identity, MSCHAPv2 (draft-kamath-pppext-eap-mschapv2-02) and EAP-TLS with TLS
// 1.2 and 1.3 (RFC 5216, RFC 9190). What carries the packets, IKEv2's EAP payloads
// or PPP's frames, is not known here.
//
// The verbs are those of the protocols:
//
//	Start()                    begin (Server only)
//	Input(now, packet) error   packet is borrowed; an error means dropped, state intact
//	Next() (Event, bool)       what is wanted; drained after every call
//	Close()                    give up; wanted for every machine that is not Done
//
// There are no timers: IKEv2 repeats by itself, and PPP repeats with Repeat.
//
// What needs a user's password leaves as an event, Verify or Respond, and comes
// back with the verdict and the key, so that neither passwords nor MS-CHAP's
// arithmetic are here. What is slow leaves as Compute and comes back by Computed;
// one is under way at a time, and it may run on any goroutine.
//
// Authenticator is the seam to carriers: a Server is one, and a relay to another
// server is one as well.
//
// Memory: packets in events belong to the receiver, and so does the MSK, which the
// receiver zeroes.
package eap
