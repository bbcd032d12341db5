//go:build !purego

package aeskey

//go:generate go -C ../_asm run . aeskey -out ../aeskey/sub_amd64.s -pkg aeskey

// subWord puts each byte of a word through the S-box (FIPS 197, section 5.2).
func subWord(w uint32) uint32
