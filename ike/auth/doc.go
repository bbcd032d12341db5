// Package auth holds the ways in which IKE peers prove who they are: the
// pre-shared keys and signatures of IKEv1 (RFC 2409, section 5), and the shared keys,
// signatures and certificates of IKEv2 (RFC 7296, section 2.15; RFC 7427).
//
// SharedKey and VerifySharedKey are for keys, Sign and VerifySignature for
// signatures over Octets. Trust says whether a chain of certificates may be
// believed, and Names whether a certificate is that of an identity.
//
// Functions of values to values: nothing is kept, nothing is logged, and
// comparisons of secrets take the same time whatever they compare. Sign,
// VerifySignature and Trust.Verify are slow (a millisecond and more) and are safe
// to be called on any goroutine.
//
// What it does not do: it fetches no revocation lists and asks no OCSP responder
// (package internal/revocation does, and Trust asks it), and it knows no EAP
// (package internal/eap does).
package auth
