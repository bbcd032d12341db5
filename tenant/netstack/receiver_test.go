package netstack

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
		sendSizes(s, row.sizes)
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
	b := make([]byte, 1000)
	n := testing.AllocsPerRun(100, func() {
		s.send(b)
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
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	sizes := []int{700, 700, 700, 700, 10}
	go func() {
		if _, from, err := pc.ReadFrom(make([]byte, 1)); err == nil {
			connect(pc, from.(*net.UDPAddr).Port)
			sendSizes(newSender(newHostConn(pc, newBuffers()), &outbox{}), sizes)
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

// connect fixes where a socket sends to: a port of 127.0.0.1.
func connect(pc *net.UDPConn, port int) {
	if raw, err := pc.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			unix.Connect(int(fd), &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
		})
	}
}
