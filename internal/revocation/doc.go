// Package revocation asks the network whether a certificate was revoked: by OCSP
// (RFC 6960) and by the lists that a certificate names (RFC 5280, section
// 4.2.1.13), over plain HTTP, as both are signed.
//
// A Checker is what ike/auth's Trust asks. Check is slow and waits for the network:
// it is called on the pool for slow work and never on the control loop. It is safe
// for concurrent use. Answers and failures are kept in a bounded cache; what several
// want to know at once is asked once, and a place that does not answer is left alone for
// a minute. Config.Context ends what waits.
//
// Only certificates whose path leads to a trusted authority are asked about, so
// that the places asked are the authority's choice and never a stranger's.
//
// What it does not do: it speaks neither HTTPS nor LDAP, follows no redirect, and
// does not decide what to do if nobody answers; Trust.Strict does.
package revocation
