// Package v2 is IKEv2 (RFC 7296) for one peer, in both roles: a Session holds
// the IKE SA that the two share, those that succeed it, and their child SAs.
//
// It is a machine without I/O. The Server of package ike finds the Session a
// message belongs to and calls
//
//	Input(now, path, header, msg)  a message came; msg is borrowed, decrypted in place
//	Advance(now)                   do what is due
//	Deadline()                     when Advance is wanted next; zero: never
//
// and the verbs of the operator (Rekey, Close, Readdress, Redirect) and of the
// exchange (EAPReply, Assigned). What a Session wants done it says to its Owner,
// at once. Slow work leaves through Owner.Compute and comes back as a call.
//
// Answer opens a Session for an IKE_SA_INIT request, after Request has been
// asked whether it deserves one: until then nothing is kept of it. Which Candidate
// of a Directory the initiator is, is found out elsewhere too (search.go). Dial opens
// one as initiator.
//
// An exchange of CREATE_CHILD_SA that needs more than one key exchange (RFC 9370)
// goes on in IKE_FOLLOWUP_KE exchanges; until the last of them nothing is made of
// it, and a responder remembers one such exchange, for a minute (followup.go).
//
// Keys that a Child carries belong to whoever is given it; all others are
// overwritten when the Session is done with them.
//
// It does not know EAP methods, address pools or certificate stores: what EAP
// says, which addresses a client gets and whether a certificate is good are
// asked of the Owner.
package v2
