// Package ike keeps the IKE security associations of one gateway: it decides
// which version and which exchange a datagram belongs to, bounds what strangers
// may cost, runs the machines of package v1 in both roles, and tells its owner
// which child SAs to install, use and forget.
//
// It is a machine without I/O: no sockets, no goroutines, no clock, no locks, no
// logging. The owner calls
//
//	Input(now, path, msg)  a datagram came; msg is borrowed and is decrypted in place
//	Computed(now, id, r)   the result of a Compute event
//	Advance(now)           do what is due
//	Deadline()             when Advance is wanted next; zero: never
//	Dial, Rekey, Close     what the operator wants
//	Alive, Moved           what the dataplane saw
//
// and drains Next after every call. A Server belongs to one goroutine. Events
// and everything they point to belong to whoever takes them from Next. An error
// of Input means that the datagram was dropped and the state is as it was; the
// causes are counted in Stats.
//
// Messages come and go without the non-ESP marker of RFC 3948; Path.NATT says
// that the marker belongs in front.
//
// Lifetime of an association: a Peer is one remote party over all its IKE SAs
// and child SAs. A main mode that a known party runs from the same address with
// the same identity and key joins its Peer, so renewing phase 1 disturbs nothing.
// Child SAs outlive the IKE SA under which they were made. Rekeying is
// make-before-break: the new SA receives before the peer can send on it, and the
// old one receives until the peer deletes it or its lifetime and a grace period
// are over. If both sides renew at once both new SAs stay, until the next renewal
// (succession.go).
//
// IKEv2 (package v2) runs beside IKEv1 with the same verbs and events. It has more
// to ask: EAP, answered by EAPReply, for clients that prove who they are by EAP;
// Assign, answered by Assigned, for what a client is given. Its child SAs are of
// tunnel mode unless both sides want L2TP, and belong to the IKE SA: if that goes,
// they go. It is answered only where Config.V2 says so.
//
// There may be thousands of Candidates at one address. What is said before it is
// known who dials follows from all of them and is remembered (directory.go); how many
// of them are tried for whom is bounded (limits.go).
//
// In phase 1 of IKEv1 what a dialler proves says which Candidate it belongs to. In
// main mode that is the key that opens message 5, which has to be tried elsewhere
// (search.go),
// or the authority that issued its certificate (signed.go). In aggressive mode the
// dialler names a group first (aggressive.go), which is answered only where a
// Candidate has Groups.
//
// IKEv1 has two uses. L2TP goes in transport mode, and that is all a pre-shared key
// or a certificate opens. Tunnel mode is for clients that log in by extended
// authentication, behind either: Login asks about the password, answered by
// LoggedIn, and Assign about what the client is given, as in IKEv2
// (transaction.go, xauth.go, modeconfig.go, tunnel.go). Until the user is known
// such an ISAKMP SA has a Peer of its own; then it joins the user's.
//
// Who dials may speak like a native client: DialConfig.Persona and DialV2.Persona are
// values that say what it offers and how it behaves. Package persona has them, and none
// is known here.
//
// It does not touch packets of ESP, does not send NAT keepalives itself (it says
// when one is due), and knows aggressive mode with pre-shared keys only.
package ike
