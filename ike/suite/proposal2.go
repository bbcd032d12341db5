package suite

import (
	"slices"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// Cipher is a cipher with the length of its key in bits, zero where it has one
// length only.
type Cipher struct {
	Encryption Encryption
	KeyBits    uint16
}

// PRF2 is a pseudorandom function by IKEv2's number (IANA, transform type 2).
type PRF2 uint16

// The PRFs that clients offer. Those without a Hash are never chosen.
const (
	PRF2MD5     PRF2 = 1
	PRF2SHA1    PRF2 = 2
	PRF2AESXCBC PRF2 = 4
	PRF2SHA256  PRF2 = 5
	PRF2SHA384  PRF2 = 6
	PRF2SHA512  PRF2 = 7
	PRF2AESCMAC PRF2 = 8
)

// Hash returns the hash whose HMAC the PRF is, zero if there is none.
func (p PRF2) Hash() Hash { return prfs[p] }

var prfs = map[PRF2]Hash{PRF2SHA1: HashSHA1, PRF2SHA256: HashSHA256, PRF2SHA384: HashSHA384, PRF2SHA512: HashSHA512}

// Integ2 is an integrity algorithm by IKEv2's number (IANA, transform type 3),
// which differ from those of the IPsec DOI.
type Integ2 uint16

// The algorithms that clients offer. Those without an Integrity are never chosen.
const (
	Integ2None    Integ2 = 0
	Integ2MD5     Integ2 = 1
	Integ2SHA1    Integ2 = 2
	Integ2AESXCBC Integ2 = 5
	Integ2AESCMAC Integ2 = 8
	Integ2SHA256  Integ2 = 12
	Integ2SHA384  Integ2 = 13
	Integ2SHA512  Integ2 = 14
)

// Integrity returns the same algorithm by the number that the rest of this package
// and ChildSA use, IntegNone if there is none.
func (i Integ2) Integrity() Integrity { return integs[i] }

var integs = map[Integ2]Integrity{
	Integ2SHA1: IntegSHA1, Integ2SHA256: IntegSHA256, Integ2SHA384: IntegSHA384, Integ2SHA512: IntegSHA512,
}

// Additional is the additional key exchanges of an SA in the order in which they
// run (RFC 9370, section 2.2.1); unused places are GroupNone.
type Additional [7]Group

// List returns the exchanges that are used.
func (a Additional) List() []Group {
	var out []Group
	for _, g := range a {
		if g != GroupNone {
			out = append(out, g)
		}
	}
	return out
}

// IKE2Suite is the algorithms of an IKE SA of IKEv2. Suites compare with ==.
type IKE2Suite struct {
	Encryption Encryption
	KeyBits    uint16
	PRF        Hash
	Integrity  Integrity // IntegNone where the cipher authenticates itself
	Group      Group
	Additional Additional
}

// Supported reports whether IKE SAs of the suite can be made.
func (s IKE2Suite) Supported() bool {
	return s.cipher().keyLen() > 0 && s.PRF.Supported() && s.Group.Supported() &&
		s.Encryption.IsAEAD() == (s.integrityKeyLen() == 0)
}

func (s IKE2Suite) cipher() Cipher { return Cipher{s.Encryption, s.KeyBits} }

func (s IKE2Suite) integrityKeyLen() int { return ESPSuite{Integrity: s.Integrity}.IntegrityKeyLen() }

// keyLen is the length of the key in bytes, with the salt; zero for a cipher that
// this package does not have. AES-GCM with checksums of 8 bytes is not for an
// IKE SA (RFC 5282 has it, nobody needs it).
func (c Cipher) keyLen() int {
	if c.Encryption == EncAESGCM8 {
		return 0
	}
	return ESPSuite{Encryption: c.Encryption, KeyBits: c.KeyBits}.EncryptionKeyLen()
}

// ESP2 is the algorithms of a child SA of IKEv2.
type ESP2 struct {
	ESPSuite
	Group      Group // GroupNone: no key exchange of its own
	Additional Additional
	ESN        bool // 64-bit sequence numbers
}

// decodeCipher reads an ENCR transform.
func decodeCipher(t wire.Transform2) (Cipher, bool) {
	bits, ok := t.KeyBits()
	return Cipher{Encryption(min(t.ID, 0xff)), bits}, ok && t.ID <= 0xff
}

// decodeHash reads a PRF transform.
func decodeHash(t wire.Transform2) (Hash, bool) {
	h := PRF2(t.ID).Hash()
	return h, h != 0 && len(t.Attributes) == 0
}

// decodeIntegrity reads an INTEG transform.
func decodeIntegrity(t wire.Transform2) (Integrity, bool) {
	i := Integ2(t.ID).Integrity()
	return i, (i != IntegNone || t.ID == 0) && len(t.Attributes) == 0
}

// decodeGroup reads a KE or ADDKE transform.
func decodeGroup(t wire.Transform2) (Group, bool) { return Group(t.ID), len(t.Attributes) == 0 }

// decodeESN reads an ESN transform.
func decodeESN(t wire.Transform2) (bool, bool) { return t.ID == 1, t.ID <= 1 && len(t.Attributes) == 0 }

// Offer returns the exchanges as a proposal has them: one of each kind.
func (a Additional) Offer() (out [7][]Group) {
	for i, g := range a {
		if g != GroupNone {
			out[i] = []Group{g}
		}
	}
	return out
}

// IKE2Proposal is one proposal of an offer for an IKE SA: for each kind the
// algorithms offered, the best first. What cannot be chosen may stand in it, for
// clients offer it.
type IKE2Proposal struct {
	Ciphers    []Cipher
	Integ      []Integ2 // empty with AEAD
	PRF        []PRF2
	Groups     []Group
	Additional [7][]Group // GroupNone in a list makes the exchange optional
}

// ESP2Proposal is the same for a child SA.
type ESP2Proposal struct {
	Ciphers    []Cipher
	Integ      []Integ2 // empty with AEAD
	Groups     []Group  // empty: no key exchange, as in IKE_AUTH
	Additional [7][]Group
	ESN        []bool // empty: no 64-bit sequence numbers
}

// Proposal returns a proposal that offers exactly s.
func (s IKE2Suite) Proposal() IKE2Proposal {
	p := IKE2Proposal{Ciphers: []Cipher{s.cipher()}, Groups: []Group{s.Group}, Additional: s.Additional.Offer()}
	for n, h := range prfs {
		if h == s.PRF {
			p.PRF = []PRF2{n}
		}
	}
	p.Integ = integOffer(s.Integrity)
	return p
}

// Proposal returns a proposal that offers exactly e.
func (e ESP2) Proposal() ESP2Proposal {
	p := ESP2Proposal{Ciphers: []Cipher{{e.Encryption, e.ESPSuite.KeyBits}}, Integ: integOffer(e.Integrity),
		Additional: e.Additional.Offer(), ESN: []bool{e.ESN}}
	if e.Group != GroupNone {
		p.Groups = []Group{e.Group}
	}
	return p
}

// Either returns the proposals with their additional key exchanges and then, for peers
// that know none, those without. A list of which one element were GroupNone would not do:
// a proposal with a type of transform that a peer does not know "MUST be considered
// unacceptable" as a whole (RFC 7296, section 3.3.6).
func Either(list ...IKE2Proposal) []IKE2Proposal {
	out := slices.Clone(list)
	for _, p := range list {
		if added(p.Additional) {
			p.Additional = [7][]Group{}
			out = append(out, p)
		}
	}
	return out
}

// EitherESP is Either for child SAs.
func EitherESP(list ...ESP2Proposal) []ESP2Proposal {
	out := slices.Clone(list)
	for _, p := range list {
		if added(p.Additional) {
			p.Additional = [7][]Group{}
			out = append(out, p)
		}
	}
	return out
}

// added reports whether there is an additional key exchange.
func added(lists [7][]Group) bool {
	return slices.ContainsFunc(lists[:], func(l []Group) bool { return len(l) > 0 })
}

func integOffer(i Integrity) []Integ2 {
	for n, v := range integs {
		if v == i {
			return []Integ2{n}
		}
	}
	return nil
}

// OfferIKE2 returns an offer for an IKE SA. spi is that of the new SA when an IKE
// SA is renewed, and nil otherwise.
func OfferIKE2(spi []byte, list []IKE2Proposal) wire.SA2 {
	var sa wire.SA2
	for i, p := range list {
		var t transforms
		t.ciphers(p.Ciphers)
		appendIDs(&t, wire.TransformINTEG, p.Integ)
		appendIDs(&t, wire.TransformPRF, p.PRF)
		appendIDs(&t, wire.TransformKE, p.Groups)
		t.additional(p.Additional)
		sa.Proposals = append(sa.Proposals,
			wire.Proposal2{Number: uint8(i + 1), Protocol: wire.ProtocolIKE, SPI: spi, Transforms: t})
	}
	return sa
}

// OfferESP2 returns an offer for a child SA; spi is that of our inbound SA.
func OfferESP2(spi [4]byte, list []ESP2Proposal) wire.SA2 {
	var sa wire.SA2
	for i, p := range list {
		var t transforms
		t.ciphers(p.Ciphers)
		appendIDs(&t, wire.TransformINTEG, p.Integ)
		appendIDs(&t, wire.TransformKE, p.Groups)
		t.additional(p.Additional)
		t.esn(p.ESN)
		sa.Proposals = append(sa.Proposals,
			wire.Proposal2{Number: uint8(i + 1), Protocol: wire.ProtocolESP, SPI: spi[:], Transforms: t})
	}
	return sa
}

// transforms is a list of transforms being written.
type transforms []wire.Transform2

func (t *transforms) ciphers(list []Cipher) {
	for _, c := range list {
		x := wire.Transform2{Type: wire.TransformENCR, ID: uint16(c.Encryption)}
		if c.KeyBits != 0 {
			x.Attributes = x.Attributes.AppendTV(wire.Attribute2KeyLength, c.KeyBits)
		}
		*t = append(*t, x)
	}
}

func (t *transforms) additional(lists [7][]Group) {
	for i, list := range lists {
		appendIDs(t, wire.TransformADDKE1+wire.TransformType(i), list)
	}
}

func (t *transforms) esn(list []bool) {
	if len(list) == 0 {
		list = []bool{false}
	}
	for _, on := range list {
		x := wire.Transform2{Type: wire.TransformESN}
		if on {
			x.ID = 1
		}
		*t = append(*t, x)
	}
}

func appendIDs[T ~uint16](t *transforms, kind wire.TransformType, ids []T) {
	for _, id := range ids {
		*t = append(*t, wire.Transform2{Type: kind, ID: uint16(id)})
	}
}
