package udp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func peer(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 4500)
}

// lengths are those of every run's datagrams, in order.
func (g *gather) lengths() string {
	var out [][]int
	for _, r := range g.runs {
		var run []int
		for d := r.first; d >= 0; d = g.datagrams[d].next {
			run = append(run, len(g.datagrams[d].data))
		}
		out = append(out, run)
	}
	return fmt.Sprint(out)
}

func TestGatherRuns(t *testing.T) {
	for _, row := range []struct {
		in   []int
		want string
	}{
		{[]int{100, 100, 100}, "[[100 100 100]]"},
		{[]int{100, 100, 40, 100}, "[[100 100 40] [100]]"},
		{[]int{40, 100, 100}, "[[40] [100 100]]"},
		{[]int{100, 0, 100}, "[[100] [0] [100]]"},
		{[]int{0, 0}, "[[0] [0]]"},
		{[]int{100, 40, 40}, "[[100 40] [40]]"},
		{[]int{30000, 30000, 5465, 1}, "[[30000 30000 5465] [1]]"},
		{[]int{30000, 30000, 5466}, "[[30000 30000] [5466]]"},
	} {
		g := newGather(8)
		for _, n := range row.in {
			g.add(make([]byte, n), peer(1), netip.Addr{}, true)
		}
		if got := g.lengths(); got != row.want {
			t.Errorf("%v: %v, want %v", row.in, got, row.want)
		}
	}
}

func TestGatherLimits(t *testing.T) {
	g := newGather(200)
	for !g.full() {
		g.add(make([]byte, 10), peer(1), netip.Addr{}, true)
	}
	for i, want := range []int{64, 64, 64, 8} {
		if got := g.runs[i].count; got != want {
			t.Errorf("run %d has %d datagrams, want %d", i, got, want)
		}
	}
	g.reset()
	for range 10 {
		g.add(make([]byte, 10), peer(1), netip.Addr{}, false)
	}
	if len(g.runs) != 10 {
		t.Errorf("%d runs without segmentation", len(g.runs))
	}
}

func TestGatherByAddresses(t *testing.T) {
	local1, local2 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	g := newGather(16)
	for range 3 {
		g.add(make([]byte, 10), peer(1), local1, true)
		g.add(make([]byte, 10), peer(2), local1, true)
	}
	if len(g.runs) != 2 {
		t.Errorf("%d runs for two peers in turns", len(g.runs))
	}
	g.add(make([]byte, 10), peer(1), local2, true)
	if len(g.runs) != 3 {
		t.Errorf("%d runs: one peer from two addresses was joined", len(g.runs))
	}
}

// Whatever is put in: nothing is lost, and each peer's order is kept.
func TestGatherKeepsOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	g := newGather(512)
	for round := range 50 {
		sent := map[netip.AddrPort][]byte{}
		for i := 0; !g.full(); i++ {
			p := peer(rng.IntN(1 + round*20))
			data := make([]byte, 1+rng.IntN(3), 4)
			data[0] = byte(i)
			sent[p] = append(sent[p], byte(i))
			g.add(data, p, netip.Addr{}, true)
		}
		got := map[netip.AddrPort][]byte{}
		for _, r := range g.runs {
			n := 0
			for d := r.first; d >= 0; d = g.datagrams[d].next {
				got[r.remote] = append(got[r.remote], g.datagrams[d].data[0])
				n++
			}
			if n != r.count {
				t.Fatalf("a run of %d counts %d", n, r.count)
			}
		}
		for p, want := range sent {
			if string(got[p]) != string(want) {
				t.Fatalf("%v: %v, want %v", p, got[p], want)
			}
		}
		g.reset()
		if g.newest != [gatherSlots]int32{} {
			t.Fatal("reset left something")
		}
	}
}
