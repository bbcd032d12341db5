package suite

import (
	"fmt"
	"strings"
)

var prf2Names = map[PRF2]string{
	PRF2MD5: "prfmd5", PRF2SHA1: "prfsha1", PRF2AESXCBC: "prfaesxcbc", PRF2SHA256: "prfsha256",
	PRF2SHA384: "prfsha384", PRF2SHA512: "prfsha512", PRF2AESCMAC: "prfaescmac",
}

var integ2Names = map[Integ2]string{
	Integ2None: "none", Integ2MD5: "md5", Integ2SHA1: "sha1", Integ2AESXCBC: "aesxcbc", Integ2AESCMAC: "aescmac",
	Integ2SHA256: "sha256", Integ2SHA384: "sha384", Integ2SHA512: "sha512",
}

// String returns the usual short name, such as aes256gcm16.
func (c Cipher) String() string { return cipherName(c.Encryption, c.KeyBits) }

// String returns the usual short name, such as prfsha256.
func (p PRF2) String() string { return name(prf2Names, p, "prf") }

// String returns the usual short name, such as sha256.
func (i Integ2) String() string { return name(integ2Names, i, "integrity") }

// String returns the exchanges as -mlkem768, one after the other.
func (a Additional) String() string {
	s := ""
	for _, g := range a.List() {
		s += "-" + g.String()
	}
	return s
}

// String returns the suite as aes256-sha256-modp2048, aes256gcm16-prfsha256-ecp256
// or, where PRF and integrity differ, aes256-sha256-prfsha384-ecp384; additional
// key exchanges follow.
func (s IKE2Suite) String() string {
	out := s.cipher().String()
	if s.Integrity != IntegNone {
		out += "-" + s.Integrity.String()
	}
	if s.Integrity.String() != s.PRF.String() {
		out += "-prf" + s.PRF.String()
	}
	return out + "-" + s.Group.String() + s.Additional.String()
}

// String returns the suite in words, with what is not usual.
func (e ESP2) String() string {
	s := e.ESPSuite.String()
	if e.Group != GroupNone {
		s += "-" + e.Group.String()
	}
	s += e.Additional.String()
	if e.ESN {
		s += "-esn"
	}
	return s
}

// ParseIKE2Suite reads what IKE2Suite.String writes and refuses what is not
// supported.
func ParseIKE2Suite(s string) (IKE2Suite, error) {
	parts := strings.Split(s, "-")
	var out IKE2Suite
	var ok bool
	if out.Encryption, out.KeyBits, ok = lookupCipher(parts[0]); !ok {
		return IKE2Suite{}, fmt.Errorf("%w %q: %q is not known", ErrSyntax, s, parts[0])
	}
	added := 0
	for _, part := range parts[1:] {
		if !out.set(part, &added) {
			return IKE2Suite{}, fmt.Errorf("%w %q: %q is not known here", ErrSyntax, s, part)
		}
	}
	if out.PRF == 0 {
		out.PRF, _ = lookup(hashNames, out.Integrity.String())
	}
	if !out.Supported() {
		return IKE2Suite{}, fmt.Errorf("%w: %q; write cipher-hash-group, as in aes256-sha256-modp2048, or aes256gcm16-prfsha256-ecp256", ErrUnsupported, s)
	}
	return out, nil
}

// set reads one part of a suite's name.
func (s *IKE2Suite) set(part string, added *int) bool {
	if prf, ok := strings.CutPrefix(part, "prf"); ok && s.PRF == 0 {
		s.PRF, ok = lookup(hashNames, prf)
		return ok
	}
	if i, ok := lookup(integrityNames, part); ok && s.Integrity == IntegNone {
		s.Integrity = i
		return true
	}
	g, ok := lookup(groupNames, part)
	switch {
	case !ok:
		return false
	case s.Group == GroupNone:
		s.Group = g
	case *added < len(s.Additional):
		s.Additional[*added] = g
		*added++
	}
	return true
}

// ParseESP2 reads what ESP2.String writes and refuses what is not supported.
func ParseESP2(s string) (ESP2, error) {
	name, esn := strings.CutSuffix(s, "-esn")
	parts := strings.Split(name, "-")
	n := 1
	if len(parts) > 1 {
		if _, ok := lookup(integrityNames, parts[1]); ok {
			n = 2
		}
	}
	e, err := ParseESPSuite(strings.Join(parts[:n], "-"))
	if err != nil {
		return ESP2{}, err
	}
	out := ESP2{ESPSuite: e, ESN: esn}
	for i, part := range parts[n:] {
		g, ok := lookup(groupNames, part)
		switch {
		case !ok || i > len(out.Additional):
			return ESP2{}, fmt.Errorf("%w %q: %q is not known here", ErrSyntax, s, part)
		case i == 0 && !g.Supported() || i > 0 && !g.Supported() && !g.IsKEM():
			return ESP2{}, fmt.Errorf("%w: %q as a key exchange of %q", ErrUnsupported, part, s)
		case i == 0:
			out.Group = g
		default:
			out.Additional[i-1] = g
		}
	}
	return out, nil
}
