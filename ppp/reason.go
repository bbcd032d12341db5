package ppp

import (
	"fmt"
	"strings"
)

// Cause is why a link ended.
type Cause uint8

// The causes.
const (
	CauseLocal          Cause = iota // the owner closed it
	CausePeer                        // the peer ended it
	CauseSilent                      // LCP got no answer
	CauseNotConverging               // negotiation without end
	CauseLoopback                    // the line is looped back
	CauseNoCommonAuth                // no authentication protocol that both sides allow
	CauseAuthFailed                  // wrong password, account disabled ...
	CauseAuthTimeout                 // authentication got no answer
	CauseServerIdentity              // the server does not know our password
	CauseNetworkRefused              // the peer refuses IPCP
	CauseNoAddress                   // no address was assigned, or it was not taken
	CauseLoginTimeout                // the login took too long
	CauseEcho                        // the peer no longer answers
	CauseIdle                        // no traffic for the idle timeout
	CauseSessionTimeout              // the session timeout ran out
	CauseInternal                    // a fault of ours
)

var causeWords = [...]string{
	CauseLocal:          "closed",
	CausePeer:           "ended by the peer",
	CauseSilent:         "no answer to LCP",
	CauseNotConverging:  "negotiation does not converge",
	CauseLoopback:       "the line is looped back",
	CauseNoCommonAuth:   "no common authentication protocol",
	CauseAuthFailed:     "authentication failed",
	CauseAuthTimeout:    "no answer to authentication",
	CauseServerIdentity: "the server did not prove that it knows the password",
	CauseNetworkRefused: "the peer refuses IPCP",
	CauseNoAddress:      "no address agreed on",
	CauseLoginTimeout:   "login took too long",
	CauseEcho:           "the peer no longer answers",
	CauseIdle:           "idle timeout",
	CauseSessionTimeout: "session timeout",
	CauseInternal:       "internal fault",
}

// String says the cause in words.
func (c Cause) String() string {
	if int(c) < len(causeWords) {
		return causeWords[c]
	}
	return "unknown"
}

// rasCodes are the errors that Windows shows for a cause; 0: none fits.
var rasCodes = [...]int{
	CauseSilent:         718,
	CauseNotConverging:  732,
	CauseLoopback:       737,
	CauseNoCommonAuth:   734,
	CauseAuthFailed:     691,
	CauseServerIdentity: 778,
	CauseNetworkRefused: 733,
	CauseNoAddress:      738,
	CauseSessionTimeout: 0,
	CauseInternal:       0,
}

// Reason is why a link ended, in a form for counters and in words.
type Reason struct {
	Cause  Cause
	Code   int    // error number of Windows: what its user sees, or what it told us; 0: none
	Detail string // printable, maybe empty
}

// String says it in one line: "ended by the peer: no address was assigned (error 738)".
func (r Reason) String() string {
	s := r.Cause.String()
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	if r.Code != 0 {
		s += fmt.Sprintf(" (error %d)", r.Code)
	}
	return s
}

// because makes the Reason of a fault, with the number that Windows has for it.
func because(c Cause, detail string) Reason {
	return Reason{Cause: c, Code: rasCodes[c], Detail: detail}
}

// printable returns text fit to be shown and logged, and whether it was that already.
func printable(b []byte) (string, bool) {
	clean := true
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			clean = false
			return '.'
		}
		return r
	}, string(b))
	return s, clean
}
