// Package dns forwards the DNS queries of a tenant's clients to the resolvers
// of the host, or to resolvers that the tenant names.
//
// # Verbs
//
// New makes a Forwarder; Serve answers what arrives on a packet socket and on
// a listener until both are closed; Exchange asks for one answer. A Forwarder
// may serve many sockets at once: it starts no goroutine of its own, one for
// each query under way is all there is.
//
// Queries and answers are passed on as they are, with their EDNS options, but
// for the id: every query leaves from a socket of its own with a random id,
// and an answer counts only when the id and the question agree. An answer that
// is cut short is passed on cut short; the client then asks by TCP, and so
// does the forwarder. When no resolver answers, the client gets SERVFAIL.
//
// Names that mean something on one host or link only are not passed on: localhost,
// what is below .local, and addresses of names of one label, which a resolver of
// the host would look for in the host's own files and search domains.
//
// What a session may have under way, by UDP and TCP, is bounded, whatever addresses
// it uses.
//
// # Memory
//
// Buffers belong to the forwarder and are reused; Exchange's answer is the
// caller's.
//
// # What it does not do
//
// It does not cache, resolve by itself, validate DNSSEC or filter.
package dns
