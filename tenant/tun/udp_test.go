package tun

import (
	"bytes"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// datagram is a UDP packet from the client to the gateway.
func datagram(port uint16, payload []byte) []byte {
	src, dst := tcpip.AddrFrom4(clientIP.As4()), tcpip.AddrFrom4(gateway.Addr().As4())
	length := uint16(header.UDPMinimumSize + len(payload))
	b := make([]byte, header.IPv4MinimumSize+header.UDPMinimumSize, header.IPv4MinimumSize+int(length))
	ip := header.IPv4(b)
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(cap(b)), Flags: header.IPv4FlagDontFragment, TTL: 64, Protocol: 17, SrcAddr: src, DstAddr: dst})
	ip.SetChecksum(^ip.CalculateChecksum())
	udp := header.UDP(b[header.IPv4MinimumSize:])
	udp.Encode(&header.UDPFields{SrcPort: 5000, DstPort: port, Length: length})
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, src, dst, length)
	udp.SetChecksum(^udp.CalculateChecksum(checksum.Checksum(payload, sum)))
	return append(b, payload...)
}

// listenUDP opens a UDP socket of the kernel on the gateway's address.
func listenUDP(t *testing.T, d *Device) (conn *net.UDPConn) {
	t.Helper()
	err := inNamespace(d.cfg.Netns, func() (err error) {
		conn, err = net.ListenUDP("udp", &net.UDPAddr{IP: gateway.Addr().AsSlice()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Datagrams that reach the kernel as one piece, and leave it as one, stay what
// they were.
func TestUDPThroughTheDevice(t *testing.T) {
	d := newDevice(t, Config{MTU: 1400})
	conn := listenUDP(t, d)
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()

	w := d.Writer()
	var want [][]byte
	for i := range 20 {
		want = append(want, bytes.Repeat([]byte{byte(i)}, 1000))
		w.Commit(datagram(port, want[i]))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65536)
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	for i := range want {
		if n, _, err := conn.ReadFrom(buf); err != nil || !bytes.Equal(buf[:n], want[i]) {
			t.Fatalf("datagram %d: %d bytes, %v", i, n, err)
		}
	}

	wantDatagrams(t, d, want, sendSegments(t, conn, bytes.Join(want, nil), 1000))
}

// sendSegments lets the kernel cut b into datagrams, if it knows how, and else
// sends them one by one. It reports which.
func sendSegments(t *testing.T, conn *net.UDPConn, b []byte, size int) (segmented bool) {
	t.Helper()
	to := &net.UDPAddr{IP: clientIP.AsSlice(), Port: 5000}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		segmented = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size) == nil
	})
	if segmented {
		_, err = conn.WriteTo(b, to)
	}
	for ; !segmented && err == nil && len(b) > 0; b = b[size:] {
		_, err = conn.WriteTo(b[:size], to)
	}
	if err != nil {
		t.Fatal(err)
	}
	return segmented
}

func wantDatagrams(t *testing.T, d *Device, want [][]byte, segmented bool) {
	t.Helper()
	stop := time.AfterFunc(5*time.Second, func() { d.Close() })
	defer stop.Stop()
	s := d.Sources()[0]
	pieces := false
	for got := 0; got < len(want); {
		if err := s.Read(); err != nil {
			t.Fatalf("after %d datagrams: %v", got, err)
		}
		pieces = pieces || hasPiece(s)
		for buf, off, ok := s.Next(); ok; buf, off, ok = s.Next() {
			pkt := buf[off:]
			if pkt[0]>>4 != 4 || pkt[9] != 17 {
				continue
			}
			wantValid(t, pkt)
			if !bytes.Equal(pkt[28:], want[got]) {
				t.Fatalf("datagram %d: % x", got, pkt[:40])
			}
			got++
		}
	}
	if _, uso := d.Offload(); uso && segmented && !pieces {
		t.Error("the kernel handed over no piece of several datagrams")
	}
}
