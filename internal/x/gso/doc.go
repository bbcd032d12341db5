// Package gso says how much one segmented send of UDP datagrams takes: one
// call of the kernel with several datagrams of one size, of which only the last
// may be shorter (UDP_SEGMENT in udp(7)).
package gso

const (
	// MaxDatagrams is the kernel's UDP_MAX_SEGMENTS of the releases that had the
	// lowest one.
	MaxDatagrams = 64
	// MaxBytes is the length of all datagrams together, such that a device takes
	// them in one piece: less than 65536 bytes with the headers of UDP, IPv6, and
	// Ethernet with two VLAN tags. What is longer the kernel cuts up beforehand,
	// which makes each datagram cost four times as much.
	MaxBytes = 65535 - 8 - 40 - 22
)
