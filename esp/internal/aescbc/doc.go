// Package aescbc is AES in CBC mode (NIST SP 800-38A, section 6.2) for many
// short messages under many keys.
//
// Decryption of one message works on several blocks at once. Encryption cannot:
// each block waits for the one before. Lanes.Encrypt therefore encrypts several
// messages side by side, which may have different keys and lengths.
//
// A message lies behind its IV: the 16 bytes in front of the ciphertext, as in
// an ESP packet. Everything works in the memory it is given and keeps nothing.
// A Key has no state that changes, and may be used by several goroutines; a
// Lanes is scratch memory for one.
//
// With AES-NI, or AES on 512 bit registers, the work is done by assembly that a
// generator writes; otherwise by the standard library, a block after the other.
// Neither looks anything up in tables by secret values, if the standard
// library's AES does not. The package does not pad and does not authenticate.
package aescbc
