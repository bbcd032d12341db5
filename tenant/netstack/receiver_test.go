package netstack

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// What a host sends in one piece is read at once, and the client gets the
// datagrams as they were.
func TestReceiverTakesWhatIsJoined(t *testing.T) {
	buffers := newBuffers()
	s, to, _ := newSenderTo(t)
	r := newReceiver(newHostConn(to.(*net.UDPConn), buffers))
	for _, row := range []struct{ sizes, reads []int }{
		{[]int{100}, []int{100}},
		{[]int{0}, []int{0}},
		{[]int{100, 100, 100}, []int{300}},
		{[]int{100, 100, 40}, []int{240}},
		{[]int{100, 40, 40}, []int{140, 40}},
	} {
		sendSizes(s, headingTo(to), row.sizes)
		var reads []int
		for range row.reads {
			buf, n, size, err := r.read()
			if err != nil || n > 0 && size != min(n, 100) {
				t.Fatalf("%v: %d bytes in pieces of %d, %v", row.sizes, n, size, err)
			}
			reads = append(reads, n)
			buffers.Put(buf)
		}
		if s.segments && fmt.Sprint(reads) != fmt.Sprint(row.reads) {
			t.Errorf("%v was read as %v, want %v", row.sizes, reads, row.reads)
		}
	}
	to.Close()
	if _, _, _, err := r.read(); err == nil {
		t.Error("a closed socket is read")
	}
}

func TestReceiverDoesNotAllocate(t *testing.T) {
	buffers := newBuffers()
	s, to, _ := newSenderTo(t)
	r := newReceiver(newHostConn(to.(*net.UDPConn), buffers))
	b, h := make([]byte, 1000), headingTo(to)
	n := testing.AllocsPerRun(100, func() {
		s.send(h, b)
		s.outbox.flush()
		if buf, _, _, err := r.read(); err == nil {
			buffers.Put(buf)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A client gets answers that its destination sent in one piece one by one.
func TestUDPAnswersInOnePiece(t *testing.T) {
	pc := theWorld(t).listen(t, serverIP)
	sizes := []int{700, 700, 700, 700, 10}
	go func() {
		if _, from, err := pc.ReadFromUDPAddrPort(make([]byte, 1)); err == nil {
			to := netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			sendSizes(newSender(newHostConn(pc, newBuffers()), &outbox{}), heading{to: to, hops: 64}, sizes)
		}
	}()
	conn := newClient(t, newDevice(t, nil)).dialUDP(netip.AddrPortFrom(serverIP, uint16(pc.LocalAddr().(*net.UDPAddr).Port)))
	conn.Write([]byte("?"))
	buf := make([]byte, 2000)
	conn.SetReadDeadline(time.Now().Add(patience))
	for i, size := range sizes {
		if n, err := conn.Read(buf); err != nil || n != size || buf[n-1] != byte(i) {
			t.Fatalf("datagram %d: %d bytes, %v", i, n, err)
		}
	}
}
