package l2tp

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// Result is the content of a Result Code AVP (RFC 2661 section 4.4.2). What Code
// means depends on the message: use the Stop constants in a StopCCN, the Clear
// constants in a CDN. The zero Result lets the package choose.
type Result struct {
	Code    uint16
	Error   ErrorCode // has a meaning where Code is StopError or ClearError
	Message string    // for people; at most 200 octets are sent
}

// Result codes of StopCCN.
const (
	StopClear        = 1 // general request to clear the control connection
	StopError        = 2 // Error says what
	StopExists       = 3 // control channel already exists
	StopUnauthorized = 4 // requester is not authorized
	StopVersion      = 5 // protocol version not supported; Error holds the highest that is
	StopShutdown     = 6 // requester is being shut down
	StopFSM          = 7 // finite state machine error
)

// Result codes of CDN.
const (
	ClearCarrier        = 1
	ClearError          = 2 // Error says what
	ClearAdministrative = 3
	ClearBusyFacilities = 4
	ClearNoFacilities   = 5
	ClearDestination    = 6
	ClearNoCarrier      = 7
	ClearBusy           = 8
	ClearNoDialTone     = 9
	ClearTimeout        = 10
	ClearFraming        = 11
)

var stopWords = [...]string{
	StopClear:        "general request to clear the control connection",
	StopError:        "general error",
	StopExists:       "control channel already exists",
	StopUnauthorized: "requester is not authorized to establish a control channel",
	StopVersion:      "protocol version of the requester is not supported",
	StopShutdown:     "requester is being shut down",
	StopFSM:          "finite state machine error",
}

var clearWords = [...]string{
	ClearCarrier:        "loss of carrier",
	ClearError:          "general error",
	ClearAdministrative: "administrative reasons",
	ClearBusyFacilities: "facilities are lacking for the moment",
	ClearNoFacilities:   "facilities are lacking for good",
	ClearDestination:    "invalid destination",
	ClearNoCarrier:      "no carrier detected",
	ClearBusy:           "busy signal",
	ClearNoDialTone:     "no dial tone",
	ClearTimeout:        "the call was not established within the time allotted",
	ClearFraming:        "no appropriate framing was detected",
}

// ErrorCode is the error code of a Result Code AVP.
type ErrorCode uint16

// The error codes of RFC 2661 section 4.4.2; 9 is of RFC 3931.
const (
	ErrorNone            ErrorCode = 0
	ErrorNoConnection    ErrorCode = 1
	ErrorLength          ErrorCode = 2
	ErrorValue           ErrorCode = 3
	ErrorResources       ErrorCode = 4
	ErrorSession         ErrorCode = 5
	ErrorVendor          ErrorCode = 6
	ErrorTryAnother      ErrorCode = 7
	ErrorUnknownAVP      ErrorCode = 8
	ErrorTryAnotherNamed ErrorCode = 9
)

var errorWords = [...]string{
	ErrorNone:            "no general error",
	ErrorNoConnection:    "no control connection exists yet for this pair",
	ErrorLength:          "a length is wrong",
	ErrorValue:           "a field value is out of range or a reserved field is not zero",
	ErrorResources:       "insufficient resources for the moment",
	ErrorSession:         "the session ID is invalid in this context",
	ErrorVendor:          "vendor-specific error",
	ErrorTryAnother:      "try another destination",
	ErrorUnknownAVP:      "an unknown AVP was marked mandatory",
	ErrorTryAnotherNamed: "try another destination, which is named",
}

// String says the code in words.
func (c ErrorCode) String() string { return words(errorWords[:], uint16(c), "error ") }

func words(table []string, code uint16, what string) string {
	if int(code) < len(table) && table[code] != "" {
		return table[code]
	}
	return what + decimal(uint64(code))
}

// words says the result in words, as a result of the message via.
func (r Result) words(via MessageType) string {
	var b strings.Builder
	if via == MessageStopCCN {
		b.WriteString(words(stopWords[:], r.Code, "result "))
	} else {
		b.WriteString(words(clearWords[:], r.Code, "result "))
	}
	if via == MessageStopCCN && r.Code == StopVersion {
		b.WriteString(": highest supported is " + decimal(uint64(r.Error)))
	} else if r.Error != ErrorNone {
		b.WriteString(": " + r.Error.String())
	}
	if r.Message != "" {
		b.WriteString(": " + r.Message)
	}
	return b.String()
}

// parseResult reads a Result Code AVP leniently. Apple sends eight octets and the
// code in little-endian order: no code is above 255, so such values are turned.
func parseResult(v []byte) Result {
	var r Result
	if len(v) >= 2 {
		r.Code = turned(binary.BigEndian.Uint16(v))
	}
	if len(v) >= 4 {
		r.Error = ErrorCode(turned(binary.BigEndian.Uint16(v[2:])))
		r.Message = printable(v[4:])
	}
	return r
}

func turned(code uint16) uint16 {
	if code > 255 && code&0xff == 0 {
		return code >> 8
	}
	return code
}

// maxText bounds the text that is taken from, or given to, a peer.
const maxText = 200

// printable returns a peer's text, fit to be shown: bounded, valid UTF-8, and without
// control characters (Apple ends its host name with a NUL).
func printable(b []byte) string {
	if len(b) > maxText {
		b = b[:maxText]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, string(b))
}

// Cause says what kind of thing ended a call or a tunnel.
type Cause uint8

// The causes.
const (
	CausePeer      Cause = iota + 1 // the peer said so, in a CDN or StopCCN
	CauseLocal                      // the owner of the Endpoint said so
	CauseTimeout                    // the peer stopped answering
	CauseSetup                      // it was not up within the time allowed
	CauseProtocol                   // the peer broke the protocol
	CauseAuth                       // tunnel authentication failed
	CauseRefused                    // policy or limits forbade it
	CauseReplaced                   // the peer dialled again
	CauseTie                        // the peer's simultaneous tunnel won
	CauseIdle                       // the tunnel had no calls
	CauseForgotten                  // Forget
)

var causeWords = [...]string{
	CausePeer:      "the peer ended it",
	CauseLocal:     "we ended it",
	CauseTimeout:   "the peer stopped answering",
	CauseSetup:     "it was not up within the time allowed",
	CauseProtocol:  "the peer broke the protocol",
	CauseAuth:      "tunnel authentication failed",
	CauseRefused:   "it is not allowed",
	CauseReplaced:  "the peer dialled again",
	CauseTie:       "the peer's simultaneous tunnel won the tie",
	CauseIdle:      "the tunnel had no calls",
	CauseForgotten: "its peer is gone",
}

// String says the cause in words.
func (c Cause) String() string { return words(causeWords[:], uint16(c), "cause ") }

// Reason says why a call or a tunnel ended.
type Reason struct {
	Cause  Cause
	Via    MessageType // the StopCCN or CDN that says so, ours or the peer's; 0: there was none
	Result Result      // what that message says
}

// String says the reason in words, for the log.
func (r Reason) String() string {
	if r.Via == 0 {
		if r.Result.Message != "" {
			return r.Cause.String() + ": " + r.Result.Message
		}
		return r.Cause.String()
	}
	return r.Cause.String() + ", " + r.Via.String() + " " + decimal(uint64(r.Result.Code)) +
		" (" + r.Result.words(r.Via) + ")"
}
