package netstack

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newBuffers() *sync.Pool { return &sync.Pool{New: func() any { return new([copySize]byte) }} }

// newSenderTo returns a sender whose datagrams come to the connection, and the
// count of its calls of the kernel.
func newSenderTo(t *testing.T) (s *sender, to net.PacketConn, calls *int) {
	t.Helper()
	to, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := listenUDP(true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); to.Close() })
	s, calls = newSender(newHostConn(conn, newBuffers()), &outbox{}), new(int)
	try := s.try
	s.try = func(fd uintptr) bool { *calls++; return try(fd) }
	return s, to, calls
}

// headingTo is how datagrams get to a socket.
func headingTo(to net.PacketConn) heading {
	return heading{to: addrPort(to.(*net.UDPConn)), hops: 63}
}

// arriving returns the sizes of n datagrams, and checks that they hold what
// sendSizes sent.
func arriving(t *testing.T, from net.PacketConn, n int) (sizes []int) {
	t.Helper()
	buf := make([]byte, 1<<16)
	from.SetReadDeadline(time.Now().Add(patience))
	for i := range n {
		size, _, err := from.ReadFrom(buf)
		if err != nil {
			t.Fatalf("after %v: %v", sizes, err)
		}
		if sizes = append(sizes, size); size > 0 && (buf[0] != byte(i) || buf[size-1] != byte(i)) {
			t.Errorf("datagram %d has another's content", i)
		}
	}
	return sizes
}

func sendSizes(s *sender, to heading, sizes []int) {
	for i, n := range sizes {
		b := make([]byte, n)
		for j := range b {
			b[j] = byte(i)
		}
		s.send(to, b)
	}
	s.outbox.flush()
}

// Datagrams keep order, sizes and content, in as few calls as can be.
func TestSenderPutsTogether(t *testing.T) {
	s, to, calls := newSenderTo(t)
	if !s.segments {
		t.Log("this kernel takes no segmented sends")
	}
	many := make([]int, 100)
	for i := range many {
		many[i] = 600
	}
	for _, row := range []struct {
		sizes []int
		calls int
	}{
		{[]int{100}, 1},
		{[]int{100, 100, 100}, 1},
		{[]int{100, 100, 40}, 1},
		{[]int{100, 40, 40}, 2},
		{[]int{40, 100, 100}, 2},
		{[]int{100, 0, 100}, 3},
		{[]int{60000, 60000}, 2},
		{many, 2},
	} {
		*calls = 0
		sendSizes(s, headingTo(to), row.sizes)
		if got := arriving(t, to, len(row.sizes)); fmt.Sprint(got) != fmt.Sprint(row.sizes) {
			t.Errorf("%v came as %v", row.sizes, got)
		}
		if s.segments && *calls != row.calls {
			t.Errorf("%v in %d calls, want %d", row.sizes, *calls, row.calls)
		}
	}
	if s.buf != nil || len(s.outbox.waiting) != 0 {
		t.Error("something is left")
	}
}

// Where the kernel refuses to cut, datagrams leave one by one, and none is lost.
func TestSenderWithoutSegments(t *testing.T) {
	s, to, calls := newSenderTo(t)
	s.host.raw.Control(func(fd uintptr) { // it cuts nothing that has no checksum
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
	})
	s.segments = true
	for range 2 {
		*calls = 0
		sendSizes(s, headingTo(to), []int{100, 100, 100, 10})
		if got := arriving(t, to, 4); fmt.Sprint(got) != "[100 100 100 10]" {
			t.Errorf("got %v", got)
		}
	}
	if s.segments || *calls != 4 {
		t.Errorf("segments %v, %d calls, want 4", s.segments, *calls)
	}
}

func TestSenderDoesNotAllocate(t *testing.T) {
	s, to, _ := newSenderTo(t)
	h := headingTo(to)
	b := make([]byte, 1000)
	n := testing.AllocsPerRun(100, func() {
		for range 10 {
			s.send(h, b)
		}
		s.outbox.flush()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
