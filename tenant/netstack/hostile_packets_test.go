package netstack

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// FuzzPackets: whole packets as a client may send them, as they are and with the
// lengths and the checksum of the IP header put right, among others that are good.
// Nothing panics, and the device still answers.
func FuzzPackets(f *testing.F) {
	for _, b := range [][]byte{
		synWithOffset(serverIP, 3), synWithOffset(serverIP, 5), synWithOffset(client6, 3),
		echoPacket(serverIP, 1, 1, "x"), echoPacket(gateway.Addr(), 1, 1, "x"), quote(clientIP, serverIP, ipkt.ProtocolUDP, make([]byte, 8)),
		quote(client6, client6, ipkt.ProtocolFragment, make([]byte, 16)),
	} {
		f.Add(b)
	}
	d, err := New(Config{
		Addresses: []netip.Prefix{gateway}, Pool: []netip.Prefix{pool}, MTU: 1400, DialContext: (&hostNet{}).dial,
		ListenPacket: func(string, string) (net.PacketConn, error) { return newHostICMP(), nil },
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close() })
	go func() {
		for s := d.Sources()[0]; s.Read() == nil; {
			for _, _, ok := s.Next(); ok; _, _, ok = s.Next() {
			}
		}
	}()
	f.Fuzz(func(t *testing.T, b []byte) {
		w := d.Writer()
		w.Commit(append([]byte(nil), b...))
		w.Commit(echoPacket(gateway.Addr(), 7, 7, ""))
		w.Commit(putRight(append([]byte(nil), b...)))
		w.Flush()
	})
}

// putRight makes a packet one that the data plane lets through, as far as it can.
func putRight(b []byte) []byte {
	switch {
	case len(b) >= 20 && len(b) <= 0xffff && b[0]>>4 == 4:
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		if n := int(b[0]&15) * 4; n >= 20 && n <= len(b) {
			ipkt.SetHeaderChecksum(b[:n])
		}
	case len(b) >= 40 && len(b) <= 0xffff && b[0]>>4 == 6:
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	}
	return b
}
