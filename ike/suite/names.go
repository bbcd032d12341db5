package suite

import (
	"fmt"
	"strconv"
	"strings"
)

var encryptionNames = map[Encryption]string{
	EncDES: "des", Enc3DES: "3des", EncRC5: "rc5", EncIDEA: "idea", EncCAST: "cast",
	EncBlowfish: "blowfish", EncNULL: "null", EncAESCBC: "aes", EncAESCTR: "aesctr",
	EncAESGCM8: "aesgcm8", EncAESGCM12: "aesgcm12", EncAESGCM16: "aesgcm16", EncCamellia: "camellia",
	EncChaCha20: "chacha20poly1305",
}

var hashNames = map[Hash]string{
	HashMD5: "md5", HashSHA1: "sha1", HashTiger: "tiger",
	HashSHA256: "sha256", HashSHA384: "sha384", HashSHA512: "sha512",
}

var integrityNames = map[Integrity]string{
	IntegMD5: "md5", IntegSHA1: "sha1", IntegSHA256: "sha256", IntegSHA384: "sha384", IntegSHA512: "sha512",
}

var groupNames = map[Group]string{
	GroupMODP1024: "modp1024", GroupMODP1536: "modp1536", GroupMODP2048: "modp2048",
	GroupMODP3072: "modp3072", GroupMODP4096: "modp4096", GroupECP256: "ecp256",
	GroupECP384: "ecp384", GroupECP521: "ecp521", GroupX25519: "curve25519",
	GroupMLKEM512: "mlkem512", GroupMLKEM768: "mlkem768", GroupMLKEM1024: "mlkem1024",
}

var authNames = map[AuthMethod]string{
	AuthPSK: "psk", AuthDSS: "dss", AuthRSASignature: "rsa", AuthXAUTHPSK: "xauth-psk", AuthXAUTHRSA: "xauth-rsa",
	AuthXAUTHPSKBack: "xauth-psk-responder", AuthXAUTHRSABack: "xauth-rsa-responder",
}

var encapsulationNames = map[Encapsulation]string{
	Tunnel: "tunnel", Transport: "transport", UDPTunnel: "udp-tunnel", UDPTransport: "udp-transport",
	UDPTunnelDraft: "udp-tunnel-draft", UDPTransportDraft: "udp-transport-draft",
}

func name[T ~uint8 | ~uint16](names map[T]string, v T, kind string) string {
	if s, ok := names[v]; ok {
		return s
	}
	return kind + strconv.Itoa(int(v))
}

// String returns the usual short name, such as aes or 3des.
func (e Encryption) String() string { return name(encryptionNames, e, "cipher") }

// String returns the usual short name, such as sha256.
func (h Hash) String() string { return name(hashNames, h, "hash") }

// String returns the usual short name, such as sha256.
func (i Integrity) String() string { return name(integrityNames, i, "integrity") }

// String returns the usual short name, such as modp2048 or ecp384.
func (g Group) String() string { return name(groupNames, g, "group") }

// String returns a short name: psk, rsa.
func (a AuthMethod) String() string { return name(authNames, a, "auth") }

// String returns a short name: tunnel, udp-transport.
func (e Encapsulation) String() string { return name(encapsulationNames, e, "mode") }

// cipherName joins a cipher and its key length: aes256, aes128gcm16, 3des.
func cipherName(e Encryption, bits uint16) string {
	if bits == 0 {
		return e.String()
	}
	family, mode := "aes", strings.TrimPrefix(e.String(), "aes")
	if mode == e.String() {
		family, mode = mode, ""
	}
	return family + strconv.Itoa(int(bits)) + mode
}

// String returns the suite as aes256-sha1-ecp384.
func (s IKESuite) String() string {
	return cipherName(s.Encryption, s.KeyBits) + "-" + s.Hash.String() + "-" + s.Group.String()
}

// String returns the suite as aes256-sha1 or aes128gcm16.
func (s ESPSuite) String() string {
	c := cipherName(s.Encryption, s.KeyBits)
	if s.Integrity == IntegNone {
		return c
	}
	return c + "-" + s.Integrity.String()
}

// String returns the transform in words: the suite, and what is not usual.
func (t IKE) String() string {
	if t.Auth == AuthPSK {
		return t.IKESuite.String()
	}
	return t.IKESuite.String() + " (" + t.Auth.String() + ")"
}

// String returns the transform in words: the suite, and what is not usual.
func (t ESP) String() string {
	s := t.ESPSuite.String()
	if t.Group != GroupNone {
		s += "-" + t.Group.String()
	}
	if t.ESN {
		s += "-esn"
	}
	if t.Encapsulation == 0 {
		return s
	}
	return s + " (" + t.Encapsulation.String() + ")"
}

// ParseIKESuite reads what IKESuite.String writes and refuses what is not
// supported.
func ParseIKESuite(s string) (IKESuite, error) {
	parts := strings.Split(s, "-")
	if len(parts) != 3 {
		return IKESuite{}, fmt.Errorf("%w %q: write cipher-hash-group, as in aes256-sha256-modp2048", ErrSyntax, s)
	}
	var out IKESuite
	var ok [3]bool
	out.Encryption, out.KeyBits, ok[0] = lookupCipher(parts[0])
	out.Hash, ok[1] = lookup(hashNames, parts[1])
	out.Group, ok[2] = lookup(groupNames, parts[2])
	for i := range ok {
		if !ok[i] {
			return IKESuite{}, fmt.Errorf("%w %q: %q is not known", ErrSyntax, s, parts[i])
		}
	}
	if !out.Supported() {
		return IKESuite{}, fmt.Errorf("%w: %v", ErrUnsupported, out)
	}
	return out, nil
}

// ParseESPSuite reads what ESPSuite.String writes and refuses what is not
// supported.
func ParseESPSuite(s string) (ESPSuite, error) {
	c, integ, both := strings.Cut(s, "-")
	var out ESPSuite
	var ok bool
	if out.Encryption, out.KeyBits, ok = lookupCipher(c); !ok {
		return ESPSuite{}, fmt.Errorf("%w %q: %q is not known", ErrSyntax, s, c)
	}
	if both {
		if out.Integrity, ok = lookup(integrityNames, integ); !ok {
			return ESPSuite{}, fmt.Errorf("%w %q: %q is not known", ErrSyntax, s, integ)
		}
	}
	if !out.Supported() {
		return ESPSuite{}, fmt.Errorf("%w: %v", ErrUnsupported, out)
	}
	return out, nil
}

func lookupCipher(s string) (Encryption, uint16, bool) {
	for e := range encryptionNames {
		for _, bits := range []uint16{0, 128, 192, 256} {
			if cipherName(e, bits) == s {
				return e, bits, true
			}
		}
	}
	return 0, 0, false
}

func lookup[T comparable](names map[T]string, s string) (T, bool) {
	for v, n := range names {
		if n == s {
			return v, true
		}
	}
	var none T
	return none, false
}
