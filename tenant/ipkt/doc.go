// Package ipkt reads and changes IPv4 and IPv6 packets in place: it parses
// headers, computes checksums, clamps the TCP maximum segment size, builds the
// ICMP errors that path MTU discovery lives on, and cuts packets into
// fragments.
//
// # Memory
//
// Every function works on the caller's bytes, keeps none of them and does not
// allocate.
//
// # What it does not do
//
// It follows no IPv6 extension headers besides the fragment header, verifies
// no transport checksum, and reassembles nothing.
package ipkt
