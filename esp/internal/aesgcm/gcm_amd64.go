//go:build !purego

package aesgcm

//go:generate go -C ../_asm run . aesgcm -out ../aesgcm/gcm_amd64.s -pkg aesgcm

// hashKeys fills in the powers of a Key that has its round keys.
//
//go:noescape
func hashKeys(k *Key)

// seal512 encrypts n bytes from src to dst, and puts the tag behind them. The two
// are the same memory or do not overlap.
//
//go:noescape
func seal512(k *Key, dst, src *byte, n int, nonce, aad *byte, aadLen int)

// open512 decrypts n bytes from src to dst, and returns 0 if the tag behind src is
// that of the message.
//
//go:noescape
func open512(k *Key, dst, src *byte, n int, nonce, aad *byte, aadLen int) uint32

// seal256 and open256 do the same with registers of 256 bits.
//
//go:noescape
func seal256(k *Key, dst, src *byte, n int, nonce, aad *byte, aadLen int)

//go:noescape
func open256(k *Key, dst, src *byte, n int, nonce, aad *byte, aadLen int) uint32
