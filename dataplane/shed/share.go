package shed

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
	leastKept = 16          // packets that are carried of every batch,
	leastPart = 8           // and of one that is not much longer than that, one in so many
	mostKept  = 1 << 13     // more than a batch has
	enough    = crowded / 4 // how full a socket is at most that the worker keeps up with
	calm      = time.Second // without crowding or cutting: the end of sharing
)

// share divides a worker among the clients when more arrives than it can open.
// Left alone, the kernel would drop what does not fit the socket, of everybody
// alike; so one client that floods would take the others' packets with it.
// Instead, batches are cut so that the worker comes back to its socket before
// that is full: clients that send little lose nothing, and those above an equal
// share lose the rest, before any cryptography is spent on it. What is no ESP is
// never cut.
//
// How much is carried of a batch is found by trying: half as much when the socket
// lost something meanwhile, an eighth less while more waits in it than enough, an
// eighth more when it is getting empty; a worker that waits for packets carries
// none, and one whose packets wait for long finds them in no cache any more. All is
// carried again when nothing had to be cut for a while: the moment in which a flood
// is let in again, everybody loses.
//
// What no SA has claims nothing: it costs no more than a look at the table, and
// whoever makes up SPIs would otherwise be as many clients as he likes.
type share struct {
	known func(esp.SPI) bool // whether an SA has it

	claims  []claim // of each SA in this batch
	of      map[esp.SPI]int32
	claimed []int32 // which claim each datagram of the batch is of; -1: none
	sizes   []int
	keep    int       // how many packets are carried of a batch; 0: all
	pressed time.Time // when the socket was last crowded, or a batch cut
}

// claim is how many packets an SA has in a batch, and then how many of them it
// may still send.
type claim struct {
	spi  esp.SPI
	left int
}

// countEach counts the packets of each SA. Packets come in runs: mostly the SA is
// that of the packet before.
func (s *share) countEach(batch []udp.Message) (total int) {
	if s.of == nil {
		s.of = make(map[esp.SPI]int32)
	}
	clear(s.of)
	s.claims, s.claimed = s.claims[:0], s.claimed[:0]
	last := int32(-1)
	for i := range batch {
		kind, spi := esp.Classify(batch[i].Data)
		if kind != esp.ESP {
			s.claimed = append(s.claimed, -1)
			continue
		}
		if last < 0 || s.claims[last].spi != spi {
			last = s.claim(spi)
		}
		s.claimed = append(s.claimed, last)
		if last >= 0 {
			s.claims[last].left++
			total++
		}
	}
	return total
}

// claim finds or makes the claim of an SA; -1: there is no such SA.
func (s *share) claim(spi esp.SPI) int32 {
	n, ok := s.of[spi]
	switch {
	case ok:
	case !s.known(spi):
		return -1
	default:
		n = int32(len(s.claims))
		s.claims = append(s.claims, claim{spi: spi})
		s.of[spi] = n
	}
	return n
}

// within keeps of a batch what the claims allow.
func (s *share) within(batch []udp.Message) []udp.Message {
	kept := batch[:0]
	for i, n := range s.claimed {
		if n >= 0 {
			if s.claims[n].left <= 0 {
				continue
			}
			s.claims[n].left--
		}
		kept = append(kept, batch[i])
	}
	return kept
}

// adapt finds how much is carried of a batch of total packets.
func (s *share) adapt(total int, backlog float64, now time.Time) {
	least := max(min(total/leastPart, leastKept), 1)
	if backlog >= crowded {
		s.pressed = now
	}
	switch {
	case s.keep == 0 && backlog >= crowded:
		s.keep = max(total/2, least)
	case backlog >= 1:
		s.keep = max(min(s.keep, total)/2, least)
	case now.Sub(s.pressed) > calm:
		s.keep = 0
	case backlog >= enough:
		s.keep = max(s.keep-s.keep/8, least)
	case backlog < enough/2:
		s.keep = min(s.keep+s.keep/8+1, mostKept)
	}
}

// limit returns how many packets each SA may send of a batch of total packets.
func (s *share) limit(now time.Time, total int) int {
	if s.keep == 0 || total <= s.keep {
		return total
	}
	s.pressed = now
	return s.largest(s.keep)
}

// largest returns the largest number that each SA may send so that all together
// send no more than keep: those below it get all they ask for.
func (s *share) largest(keep int) int {
	s.sizes = s.sizes[:0]
	for i := range s.claims {
		s.sizes = append(s.sizes, s.claims[i].left)
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
