package ppp

import (
	"fmt"
	"net/netip"

	"github.com/culvert-vpn/culvert/ppp/auth"
)

// Event is what a Link wants done or known: [Send], [Authenticate], [Up], [Down],
// [Up6], [Down6], [EAPResponse], [EAPRequest], [Identified] or [Closed].
type Event interface{ event() }

// Send is a frame for the peer, with address and control octets.
type Send struct{ Frame []byte }

// Authenticate asks the owner whether the client is who it says. The answer goes to
// [Link.Authenticated] with the same ID; until then the link waits. With EAP there is
// nothing but the ID: the owner asks the client with [Link.EAPRequest]. The verifying
// methods decide by a password or an NT hash; the fields are also all that a RADIUS
// server wants to know. The receiver zeroes Response when done, see [Authenticate.Zero].
type Authenticate struct {
	ID         uint32
	Method     Method
	User       string // as the client wrote it, with its domain or realm; up to 255 octets of anything
	Identifier uint8  // of the CHAP or PAP packet
	Challenge  []byte // ours, 16 octets; nil for PAP
	Response   []byte // MS-CHAPv2: 49 octets; CHAP: 16 octets; PAP: the password
}

// VerifyHash verifies the client by the NT hash of its password: MS-CHAPv2 and PAP.
// CHAP needs the password itself and fails here. success is for Verdict.Success.
// Comparisons take constant time.
func (a Authenticate) VerifyHash(hash [16]byte) (success string, ok bool) {
	switch a.Method {
	case MSCHAPv2:
		r, err := auth.ParseResponse(a.Response)
		if err != nil || len(a.Challenge) != auth.ChallengeLen {
			return "", false
		}
		return auth.Verify(hash, [auth.ChallengeLen]byte(a.Challenge), r.PeerChallenge, r.NTResponse, a.User)
	case PAP:
		return "", auth.VerifyPAPHash(hash, a.Response)
	}
	return "", false
}

// VerifyPassword verifies the client by its password, whatever the method is.
func (a Authenticate) VerifyPassword(password []byte) (success string, ok bool) {
	switch a.Method {
	case MSCHAPv2:
		hash := auth.NTHashBytes(password)
		defer clear(hash[:])
		return a.VerifyHash(hash)
	case CHAPMD5:
		return "", auth.VerifyMD5(a.Identifier, password, a.Challenge, a.Response)
	case PAP:
		return "", auth.VerifyPAP(password, a.Response)
	}
	return "", false
}

// Zero clears the challenge and the response, which for PAP is the password.
func (a Authenticate) Zero() {
	clear(a.Challenge)
	clear(a.Response)
}

// String leaves out the response: it may be a password.
func (a Authenticate) String() string {
	return fmt.Sprintf("authenticate %d: %s %q", a.ID, a.Method, a.User)
}

// GoString is String.
func (a Authenticate) GoString() string { return a.String() }

// EAPResponse is an EAP packet of the client, for the machine that was made for the
// [Authenticate] event with that ID. The next call is [Link.EAPRequest] or
// [Link.Authenticated].
type EAPResponse struct {
	ID     uint32
	Packet []byte
}

// EAPRequest is an EAP packet of the server: a request, which [Link.EAPRespond]
// answers, or the end, Success or Failure. [Link.EAPFinished] says what it came to.
type EAPRequest struct{ Packet []byte }

// Up says that IP may flow. It comes again after a [Down] when the peer negotiated
// anew, maybe with other values.
type Up struct {
	Local, Peer netip.Addr   // a client's Peer is invalid when the server does not tell its address
	DNS, NBNS   []netip.Addr // what the client has been given
	PeerMRU     int          // the largest packet that the peer takes, in bytes, without PPP header
	SendACFC    bool         // the peer takes frames without address and control octets
	SendPFC     bool         // the peer takes protocol numbers of one octet
}

// Down says that IP must not flow until the next [Up]: the peer negotiates anew, or
// the link is about to close.
type Down struct{}

// Up6 says that IPv6 may flow, maybe before [Up] does. Each side has the link-local
// address of its identifier; all else is for router advertisements and DHCPv6 to tell.
type Up6 struct {
	LocalID, PeerID   InterfaceID // a client's PeerID is zero when the server does not tell its own
	PeerMRU           int         // as in Up
	SendACFC, SendPFC bool
}

// Down6 says that IPv6 must not flow until the next [Up6].
type Down6 struct{}

// Identified carries what the peer says it is (RFC 1570 section 2.1): printable as
// it came, and otherwise in hexadecimal. Windows sends "MSRASV5.20", "MSRAS-0-HOST"
// and a correlation identifier.
type Identified struct{ Text string }

// Closed is the last event of a Link.
type Closed struct{ Reason Reason }

func (Send) event()         {}
func (Authenticate) event() {}
func (EAPResponse) event()  {}
func (EAPRequest) event()   {}
func (Up) event()           {}
func (Down) event()         {}
func (Up6) event()          {}
func (Down6) event()        {}
func (Identified) event()   {}
func (Closed) event()       {}
