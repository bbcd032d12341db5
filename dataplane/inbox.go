package dataplane

import (
	"sync"

	"github.com/culvert-vpn/culvert/l2tp"
)

// Kind says what a Message carries.
type Kind uint8

// The kinds.
const (
	IKE    Kind = iota // an IKE message, without the non-ESP marker
	L2TP               // an L2TP control message: the payload of its UDP datagram
	PPP                // a PPP frame that is not data
	Moved              // an authenticated packet came from another address than before
	Early              // an IP packet in tunnel mode that came before its session was bound: see Plane.Early
	Link               // an IP packet for our end of a session's link: DHCPINFORM and the like
	Faulty             // a packet of the peer met a fault of the program: its session, or all of it, is to be ended
)

// Message is one thing for the control loop. It belongs to its receiver until Release.
type Message struct {
	Kind    Kind
	Path    Path     // where it came from
	NATT    bool     // IKE: it came with the non-ESP marker, on the NAT-T port
	Peer    *Peer    // all but IKE: whose SA it came in
	Session *Session // PPP, Early, Link, Faulty: the call it came in; nil when the workers know none of these ids
	Tunnel  l2tp.TunnelID
	Call    l2tp.CallID
	Port    uint16 // L2TP: the UDP source port inside the SA
	Data    []byte
}

var messages = sync.Pool{New: func() any { return &Message{Data: make([]byte, 0, 1024)} }}

// Release gives the message back. Its Data must not be used after that.
func (m *Message) Release() {
	if m.Peer != nil {
		m.Peer.waiting.Add(-1)
	}
	if cap(m.Data) > 4096 {
		m.Data = nil
	}
	*m = Message{Data: m.Data[:0]}
	messages.Put(m)
}

// Inbox holds what waits for the control loop. Messages of authenticated peers
// have a queue of their own, so that no flood of IKE packets from strangers
// can hold up those who are in.
type Inbox struct {
	peers     chan *Message
	strangers chan *Message
}

func newInbox(size int) *Inbox {
	return &Inbox{peers: make(chan *Message, size), strangers: make(chan *Message, size)}
}

// Peers returns the messages that came in an SA, in the order they came.
func (i *Inbox) Peers() <-chan *Message { return i.peers }

// Strangers returns the IKE messages: nothing in them is authenticated yet.
func (i *Inbox) Strangers() <-chan *Message { return i.strangers }

// maxWaiting bounds the control messages that one peer may have in the Inbox.
const maxWaiting = 64

// newcomers is the part of the Inbox, one in so many, that is for peers of whom nothing
// is in it. Of the rest nobody takes more than is left.
const newcomers = 16

// fromPeer queues a message of an authenticated peer, with a copy of data, and
// says why it could not.
func (i *Inbox) fromPeer(like Message, data []byte) (Cause, bool) {
	switch n := int(like.Peer.waiting.Add(1)); {
	case n > maxWaiting:
		like.Peer.waiting.Add(-1)
		return DropPeerFull, false
	case n > 1 && n > cap(i.peers)-len(i.peers)-cap(i.peers)/newcomers:
		like.Peer.waiting.Add(-1)
		return DropInboxFull, false
	}
	m := messages.Get().(*Message)
	like.Data = append(m.Data[:0], data...)
	*m = like
	select {
	case i.peers <- m:
		return 0, true
	default:
		m.Release()
		return DropInboxFull, false
	}
}

// fromStranger queues an IKE message.
func (i *Inbox) fromStranger(path Path, natt bool, data []byte) bool {
	m := messages.Get().(*Message)
	m.Kind, m.Path, m.NATT = IKE, path, natt
	m.Data = append(m.Data[:0], data...)
	select {
	case i.strangers <- m:
		return true
	default:
		m.Release()
		return false
	}
}
