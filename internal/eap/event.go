package eap

import (
	"crypto/x509"
	"time"
)

// Event is what a machine wants done.
type Event interface{ event() }

// Send is a packet for the other side.
type Send struct{ Packet []byte }

// Verify asks whether a response of MS-CHAPv2 is right (RFC 2759, section 8). A
// domain before the user's name is left to the owner. Server.Verified answers.
type Verify struct {
	User          string
	Challenge     [16]byte
	PeerChallenge [16]byte
	NTResponse    [24]byte
}

// Respond asks for the response to a challenge of MS-CHAPv2. Client.Responded
// answers.
type Respond struct {
	User          string
	Server        string // what the server calls itself
	Challenge     [16]byte
	PeerChallenge [16]byte
}

// Compute is slow work: call Do on any goroutine and give what it returns to
// Computed.
type Compute struct{ Do func() any }

// Done is the end, after the last Send.
type Done struct {
	OK bool
	// Method is the one that was used; zero if none was agreed on.
	Method Type
	// Identity is who the client says it is: with MSCHAPv2 the user's name that was
	// verified, otherwise the answer to the identity request, of which EAP-TLS
	// proves nothing: see Certificates.
	Identity string
	// MSK is the master session key of 64 bytes (RFC 3748, section 7.10).
	MSK []byte
	// Certificates is what the other side proved itself with in EAP-TLS, as it was
	// sent, the leaf first.
	Certificates []*x509.Certificate
	// Err is why it failed.
	Err error
}

func (Send) event()    {}
func (Verify) event()  {}
func (Respond) event() {}
func (Compute) event() {}
func (Done) event()    {}

// Verdict answers a Verify.
type Verdict struct {
	OK bool
	// Success is the authenticator response, "S=" and 40 hexadecimal digits (RFC
	// 2759, section 8.7), if OK.
	Success string
	// MSK is made of MS-CHAPv2's keys: the server's receive key and its send key,
	// 16 bytes each (RFC 3079, section 3), and 32 zeroes. The machine keeps it.
	MSK []byte
	// Code is the error for the client if not OK (RFC 2759, section 6): 691 wrong
	// password (the default), 646 outside hours, 647 disabled, 648 expired.
	Code    int
	Message string // shown by some clients; may be empty
}

// Answer answers a Respond.
type Answer struct {
	NTResponse [24]byte
	Success    string // what the server has to prove itself with
	MSK        []byte // as in Verdict: the same bytes on both sides
}

// Authenticator is the server's side of EAP as a carrier drives it. A Server is
// one; so is a relay, whose Compute events ask the server that it relays to.
type Authenticator interface {
	// Start begins, with a Send of the first request.
	Start()
	// Input takes a packet of the client's.
	Input(now time.Time, packet []byte) error
	// Repeat sends the request that waits for its answer again.
	Repeat()
	// Computed takes what a Compute returned, and Verified what a Verify asked for.
	Computed(result any)
	Verified(v Verdict)
	// Next returns the next event, if there is one.
	Next() (Event, bool)
	// Close gives up.
	Close()
}
