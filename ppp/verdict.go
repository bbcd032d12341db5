package ppp

import "net/netip"

// Verdict answers an [Authenticate] event.
type Verdict struct {
	OK bool

	// Success is what the Authenticate's verifying method returned, "S=" and 40
	// hexadecimal digits. MS-CHAPv2 does not succeed without it.
	Success string
	// EAP is the owner's machine's last packet, Success or Failure; nil: the link makes it.
	EAP []byte
	// Code is the error of a failure: 646 restricted hours, 647 disabled, 648
	// password expired, 649 no permission to dial in, 691 refused, 709 changing
	// the password failed. 0: 691.
	Code int
	// Message is for the user to read; empty: a plain one.
	Message string
	// Retry lets the client try another password within this link, a few times.
	Retry bool
	// NewChallenge is what the retry must answer, 16 octets; nil: the link draws one.
	NewChallenge []byte

	// Of a success: our address on the link and the client's, and its servers.
	Local, Peer netip.Addr
	DNS, NBNS   []netip.Addr // the first two of each are told
	IPv6        bool         // the client may have IPv6 if it asks for it
}
