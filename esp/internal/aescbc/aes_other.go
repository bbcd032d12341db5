//go:build !amd64 || purego

package aescbc

// Without assembly every Key has a cipher.Block, and none of these is called.

func (k *Key) expand([]byte) { panic("aescbc: no assembly") }

func encryptChain(keys *schedule, iv, dst, src *byte, rounds, blocks int) {
	panic("aescbc: no assembly")
}

func decryptNI(keys *schedule, buf *byte, rounds, blocks int) { panic("aescbc: no assembly") }

func decryptVAES(keys *schedule, buf *byte, rounds, blocks int) { panic("aescbc: no assembly") }

func encryptLanesNI4(lanes *Lanes, rounds, blocks int) { panic("aescbc: no assembly") }

func encryptLanesNI8(lanes *Lanes, rounds, blocks int) { panic("aescbc: no assembly") }

func encryptLanesVAES(lanes *Lanes, rounds, blocks int) { panic("aescbc: no assembly") }
