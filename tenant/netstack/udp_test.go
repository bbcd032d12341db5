package netstack

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// exchange sends a datagram and returns what comes back.
func exchange(t *testing.T, conn *gonet.UDPConn, b []byte) ([]byte, error) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		return nil, err
	}
	buf := make([]byte, 65536)
	conn.SetReadDeadline(time.Now().Add(patience))
	n, err := conn.Read(buf)
	return buf[:n], err
}

func TestUDPKeepsBoundaries(t *testing.T) {
	d := newDevice(t, nil)
	conn := newClient(t, d).dialUDP(netip.AddrPortFrom(serverIP, echoUDP(t)))
	for _, size := range []int{1, 1000, 0, 1372, 1373, 9000, 65507} {
		sent := bytes.Repeat([]byte{byte(size)}, size)
		if got, err := exchange(t, conn, sent); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
}

// udpPacket is a datagram of the client in an IPv4 packet, without a checksum
// (RFC 768 allows that).
func udpPacket(to netip.AddrPort, data string) []byte {
	udp := make([]byte, 8, 8+len(data))
	putWord(udp, 40000)
	putWord(udp[2:], to.Port())
	putWord(udp[4:], uint16(8+len(data)))
	return quote(clientIP, to.Addr(), ipkt.ProtocolUDP, append(udp, data...))
}

func TestUDPRefused(t *testing.T) {
	theWorld(t)
	d := newDevice(t, nil)
	next := packetsOf(t, d)
	for _, at := range []string{"198.51.100.7:1", "10.100.1.1:99", "169.254.169.254:80", "10.100.1.77:99"} {
		sent := udpPacket(netip.MustParseAddrPort(at), "x")
		send(t, d.Writer(), sent)
		p, ok := next()
		if !ok || p.Protocol != ipkt.ProtocolICMP || p.Payload()[0] != 3 || p.Payload()[1] != 3 {
			t.Errorf("%s: got % x, want ICMP: port unreachable", at, p.Bytes)
			continue
		}
		quoted := p.Payload()[8:]
		if !bytes.Equal(quoted[12:24], sent[12:24]) {
			t.Errorf("%s: quoted % x of % x", at, quoted, sent)
		}
	}
}

func TestUDPFlowsEndWhenIdle(t *testing.T) {
	d := newDevice(t, func(cfg *Config) { cfg.UDPIdle = 500 * time.Millisecond })
	conn := newClient(t, d).dialUDP(netip.AddrPortFrom(serverIP, echoUDP(t)))
	for range 2 { // the second time with a new flow
		if _, err := exchange(t, conn, []byte("x")); err != nil {
			t.Fatal(err)
		}
		wantFlows(t, d, 0)
	}
}
