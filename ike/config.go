package ike

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/timing"
	"github.com/culvert-vpn/culvert/ike/v1"
)

// Config is what a Server needs from the world.
type Config struct {
	// Rand is the source of cookies, nonces, SPIs and private keys. Required;
	// crypto/rand.Reader but in tests. It is only read from within calls.
	Rand io.Reader
	// Candidates returns the keys that a dialler between these addresses may
	// use, in the order in which to try them. It is asked for every new
	// exchange, so it must be cheap: the same slice again where nothing has
	// changed, for what follows from a slice is remembered with it. The slice
	// and the keys must stay as they are. Nil: nobody may dial in.
	Candidates func(local, remote netip.Addr) []Candidate
	// Refused reports whether nobody may dial from an address, nor move there who is
	// known. It is asked for every message, so it must be cheap. Nil: none is.
	Refused func(remote netip.Addr) bool
	// AllocateSPI returns a fresh inbound SPI, unique in the process and above
	// 255. Nil: drawn from Rand.
	AllocateSPI func() SPI
	Limits      Limits
	Retransmit  Retransmit
	// V2 says that IKEv2 is answered too. The owner then answers Assign and EAP
	// events.
	V2 bool
	// Redirect names another gateway for a dialler by IKEv2, or nothing (RFC
	// 5685). Nil: nobody is redirected.
	Redirect func(local, remote netip.Addr) string
	// MaxDatagram is the longest message that is sent whole, in bytes, to a peer
	// that takes fragments: by IKEv2 (RFC 7383), and by IKEv1 with certificates.
	// Zero: 1228.
	MaxDatagram int
	// Received returns how many packets have come in a child SA of IKEv1, by its
	// inbound SPI. Nil: peers are believed to have what they agreed to.
	Received func(Peer, SPI) uint64
	// RawESP allows child SAs without UDP encapsulation, for owners that can
	// send and receive IP protocol 50. NAT-D hashes are then honest.
	RawESP bool
}

// Candidate is one key under which a dialler may be accepted.
type Candidate struct {
	Tenant string
	PSK    []byte  // nil: none
	Policy *Policy // nil: the zero Policy

	// Groups are names of a group of clients that have the PSK. The candidate then
	// is for clients of IKEv1 that begin with aggressive mode and say one of them,
	// and for no others. Nil: for all but aggressive mode.
	Groups []string

	// Certificate is what we prove who we are with; nil: the PSK. Verify accepts
	// certificates of clients, on another goroutine; nil: none. Authorities are
	// those whose certificates it takes, named in CERTREQ. In IKEv1 clients prove
	// themselves by certificate if there are both, and our key is of RSA.
	Certificate *Certificate
	Verify      Verifier
	Authorities []*x509.Certificate
	// Identity is what we call ourselves beside a certificate. Empty, by IKEv1: its
	// subject; by IKEv2: what the client asks for if it is a name of Certificate,
	// else its first name, else our address.
	Identity string
	// XAUTH says that clients of IKEv1 may log in by extended authentication, for
	// tunnel mode: the owner then answers Login and Assign events.
	XAUTH bool

	// What follows is for IKEv2. ClientID narrows the PSK to who calls itself so;
	// empty: anybody.
	ClientID string
	// Shown is what we prove who we are with to clients that prove themselves by
	// the PSK and ask for a certificate, by CERTREQ and by one of its names, or,
	// with ShowAlways, to all of them; nil: the PSK.
	Shown      *Certificate
	ShowAlways bool
	EAP        bool // clients without AUTH are asked by EAP; needs Certificate
	// PPK returns the post-quantum key of that name (RFC 8784); nil: none.
	// PPKRequired refuses clients without one. PPK may be called on another
	// goroutine.
	PPK         func(id []byte) []byte
	PPKRequired bool
}

// Policy is what one tenant allows and wants. The zero value is usable: strong
// algorithms, the lifetimes of the peer, no rekeying by us, no DPD.
type Policy struct {
	// Legacy also allows 3DES and the groups MODP1024 and MODP1536.
	Legacy bool
	// IKE and ESP replace the default lists of suites, the best first.
	IKE []suite.IKESuite
	ESP []suite.ESPSuite
	// IKE2 and ESP2 are the same for IKEv2; nil: the defaults.
	IKE2 *suite.IKE2Policy
	ESP2 *suite.ESP2Policy
	// IKELifetime and ChildLifetime are what we propose when we start an
	// exchange, and bound how long we use an SA where it is us who rekeys. Zero:
	// as the peer offers, or the persona proposes.
	IKELifetime, ChildLifetime time.Duration
	// Rekey says that we start rekeying before an SA expires if the peer does
	// not. A Server that dialled always does.
	Rekey bool
	// DPD is the silence after which a peer that understands RFC 3706 is asked
	// whether it lives. Zero: never.
	DPD time.Duration
	// DPDTries is how many questions stay unanswered before the peer is taken
	// for dead. Zero: 5.
	DPDTries int
}

