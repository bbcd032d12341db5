package ike

// Cause is why a negotiation failed.
type Cause uint8

// The causes. Hint says what each means for whoever operates the peers.
const (
	CauseNone Cause = iota
	CauseNoProposal
	CauseNoESPProposal
	CauseWrongPSK
	CauseLegacy
	CauseTimeout
	CauseSelectors
	CauseTunnelMode
	CauseNoNATT
	CauseAggressive
	CauseMalformed
	CauseTooMany
	CauseGuessing
	CauseRefused
	CauseNoTenant
	CauseInternal
	CauseAuthentication
	CauseTraffic
	CauseRedirected
	CauseXAUTH
	CauseNoGroup
	numCauses
)

var causes = [numCauses]struct{ words, hint string }{
	CauseNone: {"none", ""},
	CauseNoProposal: {"no common IKE proposal",
		"the client offers no phase 1 suite that is allowed here (Windows shows error 788, Android \"Unsuccessful\"); old phones and routers need legacy: true for MODP1024 and 3DES"},
	CauseNoESPProposal: {"no common ESP proposal",
		"the client offers no phase 2 suite that is allowed here (Windows shows error 788 or 789)"},
	CauseWrongPSK: {"wrong pre-shared key",
		"no key of any tenant opens the client's message 5: compare the pre-shared key on both sides (Windows shows error 789, macOS \"the IPSec shared secret is incorrect\")"},
	CauseLegacy: {"the tenant does not allow this suite",
		"the client's key belongs to a tenant that does not say legacy: true, and the suite it offered needs it"},
	CauseTimeout: {"no answer",
		"the other side stopped answering: UDP 500 and 4500 must pass in both directions (Windows shows error 809)"},
	CauseSelectors: {"traffic selectors refused",
		"the client asks to protect other traffic than L2TP to this server"},
	CauseTunnelMode: {"tunnel mode refused",
		"tunnel mode in IKEv1 is for clients that log in by XAUTH and ask for an address; this one did not"},
	CauseNoNATT: {"no UDP encapsulation",
		"the other side does not speak NAT traversal (RFC 3947), and raw ESP is not available here"},
	CauseAggressive: {"aggressive mode refused",
		"remove the group name (macOS, iOS) or IPsec identifier (Android) from the client's settings, so that it uses main mode; or name it in match.groups of its tenant"},
	CauseNoGroup: {"no such group",
		"no tenant has this name in match.groups: compare it with the group name (macOS, iOS) or IPsec identifier (Android) in the client's settings"},
	CauseMalformed: {"malformed message", "the other side sent what no RFC describes"},
	CauseTooMany: {"too many unfinished attempts",
		"this source, or all together, have too many handshakes open: a flood, or clients that lose our answers"},
	CauseGuessing: {"too many key trials",
		"this source, or all together, try keys faster than clients do; who has a right one gets in when it is its turn"},
	CauseRefused: {"refused by the other side", "see the notification that the other side sent"},
	CauseNoTenant: {"no tenant for this address",
		"no tenant with a pre-shared key listens on the address the client dialled"},
	CauseInternal: {"internal error", "a computation failed here"},
	CauseAuthentication: {"the other side did not prove who it is",
		"compare the key, the certificate or the password on both sides; the detail says which (Windows shows error 13801, 13806 or 691)"},
	CauseTraffic: {"no common traffic selectors",
		"the client asks to protect traffic that it may not, or was given no address"},
	CauseXAUTH: {"extended authentication is not allowed here",
		"the client dials \"Cisco IPSec\" (macOS, iOS) or \"IPSec Xauth\" (Android): add xauth to auth.allow of the tenant"},
	CauseRedirected: {"redirected", "the server named another gateway"},
}

// String names the cause in plain words.
func (c Cause) String() string {
	if c >= numCauses {
		return "unknown cause"
	}
	return causes[c].words
}

// Hint says in plain words what to look at, with the error numbers that clients
// show. It may be empty.
func (c Cause) Hint() string {
	if c >= numCauses {
		return ""
	}
	return causes[c].hint
}

// HintDialling is Hint for whoever has dialled: what can be looked at on that side.
func (c Cause) HintDialling() string {
	switch c {
	case CauseNoProposal, CauseNoESPProposal:
		return "the server allows nothing that we propose: its log says what it allows; see --ike, --esp and --persona"
	case CauseWrongPSK:
		return "compare the pre-shared key on both sides; a server that expects a certificate or a group's name answers neither"
	case CauseRefused:
		return "the detail is what the server answered, and its log says why: AUTHENTICATION_FAILED is a key, certificate or name that it does not take, or a way to log in that it does not allow"
	case CauseAuthentication:
		return "compare the key, the certificate or the password on both sides; the detail says which"
	case CauseSelectors, CauseTraffic:
		return "the server does not carry what we want to send: its log says what it was asked for"
	case CauseTunnelMode, CauseAggressive, CauseNoGroup, CauseXAUTH, CauseLegacy:
		return "the server does not allow this way to dial: its log says what it needs"
	}
	return c.Hint()
}

// Reason is why a peer is gone.
type Reason uint8

// The reasons of Closed.
const (
	ReasonNone     Reason = iota
	ReasonLocal           // Close was called
	ReasonShutdown        // Close was called because the gateway ends
	ReasonDeleted         // the peer deleted its SAs
	ReasonDead            // the peer answers no more (DPD)
	ReasonExpired         // the lifetimes ended and nobody renewed them
	ReasonReplaced        // the peer began anew (INITIAL_CONTACT)
	ReasonFailed          // the negotiation failed; see Cause
)

// String names the reason in plain words.
func (r Reason) String() string {
	names := [...]string{"none", "closed by us", "gateway shut down", "closed by the peer", "peer is dead",
		"lifetime over", "replaced by a new connection of the peer", "negotiation failed"}
	if int(r) >= len(names) {
		return "unknown reason"
	}
	return names[r]
}
