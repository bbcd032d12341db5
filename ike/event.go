package ike

import (
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/ike/v2"
)

// Peer is one remote party over all its IKE and child SAs. Numbers are never
// used twice in a process; zero is nobody.
type Peer uint64

// SPI is the security parameter index of a child SA (RFC 4303 section 2.1).
type SPI uint32

// ComputeID names one Compute event until its result came back.
type ComputeID uint64

// Path is the pair of addresses that a datagram travels between.
type Path struct {
	Local, Remote netip.AddrPort
	// NATT says that IKE messages on this path carry the non-ESP marker (port
	// 4500, RFC 3948 section 2.2).
	NATT bool
}

// Event is something that the Server wants done or known. The types in this
// file are all there are.
type Event interface{ event() }

// Send wants Data sent along Path.
type Send struct {
	Path Path
	Data []byte
}

// Compute wants Do run, on any goroutine, and its result given to Computed.
type Compute struct {
	ID ComputeID
	Do func() any
	// Waits: Do may wait for others than a processor, since it asks a Verify.
	Waits bool
	// Path is where the peer is that it is done for, if Waits.
	Path Path
}

// Up says that the first IKE SA of a peer stands and both sides are authentic.
type Up struct {
	Peer      Peer
	Path      Path
	Tenant    string        // Candidate.Tenant or DialConfig.Tenant
	Identity  string        // what the peer calls itself, in words ("192.168.1.10")
	Family    family.Family // the kind of client
	V2        bool          // it speaks IKEv2
	Suite     string        // phase 1 suite in words ("aes256-sha1-modp2048")
	Initiator bool          // we dialled
	// Certificates are what a client proved itself with in IKE, as it sent them, the
	// leaf first; nil if it did so in another way.
	Certificates []*x509.Certificate
}

// Installed says that the keys of both directions are known. The owner receives
// on the SA from now on, and sends on it if Child.Active.
type Installed struct {
	Peer  Peer
	Child ChildSA
}

// Activated says that the peer receives on the SA: send on it from now on. It may
// name an SA that was sent on before: if both sides renewed at once, this is the
// one that stays.
type Activated struct {
	Peer Peer
	In   SPI
}

// Removed says that an SA is gone in both directions.
type Removed struct {
	Peer    Peer
	In, Out SPI
}

// Moved says that an authenticated message came from, or the handshake moved
// to, another path: send there from now on.
type Moved struct {
	Peer Peer
	Path Path
	// Unproven says that nothing shows yet that the peer receives there: it is asked,
	// and another Moved follows when it has answered.
	Unproven bool
}

// Keepalive wants one NAT keepalive (a single byte 0xFF, RFC 3948 section 2.3)
// sent along Path.
type Keepalive struct {
	Peer Peer
	Path Path
}

// Failed is a refused attempt, for the log and the metrics.
type Failed struct {
	Peer   Peer // zero if the attempt belonged to nobody yet
	Path   Path
	Tenant string // empty if not known yet
	Cause  Cause
	Detail string // plain words, including what was offered
}

// Untold says how many attempts have failed of which there was no Failed: there were
// more than anybody can read.
type Untold struct{ Attempts uint64 }

// Closed says that a peer has neither IKE SA nor child SA left, and that nothing
// more will be heard of it.
type Closed struct {
	Peer   Peer
	Reason Reason
	Cause  Cause // why a negotiation failed; CauseNone otherwise
	Detail string
}

// EAP hands out what EAP says to a side that has not proved who it is yet, by
// IKEv2. As responder Packet is the client's response, nil to begin; as initiator
// it is the server's request or its Success. EAPReply answers.
type EAP struct {
	Peer      Peer
	Path      Path
	Tenant    string // whose certificate the client was shown
	Identity  string // what the peer calls itself (IDi), which need not be its name in EAP
	Family    family.Family
	Initiator bool
	Packet    []byte
}

// Assign asks what a client of IKEv2 is given, after Up and before its child SA.
// Assigned answers. One that wants transport mode wants L2TP and no address.
type Assign struct {
	Peer     Peer
	Tenant   string
	Identity string // in EAP, the name that EAPReply gave
	Family   family.Family
	Wants    Wants
	// Certificates are what the initiator proved itself with by IKEv2, its own first.
	Certificates []*x509.Certificate
}

