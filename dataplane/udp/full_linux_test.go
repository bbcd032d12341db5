package udp

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/x/nstest"
)

func TestMain(m *testing.M) { os.Exit(nstest.Run(m.Run)) }

// TestNobodyWaitsForRoom: what goes to neighbours that do not answer stays in the
// send buffer until the kernel gives them up, which takes seconds, and goes on for
// as long as somebody sends. Every Flush returns at once all the same: what there
// is no room for is dropped and counted, the whole of it.
func TestNobodyWaitsForRoom(t *testing.T) {
	var s *Socket
	nstest.Silent(t, func() (err error) {
		s, err = Listen(Config{Addr: netip.AddrPortFrom(nstest.SilentNet.Addr(), 0), SendBuffer: 1 << 15})
		return err
	})
	defer s.Close()
	const sent = 4096
	done := make(chan int)
	go func() { done <- sendAround(t, s, sent) }()
	select {
	case dropped := <-done:
		stats := s.Stats()
		if dropped == 0 || stats.Refused != uint64(dropped) || stats.Sent+stats.Refused != sent {
			t.Errorf("%d told, of %d: %+v", dropped, sent, stats)
		}
	case <-time.After(20 * time.Second): // it takes some milliseconds
		t.Fatalf("a Flush waits for room: %+v", s.Stats())
	}
}

// sendAround sends n datagrams to a hundred silent neighbours, and returns how
// many there was no room for.
func sendAround(t *testing.T, s *Socket, n int) (dropped int) {
	w := s.NewWriter(8)
	data := make([]byte, 1200)
	for i := range n {
		to := netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i%100)})
		w.Commit(data, netip.AddrPortFrom(to, 500), netip.Addr{})
		if i%8 < 7 {
			continue
		}
		if err := w.Flush(); err != nil {
			full, ok := errors.AsType[Full](err)
			if !ok {
				t.Error(err)
			}
			dropped += int(full)
		}
	}
	return dropped
}
