package ike

import (
	"time"
)

// Phase says what to rekey.
type Phase uint8

// The two phases of IKEv1: the IKE SA itself, and the child SAs under it.
const (
	Phase1 Phase = 1
	Phase2 Phase = 2
)

// Server is all IKE state of one gateway, in both roles.
type Server struct {
	config Config
	events []Event
}

// NewServer validates c and returns a Server without peers.
func NewServer(c Config) (*Server, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Server{config: c}, nil
}

// Input takes one IKE message that arrived along path, without non-ESP marker.
// msg is borrowed for the call and may be overwritten. An error means that it
// was dropped; the state is intact.
func (s *Server) Input(now time.Time, path Path, msg []byte) error { return ErrUnknownSA }

// Advance does what is due at now.
func (s *Server) Advance(now time.Time) {}

// Deadline is when Advance is wanted next; zero if nothing is scheduled.
func (s *Server) Deadline() time.Time { return time.Time{} }

// Next takes the oldest event from the queue.
func (s *Server) Next() (Event, bool) { return nil, false }

// Computed brings back what the Do of a Compute event returned. Unknown ids are
// ignored: their exchange may have ended meanwhile.
func (s *Server) Computed(now time.Time, id ComputeID, result any) {}

// Dial starts a connection. It ends in Up and Installed, or in Closed.
func (s *Server) Dial(now time.Time, c DialConfig) (Peer, error) { return 0, ErrConfig }

// Rekey renews the IKE SA (Phase1) or the newest child SA (Phase2) of a peer now.
func (s *Server) Rekey(now time.Time, p Peer, phase Phase) error { return ErrNoPeer }

// Close deletes the child SAs and the IKE SAs of a peer, telling it once, and
// emits Removed and Closed.
func (s *Server) Close(now time.Time, p Peer, why Reason) {}

// Alive says that authenticated traffic of the peer arrived: it lives.
func (s *Server) Alive(now time.Time, p Peer) {}

// Moved says that authenticated traffic of the peer came from another path (its
// NAT forgot the mapping): answer there from now on.
func (s *Server) Moved(now time.Time, p Peer, path Path) {}

// Personas lists the names that DialConfig.Persona may have.
func Personas() []string { return nil }
