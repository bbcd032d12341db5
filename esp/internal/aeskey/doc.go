// Package aeskey expands AES keys (FIPS 197, section 5.2) for the packages beside
// it that have assembly of their own. It keeps nothing; a Schedule is memory of
// its caller, who zeroes it.
//
// Nothing is looked up in tables by secret values. Who runs where there is no
// assembly has no use for it: the standard library expands its keys itself.
package aeskey
