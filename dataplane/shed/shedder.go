package shed

import (
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
)

// Shedder sheds the load of one worker. Nothing is shed but ESP.
type Shedder struct {
	share  share
	others others
	filter filter
}

// New returns a Shedder. known says whether an SA has an SPI; it is called by Cut.
func New(known func(esp.SPI) bool) *Shedder { return &Shedder{share: share{known: known}} }

// Load is what a worker knows when it has read a batch.
type Load struct {
	// Backlog is how full the socket was after the batch was read, and 1 or more if
	// it has lost anything: see udp.Pressed.
	Backlog float64
	// Clients is how many clients have an SA that this worker may open.
	Clients int
	// IKE is who sent an IKE message last, to any worker; nil: nobody has.
	IKE *Source
	// Filters is whether the socket can have a filter: Filter follows.
	Filters bool
}

// Idle reports whether a batch is to be carried whole, without a look at it: neither
// Cut nor Filter is wanted then.
func (s *Shedder) Idle(backlog float64) bool { return s.share.keep == 0 && backlog < crowded }

// Cut returns what is to be carried of a batch, in its order; it moves messages within
// the batch. What is cut costs a look at its SPI.
//
// A client that is alone is not cut: whatever is dropped would be its own, and what
// the kernel drops costs the worker nothing.
func (s *Shedder) Cut(now time.Time, batch []udp.Message, load Load) []udp.Message {
	alone := s.others.none(now, batch, load)
	total := s.share.countEach(batch)
	s.share.adapt(total, load.Backlog, now)
	if alone {
		s.filter.forget()
		return batch
	}
	limit := s.share.limit(now, total)
	for i := range s.share.claims {
		c := &s.share.claims[i]
		kept := min(c.left, limit)
		if load.Filters {
			s.filter.note(c.spi, c.left, kept)
		}
		c.left = kept
	}
	if limit == total {
		return batch
	}
	return s.share.within(batch)
}

// Filter is what a socket is to drop before its worker has to read it.
type Filter struct {
	// Streams are what is thinned, in the place of all before; none: nothing is. They
	// are lent until the next call of Cut or Filter, and may be reordered.
	Streams []udp.Stream
	// Lease is for how long the system goes on with it: a client whose flood is over
	// gets through again although the worker hears of nobody.
	Lease time.Duration
	// Dropped is how many packets the one before is reckoned to have dropped.
	Dropped int
}

// Filter reports whether the socket is to be told of another filter: the time has come
// to decide that again. It follows a Cut that was told so.
func (s *Shedder) Filter(now time.Time, backlog float64) (f Filter, tell bool) {
	if !s.filter.due(now, backlog) {
		return Filter{}, false
	}
	return Filter{s.filter.streams, lease, s.filter.dropped}, true
}