// Limits bound what strangers can make a Server hold and compute. Zero fields
// take their defaults.
type Limits struct {
	HalfOpen          int // unauthenticated exchanges in total (4096)
	Cookies           int // unauthenticated exchanges beyond which IKEv2 asks for a cookie first (a quarter of HalfOpen); half of Computations does so too
	StrangerBytes     int // bytes that they hold beside themselves: pieces of messages, logins by EAP (48 MiB)
	HalfOpenPerSource int // the same for one source address (256)
	BeginsPerSource   int // exchanges that one source address may begin a second and that do not end in a login, and that others may in its name (256)
	TriesPerSource    int // PSK trials a second for one source address (2000)
	Tries             int // PSK trials a second in total (50000)
	Computations      int // DH computations under way for strangers (256)
	Refusals          int // first messages a second that are refused, beyond which IKEv2 asks for a cookie first (200)
	Aggressive        int // aggressive modes that strangers may begin a second, in total (200); a source an eighth of that, its network a quarter
	Children          int // child SAs of one peer (16)
	Exchanges         int // quick modes under way of one peer (8)
	IKEs              int // ISAKMP SAs of one peer (6)
}

// Retransmit is the timing of an exchange that we started (and of QM2). Zero
// fields take their defaults: 1 s until the first repetition, doubled up to 8 s, and
// 6 repetitions.
type Retransmit = timing.Retransmit

// DialConfig is one connection to make.
type DialConfig struct {
	// Each dial to one server needs a local address and port of its own, for the
	// server tells its clients apart by them.
	//
	// Path is where message 1 goes (remote port 500) and NATTPath where the
	// exchange moves once NAT traversal is agreed (remote port 4500). If both
	// are the same the dial begins on 4500. The local addresses must be the real
	// ones, they are what the peer is told.
	Path, NATTPath Path
	PSK            []byte // copied
	// Certificate is what we prove who we are with by IKEv1, instead of the PSK; its
	// key must be of RSA. Verify then looks at the server's, which must be that of
	// what the server calls itself and, if it is set, of RemoteIdentity. For IKEv2
	// there is DialV2.
	Certificate    *Certificate
	Verify         Verifier
	RemoteIdentity string
	// Identity is sent instead of our address, or the subject of Certificate, if
	// set: a name (ID_FQDN), or with an @ inside ID_USER_FQDN.
	Identity string
	// Group dials IKEv1 by aggressive mode, as the group of that name, whose key PSK
	// is. Identity is not used then.
	Group string
	// Persona is the kind of client to look like by IKEv1; nil: culvert itself. It is
	// copied; DialV2 has that of IKEv2.
	Persona *v1.Persona
	// Local and Remote are the traffic to protect. Invalid addresses are those
	// of the path. The zero Selectors stand for UDP port 1701 on both sides, in
	// the way of the persona.
	Local, Remote Selector
	// LocalPort is the port of the L2TP socket if it is not 1701, for personas
	// that name it in their selector.
	LocalPort uint16
	PFS       bool // ask for a DH in quick mode (the persona may by itself)
	Policy    *Policy
	Tenant    string     // label, returned in events
	V2        *DialV2    // dial by IKEv2
	XAUTH     *DialXAUTH // dial by IKEv1 in tunnel mode; Remote.Addr then narrows it
	// IKE and ESP, if set, are proposed by IKEv1 instead of the persona's suites,
	// in its layout; DialV2 has those of IKEv2.
	IKE []suite.IKESuite
	ESP []suite.ESPSuite
}

// withDefaults validates c and fills what is zero.
func (c Config) withDefaults() (Config, error) {
	if c.Rand == nil {
		return c, fmt.Errorf("%w: Config.Rand is required", ErrConfig)
	}
	setDefault(&c.Limits.HalfOpen, 4096)
	setDefault(&c.Limits.Cookies, max(c.Limits.HalfOpen/4, 1))
	setDefault(&c.Limits.StrangerBytes, 48<<20)
	setDefault(&c.Limits.HalfOpenPerSource, 256)
	setDefault(&c.Limits.BeginsPerSource, 256)
	setDefault(&c.Limits.TriesPerSource, 2000)
	setDefault(&c.Limits.Tries, 50000)
	setDefault(&c.Limits.Computations, 256)
	setDefault(&c.Limits.Refusals, 200)
	setDefault(&c.Limits.Aggressive, 200)
	setDefault(&c.Limits.Children, 16)
	setDefault(&c.Limits.Exchanges, 8)
	setDefault(&c.Limits.IKEs, 6)
	setDefault(&c.Retransmit.First, time.Second)
	setDefault(&c.Retransmit.Max, 8*time.Second)
	setDefault(&c.Retransmit.Tries, 6)
	return c, nil
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
