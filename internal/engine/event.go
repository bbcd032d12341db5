package engine

import (
	"net/netip"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/l2tp"
	"github.com/culvert-vpn/culvert/ppp"
)

// Event is one thing that has happened, as a value: one of the types of this file. Whoever
// drives the engine takes it from Next and answers, where it wants an answer, by the verbs of
// the engine and of its machines.
type Event interface {
	// of is whom it is about, as far as there is anybody.
	of() (*Peer, *Session)
}

// PeerOf is the peer that an event is about; nil: there is none.
func PeerOf(e Event) *Peer {
	p, _ := e.of()
	return p
}

type (
	// Secured: a peer and we have shown each other who we are.
	Secured struct{ Peer *Peer }
	// Ready: a child SA is there to send on: the first, or one that takes another's place.
	Ready struct{ Peer *Peer }
	// Moved: a peer has come to another address, Moves times since that was said last.
	Moved struct {
		Peer     *Peer
		From, To netip.AddrPort
		Moves    int
	}
	// Closed: nothing is left of a peer. Its sessions have ended.
	Closed struct {
		Peer *Peer
		ike.Closed
	}
	// Failed: an attempt to dial in, or a call of ours, came to nothing in IKE.
	Failed struct {
		Peer *Peer // nil: nobody is known for it
		ike.Failed
	}
	// Untold: so many more attempts came to nothing.
	Untold struct{ Attempts uint64 }
)

// What IKE asks, or has been told.
type (
	// EAP: a packet of EAP within IKEv2 has come, or is to begin; answered by IKE.EAPReply.
	EAP struct {
		Peer *Peer
		ike.EAP
	}
	// Login: a client says its name and password by XAUTH; answered by IKE.LoggedIn.
	Login struct {
		Peer *Peer
		ike.Login
	}
	// Assign: a client that is known wants addresses; answered by IKE.Assigned.
	Assign struct {
		Peer *Peer
		ike.Assign
	}
	// Answered: a peer that was asked by IKE.Probe has answered, or there is no use in waiting.
	Answered struct{ Peer *Peer }
	// Configured: a server that we have called has given us addresses.
	Configured struct {
		Peer       *Peer
		Assignment ike.Assignment
	}
	// Redirected: a server that we have called names another.
	Redirected struct {
		Peer    *Peer // nil: nobody is known for it
		Gateway string
	}
)

// What the data plane or a protocol could not do, with whom.
type (
	// SARefused: the data plane cannot work with a child SA.
	SARefused struct {
		Peer *Peer
		Err  error
	}
	// RouteRefused: the data plane has no way to a peer.
	RouteRefused struct {
		Peer *Peer
		Err  error
	}
	// LinkRefused: no PPP link could be made for a call.
	LinkRefused struct {
		Peer *Peer
		Err  error
	}
	// RekeyRefused: a renewal that had to be did not begin.
	RekeyRefused struct {
		Peer *Peer
		Err  error
	}
	// Worn: a child SA can carry no more, and its peer ends.
	Worn struct {
		Peer  *Peer
		Cause string
	}
	// TunnelDown: an L2TP tunnel is over.
	TunnelDown struct {
		Peer   *Peer
		Reason l2tp.Reason
	}
	// CallRefused: a call of L2TP that never stood is over.
	CallRefused struct {
		Peer   *Peer
		Reason l2tp.Reason
	}
)

// What happens to a session.
type (
	// Authenticate: a link asks who its client is; answered by Engine.Authenticated.
	Authenticate struct {
		Session *Session
		ppp.Authenticate
	}
	// EAPResponse: a client's packet of EAP has come.
	EAPResponse struct {
		Session *Session
		ppp.EAPResponse
	}
	// EAPRequest: a server's packet of EAP has come, in a call of ours.
	EAPRequest struct {
		Session *Session
		ppp.EAPRequest
	}
	// LinkUp: PPP has agreed on IPv4; Engine.Bind opens the session for packets.
	LinkUp struct {
		Session *Session
		ppp.Up
	}
	// LinkUp6: PPP has agreed on IPv6; Engine.Bind6 opens the session for packets.
	LinkUp6 struct {
		Session *Session
		ppp.Up6
	}
	// LinkDown6: PPP carries no IPv6 any more.
	LinkDown6 struct{ Session *Session }
	// Asked: a packet has come that is for our end of the session. It is borrowed until the
	// next call of Next.
	Asked struct {
		Session *Session
		Packet  []byte
	}
	// Used: a client uses an SA of its session of tunnel mode before that is open.
	Used struct{ Session *Session }
	// Ended: a session is over, and in no table any more.
	Ended struct{ Session *Session }
)

func (e Secured) of() (*Peer, *Session)      { return e.Peer, nil }
func (e Ready) of() (*Peer, *Session)        { return e.Peer, nil }
func (e Moved) of() (*Peer, *Session)        { return e.Peer, nil }
func (e Closed) of() (*Peer, *Session)       { return e.Peer, nil }
func (e Failed) of() (*Peer, *Session)       { return e.Peer, nil }
func (e Untold) of() (*Peer, *Session)       { return nil, nil }
func (e EAP) of() (*Peer, *Session)          { return e.Peer, nil }
func (e Login) of() (*Peer, *Session)        { return e.Peer, nil }
func (e Assign) of() (*Peer, *Session)       { return e.Peer, nil }
func (e Answered) of() (*Peer, *Session)     { return e.Peer, nil }
func (e Configured) of() (*Peer, *Session)   { return e.Peer, nil }
func (e Redirected) of() (*Peer, *Session)   { return e.Peer, nil }
func (e SARefused) of() (*Peer, *Session)    { return e.Peer, nil }
func (e RouteRefused) of() (*Peer, *Session) { return e.Peer, nil }
func (e LinkRefused) of() (*Peer, *Session)  { return e.Peer, nil }
func (e RekeyRefused) of() (*Peer, *Session) { return e.Peer, nil }
func (e Worn) of() (*Peer, *Session)         { return e.Peer, nil }
func (e TunnelDown) of() (*Peer, *Session)   { return e.Peer, nil }
func (e CallRefused) of() (*Peer, *Session)  { return e.Peer, nil }
func (e Authenticate) of() (*Peer, *Session) { return e.Session.Peer, e.Session }
func (e EAPResponse) of() (*Peer, *Session)  { return e.Session.Peer, e.Session }
func (e EAPRequest) of() (*Peer, *Session)   { return e.Session.Peer, e.Session }
func (e LinkUp) of() (*Peer, *Session)       { return e.Session.Peer, e.Session }
func (e LinkUp6) of() (*Peer, *Session)      { return e.Session.Peer, e.Session }
func (e LinkDown6) of() (*Peer, *Session)    { return e.Session.Peer, e.Session }
func (e Asked) of() (*Peer, *Session)        { return e.Session.Peer, e.Session }
func (e Used) of() (*Peer, *Session)         { return e.Session.Peer, e.Session }
func (e Ended) of() (*Peer, *Session)        { return e.Session.Peer, e.Session }
