package netstack

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

var client6 = netip.MustParseAddr("2001:db8:1::2")

// with6 gives a device addresses of both families.
func with6(cfg *Config) {
	cfg.Addresses = append(cfg.Addresses, netip.MustParsePrefix("2001:db8::1/64"))
	cfg.Pool = append(cfg.Pool, netip.MustParsePrefix("2001:db8:1::/48"))
}

// synWithOffset is a TCP SYN whose data offset is of so many words, in a packet
// to that destination.
func synWithOffset(to netip.Addr, words int) []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, 4321)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	tcp[12], tcp[13] = uint8(words)<<4, 2
	src := clientIP
	if to.Is6() {
		src = client6
	}
	b := quote(src, to, ipkt.ProtocolTCP, tcp)
	p := ipkt.Packet{Bytes: b, Protocol: ipkt.ProtocolTCP}
	at := len(b) - len(tcp)
	binary.BigEndian.PutUint16(b[at+16:], ^ipkt.Checksum(b[at:], p.PseudoChecksum(len(tcp))))
	return b
}

// TestSegmentWithoutAHeader: a data offset is the client's word, and the stack
// hands segments over before it has looked at it.
func TestSegmentWithoutAHeader(t *testing.T) {
	for _, to := range []netip.Addr{serverIP, netip.MustParseAddr("2001:db8:9::7")} {
		for words := range 16 {
			d := newDevice(t, with6)
			send(t, d.Writer(), synWithOffset(to, words))
			if n := d.flows.count(); words != 5 && n != 0 {
				t.Errorf("a SYN to %v with %d words has a flow", to, words)
			}
			if words == 5 && d.flows.count() != 1 {
				t.Errorf("a SYN to %v with 5 words has no flow", to)
			}
			d.Close()
		}
	}
}
