// Package mac is HMAC (RFC 2104) with SHA-1 or SHA-256 for many short messages
// under many keys.
//
// A Key holds the inner and outer states, so that a message costs no
// compression of the key. Lanes.Sum works on several messages side by side:
// sixteen with AVX-512, two with the SHA instructions, as they come with
// different keys and lengths. A lane whose message is done takes the next one.
//
// The assembly is written by a generator; compressGo is its twin, for
// processors that have neither. On those the standard library, which knows
// more of them, is faster, and callers should take it: see Fast.
//
// Messages are borrowed for a call. A Key does not change and may be used by
// several goroutines; a Lanes is scratch memory for one. The package compares
// nothing and cuts nothing off.
package mac
