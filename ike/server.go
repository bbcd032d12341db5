package ike

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/v2"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// Phase says what to rekey.
type Phase uint8

// The two phases of IKEv1: the IKE SA itself, and the child SAs under it.
const (
	Phase1 Phase = 1
	Phase2 Phase = 2
)

// cookies name an ISAKMP SA.
type cookies struct{ i, r wire.Cookie }

// openKey finds an exchange by a repeated message 1, which does not know the
// responder's cookie yet.
type openKey struct {
	cookie        wire.Cookie
	local, remote netip.AddrPort
}

// memberKey finds the Peer that a new main mode renews.
type memberKey struct {
	local, remote    netip.AddrPort
	tenant, identity string
	user             string // of extended authentication
}

// ends is a path as a key.
type ends struct{ local, remote netip.AddrPort }

func (p Path) ends() ends { return ends{p.Local, p.Remote} }

// Server is all IKE state of one gateway, in both roles. Nothing is ever scanned
// that grows with the number of peers.
type Server struct {
	config      Config
	policies    policies
	directories *simplelru.LRU[listKey, *directory]
	nobody      *directory
	events      []Event
	head        int // of events
	alarms      deadline.Heap[*alarm]
	stats       Stats

	sas      map[cookies]*isakmp     // once both cookies are known
	opening  map[openKey]*isakmp     // we answer, and message 1 may be repeated
	dialing  map[wire.Cookie]*isakmp // we dial, and message 2 is not here yet
	peers    map[Peer]*peer
	members  map[memberKey]*peer
	dialled  map[ends]*peer
	lastPeer Peer

	spis     map[wire.Cookie]*session2 // IKEv2, by our SPI
	opening2 map[openKey]*session2     // IKEv2, we answer
	sessions map[Peer]*session2
	members2 map[memberKey][]*session2
	dialled2 map[ends]*session2
	cookies  v2.Cookies

	computes      map[ComputeID]compute
	lastID        ComputeID
	strangers     int                  // computations for exchanges that nobody vouches for
	computing     map[netip.Prefix]int // these, by the largest network of their source
	halfOpen      halfOpen
	burdens       halfOpen // by bytes
	trials        trials
	sources       sources
	acquaintances *simplelru.LRU[acquaintance, string] // tenants, by IKEv2
	winners       *simplelru.LRU[netip.Addr, winner]
	hints         budget
	openings      budget // of aggressive mode
	refusals      budget // of first messages, beyond which a cookie comes first

	tellStrangers, tellPeers budget
	untold                   uint64
	summary                  alarm
}

// compute is a computation under way.
type compute struct {
	then     func(now time.Time, result any)
	stranger bool
	network  netip.Prefix // of a stranger
}

// Stats are the counters of a Server.
type Stats struct {
	Peers, IKEs, HalfOpen, Children int // as of now
	Computations                    int // under way
	Received, Sent                  uint64
	Dropped                         map[string]uint64 // messages by the text of their error
}

// NewServer validates c and returns a Server without peers.
func NewServer(c Config) (*Server, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		config: c, policies: newPolicies(), directories: newLRU[listKey, *directory](maxDirectories), nobody: &directory{v2: v2.NewDirectory(nil)},
		sas: map[cookies]*isakmp{}, opening: map[openKey]*isakmp{}, dialing: map[wire.Cookie]*isakmp{},
		peers: map[Peer]*peer{}, members: map[memberKey]*peer{}, dialled: map[ends]*peer{},
		spis: map[wire.Cookie]*session2{}, opening2: map[openKey]*session2{}, sessions: map[Peer]*session2{},
		members2: map[memberKey][]*session2{}, dialled2: map[ends]*session2{},
		computes: map[ComputeID]compute{}, computing: map[netip.Prefix]int{}, sources: newSources(), halfOpen: newHalfOpen(), burdens: newHalfOpen(), acquaintances: newLRU[acquaintance, string](2 * maxWinners), winners: newLRU[netip.Addr, winner](maxWinners),
		stats: Stats{Dropped: map[string]uint64{}},
	}
	s.trials.known = newLRU[netip.Prefix, *searches](maxSources)
	s.summary.due, s.trials.alarm.due = s.summarise, s.tryWaiting
	return s, nil
}

