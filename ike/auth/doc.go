// Package auth holds the ways in which IKE peers prove who they are. For now
// that is the pre-shared key of RFC 2409 section 5.4.
//
// Functions of values to values: nothing is kept, nothing is logged, and
// comparisons take the same time whatever they compare.
package auth