// Configured says what a server has given us.
type Configured struct {
	Peer       Peer
	Assignment Assignment
}

// Redirected says that the server that we dialled names another gateway: an
// address, which is dialled without more ado, or a name, after which Closed
// follows.
type Redirected struct {
	Peer    Peer
	Gateway string
}

// EAPReply is what EAP answers to an EAP event.
type EAPReply struct {
	Packet []byte // to be sent; as responder the last one is the Success or the Failure
	// Done says that EAP is over; then OK says how, and MSK is the key that comes
	// of it, if any (copied).
	Done, OK bool
	MSK      []byte
	Identity string // responder: who it was
	Tenant   string // responder: whose client it was; empty: as in the event
	Detail   string // why not, for the log
	// Held is about how many bytes who answers holds for the login until it is done;
	// responder only. As long as nobody knows the peer they count.
	Held int
}

// Values that both versions of this package's API share with package v2.
type (
	// Range is one traffic selector.
	Range = v2.Range
	// Certificate is what one side proves who it is with.
	Certificate = v2.Certificate
	// Verifier decides whether a chain of certificates is that of somebody known.
	Verifier = v2.Verifier
	// Wants is what a client asks for.
	Wants = v2.Wants
	// Assignment is what a client is given.
	Assignment = v2.Assignment
)

func (EAP) event()        {}
func (Assign) event()     {}
func (Configured) event() {}
func (Redirected) event() {}

func (Send) event()      {}
func (Compute) event()   {}
func (Up) event()        {}
func (Installed) event() {}
func (Activated) event() {}
func (Removed) event()   {}
func (Moved) event()     {}
func (Keepalive) event() {}
func (Failed) event()    {}
func (Untold) event()    {}
func (Closed) event()    {}

// ChildSA is a pair of ESP SAs as negotiated, all that is needed to use it.
type ChildSA struct {
	ChildTerms
	KeyIn, KeyOut ChildKeys
}

// ChildTerms are what was agreed on for a pair of ESP SAs beside their keys, which are
// needed for a moment only.
type ChildTerms struct {
	In, Out   SPI
	Initiator bool // we started the exchange that made it
	Active    bool // send on it at once; otherwise after Activated
	Transport bool // transport mode, RFC 4303 section 3.1.1
	UDPEncap  bool // UDP encapsulation, RFC 3948; otherwise IP protocol 50

	Encryption uint8  // ESP transform of the IPsec DOI, RFC 2407 section 4.4.4
	KeyBits    int    // 0 for ciphers with one length only
	Integrity  uint16 // authentication algorithm of the IPsec DOI; 0 with AEAD
	ESN        bool

	Local, Remote Selector
	// LocalTraffic and RemoteTraffic are all selectors of IKEv2, of which Local
	// and Remote are the first; Inner are the addresses that the initiator was
	// given. The inner source of what the peer sends must be in RemoteTraffic.
	LocalTraffic, RemoteTraffic []Range
	Inner                       []netip.Addr
	// LocalOriginal and RemoteOriginal are the addresses the peer computed its
	// inner checksums with (RFC 3947 section 5.2): ours and its own as it knows
	// them. Invalid if the peer did not say.
	LocalOriginal, RemoteOriginal netip.Addr

	Lifetime  time.Duration // as negotiated; 0: none
	LifeBytes uint64        // as negotiated; 0: none
	Path      Path
	Replaces  SPI // inbound SPI of the SA that this one renews; 0: none
}

// ChildKeys are the keys of one direction, in the order of KEYMAT (RFC 2409
// section 5.5). With AES-GCM Encryption ends in the four bytes of salt (RFC 4106
// section 8.1). The receiver of the event owns and zeroes them.
type ChildKeys struct{ Encryption, Integrity []byte }

// Zero overwrites the keys.
func (k ChildKeys) Zero() {
	clear(k.Encryption)
	clear(k.Integrity)
}

// Selector is one side of the traffic of a child SA.
type Selector struct {
	Addr  netip.Prefix
	Proto uint8  // IP protocol; 0: any
	Port  uint16 // 0: any
}
