package netstack

import (
	"net/netip"
	"strings"
	"testing"
)

// newUDPBench makes a device and a datagram to a server for a benchmark.
func newUDPBench(b *testing.B, echo bool) (*Device, []byte) {
	pc := theWorld(b).listen(b, serverIP)
	d := newBenchDevice(b)
	b.Cleanup(func() { d.Close() })
	if echo {
		go func() {
			buf := make([]byte, 2000)
			for {
				n, from, err := pc.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				pc.WriteToUDPAddrPort(buf[:n], from)
			}
		}()
	}
	at := netip.AddrPortFrom(serverIP, addrPort(pc).Port())
	return d, udpPacket(at, strings.Repeat("x", 1000))
}

// BenchmarkUDPUp carries a batch of 64 datagrams of a client to a host's socket.
func BenchmarkUDPUp(b *testing.B) {
	const batch = 64
	d, packet := newUDPBench(b, false)
	w := d.Writer()
	b.SetBytes(batch * 1000)
	b.ReportAllocs()
	for b.Loop() {
		for range batch {
			w.Commit(packet)
		}
		w.Flush()
	}
}

// BenchmarkUDPRoundTrip carries a datagram to a server and its answer back.
func BenchmarkUDPRoundTrip(b *testing.B) {
	d, packet := newUDPBench(b, true)
	w, s := d.Writer(), d.Sources()[0]
	b.ReportAllocs()
	for b.Loop() {
		w.Commit(packet)
		w.Flush()
		for {
			if err := s.Read(); err != nil {
				b.Fatal(err)
			}
			if _, _, ok := s.Next(); ok {
				break
			}
		}
	}
}
