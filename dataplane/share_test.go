package dataplane

import (
	"encoding/binary"
	"net"
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

// newShare is one of a worker that has an SA for every SPI of a test.
func newShare() share { return share{known: func(spi esp.SPI) bool { return spi < made }} }

// made is the first SPI that nobody has.
const made = 1 << 20

// relieve is what a worker does with a batch of several clients.
func (s *share) relieve(batch []udp.Message, backlog float64) []udp.Message {
	if s.idle(backlog) {
		return batch
	}
	return s.cut(batch, backlog, false, time.Now())
}

// carried counts what a share lets through of a batch, by SPI.
func (s *share) carried(batch []udp.Message, backlog float64) map[uint32]int {
	through := make(map[uint32]int)
	for _, m := range s.relieve(slices.Clone(batch), backlog) {
		through[binary.BigEndian.Uint32(m.Data)]++
	}
	return through
}

func TestShareCutsTheFlood(t *testing.T) {
	s := newShare()
	batch := flood(map[uint32]int{1000: 900, 2000: 10, 3000: 90})
	got := s.carried(batch, 0.75)
	if got[2000] != 10 || got[3000] != 90 || got[1000] != 400 {
		t.Errorf("carried %v of 500", got)
	}
}

// A worker that stays behind carries less and less, and more again when it has
// caught up; in the end, everything.
func TestShareFindsWhatCanBeCarried(t *testing.T) {
	s := newShare()
	batch := flood(map[uint32]int{1000: 1900, 2000: 100})
	carried := func(backlog float64) int { return len(s.relieve(slices.Clone(batch), backlog)) }
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
	if carried(0); time.Since(s.pressed) > calm/2 {
		t.Error("what is cut does not count as pressure")
	}
	for i := 0; carried(0) < len(batch); i++ {
		if i > 20 {
			t.Fatal("it never carries all again")
		}
	}
	s.pressed = s.pressed.Add(-2 * calm)
	if carried(0); s.keep != 0 {
		t.Errorf("it shares %d after a second without a cut", s.keep)
	}
}

// Batches of a kernel that joins nothing are short: they are cut as well.
func TestShareCutsShortBatches(t *testing.T) {
	s := newShare()
	batch := flood(map[uint32]int{1000: 60, 2000: 4})
	for _, want := range []int{32, 16, 8, 8} {
		if got := s.carried(batch, 1); got[1000]+got[2000] > want || got[2000] < min(4, want/2) {
			t.Errorf("carried %v of %d", got, want)
		}
	}
}

func TestShareIsEqualAmongEquals(t *testing.T) {
	s := newShare()
	batch := flood(map[uint32]int{1000: 400, 2000: 400, 3000: 400, 4000: 400})
	for spi, n := range s.carried(batch, 0.5) {
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
		{"IKE", map[uint32]int{0: 900}, 0.99},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShare()
			s.relieve(flood(map[uint32]int{1000: 50, 2000: 50}), 0.9) // a limit from long before
			s.pressed = s.pressed.Add(-2 * calm)
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
func TestShareIsForThoseWithAnSA(t *testing.T) {
	s := newShare()
	counts := map[uint32]int{1000: 100, 2000: 300}
	for i := range uint32(600) {
		counts[made+i] = 1
	}
	got := s.carried(flood(counts), 0.6)
	if got[1000] != 100 || got[2000] != 100 {
		t.Errorf("carried %d and %d beside unknown SPIs, want half of what is known, in equal shares", got[1000], got[2000])
	}
}

func TestShareNeverStopsAnybody(t *testing.T) {
	s := newShare()
	counts := make(map[uint32]int)
	for spi := range uint32(100) {
		counts[1000+spi] = 3
	}
	batch := flood(counts)
	if got := s.carried(batch, 1.2); len(got) != 100 {
		t.Errorf("%d of 100 carried anything", len(got))
	}
}

func TestShareAllocatesNothing(t *testing.T) {
	s := newShare()
	batch := flood(map[uint32]int{1000: 900, 2000: 10, 3000: 90})
	lent := make([]udp.Message, len(batch))
	if n := testing.AllocsPerRun(100, func() { copy(lent, batch); s.relieve(lent, 0.75) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What is carried keeps its order, and what is no ESP is never cut.
func TestShareKeepsTheOrder(t *testing.T) {
	s := newShare()
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
	for _, m := range s.relieve(batch, 0.9) {
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
func TestCompany(t *testing.T) {
	flooder, other := netip.MustParseAddrPort("192.0.2.1:4500"), netip.MustParseAddrPort("192.0.2.2:4500")
	one := []udp.Message{{Remote: flooder}, {Remote: flooder}}
	now := time.Now()
	for _, c := range []struct {
		name  string
		batch []udp.Message
		peers int
		last  *visitor
		alone bool
	}{
		{"with nobody", one, 1, nil, true},
		{"renewing its own SA", one, 1, &visitor{flooder.Addr(), now}, true},
		{"with a silent client", one, 2, nil, false},
		{"and somebody begins to dial", one, 1, &visitor{other.Addr(), now}, false},
		{"and somebody dialled long ago", one, 1, &visitor{other.Addr(), now.Add(-2 * remembered)}, true},
		{"with a stranger's packets", append(one, udp.Message{Remote: other}), 1, nil, false},
	} {
		if got := new(company).alone(c.batch, c.peers, c.last); got != c.alone {
			t.Errorf("%s: alone %v", c.name, got)
		}
	}
	var c company
	c.alone(append(one, udp.Message{Remote: other}), 1, nil)
	if c.alone(one, 1, nil) {
		t.Error("who came a moment ago is forgotten")
	}
}

func TestTableCountsClients(t *testing.T) {
	table, one, two := new(saTable), &Peer{}, &Peer{}
	table.put(1000, &SA{Peer: one})
	table.put(2000, &SA{Peer: one})
	table.put(2000, &SA{Peer: one})
	table.put(3000, &SA{Peer: two})
	table.remove(1000)
	if n := table.clients(); n != 2 {
		t.Errorf("%d clients, want 2", n)
	}
	table.remove(2000)
	table.remove(2000)
	if n := table.clients(); n != 1 {
		t.Errorf("%d clients, want 1", n)
	}
}

// pressedConn is a socket that is always full.
type pressedConn struct {
	udp.Conn
	batches [][]udp.Message
}

func (c *pressedConn) NewReader(int) udp.Reader { return c }
func (c *pressedConn) Backlog() float64         { return 2 }

func (c *pressedConn) Read() ([]udp.Message, error) {
	if len(c.batches) == 0 {
		return nil, net.ErrClosed
	}
	next := c.batches[0]
	c.batches = c.batches[1:]
	return next, nil
}

// On the port of IKE nothing is cut: what begins there like an SPI is a cookie.
func TestShareIsForESP(t *testing.T) {
	for _, natt := range []bool{true, false} {
		w := newCrowd(t).worker
		w.natt, w.conn = natt, &pressedConn{batches: [][]udp.Message{flood(map[uint32]int{3000: 100, 3001: 100})}}
		w.run()
		if cut := w.plane.Drops()[DropShare]; cut > 0 != natt {
			t.Errorf("NAT-T %v: %d cut", natt, cut)
		}
	}
}
