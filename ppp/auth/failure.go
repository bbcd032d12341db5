package auth

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// The error codes of RFC 2759 section 6.
const (
	RestrictedHours  = 646
	AccountDisabled  = 647
	PasswordExpired  = 648
	NoDialin         = 649
	Refused          = 691
	ChangingPassword = 709
)

// Failure is the message of an MS-CHAPv2 Failure packet (RFC 2759 section 6):
// "E=691 R=1 C=<32 hexadecimal digits> V=3 M=<message>".
type Failure struct {
	Code      int
	Retry     bool
	Challenge [ChallengeLen]byte // for the retry
	Message   string
}

// String is the message as it goes over the wire.
func (f Failure) String() string {
	retry := 0
	if f.Retry {
		retry = 1
	}
	return fmt.Sprintf("E=%d R=%d C=%s V=3 M=%s",
		f.Code, retry, strings.ToUpper(hex.EncodeToString(f.Challenge[:])), f.Message)
}

// ParseFailure reads such a message. E is required; what else is absent stays zero, as
// older servers leave it out.
func ParseFailure(s string) (f Failure, err error) {
	fields, message, _ := strings.Cut(s, "M=")
	f.Message = message
	seen := false
	for _, field := range strings.Fields(fields) {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "E":
			f.Code, err = strconv.Atoi(value)
			seen = err == nil && f.Code >= 0 && len(value) <= 10
		case "R":
			f.Retry = value == "1"
		case "C":
			if c, err := hex.DecodeString(value); err == nil && len(c) == ChallengeLen {
				copy(f.Challenge[:], c)
			}
		}
	}
	if !seen {
		return Failure{}, fmt.Errorf("%w: failure message", ErrFormat)
	}
	return f, nil
}
