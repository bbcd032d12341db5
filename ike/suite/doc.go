// Package suite holds the algorithms of IKE and the choice among them: ciphers,
// hashes and PRFs, Diffie-Hellman groups, the typed form of the transforms that
// wire carries, and selection by our own order of preference.
//
// Everything is a plain table or a function; only keys have methods that change
// them. SelectIKE and SelectESP answer an offer, AcceptIKE and AcceptESP check
// the answer to our own, OfferIKE and OfferESP write one.
//
// Memory: keys given to NewCBC may be zeroed afterwards. A PrivateKey zeroes
// itself by Zero. An SK copies its keys and opens messages in place. A Choice holds clones and outlives the message it came from.
//
// What IKEv2 adds has a 2 in its name: SelectIKE2 and SelectESP2 choose one
// transform of each type, IKE2Suite.Keys and its kin derive keys, and an SK seals
// and opens the messages of one direction.
//
// What it does not do: it derives no keys of IKEv1 (package v1 does), and it
// protects no traffic (package esp does).
package suite
