package udp

import (
	"bytes"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// oldSocket is one of a kernel that knows neither GSO (since Linux 4.18) nor GRO (since
// 5.0) for UDP: it refuses their options, and every header that asks for segments.
func oldSocket(t *testing.T) *Socket {
	t.Helper()
	calls := syscalls{receive: recvmmsg, send: sendmmsg, option: func(fd, level, option, value int) error {
		if level == unix.SOL_UDP {
			return syscall.ENOPROTOOPT
		}
		return unix.SetsockoptInt(fd, level, option, value)
	}}
	s, err := listen(Config{Addr: netip.MustParseAddrPort("127.0.0.1:0")}, calls)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if g := s.Granted(); g.GRO || g.GSO {
		t.Fatalf("granted %+v", g)
	}
	fail(s, -1, syscall.EINVAL, func(h *unix.Mmsghdr) bool { return h.Hdr.Iovlen > 1 || h.Hdr.Controllen > 0 })
	return s
}

// TestOldKernel: between kernels with and without GSO and GRO, and two without, all
// datagrams arrive whole and in order, the long ones too.
func TestOldKernel(t *testing.T) {
	fresh := func(t *testing.T) *Socket { return wantSocket(t, "127.0.0.1:0") }
	for name, ends := range map[string][2]func(*testing.T) *Socket{
		"to a new one": {oldSocket, fresh}, "from a new one": {fresh, oldSocket}, "among themselves": {oldSocket, oldSocket},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := ends[0](t), ends[1](t)
			w, sizes := a.NewWriter(64), []int{1400, 1400, 1400, 90, 0, 1400, 1400, 9000, 9000, 65507}
			for round := range 5 {
				for i, n := range sizes {
					w.Commit(numbered(round*len(sizes)+i, n), b.LocalAddr(), netip.Addr{})
				}
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
				for i, m := range collect(t, b, len(sizes)) {
					if want := numbered(round*len(sizes)+i, sizes[i]); !bytes.Equal(m.Data, want) {
						t.Fatalf("round %d, message %d: %d bytes, want %d", round, i, len(m.Data), len(want))
					}
				}
			}
			if s := a.Stats(); s.Refused != 0 || s.Sent != uint64(5*len(sizes)) {
				t.Errorf("%+v", s)
			}
		})
	}
}
