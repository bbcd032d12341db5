// Package simnet is a network in memory: hosts with UDP sockets, NATs between
// them, and a road that loses, doubles and delays datagrams by seed. Its
// sockets are the udp.Conn of the data plane, so that whole gateways run over
// it; in a testing/synctest bubble its clock is the bubble's.
//
// Datagrams are copied when they are sent and belong to the network until they
// are read; what Read lends is valid until the next Read, as with real sockets.
// There is no path MTU, no ICMP, no routing: every host reaches every other.
package simnet
