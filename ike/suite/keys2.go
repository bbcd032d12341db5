package suite

import "github.com/culvert-vpn/culvert/ike/wire"

// Nonces are the values that both sides chose in an exchange, and the SPIs of the
// IKE SA that comes of it.
type Nonces struct {
	Ni, Nr     []byte
	SPIi, SPIr wire.Cookie
}

// Keys2 are the keys of an IKE SA (RFC 7296, section 2.14). SK_a is empty with an
// AEAD, whose SK_e ends in the salt.
type Keys2 struct {
	D, Ai, Ar, Ei, Er, Pi, Pr []byte
}

// Zero overwrites the keys.
func (k *Keys2) Zero() {
	for _, b := range [][]byte{k.D, k.Ai, k.Ar, k.Ei, k.Er, k.Pi, k.Pr} {
		clear(b)
	}
}

// Keys derives the keys of the first IKE SA (RFC 7296, section 2.14):
//
//	SKEYSEED = prf(Ni | Nr, g^ir)
//
// The caller zeroes shared.
func (s IKE2Suite) Keys(shared []byte, n Nonces) *Keys2 {
	key := append(append([]byte(nil), n.Ni...), n.Nr...)
	return s.expand(s.PRF.PRF(key, shared), n)
}

// NextKeys derives the keys after an IKE_INTERMEDIATE exchange with an additional
// key exchange, from SK_d of the keys before it (RFC 9370, section 2.2.2):
//
//	SKEYSEED(n) = prf(SK_d(n-1), SK(n) | Ni | Nr)
func (s IKE2Suite) NextKeys(skd, shared []byte, n Nonces) *Keys2 {
	return s.expand(s.PRF.PRF(skd, shared, n.Ni, n.Nr), n)
}

// RekeyKeys derives the keys of an IKE SA that renews one whose PRF and SK_d are
// given (RFC 7296, section 2.18; RFC 9370, section 2.2.4). shared is the secret of
// the CREATE_CHILD_SA exchange, then those of the additional ones.
//
//	SKEYSEED = prf(SK_d (old), SK(0) | Ni | Nr | SK(1) | ... | SK(n))
func (s IKE2Suite) RekeyKeys(old Hash, skd []byte, shared [][]byte, n Nonces) *Keys2 {
	seed := mixShared(shared, n.Ni, n.Nr)
	defer clear(seed)
	return s.expand(old.PRF(skd, seed), n)
}

// expand derives the keys of an IKE SA and zeroes skeyseed:
//
//	{SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr}
//	                = prf+ (SKEYSEED, Ni | Nr | SPIi | SPIr)
func (s IKE2Suite) expand(skeyseed []byte, n Nonces) *Keys2 {
	defer clear(skeyseed)
	prf, a, e := s.PRF.Size(), s.integrityKeyLen(), s.cipher().keyLen()
	seed := append(append([]byte(nil), n.Ni...), n.Nr...)
	seed = append(append(seed, n.SPIi[:]...), n.SPIr[:]...)
	all := s.PRF.PRFPlus(skeyseed, seed, 3*prf+2*a+2*e)
	k := new(Keys2)
	cut := func(dst *[]byte, size int) { *dst, all = all[:size:size], all[size:] }
	cut(&k.D, prf)
	cut(&k.Ai, a)
	cut(&k.Ar, a)
	cut(&k.Ei, e)
	cut(&k.Er, e)
	cut(&k.Pi, prf)
	cut(&k.Pr, prf)
	return k
}

// MixPPK mixes a post-quantum preshared key into the keys of the first IKE SA
// (RFC 8784, section 3), before the first child SA is derived and AUTH is computed:
//
//	SK_d = prf+ (PPK, SK_d'), and the same for SK_pi and SK_pr
func (k *Keys2) MixPPK(prf Hash, ppk []byte) {
	for _, key := range []*[]byte{&k.D, &k.Pi, &k.Pr} {
		mixed := prf.PRFPlus(ppk, *key, len(*key))
		clear(*key)
		*key = mixed
	}
}

// ChildKeys are the keys of one direction of a child SA.
type ChildKeys struct{ Encryption, Integrity []byte }

// ChildKeys derives the keys of a child SA from the IKE SA's PRF and SK_d (RFC
// 7296, section 2.17; RFC 9370, section 2.2.4): those with which the initiator of
// the exchange sends, then those of the responder. shared is empty without a key
// exchange, else as for RekeyKeys.
//
//	KEYMAT = prf+ (SK_d, [SK(0) |] Ni | Nr [| SK(1) | ... | SK(n)])
func (s ESPSuite) ChildKeys(prf Hash, skd []byte, shared [][]byte, ni, nr []byte) (i, r ChildKeys) {
	seed := mixShared(shared, ni, nr)
	defer clear(seed)
	e, n := s.EncryptionKeyLen(), s.KeymatLen()
	all := prf.PRFPlus(skd, seed, 2*n)
	i = ChildKeys{all[:e:e], all[e:n:n]}
	r = ChildKeys{all[n : n+e : n+e], all[n+e:]}
	return i, r
}

// mixShared writes secrets and nonces in the order in which they enter a prf.
func mixShared(shared [][]byte, ni, nr []byte) []byte {
	var b []byte
	if len(shared) > 0 {
		b = append(b, shared[0]...)
	}
	b = append(append(b, ni...), nr...)
	for _, more := range shared[min(1, len(shared)):] {
		b = append(b, more...)
	}
	return b
}

// IntAuth authenticates one message of an IKE_INTERMEDIATE exchange (RFC 9242,
// section 3.3.2): skp is the sender's SK_p, previous the IntAuth of the sender's
// message before it (nil for the first), h the message's header, first and plain
// what its SK payload holds without padding; in fragments, all of them together.
func IntAuth(prf Hash, skp, previous []byte, h wire.Header, first wire.PayloadType, plain []byte) []byte {
	head := wire.AppendEncrypted(nil, h, wire.Encrypted{First: first}, len(plain))
	return prf.PRF(skp, previous, head, plain)
}