// Stats returns a copy of the counters.
func (s *Server) Stats() Stats {
	out := s.stats
	out.Peers, out.IKEs, out.Computations = len(s.peers)+len(s.sessions), len(s.sas)+len(s.dialing)+len(s.spis), len(s.computes)
	out.Dropped = make(map[string]uint64, len(s.stats.Dropped))
	for k, v := range s.stats.Dropped {
		out.Dropped[k] = v
	}
	return out
}

// Advance does what is due at now.
func (s *Server) Advance(now time.Time) {
	for {
		a, ok := s.alarms.Due(now)
		if !ok {
			return
		}
		s.alarms.Stop(a)
		a.due(now)
	}
}

// Deadline is when Advance is wanted next; zero if nothing is scheduled.
func (s *Server) Deadline() time.Time { return s.alarms.Next() }

// Next takes the oldest event from the queue.
func (s *Server) Next() (Event, bool) {
	if s.head == len(s.events) {
		s.events, s.head = s.events[:0], 0
		return nil, false
	}
	e := s.events[s.head]
	s.events[s.head] = nil
	s.head++
	return e, true
}

func (s *Server) emit(e Event) { s.events = append(s.events, e) }

// send emits a Send. data stays ours (it may be repeated), so it is cloned.
func (s *Server) send(path Path, data []byte) {
	if len(data) == 0 {
		return
	}
	s.stats.Sent++
	s.emit(Send{Path: path, Data: append([]byte(nil), data...)})
}

// compute emits a Compute; then gets its result. from is the source of a stranger; invalid:
// it is for nobody who is one.
func (s *Server) compute(do func() any, from netip.Addr, then func(now time.Time, result any)) {
	s.emit(Compute{ID: s.begun(from, then), Do: do})
}

// consult is compute for what asks a Verify, which may wait. The result is ErrBusy if too
// much waits already.
func (s *Server) consult(path Path, do func() any, stranger bool, then func(now time.Time, result any)) {
	var from netip.Addr
	if stranger {
		from = path.Remote.Addr()
	}
	s.emit(Compute{ID: s.begun(from, then), Do: do, Waits: true, Path: path})
}

// begun notes that a computation is under way.
func (s *Server) begun(from netip.Addr, then func(now time.Time, result any)) ComputeID {
	s.lastID++
	c := compute{then: then, stranger: from.IsValid()}
	if c.stranger {
		of := prefixesOf(from)
		c.network = of.widest()
		s.strangers++
		s.computing[c.network]++
	}
	s.computes[s.lastID] = c
	return s.lastID
}

// mayCompute reports whether one more computation may begin for a stranger, of as many as
// room. A network has no more of them than three times what is left, so that some are for
// others always: one customer with many addresses does not have them all.
func (s *Server) mayCompute(from netip.Addr, room int) bool {
	of := prefixesOf(from)
	own, left := s.computing[of.widest()], room-s.strangers
	return left > 0 && own < 3*left
}

// Computed brings back what the Do of a Compute event returned. Unknown ids are
// ignored: their exchange may have ended meanwhile.
func (s *Server) Computed(now time.Time, id ComputeID, result any) {
	c, ok := s.computes[id]
	if !ok {
		v1.Discard(result)
		v2.Discard(result)
		return
	}
	delete(s.computes, id)
	if c.stranger {
		s.strangers--
		if s.computing[c.network]--; s.computing[c.network] <= 0 {
			delete(s.computing, c.network)
		}
	}
	if result != ErrFault {
		c.then(now, result)
	}
}

// random returns a number from Config.Rand, zero if it fails.
func (s *Server) random() uint32 {
	var b [4]byte
	if _, err := io.ReadFull(s.config.Rand, b[:]); err != nil {
		return 0
	}
	return binary.BigEndian.Uint32(b[:])
}

// jitter returns a duration between low and high percent of d.
func (s *Server) jitter(d time.Duration, low, high int) time.Duration {
	span := d / 100 * time.Duration(high-low)
	return d/100*time.Duration(low) + time.Duration(uint64(span)*uint64(s.random())>>32)
}

// allocateSPI returns a fresh inbound SPI. "Values 1 through 255 are reserved"
// (RFC 4303, section 2.1).
func (s *Server) allocateSPI() SPI {
	if s.config.AllocateSPI != nil {
		return s.config.AllocateSPI()
	}
	for {
		if spi := SPI(s.random()); spi > 255 {
			return spi
		}
	}
}
