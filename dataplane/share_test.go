package dataplane

import (
	"encoding/binary"
	"testing"

	"github.com/culvert-vpn/culvert/dataplane/udp"
)

// flood makes a batch: so many packets of each SPI, the largest first.
func flood(counts map[uint32]int) []udp.Message {
	var batch []udp.Message
	for spi, n := range counts {
		for range n {
			data := make([]byte, 64)
			binary.BigEndian.PutUint32(data, spi)
			batch = append(batch, udp.Message{Data: data})
		}
	}
	return batch
}

// carried counts what a share lets through, by SPI.
func (s *share) carried(batch []udp.Message) map[uint32]int {
	through := make(map[uint32]int)
	for _, m := range batch {
		if !s.exceeds(m.Data) {
			through[binary.BigEndian.Uint32(m.Data)]++
		}
	}
	return through
}

func TestShareCutsTheFlood(t *testing.T) {
	var s share
	batch := flood(map[uint32]int{1000: 900, 2000: 10, 3000: 90})
	s.measure(batch, 0.75)
	got := s.carried(batch)
	if got[2000] != 10 || got[3000] != 90 || got[1000] != 400 {
		t.Errorf("carried %v of 500", got)
	}
}

// A worker that stays behind carries less and less, and more again when it has
// caught up; in the end, everything.
func TestShareFindsWhatCanBeCarried(t *testing.T) {
	var s share
	batch := flood(map[uint32]int{1000: 1900, 2000: 100})
	carried := func(backlog float64) (n int) {
		s.measure(batch, backlog)
		return s.carriedCount(batch)
	}
	for _, want := range []int{1000, 500, 250, 125, leastKept, leastKept} {
		if n := carried(1); n > want || n < want-2 {
			t.Errorf("crowded: carried %d, want %d", n, want)
		}
	}
	for before, i := leastKept, 0; i < 20; i++ {
		n := carried(0)
		if n <= before {
			t.Errorf("not crowded: carried %d after %d", n, before)
		}
		before = n
	}
	s.crowded = s.crowded.Add(-calm)
	if n := carried(0); n != len(batch) {
		t.Errorf("carried %d of %d long afterwards", n, len(batch))
	}
}

func TestShareIsEqualAmongEquals(t *testing.T) {
	var s share
	batch := flood(map[uint32]int{1000: 400, 2000: 400, 3000: 400, 4000: 400})
	s.measure(batch, 0.5)
	for spi, n := range s.carried(batch) {
		if n != 200 {
			t.Errorf("%d carried %d, want 200", spi, n)
		}
	}
}

func TestShareLeavesAloneWhatFits(t *testing.T) {
	for _, c := range []struct {
		name    string
		counts  map[uint32]int
		backlog float64
	}{
		{"a burst", map[uint32]int{1000: 900, 2000: 10}, 0.4},
		{"one client alone", map[uint32]int{1000: 900}, 0.99},
		{"IKE", map[uint32]int{0: 900}, 0.99},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s share
			s.measure(flood(map[uint32]int{1000: 50, 2000: 50}), 0.9) // a limit from long before
			s.crowded, s.others = s.crowded.Add(-calm), s.others.Add(-company)
			batch := flood(c.counts)
			s.measure(batch, c.backlog)
			for spi, n := range c.counts {
				if got := s.carried(batch)[spi]; got != n {
					t.Errorf("carried %d of %d", got, n)
				}
			}
		})
	}
}

func TestShareNeverStopsAnybody(t *testing.T) {
	var s share
	counts := make(map[uint32]int)
	for spi := range uint32(100) {
		counts[1000+spi] = 3
	}
	batch := flood(counts)
	s.measure(batch, 1.2)
	if got := s.carried(batch); len(got) != 100 {
		t.Errorf("%d of 100 carried anything", len(got))
	}
}

func TestShareAllocatesNothing(t *testing.T) {
	var s share
	batch := flood(map[uint32]int{1000: 900, 2000: 10, 3000: 90})
	if n := testing.AllocsPerRun(100, func() { s.measure(batch, 0.75); s.carriedCount(batch) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func (s *share) carriedCount(batch []udp.Message) (n int) {
	for i := range batch {
		if !s.exceeds(batch[i].Data) {
			n++
		}
	}
	return n
}
