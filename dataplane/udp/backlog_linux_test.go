package udp

import (
	"net/netip"
	"testing"
)

// A reader knows how much is left for it to read.
func TestBacklog(t *testing.T) {
	receiver, err := Listen(Config{Addr: netip.MustParseAddrPort("127.0.0.1:0"), ReceiveBuffer: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	sender, err := Listen(Config{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	w := sender.NewWriter(1)
	for i := range 200 {
		w.Commit(make([]byte, 700+i), receiver.LocalAddr(), netip.Addr{})
		w.Flush()
	}
	r := receiver.NewReader(1)
	if _, err := r.Read(); err != nil {
		t.Fatal(err)
	}
	if b := r.(Pressed).Backlog(); b < 0.5 || b > 2 {
		t.Errorf("backlog %v of a full socket", b)
	}
	all := receiver.NewReader(256)
	for range 3 {
		if _, err := all.Read(); err != nil {
			t.Fatal(err)
		}
		if b := all.(Pressed).Backlog(); b == 0 {
			return
		}
	}
	t.Error("an empty socket has a backlog")
}

// Messages that are long come a few at a time, and short ones many.
func TestReadBringsAboutAsMuch(t *testing.T) {
	s := newFiltered(t)
	s.most = 50 << 10
	read := func(want int) {
		t.Helper()
		if batch, err := s.Read(); err != nil || len(batch) != want {
			t.Errorf("%d messages at once, want %d; %v", len(batch), want, err)
		}
	}
	for _, c := range []struct {
		length int
		then   []int
	}{{20000, []int{2, 2, 1}}, {100, []int{64, 16}}} {
		s.send(make([]byte, c.length))
		read(1)
		for _, n := range c.then {
			for range n {
				s.send(make([]byte, c.length))
			}
		}
		for _, n := range c.then {
			read(n)
		}
	}
}
