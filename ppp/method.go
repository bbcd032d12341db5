package ppp

import (
	"encoding/binary"
	"slices"
)

// Method is a way to authenticate.
type Method uint8

// The methods, the zero value being none at all.
const (
	NoMethod Method = iota
	MSCHAPv2        // RFC 2759
	CHAPMD5         // RFC 1994
	PAP             // RFC 1334
	EAP             // RFC 3748: what is in it, the owner knows
)

// methods lists them, the best first. EAP is second, as clients that have it and no
// MS-CHAPv2 say so, while others only know that they do not want it.
func methods() [4]Method { return [...]Method{MSCHAPv2, EAP, CHAPMD5, PAP} }

// String names the method as people do.
func (m Method) String() string {
	switch m {
	case MSCHAPv2:
		return "MS-CHAPv2"
	case CHAPMD5:
		return "CHAP-MD5"
	case PAP:
		return "PAP"
	case EAP:
		return "EAP"
	}
	return "none"
}

// AuthPolicy lists the methods that may be used. None set means MS-CHAPv2 alone.
type AuthPolicy struct{ MSCHAPv2, CHAPMD5, PAP, EAP bool }

func (p AuthPolicy) orDefault() AuthPolicy {
	if p == (AuthPolicy{}) {
		p.MSCHAPv2 = true
	}
	return p
}

func (p AuthPolicy) allows(m Method) bool {
	switch m {
	case MSCHAPv2:
		return p.MSCHAPv2
	case CHAPMD5:
		return p.CHAPMD5
	case PAP:
		return p.PAP
	case EAP:
		return p.EAP
	}
	return false
}

// both keeps the methods that both policies allow.
func (p AuthPolicy) both(q AuthPolicy) AuthPolicy {
	return AuthPolicy{p.MSCHAPv2 && q.MSCHAPv2, p.CHAPMD5 && q.CHAPMD5, p.PAP && q.PAP, p.EAP && q.EAP}
}

// first returns the best method that is allowed.
func (p AuthPolicy) first() Method {
	for _, m := range methods() {
		if p.allows(m) {
			return m
		}
	}
	return NoMethod
}

// after returns the best method that is allowed of those that are not as good as m.
func (p AuthPolicy) after(m Method) Method {
	list := methods()
	for _, next := range list[slices.Index(list[:], m)+1:] {
		if p.allows(next) {
			return next
		}
	}
	return NoMethod
}

// The algorithms of CHAP (RFC 1994 section 3, RFC 2433, RFC 2759).
const (
	algorithmMD5      = 0x05
	algorithmMSCHAPv1 = 0x80
	algorithmMSCHAPv2 = 0x81
)

// appendMethod appends the data of an Authentication-Protocol option.
func appendMethod(b []byte, m Method) []byte {
	switch m {
	case MSCHAPv2:
		return append(b, 0xc2, 0x23, algorithmMSCHAPv2)
	case CHAPMD5:
		return append(b, 0xc2, 0x23, algorithmMD5)
	case PAP:
		return append(b, 0xc0, 0x23)
	case EAP:
		return append(b, 0xc2, 0x27)
	}
	return b
}

// methodOf reads the data of an Authentication-Protocol option. What we do not speak
// is NoMethod.
func methodOf(b []byte) Method {
	for _, m := range methods() {
		if string(b) == string(appendMethod(make([]byte, 0, 3), m)) {
			return m
		}
	}
	return NoMethod
}

// nameOfMethod names what an Authentication-Protocol option asks for, for people.
func nameOfMethod(b []byte) string {
	if m := methodOf(b); m != NoMethod {
		return m.String()
	}
	if len(b) == 3 && Protocol(binary.BigEndian.Uint16(b)) == ProtocolCHAP && b[2] == algorithmMSCHAPv1 {
		return "MS-CHAPv1"
	}
	if len(b) < 2 {
		return "nothing"
	}
	return Protocol(binary.BigEndian.Uint16(b)).String()
}
