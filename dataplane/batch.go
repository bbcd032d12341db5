package dataplane

import (
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/tenant"
	"github.com/culvert-vpn/culvert/tenant/policy"
)

// batchSize is how many packets are sealed before the sockets are flushed at the latest.
const batchSize = 64

// sender seals packets into an arena of its own and hands them to the sockets
// in batches. It belongs to one goroutine.
//
// A packet whose SA gains by it waits, copied into its slot, until the batch is
// sealed side by side; others are sealed at once from where they are. Packets
// of one SA go one of the two ways, so that its sequence numbers stay in order.
type sender struct {
	plane   *Plane
	count   *counters
	arena   [][]byte
	used    int
	jobs    []esp.SealJob // what waits to be sealed
	ways    []*wayOut     // of the jobs
	batch   *esp.Batch    // nil until something was sealed
	writers map[*listener]udp.Writer
	last    *listener // whose writer is lastTo
	lastTo  udp.Writer
	touched []udp.Writer
	down    tally
	turn    []byte     // room for a packet that goes from one client to another
	spread  int        // which of a listener's sockets this sender writes to
	now     policy.Now // of this batch; zero: nobody has asked
}

func newSender(p *Plane, spread int) *sender {
	return &sender{plane: p, count: p.newCounters(), writers: make(map[*listener]udp.Writer), spread: spread}
}

// slot returns room for one sealed packet. The arena grows to the largest
// batch there was: a tenant whose clients are idle holds none of it.
func (s *sender) slot() []byte {
	if s.used == batchSize {
		s.flush()
	}
	if s.used == len(s.arena) {
		s.grow()
	}
	s.used++
	return s.arena[s.used-1]
}

func (s *sender) grow() {
	if s.batch == nil {
		s.batch = new(esp.Batch)
	}
	s.arena = append(s.arena, make([]byte, sealedLimit))
}

// seal encrypts plain with an SA, for the way r; the packet leaves at the next flush. plain
// is borrowed for the call, and with it tenant.Tailroom bytes behind it, as far
// as its capacity goes.
func (s *sender) seal(r *wayOut, sa *esp.Outbound, plain []byte, next uint8) {
	job := esp.SealJob{SA: sa, Dst: s.slot(), Plain: plain, NextHeader: next, Tailroom: tenant.Tailroom}
	if !sa.SideBySide() {
		s.batch.SealOne(&job)
		s.sealed(r, &job)
		return
	}
	at := sa.HeaderLen()
	job.Plain = job.Dst[at : at+copy(job.Dst[at:], plain)]
	if len(job.Plain) < len(plain) {
		s.count.drop(DropSend)
		return
	}
	s.jobs, s.ways = append(s.jobs, job), append(s.ways, r)
}

// sealWaiting seals what waits, and commits it in order.
func (s *sender) sealWaiting() {
	if len(s.jobs) == 0 {
		return
	}
	s.batch.Seal(s.jobs)
	for i := range s.jobs {
		s.sealed(s.ways[i], &s.jobs[i])
	}
	clear(s.jobs)
	clear(s.ways)
	s.jobs, s.ways = s.jobs[:0], s.ways[:0]
}

// sealed commits the packet of a job that is done.
func (s *sender) sealed(r *wayOut, j *esp.SealJob) {
	if j.Err != nil {
		s.count.drop(DropSend)
		return
	}
	s.commit(r.listener, j.Packet, r.path)
}

// plain commits a datagram that is not sealed, behind all that was before it.
// data is borrowed until the next flush.
func (s *sender) plain(l *listener, data []byte, path Path) {
	s.sealWaiting()
	s.commit(l, data, path)
}

// commit queues a datagram; data is borrowed until the next flush.
func (s *sender) commit(l *listener, data []byte, path Path) {
	if s.last != l {
		s.last, s.lastTo = l, s.writer(l)
	}
	s.lastTo.Commit(data, path.Remote, path.Local.Addr())
	for _, t := range s.touched {
		if t == s.lastTo {
			return
		}
	}
	s.touched = append(s.touched, s.lastTo)
}

// writer returns this sender's writer to a socket of the listener.
func (s *sender) writer(l *listener) udp.Writer {
	w := s.writers[l]
	if w == nil {
		w = l.writer(s.spread)
		s.writers[l] = w
	}
	return w
}

// flushAll sends everything. A socket that refuses costs its own packets only.
func (s *sender) flushAll() {
	s.sealWaiting()
	for i, w := range s.touched {
		s.count.flushed(w.Flush())
		s.touched[i] = nil
	}
	s.touched = s.touched[:0]
	s.used, s.now = 0, policy.Now{}
	s.down.flush()
}

// time is when this batch is, to policies.
func (s *sender) time() policy.Now {
	if s.now.Wall == 0 {
		s.now = s.plane.policyTime(time.Now())
	}
	return s.now
}
