package dataplane

import (
	"slices"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
)

// crowded is how full a socket is when its worker begins to share: below that,
// what came is a burst that it will catch up with.
const crowded = 0.5

// share divides a worker among the clients when more arrives than it can open.
// Left alone, the kernel would drop what does not fit the socket, of everybody
// alike; so one client that floods would take the others' packets with it.
// Instead, the batch is cut to the part that leaves room in the socket: clients
// that send little lose nothing, and those above an equal share lose the rest,
// before any cryptography is spent on it. What is no ESP is never cut.
//
// A client alone is not cut: whatever is dropped would be its own.
type share struct {
	left  map[esp.SPI]int // packets that each SA may still send in this batch
	sizes []int
}

// measure looks at a batch before it is carried; backlog is how full the
// socket was after it was read.
func (s *share) measure(batch []udp.Message, backlog float64) {
	clear(s.left)
	if backlog < crowded {
		return
	}
	if s.left == nil {
		s.left = make(map[esp.SPI]int)
	}
	total := 0
	for i := range batch {
		if kind, spi := esp.Classify(batch[i].Data); kind == esp.ESP {
			s.left[spi]++
			total++
		}
	}
	if len(s.left) < 2 {
		clear(s.left)
		return
	}
	limit := s.limit(int(float64(total) * max(1-backlog, 0.1)))
	for spi, n := range s.left {
		s.left[spi] = min(n, limit)
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
