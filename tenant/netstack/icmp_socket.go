package netstack

import (
	"net"

	"golang.org/x/net/icmp"
)

// listenICMP opens an ICMP socket of the host.
func listenICMP(network, address string) (net.PacketConn, error) {
	return icmp.ListenPacket(network, address)
}
