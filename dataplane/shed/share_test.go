package shed

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
)

// flood makes a batch: so many packets of each SPI.
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

// newShedder is one of a worker that has an SA for every SPI of a test.
func newShedder() *Shedder { return New(func(spi esp.SPI) bool { return spi < made }) }

// made is the first SPI that nobody has.
const made = 1 << 20

// keep is what a worker does with a batch of several clients.
func (s *Shedder) keep(batch []udp.Message, backlog float64) []udp.Message {
	if s.Idle(backlog) {
		return batch
	}
	return s.Cut(time.Now(), batch, Load{Backlog: backlog, Clients: 2})
}

// carried counts what is let through of a batch, by SPI.
func (s *Shedder) carried(batch []udp.Message, backlog float64) map[uint32]int {
	through := make(map[uint32]int)
	for _, m := range s.keep(slices.Clone(batch), backlog) {
		through[binary.BigEndian.Uint32(m.Data)]++
	}
	return through
}

func TestAFloodIsCut(t *testing.T) {
	s := newShedder()
	batch := flood(map[uint32]int{1000: 900, 2000: 10, 3000: 90})
	got := s.carried(batch, 0.75)
	if got[2000] != 10 || got[3000] != 90 || got[1000] != 400 {
		t.Errorf("carried %v of 500", got)
	}
}

// A worker that stays behind carries less and less, and more again when it has
// caught up; in the end, everything.
func TestWhatCanBeCarriedIsFound(t *testing.T) {
	s := newShedder()
	batch := flood(map[uint32]int{1000: 1900, 2000: 100})
	carried := func(backlog float64) int { return len(s.keep(slices.Clone(batch), backlog)) }
	for _, want := range []int{1000, 500, 250, 125, 62, 31, leastKept, leastKept} {
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
	half := carried(0.07)
	if n := carried(0.1); n != half {
		t.Errorf("carried %d after %d, with a socket as it should be", n, half)
	}
	if n := carried(0.3); n < half*6/7-1 || n > half*7/8+1 {
		t.Errorf("more waits than enough: carried %d after %d", n, half)
	}
	if carried(0); time.Since(s.share.pressed) > calm/2 {
		t.Error("what is cut does not count as pressure")
	}
	for i := 0; carried(0) < len(batch); i++ {
		if i > 20 {
			t.Fatal("it never carries all again")
		}
	}
	s.share.pressed = s.share.pressed.Add(-2 * calm)
	if carried(0); s.share.keep != 0 {
		t.Errorf("it shares %d after a second without a cut", s.share.keep)
	}
}

// Batches of a kernel that joins nothing are short: they are cut as well.
func TestShortBatchesAreCut(t *testing.T) {
	s := newShedder()
	batch := flood(map[uint32]int{1000: 60, 2000: 4})
	for _, want := range []int{32, 16, 8, 8} {
		if got := s.carried(batch, 1); got[1000]+got[2000] > want || got[2000] < min(4, want/2) {
			t.Errorf("carried %v of %d", got, want)
		}
	}
}

func TestEqualsAreCutAlike(t *testing.T) {
	s := newShedder()
	batch := flood(map[uint32]int{1000: 400, 2000: 400, 3000: 400, 4000: 400})
	for spi, n := range s.carried(batch, 0.5) {
		if n != 200 {
			t.Errorf("%d carried %d, want 200", spi, n)
		}
	}
}

func TestWhatFitsIsCarried(t *testing.T) {
	for _, c := range []struct {
		name    string
		counts  map[uint32]int
		backlog float64
	}{
		{"a burst", map[uint32]int{1000: 900, 2000: 10}, 0.4},
		{"IKE", map[uint32]int{0: 900}, 0.99},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShedder()
			s.keep(flood(map[uint32]int{1000: 50, 2000: 50}), 0.9) // a limit from long before
			s.share.pressed = s.share.pressed.Add(-2 * calm)
			got := s.carried(flood(c.counts), c.backlog)
			for spi, n := range c.counts {
				if got[spi] != n {
					t.Errorf("carried %d of %d", got[spi], n)
				}
			}
		})
	}
}

// Who makes up SPIs is not as many clients as he likes: he takes nobody's share.
func TestSharesAreForThoseWithAnSA(t *testing.T) {
	s := newShedder()
	counts := map[uint32]int{1000: 100, 2000: 300}
	for i := range uint32(600) {
		counts[made+i] = 1
	}
	got := s.carried(flood(counts), 0.6)
	if got[1000] != 100 || got[2000] != 100 {
		t.Errorf("carried %d and %d beside unknown SPIs, want half of what is known, in equal shares", got[1000], got[2000])
	}
}

func TestNobodyIsStopped(t *testing.T) {
	s := newShedder()
	counts := make(map[uint32]int)
	for spi := range uint32(100) {
		counts[1000+spi] = 3
	}
	batch := flood(counts)
	if got := s.carried(batch, 1.2); len(got) != 100 {
		t.Errorf("%d of 100 carried anything", len(got))
	}
}

func TestCutAllocatesNothing(t *testing.T) {
	s := newShedder()
	batch := flood(map[uint32]int{1000: 900, 2000: 10, 3000: 90})
	lent := make([]udp.Message, len(batch))
	if n := testing.AllocsPerRun(100, func() { copy(lent, batch); s.keep(lent, 0.75) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What is carried keeps its order, and what is no ESP is never cut.
func TestTheOrderIsKept(t *testing.T) {
	s := newShedder()
	var batch []udp.Message
	for i := range 600 {
		m := flood(map[uint32]int{1000: 1})[0]
		if i%3 == 0 {
			m = flood(map[uint32]int{0: 1})[0] // IKE
		}
		m.Data[8], m.Data[9] = byte(i>>8), byte(i)
		batch = append(batch, m)
	}
	last, ike := -1, 0
	for _, m := range s.keep(batch, 0.9) {
		n := int(m.Data[8])<<8 | int(m.Data[9])
		if n <= last {
			t.Fatalf("%d after %d", n, last)
		}
		if last = n; n%3 == 0 {
			ike++
		}
	}
	if ike != 200 {
		t.Errorf("%d of 200 IKE messages", ike)
	}
}

// A client is alone if nobody else has an SA, or was heard of.
func TestWhoIsAlone(t *testing.T) {
	flooder, other := netip.MustParseAddrPort("192.0.2.1:4500"), netip.MustParseAddrPort("192.0.2.2:4500")
	one := []udp.Message{{Remote: flooder}, {Remote: flooder}}
	now := time.Now()
	for _, c := range []struct {
		name  string
		batch []udp.Message
		peers int
		last  *Source
		alone bool
	}{
		{"with nobody", one, 1, nil, true},
		{"renewing its own SA", one, 1, &Source{flooder.Addr(), now}, true},
		{"with a silent client", one, 2, nil, false},
		{"and somebody begins to dial", one, 1, &Source{other.Addr(), now}, false},
		{"and somebody dialled long ago", one, 1, &Source{other.Addr(), now.Add(-2 * remembered)}, true},
		{"with a stranger's packets", append(one, udp.Message{Remote: other}), 1, nil, false},
	} {
		if got := new(others).none(now, c.batch, Load{Clients: c.peers, IKE: c.last}); got != c.alone {
			t.Errorf("%s: alone %v", c.name, got)
		}
	}
	var o others
	o.none(now, append(one, udp.Message{Remote: other}), Load{Clients: 1})
	if o.none(now, one, Load{Clients: 1}) {
		t.Error("who came a moment ago is forgotten")
	}
}
