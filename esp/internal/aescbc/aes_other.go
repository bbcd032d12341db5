//go:build !amd64 || purego

package aescbc

import "github.com/culvert-vpn/culvert/esp/internal/aeskey"

// Without assembly every Key has a cipher.Block, and none of these is called.

func invertKeys(dec, enc *aeskey.Schedule, rounds int) { panic("aescbc: no assembly") }

func encryptChain(keys *aeskey.Schedule, iv, dst, src *byte, rounds, blocks int) {
	panic("aescbc: no assembly")
}

func decryptNI(keys *aeskey.Schedule, buf *byte, rounds, blocks int) { panic("aescbc: no assembly") }

func decryptVAES(keys *aeskey.Schedule, buf *byte, rounds, blocks int) { panic("aescbc: no assembly") }

func encryptLanesNI4(lanes *Lanes, rounds, blocks int) { panic("aescbc: no assembly") }

func encryptLanesNI8(lanes *Lanes, rounds, blocks int) { panic("aescbc: no assembly") }

func encryptLanesVAES(lanes *Lanes, rounds, blocks int) { panic("aescbc: no assembly") }
