//go:build !purego

package aescbc

import (
	"crypto/subtle"
	"encoding/binary"
)

//go:generate go -C ../_asm run . aescbc -out ../aescbc/aes_amd64.s -pkg aescbc

// subWord puts each byte of a word through the S-box (FIPS 197, section 5.2).
func subWord(w uint32) uint32

//go:noescape
func invertKeys(dec, enc *schedule, rounds int)

//go:noescape
func encryptChain(keys *schedule, iv, dst, src *byte, rounds, blocks int)

//go:noescape
func decryptNI(keys *schedule, buf *byte, rounds, blocks int)

//go:noescape
func decryptVAES(keys *schedule, buf *byte, rounds, blocks int)

//go:noescape
func encryptLanesNI4(lanes *Lanes, rounds, blocks int)

//go:noescape
func encryptLanesNI8(lanes *Lanes, rounds, blocks int)

//go:noescape
func encryptLanesVAES(lanes *Lanes, rounds, blocks int)

// expand fills both schedules (FIPS 197, section 5.2).
func (k *Key) expand(key []byte) {
	w := k.enc.words()
	n := len(key) / 4
	for i := range n {
		copy(w[i][:], key[4*i:])
	}
	round := uint32(1)
	for i := n; i < 4*(k.rounds+1); i++ {
		t := binary.LittleEndian.Uint32(w[i-1][:])
		switch {
		case i%n == 0:
			t = subWord(t>>8|t<<24) ^ round
			round = round<<1 ^ round>>7*0x11B
		case n > 6 && i%n == 4:
			t = subWord(t)
		}
		binary.LittleEndian.PutUint32(w[i][:], t)
		subtle.XORBytes(w[i][:], w[i][:], w[i-n][:])
	}
	invertKeys(&k.dec, &k.enc, k.rounds)
}
