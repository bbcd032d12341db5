package suite

import (
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// AuthMethod is how the peers prove who they are in phase 1 (RFC 2409, appendix A).
type AuthMethod uint16

// The authentication methods.
const (
	AuthPSK          AuthMethod = 1
	AuthDSS          AuthMethod = 2
	AuthRSASignature AuthMethod = 3
	AuthXAUTHPSK     AuthMethod = 65001 // XAUTHInitPreShared
	AuthXAUTHRSA     AuthMethod = 65005 // XAUTHInitRSA
)

// Life is how long an SA may be used. Zero: not said.
type Life struct {
	Seconds   uint32
	Kilobytes uint32
}

// Duration returns the seconds as a duration.
func (l Life) Duration() time.Duration { return time.Duration(l.Seconds) * time.Second }

// IKESuite is the algorithms of an IKE SA.
type IKESuite struct {
	Encryption Encryption
	KeyBits    uint16 // zero where the cipher has one length
	Hash       Hash
	Group      Group
}

// IKE is a phase 1 transform.
type IKE struct {
	IKESuite
	Auth AuthMethod
	Life Life
}

// ESPSuite is the algorithms of an ESP SA.
type ESPSuite struct {
	Encryption Encryption
	KeyBits    uint16    // zero where the cipher has one length
	Integrity  Integrity // zero where the cipher authenticates itself
}

// ESP is an ESP transform of quick mode.
type ESP struct {
	ESPSuite
	Encapsulation Encapsulation
	Group         Group // of perfect forward secrecy, GroupNone without
	ESN           bool  // 64-bit sequence numbers
	Life          Life
}

// IKEPolicy is what we accept in phase 1, the best first.
type IKEPolicy struct {
	Suites []IKESuite
	Auth   []AuthMethod
}

// ESPPolicy is what we accept in quick mode, the best first.
type ESPPolicy struct {
	Suites         []ESPSuite
	Encapsulations []Encapsulation // empty: any
	// KeyExchange says that the request carries a KE payload: exactly the
	// transforms that name a group of Groups fit then, else exactly those that
	// name none.
	KeyExchange bool
	Groups      []Group
}

// DefaultIKE is the policy that every supported client of today finds something
// in, with the authentication methods given. legacy adds 3DES and the groups
// MODP1536 and MODP1024 behind everything else.
func DefaultIKE(legacy bool, auth ...AuthMethod) IKEPolicy { return IKEPolicy{} }

// DefaultESP is the same for ESP; legacy adds 3DES and the small groups.
func DefaultESP(legacy bool) ESPPolicy { return ESPPolicy{} }

// IKEChoice is the transform of a phase 1 offer that both sides use.
type IKEChoice struct {
	IKE
	// Answer is the SA payload to answer with: the one proposal and the one
	// transform, exactly as offered.
	Answer wire.SA
}

// ESPChoice is the transform of a quick mode offer that both sides use.
type ESPChoice struct {
	ESP
	// SPI is the one the peer put into its proposal: the SPI of our outbound SA.
	SPI [4]byte
	// Answer is the SA payload to answer with, after AnswerSPI.
	Answer wire.SA
}

// AnswerSPI returns the SA payload to answer with, in which spi is the SPI of our
// inbound SA.
func (c ESPChoice) AnswerSPI(spi [4]byte) wire.SA { return wire.SA{} }

// SelectIKE chooses from a phase 1 offer the transform that p likes best. The
// error is a *Refusal or one of package wire's.
func SelectIKE(offer wire.SA, p IKEPolicy) (IKEChoice, error) { return IKEChoice{}, ErrNoProposal }

// SelectESP chooses from a quick mode offer the transform that p likes best. The
// error is a *Refusal or one of package wire's.
func SelectESP(offer wire.SA, p ESPPolicy) (ESPChoice, error) { return ESPChoice{}, ErrNoProposal }

// AcceptIKE checks the answer to our phase 1 offer: one proposal with one
// transform whose algorithms were offered. The lifetimes are the answer's.
func AcceptIKE(offer, answer wire.SA) (IKEChoice, error) { return IKEChoice{}, ErrAnswer }

// AcceptESP checks the answer to our quick mode offer in the same way; SPI is
// then that of our outbound SA.
func AcceptESP(offer, answer wire.SA) (ESPChoice, error) { return ESPChoice{}, ErrAnswer }

// Refusal says why nothing was chosen: what was offered and what is allowed.
type Refusal struct {
	Phase   string   // "IKE" or "ESP"
	Offered []string // the transforms in their order
	Allowed []string // the suites of the policy
}

// Error is a sentence for the operator's log.
func (r *Refusal) Error() string { return ErrNoProposal.Error() }

// Unwrap returns ErrNoProposal.
func (r *Refusal) Unwrap() error { return ErrNoProposal }
