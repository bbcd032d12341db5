// Package suite holds the algorithms of IKE and the choice among them: ciphers,
// hashes and PRFs, Diffie-Hellman groups, the typed form of the transforms that
// wire carries, and selection by our own order of preference.
//
// Everything is a plain table or a function; only keys have methods that change
// them. SelectIKE and SelectESP answer an offer, AcceptIKE and AcceptESP check
// the answer to our own, OfferIKE and OfferESP write one.
//
// Memory: keys given to NewCBC may be zeroed afterwards. A PrivateKey zeroes
// itself by Zero. A Choice holds clones and outlives the message it came from.
//
// What it does not do: it derives no keys (each version of IKE does that in its
// own way), and it protects no traffic (package esp does).
package suite
