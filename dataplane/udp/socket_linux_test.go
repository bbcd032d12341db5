package udp

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Several addresses of one wildcard socket: each datagram tells the one it was
// sent to, and the answer comes from there.
func TestWildcardLocal(t *testing.T) {
	server := wantSocket(t, "0.0.0.0:0")
	client := wantSocket(t, "127.0.0.1:0")
	port := server.LocalAddr().Port()
	w := client.NewWriter(16)
	for i := range 9 {
		to := netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i%3)})
		w.Commit(numbered(i, 50), netip.AddrPortFrom(to, port), netip.Addr{})
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	answers := server.NewWriter(16)
	for _, m := range collect(t, server, 9) {
		if want := netip.AddrFrom4([4]byte{127, 0, 0, 1 + m.Data[0]%3}); m.Local != want {
			t.Errorf("message %d came to %v, not %v", m.Data[0], m.Local, want)
		}
		answers.Commit(m.Data, m.Remote, m.Local)
	}
	if err := answers.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, m := range collect(t, client, 9) {
		want := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1 + m.Data[0]%3}), port)
		if m.Remote != want {
			t.Errorf("answer %d came from %v, not %v", m.Data[0], m.Remote, want)
		}
	}
}

func TestWildcardLocal6(t *testing.T) {
	server, client := wantSocket(t, "[::]:0"), wantSocket(t, "[::1]:0")
	loopback := netip.IPv6Loopback()
	w := client.NewWriter(16)
	for i := range 5 {
		w.Commit(numbered(i, 50), netip.AddrPortFrom(loopback, server.LocalAddr().Port()), netip.Addr{})
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	answers := server.NewWriter(16)
	for _, m := range collect(t, server, 5) {
		if m.Local != loopback || m.Remote != client.LocalAddr() {
			t.Errorf("from %v to %v", m.Remote, m.Local)
		}
		answers.Commit(m.Data, m.Remote, m.Local)
	}
	if err := answers.Flush(); err != nil {
		t.Fatal(err)
	}
	collect(t, client, 5)
}

// recording is the real send that remembers how many datagrams each of the
// headers had that the kernel took.
func recording(s *Socket) func() string {
	var sent []int
	real := s.calls.send
	s.calls.send = func(fd uintptr, hdrs []unix.Mmsghdr) (int, syscall.Errno) {
		n, errno := real(fd, hdrs)
		for i := range n * btoi(errno == 0) {
			sent = append(sent, int(hdrs[i].Hdr.Iovlen))
		}
		return n, errno
	}
	return func() string { return fmt.Sprint(sent) }
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestSegmentedRuns(t *testing.T) {
	for _, host := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"} {
		t.Run(host, func(t *testing.T) {
			a, b := wantSocket(t, host), wantSocket(t, "127.0.0.1:0")
			if host[0] == '[' {
				b = wantSocket(t, host)
			}
			if !a.Granted().GSO {
				t.Log("the kernel has no GSO: runs are of one")
				a.gso.Store(false)
			}
			sent := recording(a)
			w := a.NewWriter(128)
			var want [][]byte
			for i, n := range []int{1200, 1200, 1200, 700, 1200, 1200, 1300, 90, 90, 90} {
				want = append(want, numbered(i, n))
				w.Commit(want[i], b.LocalAddr(), b.LocalAddr().Addr())
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := sent(); a.Granted().GSO && got != "[4 2 2 2]" {
				t.Errorf("runs of %v", got)
			}
			for i, m := range collect(t, b, len(want)) {
				if !bytes.Equal(m.Data, want[i]) {
					t.Errorf("message %d: %d bytes, want %d", i, len(m.Data), len(want[i]))
				}
			}
		})
	}
}

// A hundred datagrams in few calls, GRO on the way in, and each of them in
// memory of its own.
func TestManyDatagrams(t *testing.T) {
	a, b := wantSocket(t, "127.0.0.1:0"), wantSocket(t, "127.0.0.1:0")
	w := a.NewWriter(50) // Commit flushes by itself once
	for i := range 100 {
		w.Commit(numbered(i, 1000), b.LocalAddr(), netip.Addr{})
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for i, m := range collect(t, b, 100) {
		if !bytes.Equal(m.Data, numbered(i, 1000)) {
			t.Fatalf("message %d is another", i)
		}
	}
	if got := a.Stats(); got.Calls > 4 {
		t.Errorf("%d calls for 2 batches", got.Calls)
	}
	if g := b.Granted(); g.GRO && b.Stats().Calls > 4 {
		t.Errorf("%d calls to receive 2 runs", b.Stats().Calls)
	}
}

// fail has sends whose first header matches fail with errno, n times (negative:
// for ever).
func fail(s *Socket, n int, errno syscall.Errno, match func(*unix.Mmsghdr) bool) {
	real := s.calls.send
	s.calls.send = func(fd uintptr, hdrs []unix.Mmsghdr) (int, syscall.Errno) {
		for i := range hdrs {
			if n == 0 || !match(&hdrs[i]) {
				continue
			}
			if i > 0 { // the kernel tells of the ones before first
				return real(fd, hdrs[:i])
			}
			n--
			return -1, errno
		}
		return real(fd, hdrs)
	}
}

func toPort(port uint16) func(*unix.Mmsghdr) bool {
	return func(h *unix.Mmsghdr) bool {
		return getSockaddr((*sockaddr)(unsafe.Pointer(h.Hdr.Name))).Port() == port
	}
}

// A peer that the kernel refuses costs its own datagrams only.
func TestBadPeerInBatch(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.EMSGSIZE, syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH,
		syscall.EPERM, syscall.EACCES, syscall.ENOBUFS, syscall.EINVAL,
	} {
		t.Run(errno.Error(), func(t *testing.T) {
			a, b := wantSocket(t, "127.0.0.1:0"), wantSocket(t, "127.0.0.1:0")
			bad := netip.MustParseAddrPort("127.0.0.9:9")
			fail(a, -1, errno, toPort(9))
			w := a.NewWriter(64)
			for i := range 10 {
				w.Commit(numbered(i, 100+i), b.LocalAddr(), netip.Addr{})
				w.Commit(numbered(i, 300), bad, netip.Addr{})
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			for i, m := range collect(t, b, 10) {
				if len(m.Data) != 100+i {
					t.Errorf("message %d: %d bytes", i, len(m.Data))
				}
			}
			if got := a.Stats(); got.Sent != 10 || got.Refused != 10 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// The same with the kernel's own refusals: too long, and a broadcast, which a
// socket must not send to without asking.
func TestKernelRefuses(t *testing.T) {
	a, b := wantSocket(t, "127.0.0.1:0"), wantSocket(t, "127.0.0.1:0")
	w := a.NewWriter(64)
	w.Commit([]byte("first"), b.LocalAddr(), netip.Addr{})
	w.Commit(make([]byte, 65508), b.LocalAddr(), netip.Addr{})
	w.Commit([]byte("second"), b.LocalAddr(), netip.Addr{})
	w.Commit([]byte("x"), netip.MustParseAddrPort("255.255.255.255:9"), netip.Addr{})
	w.Commit([]byte("x"), netip.MustParseAddrPort("127.0.0.1:0"), netip.Addr{})
	w.Commit([]byte("third"), b.LocalAddr(), netip.Addr{})
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for i, m := range collect(t, b, 3) {
		if want := []string{"first", "second", "third"}[i]; string(m.Data) != want {
			t.Errorf("message %d: %q", i, m.Data)
		}
	}
	if got := a.Stats(); got.Sent != 3 || got.Refused != 3 {
		t.Errorf("%+v", got)
	}
}

// A dead port on a live host: the kernel's ICMP error must not reach the
// batches that follow, in either direction.
func TestDeadPeer(t *testing.T) {
	a, b := wantSocket(t, "127.0.0.1:0"), wantSocket(t, "127.0.0.1:0")
	dead := wantSocket(t, "127.0.0.1:0")
	dead.Close()
	w := a.NewWriter(8)
	for i := range 5 {
		w.Commit(numbered(i, 10), dead.LocalAddr(), netip.Addr{})
		w.Commit(numbered(i, 10), b.LocalAddr(), netip.Addr{})
		w.Commit(numbered(i, 10), dead.LocalAddr(), netip.Addr{})
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	collect(t, b, 5)
	back := b.NewWriter(1)
	back.Commit([]byte("back"), a.LocalAddr(), netip.Addr{})
	if err := back.Flush(); err != nil {
		t.Fatal(err)
	}
	collect(t, a, 1)
}

// A device without checksum offload: EIO for every run, and then never a run
// again; nothing is lost.
func TestSegmentationGivenUp(t *testing.T) {
	a, b := wantSocket(t, "0.0.0.0:0"), wantSocket(t, "127.0.0.1:0")
	a.gso.Store(true)
	fail(a, -1, syscall.EIO, func(h *unix.Mmsghdr) bool { return h.Hdr.Iovlen > 1 })
	w := a.NewWriter(128)
	for round := range 2 {
		for i := range 100 {
			w.Commit(numbered(i, 100), b.LocalAddr(), netip.MustParseAddr("127.0.0.7"))
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		for i, m := range collect(t, b, 100) {
			if !bytes.Equal(m.Data, numbered(i, 100)) || m.Remote.Addr().String() != "127.0.0.7" {
				t.Fatalf("round %d, message %d from %v", round, i, m.Remote)
			}
		}
		if a.Granted().GSO {
			t.Fatal("segmentation is still on")
		}
	}
}

// A run whose datagrams do not fit the path goes as single ones, in fragments
// if need be, and segmentation stays.
func TestRunTooLongForPath(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMSGSIZE, syscall.EINVAL} {
		a, b := wantSocket(t, "127.0.0.1:0"), wantSocket(t, "127.0.0.1:0")
		a.gso.Store(true)
		fail(a, -1, errno, func(h *unix.Mmsghdr) bool { return h.Hdr.Iovlen > 1 })
		w := a.NewWriter(16)
		for i := range 10 {
			w.Commit(numbered(i, 1600), b.LocalAddr(), netip.Addr{})
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		collect(t, b, 10)
		if !a.gso.Load() {
			t.Errorf("%v: segmentation was given up", errno)
		}
	}
}

func TestInterrupted(t *testing.T) {
	a, b := wantSocket(t, "127.0.0.1:0"), wantSocket(t, "127.0.0.1:0")
	fail(a, 1, syscall.EINTR, func(*unix.Mmsghdr) bool { return true })
	real, interrupted := b.calls.receive, false
	b.calls.receive = func(fd uintptr, hdrs []unix.Mmsghdr) (int, syscall.Errno) {
		if !interrupted {
			interrupted = true
			return -1, syscall.EINTR
		}
		return real(fd, hdrs)
	}
	w := a.NewWriter(4)
	w.Commit([]byte("x"), b.LocalAddr(), netip.Addr{})
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	collect(t, b, 1)
}

func TestBrokenSocket(t *testing.T) {
	a := wantSocket(t, "127.0.0.1:0")
	fail(a, -1, syscall.EBADF, func(*unix.Mmsghdr) bool { return true })
	w := a.NewWriter(1)
	w.Commit([]byte("x"), a.LocalAddr(), netip.Addr{})
	w.Commit([]byte("x"), a.LocalAddr(), netip.Addr{}) // flushes the first
	a.calls.send = sendmmsg
	if err := w.Flush(); err == nil {
		t.Error("the error of the Flush in Commit was forgotten")
	}
	if err := w.Flush(); err != nil {
		t.Errorf("the error came twice: %v", err)
	}
	a.calls.receive = func(uintptr, []unix.Mmsghdr) (int, syscall.Errno) { return -1, syscall.ENOTSOCK }
	if _, err := a.NewReader(1).Read(); err == nil {
		t.Error("Read of something that is no socket")
	}
}

func TestReceivePassesPeerErrorsOver(t *testing.T) {
	a := wantSocket(t, "127.0.0.1:0")
	real, left := a.calls.receive, 3
	a.calls.receive = func(fd uintptr, hdrs []unix.Mmsghdr) (int, syscall.Errno) {
		if left--; left > 0 {
			return -1, syscall.ECONNREFUSED
		}
		return real(fd, hdrs)
	}
	w := a.NewWriter(1)
	w.Commit([]byte("x"), a.LocalAddr(), netip.Addr{})
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	collect(t, a, 1)
}

// A datagram longer than its buffer is dropped, not handed out in part.
func TestTruncation(t *testing.T) {
	a, b := wantSocket(t, "127.0.0.1:0"), wantSocket(t, "127.0.0.1:0")
	w := a.NewWriter(8)
	for _, n := range []int{100, 101, 1000, 99} {
		w.Commit(make([]byte, n), b.LocalAddr(), netip.Addr{})
		if err := w.Flush(); err != nil { // one by one: no runs
			t.Fatal(err)
		}
	}
	r := b.newReader(8, 100)
	var got []int
	for len(got) < 2 {
		ms, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			got = append(got, len(m.Data))
		}
	}
	if fmt.Sprint(got) != "[100 99]" || b.Stats().Truncated != 2 {
		t.Errorf("%v, %+v", got, b.Stats())
	}
}

func TestLongestAndEmpty(t *testing.T) {
	a, b := wantSocket(t, "127.0.0.1:0"), wantSocket(t, "127.0.0.1:0")
	w := a.NewWriter(8)
	for _, n := range []int{65507, 0, 65507, 0, 0} {
		w.Commit(make([]byte, n), b.LocalAddr(), netip.Addr{})
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, m := range collect(t, b, 5) {
		got = append(got, len(m.Data))
	}
	if fmt.Sprint(got) != "[65507 0 65507 0 0]" {
		t.Error(got)
	}
}

// Messages may be written over, up to their end and no further.
func TestMessagesAreApart(t *testing.T) {
	a, b := wantSocket(t, "127.0.0.1:0"), wantSocket(t, "127.0.0.1:0")
	w := a.NewWriter(8)
	for i := range 6 {
		w.Commit(numbered(i, 100), b.LocalAddr(), netip.Addr{})
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	r := b.NewReader(8)
	seen := 0
	for seen < 6 {
		ms, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range ms {
			if !bytes.Equal(m.Data, numbered(seen+i, 100)) {
				t.Fatalf("message %d was overwritten by the one before", seen+i)
			}
			clear(m.Data)
			_ = append(m.Data, 0xEE)
		}
		seen += len(ms)
	}
}

func TestReusePort(t *testing.T) {
	first, err := Listen(Config{Addr: netip.MustParseAddrPort("127.0.0.1:0"), ReusePort: true})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := Listen(Config{Addr: first.LocalAddr(), ReusePort: true})
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

func TestGrantedBuffers(t *testing.T) {
	s, err := Listen(Config{Addr: netip.MustParseAddrPort("127.0.0.1:0"), ReceiveBuffer: 64 << 10, SendBuffer: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if g := s.Granted(); g.ReceiveBuffer != 64<<10 || g.SendBuffer != 32<<10 {
		t.Errorf("granted %+v", g)
	}
	s.Close()
	if g := s.Granted(); g != (Granted{}) {
		t.Errorf("granted %+v after Close", g)
	}
}

// DF must be clear on what leaves, see the package's documentation.
func TestFragmentsAllowed(t *testing.T) {
	for host, want := range map[string][3]int{
		"127.0.0.1:0": {unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT},
		"[::1]:0":     {unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT},
	} {
		s := wantSocket(t, host)
		if err := s.raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), want[0], want[1]); err != nil || got != want[2] {
				t.Errorf("%s: %d, %v", host, got, err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// Writers of one socket send at once, and its reader gets everything.
func TestConcurrentWriters(t *testing.T) {
	const writers, rounds, each = 4, 20, 10
	a, b := wantSocket(t, "127.0.0.1:0"), wantSocket(t, "127.0.0.1:0")
	tokens := make(chan struct{}, 10*each) // as many as surely fit the receive buffer
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			w := a.NewWriter(each)
			for range rounds {
				for i := range each {
					tokens <- struct{}{}
					w.Commit(numbered(i, 200), b.LocalAddr(), netip.Addr{})
				}
				if err := w.Flush(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	r := b.NewReader(4)
	for n := 0; n < writers*rounds*each; {
		ms, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		n += len(ms)
		for range ms {
			<-tokens
		}
	}
	wg.Wait()
}

func TestAllocations(t *testing.T) {
	for _, host := range []string{"0.0.0.0:0", "127.0.0.1:0", "[::1]:0"} {
		a := wantSocket(t, host)
		to := a.LocalAddr()
		if to.Addr().IsUnspecified() {
			to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
		}
		r, w := a.NewReader(8), a.NewWriter(64)
		data := [2][]byte{make([]byte, 1000), make([]byte, 900)}
		n := testing.AllocsPerRun(100, func() {
			for i := range 40 {
				w.Commit(data[i/20], to, to.Addr())
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			for got := 0; got < 40; {
				ms, err := r.Read()
				if err != nil {
					t.Fatal(err)
				}
				got += len(ms)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations a batch", host, n)
		}
	}
}

func TestControlMessages(t *testing.T) {
	for _, local := range []string{"", "192.0.2.1", "2001:db8::1", "fe80::1%7"} {
		for _, segment := range []int{0, 1, 1400, 65000} {
			var want netip.Addr
			if local != "" {
				want = netip.MustParseAddr(local)
			}
			var c control
			n := c.write(want, segment)
			if got := c.readNotes(n); got.local != want {
				t.Errorf("%q, %d: %v", local, segment, got.local)
			}
			for cut := range n {
				c.readNotes(cut)
			}
		}
	}
}

func TestSockaddr(t *testing.T) {
	for _, s := range []string{"192.0.2.1:4500", "[2001:db8::1]:500", "[fe80::1%7]:65535", "0.0.0.0:0"} {
		var sa sockaddr
		want := netip.MustParseAddrPort(s)
		putSockaddr(&sa, want)
		if got := getSockaddr(&sa); got != want {
			t.Errorf("%v became %v", want, got)
		}
	}
	if ifaces, err := net.Interfaces(); err == nil && len(ifaces) > 0 {
		a := netip.MustParseAddr("fe80::1").WithZone(ifaces[0].Name)
		if got := scopeOf(a); int(got) != ifaces[0].Index {
			t.Errorf("%v: scope %d", a, got)
		}
	}
	if got := scopeOf(netip.MustParseAddr("fe80::1%no-such-interface")); got != 0 {
		t.Errorf("scope %d of nothing", got)
	}
}

func FuzzNotes(f *testing.F) {
	var c control
	n := c.write(netip.MustParseAddr("192.0.2.1"), 1400)
	f.Add(c.bytes()[:n])
	f.Fuzz(func(t *testing.T, b []byte) {
		var c control
		n := copy(c.bytes()[:], b)
		c.readNotes(n)
	})
}
