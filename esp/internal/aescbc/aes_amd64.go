//go:build !purego

package aescbc

import "github.com/culvert-vpn/culvert/esp/internal/aeskey"

//go:generate go -C ../_asm run . aescbc -out ../aescbc/aes_amd64.s -pkg aescbc

// invertKeys makes the schedule of the equivalent inverse cipher (FIPS 197,
// section 5.3.5).
//
//go:noescape
func invertKeys(dec, enc *aeskey.Schedule, rounds int)

//go:noescape
func encryptChain(keys *aeskey.Schedule, iv, dst, src *byte, rounds, blocks int)

//go:noescape
func decryptNI(keys *aeskey.Schedule, buf *byte, rounds, blocks int)

//go:noescape
func decryptVAES(keys *aeskey.Schedule, buf *byte, rounds, blocks int)

//go:noescape
func encryptLanesNI4(lanes *Lanes, rounds, blocks int)

//go:noescape
func encryptLanesNI8(lanes *Lanes, rounds, blocks int)

//go:noescape
func encryptLanesVAES(lanes *Lanes, rounds, blocks int)
