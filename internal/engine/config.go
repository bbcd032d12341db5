package engine

import (
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/x/fault"
	"github.com/culvert-vpn/culvert/ppp"
)

// Config is what an Engine is made of, and what it has to ask of who drives it. What it asks
// is asked in the control loop, but for Candidates, Refused and Redirect, which IKE calls there too.
type Config struct {
	// Addresses are what the sockets are bound to, on the ports IKE and NATT; 0: any port.
	Addresses         []netip.Addr
	IKEPort, NATTPort uint16
	// Listen opens a socket.
	Listen func(udp.Config) (udp.Conn, error)
	// Workers is how many goroutines move packets; 0: one a CPU.
	Workers int
	// OuterMTU is the largest IP packet between peers and us, in bytes; 0: 1500.
	OuterMTU int
	// After is the sequence number behind which child SAs begin to send.
	After uint64
	// Faults is told of panics that were survived.
	Faults *fault.Log
	// Log gets what is said of messages that a machine refused, for whoever looks for a fault.
	Log *zap.Logger

	// Candidates are who may dial us at a local address; nil: nobody may.
	Candidates func(local, remote netip.Addr) []ike.Candidate
	// Refused is from where nobody may dial us, nor move to; nil: nowhere.
	Refused func(remote netip.Addr) bool
	// Redirect is the gateway that a new client is sent to; nil: none.
	Redirect func(local, remote netip.Addr) string
	// L2TPSecret is what a peer's tunnels are authenticated with; empty: they are not.
	L2TPSecret func(*Peer) []byte
	// Link is what the PPP link of a call of that peer is to be, of which mru is the most
	// that the encapsulation carries.
	Link func(p *Peer, mru int) (ppp.Config, error)
	// Renews reports whether we renew child SAs of a peer that could wait for it to do so.
	Renews func(*Peer) bool
}

// Owner drives an engine: it carries out what the engine says has happened, in the control
// loop of the engine.
type Owner interface {
	// Drain takes events by Next until there is none.
	Drain(now time.Time)
	// Advance does what is due, and Deadline says when it is wanted next; zero: not at all.
	Advance(now time.Time)
	Deadline() time.Time
	// Goodbye ends the peers in good order, as Run is about to return.
	Goodbye(now time.Time)
}
