// Package ca is a certificate authority in a directory, small enough for one
// person and right by default for the IKEv2 clients of Windows, macOS, iOS and
// Android.
//
// Init makes one and Open reads one; a CA then issues certificates (Server,
// Client), takes them back (Revoke) and writes the list of those taken back
// (WriteCRL). The directory holds
//
//	ca.key, ca.crt        the authority
//	crl.pem               the revocation list, written anew by Init, Revoke and WriteCRL
//	index.json            what was issued and revoked
//	NAME.key, NAME.crt    what was issued; NAME.p12 for clients
//
// Keys are files that only their owner may read. Nothing that exists is ever
// overwritten but crl.pem and index.json, which are replaced whole.
//
// What it does not do: it answers no OCSP requests, signs no requests of others,
// and has no intermediate authorities. Two processes that issue at the same time
// exclude each other with a lock on the directory.
package ca
