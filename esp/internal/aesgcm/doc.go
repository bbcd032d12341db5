// Package aesgcm is AES in Galois/Counter Mode (NIST SP 800-38D) for packets: with
// nonces of 12 bytes, and 8 or 12 bytes of associated data, which is what ESP
// authenticates besides the ciphertext (RFC 4106, section 5).
//
// A message is encrypted and hashed in one pass, with AES and carry-less
// multiplication on registers of 512 bits, sixteen blocks at a time, or of 256 bits,
// eight blocks at a time. A Key is 512 bytes, of which a short packet needs three
// quarters: the round keys, and the powers of the hash key for as many blocks as
// it has. Everything works in the memory it is given and keeps nothing. A Key may
// be used by several goroutines.
//
// The assembly is written by a generator. It branches on lengths only, looks up
// nothing by secret values, compares tags as a whole, and reads and writes nothing
// beyond what it is given. On processors without those instructions, and when
// built with the tag purego, New returns the standard library's AES-GCM.
package aesgcm
