package v2

import (
	"crypto"
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Path is the pair of addresses that a datagram travels between.
type Path struct {
	Local, Remote netip.AddrPort
	NATT          bool // messages carry the non-ESP marker (RFC 3948)
}

// Range is one traffic selector (RFC 7296, section 3.13.1).
type Range struct {
	From, To         netip.Addr // both included
	Protocol         uint8      // IP protocol; 0: any
	FromPort, ToPort uint16     // both included; 0 to 65535: any
}

// Keys are the keys of one direction of a child SA. Those of an AEAD end in the
// salt (RFC 4106, section 8.1; RFC 7634, section 2).
type Keys struct{ Encryption, Integrity []byte }

// Child is a pair of ESP SAs as negotiated.
type Child struct {
	In, Out       uint32 // SPIs
	Initiator     bool   // we started the exchange that made it
	Active        bool   // send on it at once
	Transport     bool
	Encryption    uint8  // ESP transform
	KeyBits       int    // 0 for ciphers with one length only
	Integrity     uint16 // authentication algorithm of the IPsec DOI; 0 with AEAD
	ESN           bool
	KeyIn, KeyOut Keys
	Local, Remote []Range      // the traffic, of our side and of the peer's
	Inner         []netip.Addr // addresses that the initiator was given
	Lifetime      time.Duration
	Replaces      uint32 // inbound SPI of the SA that this one renews; 0: none
}

// Certificate is what one side proves who it is with.
type Certificate struct {
	Chain  []*x509.Certificate // the leaf first, without the root
	Signer crypto.Signer       // used on other goroutines, through Compute
}

// Verifier decides whether a chain, whose leaf has proved that it holds its key,
// is that of somebody known. It runs on another goroutine. id is what the
// peer calls itself; the error says what is wrong.
type Verifier func(now time.Time, chain []*x509.Certificate, id wire.ID2) error

// Candidate is one way in which the party of a Session may prove who it is, and
// we to it.
type Candidate struct {
	Tenant string
	// PSK authenticates the peer if not nil, and us where there is no
	// Certificate. ClientID narrows it to one identity; empty: anybody's.
	PSK      []byte
	ClientID string
	// Identity is what we call ourselves; empty: what the peer asks for if the
	// certificate has that name, else the certificate's name, else our address.
	Identity    string
	Certificate *Certificate
	// OnRequest shows Certificate to peers with the PSK only if they ask for it, by
	// CERTREQ and by one of its names; to the others we prove ourselves by the PSK.
	OnRequest bool
	// Verify accepts certificates of peers; nil: none.
	Verify Verifier
	// Authorities are the authorities that we say we trust, in CERTREQ.
	Authorities []*x509.Certificate
	EAP         bool // peers that send no AUTH are asked by EAP
	// PPK returns the post-quantum key of that name (RFC 8784); nil: none.
	// PPKRequired refuses peers without one.
	PPK         func(id []byte) []byte
	PPKRequired bool
	Policy      Policy
}

// Policy is what is allowed, and when SAs are renewed.
type Policy struct {
	IKE suite.IKE2Policy
	ESP suite.ESP2Policy
	// IKELifetime and ChildLifetime are how long we use an SA before we renew
	// it, if Rekey says that we do at all. Zero: 4 hours and 1 hour.
	IKELifetime, ChildLifetime time.Duration
	Rekey                      bool
	DPD                        time.Duration // silence after which the peer is asked whether it lives; 0: never
}

// Wants is what the initiator asks for in its configuration payload.
type Wants struct {
	Request        bool // there was a configuration payload
	IPv4, IPv6     bool
	Addr4, Addr6   netip.Addr // the ones it would like; invalid: any
	DNS, Domains   bool
	Subnets, NBNS  bool
	Transport      bool // asks for transport mode
	Local, Remote  []Range
	Version        string // APPLICATION_VERSION of the peer
	InitialContact bool
	Redirectable   bool // it can be sent to another gateway, and has not been yet
}

// Assignment is what an initiator is given.
type Assignment struct {
	// OK lets the peer in. Otherwise it gets AUTHENTICATION_FAILED, or
	// INTERNAL_ADDRESS_FAILURE and no child SA if NoAddress is set.
	OK, NoAddress bool
	Detail        string // why not, for the log

	IPv4    netip.Addr
	IPv6    netip.Prefix // address and the length of its prefix
	DNS     []netip.Addr
	NBNS    []netip.Addr
	Domains []string // for split DNS (RFC 8598)
	Subnets []netip.Prefix
	// Local is what the peer may reach, Remote what it may be beyond the
	// addresses above. Local empty: everything. Remote empty: nothing else.
	Local, Remote []netip.Prefix
	// Transport allows transport mode, for L2TP.
	Transport bool
	// Redirect is the gateway that the peer is sent to instead (RFC 5685, section 6),
	// if it is Redirectable; empty: it is served here.
	Redirect string
}

// Cause is why something failed.
type Cause uint8

// The causes.
const (
	CauseNone Cause = iota
	CauseNoProposal
	CauseNoESPProposal
	CauseAuthentication // wrong key, certificate or password; the detail says which
	CauseNoCandidate
	CauseTimeout
	CauseSelectors
	CauseMalformed
	CauseGuessing
	CauseRefused
	CauseRedirected
	CauseNoEncapsulation // the peer does not speak NAT traversal
	CauseInternal
)

// Reason is why a Session ended.
type Reason uint8

// The reasons.
const (
	ReasonLocal Reason = iota
	ReasonDeleted
	ReasonDead
	ReasonExpired
	ReasonFailed
	ReasonReplaced
)
