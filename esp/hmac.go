package esp

import (
	"crypto/hmac"
	"crypto/subtle"
	"encoding/binary"
	"hash"

	"github.com/culvert-vpn/culvert/esp/internal/mac"
)

// macKey is the truncated HMAC of an SA (RFC 2404, RFC 4868), without state.
type macKey struct {
	icv  int
	esn  bool
	sums *mac.Key    // SHA-1 and SHA-256, where several at once are better than one
	std  hash.Cloner // where the standard library's is the best for one
}

// newMACKey keeps nothing of key.
func newMACKey(t Transform, key []byte, esn bool) macKey {
	k := macKey{icv: t.mac.icv, esn: esn}
	if h := t.sums(); h != 0 && mac.SideBySide() {
		k.sums = mac.New(h, key)
	}
	if k.sums == nil || !mac.Fast() {
		std := hmac.New(t.newHash, key)
		std.Reset() // computes the inner and outer states that clones begin with
		k.std = std.(hash.Cloner)
	}
	return k
}

// message lays out what is authenticated: everything before the ICV's place in
// pkt and, with extended sequence numbers, the high half, which is not in the
// packet (RFC 4303, section 2.2.1).
func (k *macKey) message(m *mac.Message, pkt []byte, seq uint64) {
	m.Key, m.Data, m.Extended = k.sums, pkt[:len(pkt)-k.icv], k.esn
	binary.BigEndian.PutUint32(m.Extra[:], uint32(seq>>32))
}

// equal compares in constant time what a sum should be with the ICV in pkt.
func (k *macKey) equal(pkt, sum []byte) bool {
	return subtle.ConstantTimeCompare(pkt[len(pkt)-k.icv:], sum[:k.icv]) == 1
}

// authenticator computes the ICVs of packets, one at a time.
type authenticator struct {
	*macKey
	std  hash.Hash
	high [4]byte
	out  [64]byte
	one  mac.Message
}

func newAuthenticator(k *macKey) authenticator {
	a := authenticator{macKey: k}
	if k.std == nil {
		return a
	}
	std, err := k.std.Clone()
	if err != nil {
		panic("esp: HMAC cannot be cloned: " + err.Error()) // every hash of newHash can
	}
	a.std = std
	return a
}

// put writes the ICV.
func (a *authenticator) put(pkt []byte, seq uint64) {
	copy(pkt[len(pkt)-a.icv:], a.sum(pkt, seq)[:a.icv])
}

func (a *authenticator) verify(pkt []byte, seq uint64) bool {
	return a.equal(pkt, a.sum(pkt, seq))
}

// sum is valid until the next.
func (a *authenticator) sum(pkt []byte, seq uint64) []byte {
	if a.std == nil {
		a.message(&a.one, pkt, seq)
		a.one.Compute()
		a.one.Data = nil
		return a.one.Sum[:]
	}
	a.std.Reset()
	a.std.Write(pkt[:len(pkt)-a.icv])
	if a.esn {
		binary.BigEndian.PutUint32(a.high[:], uint32(seq>>32))
		a.std.Write(a.high[:])
	}
	return a.std.Sum(a.out[:0])
}
