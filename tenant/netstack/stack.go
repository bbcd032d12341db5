package netstack

import (
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/log"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const (
	nicID       = 1
	synRetries  = 4 // of our SYN-ACK: 31 s
	timeWait    = 10 * time.Second
	userTimeout = 5 * time.Minute // data that a client does not acknowledge
)

// newStack makes a stack that answers on l for every address.
func newStack(cfg Config, l *link) (*stack.Stack, error) {
	log.SetLevel(log.Warning) // the library says on stderr which odd packets it dropped
	s := stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
	})
	if err := setUp(s, cfg, l); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func setUp(s *stack.Stack, cfg Config, l *link) error {
	if err := s.CreateNIC(nicID, l); err != nil {
		return fmt.Errorf("netstack: interface: %v", err)
	}
	for _, a := range cfg.Addresses {
		if err := s.AddProtocolAddress(nicID, protocolAddress(a), stack.AddressProperties{}); err != nil {
			return fmt.Errorf("netstack: address %v: %v", a, err)
		}
	}
	if err := s.SetPromiscuousMode(nicID, true); err != nil {
		return fmt.Errorf("netstack: promiscuous mode: %v", err)
	}
	if err := s.SetSpoofing(nicID, true); err != nil {
		return fmt.Errorf("netstack: spoofing: %v", err)
	}
	s.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nicID},
		{Destination: header.IPv6EmptySubnet, NIC: nicID},
	})
	return tune(s)
}

// tune sets what TCP does.
func tune(s *stack.Stack) error {
	sack, moderate := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true)
	// SACK alone recovers losses here: with RACK besides, the stack takes
	// reordering by the tunnel's parallel workers for loss.
	recovery := tcpip.TCPRecovery(0)
	retries, wait := tcpip.TCPSynRetriesOption(synRetries), tcpip.TCPTimeWaitTimeoutOption(timeWait)
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &recovery, &retries, &wait} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fmt.Errorf("netstack: TCP option %T: %v", option, err)
		}
	}
	if err := setBuffers(s, levels[0]); err != nil {
		return fmt.Errorf("netstack: TCP buffers: %v", err)
	}
	return nil
}

func protocolAddress(p netip.Prefix) tcpip.ProtocolAddress {
	return tcpip.ProtocolAddress{
		Protocol: protocolFor(p.Addr()),
		AddressWithPrefix: tcpip.AddressWithPrefix{
			Address:   tcpip.AddrFromSlice(p.Addr().AsSlice()),
			PrefixLen: p.Bits(),
		},
	}
}

func protocolFor(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}

// addrOf is an address of the stack as the standard library has it.
func addrOf(a tcpip.Address) netip.Addr {
	if a.Len() == header.IPv4AddressSize {
		return netip.AddrFrom4(a.As4())
	}
	return netip.AddrFrom16(a.As16())
}
