package suite

import (
	"slices"
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

	// The same where the server begins phase 1, to renew it.
	AuthXAUTHPSKBack AuthMethod = 65002 // XAUTHRespPreShared
	AuthXAUTHRSABack AuthMethod = 65006 // XAUTHRespRSA
)

// Signed reports whether phase 1 is authenticated by signatures, not by a key.
func (a AuthMethod) Signed() bool {
	return a == AuthRSASignature || a == AuthXAUTHRSA || a == AuthXAUTHRSABack
}

// XAUTH reports whether the client, once phase 1 stands, has to say its name and
// password (draft-beaulieu-ike-xauth-02, section 7.1).
func (a AuthMethod) XAUTH() bool {
	return a == AuthXAUTHPSK || a == AuthXAUTHRSA || a == AuthXAUTHPSKBack || a == AuthXAUTHRSABack
}

// WithXAUTH is the method with extended authentication behind it, of the client
// that begins phase 1 or, back, of the one that answers.
func (a AuthMethod) WithXAUTH(back bool) AuthMethod {
	switch {
	case a.Signed() && back:
		return AuthXAUTHRSABack
	case a.Signed():
		return AuthXAUTHRSA
	case back:
		return AuthXAUTHPSKBack
	}
	return AuthXAUTHPSK
}

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

// Supported reports whether IKE SAs of the suite can be made.
func (s IKESuite) Supported() bool {
	return s.IKEKeyLen() > 0 && s.Hash.Supported() && s.Group.Supported()
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
	KeyBits    uint16    // without the salt of GCM; zero where the cipher has one length
	Integrity  Integrity // zero where the cipher authenticates itself
}

// ESP is an ESP transform of quick mode.
type ESP struct {
	ESPSuite
	Encapsulation Encapsulation
	Group         Group // of perfect forward secrecy, GroupNone without
	ESN           bool  // 64-bit sequence numbers (RFC 4304)
	Life          Life
}

// DecodeIKE reads a phase 1 transform. It reports false for one that holds
// anything this package does not know; what it does know is filled in.
func DecodeIKE(t wire.Transform) (IKE, bool) {
	var out IKE
	d := decoder{lifeType: wire.AttributeLifeType, lifeDuration: wire.AttributeLifeDuration, life: &out.Life}
	ok := t.ID == wire.TransformKeyIKE
	for a := range t.Attributes.All() {
		ok = d.attribute(a, func(v uint16) bool {
			switch a.Type {
			case wire.AttributeEncryption:
				out.Encryption = phase1Encryption(v)
			case wire.AttributeKeyLength:
				out.KeyBits = v
			case wire.AttributeHash:
				out.Hash = Hash(min(v, 0xff))
			case wire.AttributeGroup:
				out.Group = Group(v)
			case wire.AttributeAuth:
				out.Auth = AuthMethod(v)
			default:
				return false
			}
			return true
		}) && ok
	}
	out.KeyBits = keyBits(out.Encryption, out.KeyBits)
	return out, ok
}

// DecodeESP reads an ESP transform of quick mode in the same way.
func DecodeESP(t wire.Transform) (ESP, bool) {
	out := ESP{ESPSuite: ESPSuite{Encryption: Encryption(t.ID)}}
	d := decoder{lifeType: wire.AttributeSALifeType, lifeDuration: wire.AttributeSALifeDuration, life: &out.Life}
	ok := true
	for a := range t.Attributes.All() {
		ok = d.attribute(a, func(v uint16) bool {
			switch a.Type {
			case wire.AttributeESPKeyLength:
				out.KeyBits = v
			case wire.AttributeAuthentication:
				out.Integrity = Integrity(v)
			case wire.AttributeGroupDescription:
				out.Group = Group(v)
			case wire.AttributeEncapsulation:
				out.Encapsulation = Encapsulation(v)
			case wire.AttributeExtendedSequence:
				out.ESN = v == 1
			default:
				return false
			}
			return true
		}) && ok
	}
	out.KeyBits = keyBits(out.Encryption, out.KeyBits)
	return out, ok
}

// keyBits leaves out the key length that some peers state for 3DES, whose keys
// have one length only.
func keyBits(e Encryption, bits uint16) uint16 {
	if e == Enc3DES && bits == 192 {
		return 0
	}
	return bits
}

// decoder keeps what is common to the attributes of both phases: lifetimes come
// in pairs of attributes, everything else once.
type decoder struct {
	lifeType, lifeDuration wire.AttributeType
	life                   *Life
	unit                   *uint32 // what the next duration is for
	seen                   uint32  // attribute types so far, a bit each
}

// attribute takes one attribute and reports whether it is understood. A value
// that is not a lifetime goes to set, if it comes for the first time and has 16
// bits, in whichever encoding.
func (d *decoder) attribute(a wire.Attribute, set func(v uint16) bool) bool {
	v := a.Uint()
	switch a.Type {
	case d.lifeType:
		d.unit = nil
		switch v {
		case 1:
			d.unit = &d.life.Seconds
		case 2:
			d.unit = &d.life.Kilobytes
		}
		return d.unit != nil
	case d.lifeDuration:
		// RFC 2407, section 4.5: a duration follows the type it belongs to.
		if d.unit == nil {
			return false
		}
		*d.unit = uint32(min(v, 1<<32-1))
		d.unit = nil
		return true
	}
	bit := uint32(1) << (a.Type & 31)
	if a.Type > 31 || d.seen&bit != 0 || v > 0xffff {
		return false
	}
	d.seen |= bit
	return set(uint16(v))
}

// phase1Ciphers are our ciphers by the numbers that phase 1 has for them, in which it
// is alone (RFC 2409, appendix A; RFC 3602; RFC 4312).
var phase1Ciphers = [...]Encryption{
	1: EncDES, 2: EncIDEA, 3: EncBlowfish, 4: EncRC5, 5: Enc3DES, 6: EncCAST, 7: EncAESCBC, 8: EncCamellia,
}

func phase1Encryption(v uint16) Encryption {
	if int(v) >= len(phase1Ciphers) {
		return 0
	}
	return phase1Ciphers[v]
}

func phase1Number(e Encryption) uint16 { return uint16(max(slices.Index(phase1Ciphers[1:], e)+1, 0)) }
