// Package esp seals and opens the packets of IPsec's Encapsulating Security
// Payload (RFC 4303): one Outbound for each security association (SA) that is
// sent on, one Inbound for each that is received on.
//
// A Transform names the algorithms and knows every length, so that a caller
// can do its MTU arithmetic before any SA exists. NewOutbound and NewInbound
// make an SA of a Transform and its Keys. Outbound.Seal takes the next sequence
// number, encrypts and authenticates; Inbound.Open checks the replay window,
// then the integrity check value (ICV), decrypts in place, and only then moves
// the window. Who has several packets in hand gives them to a Batch, which does
// the same for all of them at once. Classify tells apart what arrives on UDP
// port 4500 (RFC 3948).
//
// Implemented: AES-GCM with a 16 or 12 byte ICV (RFC 4106), ChaCha20-Poly1305
// (RFC 7634), AES-CBC (RFC 3602) and 3DES-CBC (RFC 2451) with HMAC-SHA1-96
// (RFC 2404) and HMAC-SHA2 (RFC 4868), and extended sequence numbers (RFC 4303,
// section 2.2.1).
//
// # Memory
//
// Nothing is kept of what a call is given, by a Batch neither. Seal writes into
// the memory of its caller and returns a slice of it; Open decrypts inside the
// packet and returns a slice of it. Neither allocates, but for the first time
// that several goroutines meet on one SA. Constructors copy what they need of
// the Keys: the owner may zero them as soon as the constructor has returned.
// What is derived from them (key schedules, hash states) lives as long as the
// SA; that of AES-GCM in a Vault, if there is one, which is not part of a core
// dump and is zeroed when the SA is collected.
//
// # Concurrency
//
// All methods of Outbound and Inbound may be called from several goroutines at
// once. Sequence numbers of concurrent Seals are unique, but their packets may
// be sent in another order than they were numbered in; a receiver's window is
// made for that. A Batch belongs to one goroutine, the SAs of its jobs do not.
//
// # Speed
//
// ChaCha20-Poly1305 is that of the Go project. For AES-GCM, AES-CBC, and HMAC
// with SHA-1 and SHA-256 the packages below internal use the instructions of amd64
// processors, chosen when the program starts: AES-GCM encrypts and hashes eight
// or sixteen blocks of a packet at a time, AES-CBC decrypts as many, and a Batch
// encrypts and authenticates up to sixteen packets of AES-CBC side by side.
// Elsewhere, and with the build tag purego, the standard library does all of it,
// with equal results.
//
// What every packet needs of an SA stands apart from the rest of it, in one line
// of memory, or two on the way in. Prefetch has it fetched together with the keys. A Vault
// keeps the keys of thousands of SAs in few pages of memory.
//
// # What it does not do
//
// It opens no socket, keeps no table of SAs, knows no lifetimes (it only counts
// what they are measured by), negotiates nothing, and adds neither UDP nor IP
// headers. It does not resynchronise a receiver that lost 2^32 packets in a row
// (RFC 4303, appendix A3).
package esp
