package dataplane

import (
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
)

// crowded is how full a socket is when its worker begins to share: below that,
// what came is a burst that it will catch up with.
const crowded = 0.5

const (
	leastKept = 64               // packets that are carried of every batch
	mostKept  = 1 << 13          // more than a batch has
	calm      = time.Second      // without crowding: the end of sharing
	company   = 30 * time.Second // a client was not alone that was not for so long
)

// share divides a worker among the clients when more arrives than it can open.
// Left alone, the kernel would drop what does not fit the socket, of everybody
// alike; so one client that floods would take the others' packets with it.
// Instead, batches are cut so that the worker comes back to its socket before
// that is full: clients that send little lose nothing, and those above an equal
// share lose the rest, before any cryptography is spent on it. What is no ESP is
// never cut.
//
// How much is carried of a batch is found by trying: half as much when the
// socket was crowded or lost something meanwhile, an eighth more when not.
//
// A client that was alone for long is not cut: whatever is dropped would be its
// own, and what the kernel drops costs the worker nothing.
type share struct {
	left    map[esp.SPI]int // packets that each SA may still send in this batch
	sizes   []int
	keep    int       // how many packets are carried of a batch; 0: all
	crowded time.Time // when the socket last was
	others  time.Time // when there was last more than one client
}

// measure looks at a batch before it is carried; backlog is how full the
// socket was after it was read, and 1 or more if it has lost anything.
func (s *share) measure(batch []udp.Message, backlog float64) {
	if len(s.left) > 0 {
		clear(s.left)
	}
	if s.keep == 0 && backlog < crowded {
		return
	}
	now := time.Now()
	total, strangers := s.countEach(batch)
	if len(s.left) > 1 || strangers {
		s.others = now
	}
	s.adapt(total, backlog, now)
	if s.keep == 0 || total <= s.keep || now.Sub(s.others) > company {
		clear(s.left)
		return
	}
	limit := s.limit(s.keep)
	for spi, n := range s.left {
		s.left[spi] = min(n, limit)
	}
}

// countEach counts the ESP packets of each SA, and whether there is anything else.
func (s *share) countEach(batch []udp.Message) (total int, strangers bool) {
	if s.left == nil {
		s.left = make(map[esp.SPI]int)
	}
	for i := range batch {
		if kind, spi := esp.Classify(batch[i].Data); kind == esp.ESP {
			s.left[spi]++
			total++
		} else {
			strangers = true
		}
	}
	return total, strangers
}

// adapt finds how much is carried of a batch of total packets.
func (s *share) adapt(total int, backlog float64, now time.Time) {
	switch {
	case backlog >= crowded:
		if s.keep == 0 {
			s.keep = total
		}
		s.keep, s.crowded = max(min(s.keep, total)/2, leastKept), now
	case now.Sub(s.crowded) > calm:
		s.keep = 0
	default:
		s.keep = min(s.keep+s.keep/8+1, mostKept)
	}
}

// limit returns the largest number that each SA may send so that all together
// send no more than keep: those below it get all they ask for.
func (s *share) limit(keep int) int {
	s.sizes = s.sizes[:0]
	for _, n := range s.left {
		s.sizes = append(s.sizes, n)
	}
	slices.Sort(s.sizes)
	for i, n := range s.sizes {
		if rest := len(s.sizes) - i; n*rest > keep {
			return max(keep/rest, 1)
		}
		keep -= n
	}
	return s.sizes[len(s.sizes)-1]
}

// exceeds reports whether a datagram is beyond the share of its client, and
// counts it against that share if not.
func (s *share) exceeds(data []byte) bool {
	if len(s.left) == 0 {
		return false
	}
	kind, spi := esp.Classify(data)
	if kind != esp.ESP {
		return false
	}
	left := s.left[spi]
	s.left[spi] = left - 1
	return left <= 0
}
