package dnstest

import (
	"net"
	"testing"
)

// Listen opens a port of the loopback device that is free for both UDP and
// TCP. The caller closes both.
func Listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, ln
		}
		pc.Close() // somebody's TCP connection has that port
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}
