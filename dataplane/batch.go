package dataplane

import (
	"github.com/culvert-vpn/culvert/dataplane/udp"
)

// batchSize is how many packets are sealed before the sockets are flushed at the latest.
const batchSize = 64

// sender seals packets into an arena of its own and hands them to the sockets
// in batches. It belongs to one goroutine.
type sender struct {
	plane   *Plane
	count   *counters
	arena   [][]byte
	used    int
	writers map[*listener]udp.Writer
	touched []udp.Writer
	turn    []byte // room for a packet that goes from one client to another
	spread  int    // which of a listener's sockets this sender writes to
}

func newSender(p *Plane, spread int) *sender {
	s := &sender{plane: p, count: p.newCounters(), writers: make(map[*listener]udp.Writer), spread: spread}
	return s
}

// slot returns room for one sealed packet. The arena grows to the largest
// batch there was: a tenant whose clients are idle holds none of it.
func (s *sender) slot() []byte {
	if s.used == batchSize {
		s.flush()
	}
	if s.used == len(s.arena) {
		s.arena = append(s.arena, make([]byte, sealedLimit))
	}
	return s.arena[s.used]
}

// seal encrypts plain for the way r and commits it. The packet leaves at the
// next flush.
func (s *sender) seal(r *route, plain []byte, next uint8) {
	pkt, err := r.Out.Seal(s.slot(), plain, next)
	if err != nil {
		s.count.drop(DropSend)
		return
	}
	s.used++
	s.commit(r.listener, pkt, r.Path)
}

// commit queues a datagram; data is borrowed until the next flush.
func (s *sender) commit(l *listener, data []byte, path Path) {
	w := s.writers[l]
	if w == nil {
		w = l.writer(s.spread)
		s.writers[l] = w
	}
	w.Commit(data, path.Remote, path.Local.Addr())
	for _, t := range s.touched {
		if t == w {
			return
		}
	}
	s.touched = append(s.touched, w)
}

// flush sends what is committed. A socket that refuses costs its own packets only.
func (s *sender) flush() {
	for i, w := range s.touched {
		if w.Flush() != nil {
			s.count.drop(DropSend)
		}
		s.touched[i] = nil
	}
	s.touched = s.touched[:0]
	s.used = 0
}
