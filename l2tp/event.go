package l2tp

// Peer is one authenticated remote party: an opaque number, given by the owner.
type Peer uint64

// Call names a call by the identifiers that we assigned.
type Call struct {
	Peer   Peer
	Tunnel TunnelID
	Call   CallID
}

// Event is what the Endpoint wants done or known: [Send], [TunnelUp], [TunnelDown],
// [CallUp] or [CallDown].
type Event interface{ event() }

// Send is a UDP payload for the peer. Data belongs to the receiver of the event.
type Send struct {
	To   Peer
	Data []byte
}

// TunnelUp says that a control connection is established.
type TunnelUp struct {
	Peer          Peer
	Tunnel        TunnelID // ours
	RemoteTunnel  TunnelID // the peer's
	Initiator     bool     // we dialled
	HostName      string   // what the peer calls itself, fit to be shown
	Vendor        string
	Firmware      uint16
	Window        uint16 // receive window of the peer
	Authenticated bool   // the peer proved the tunnel secret
}

// CallUp says that a call is established: PPP may begin.
type CallUp struct {
	Call         Call
	RemoteTunnel TunnelID // for the header of data to the peer
	RemoteCall   CallID
	LAC          bool   // we placed the call
	Sequencing   bool   // the LAC demands sequence numbers in data (Sequencing Required)
	TxSpeed      uint32 // bit/s, as the LAC claims; 0 where LAC is set
	RxSpeed      uint32
	Serial       uint32 // the LAC's number for the call
	HostName     string // of the peer's tunnel
	Vendor       string
}

// CallDown says that a call ended. Up tells whether its CallUp came before.
type CallDown struct {
	Call   Call
	Up     bool
	Reason Reason
}

// TunnelDown says that a tunnel ended; the CallDown of each of its calls came before.
// Up tells whether its TunnelUp came before.
type TunnelDown struct {
	Peer     Peer
	Tunnel   TunnelID
	Up       bool
	HostName string
	Vendor   string
	Reason   Reason
}

func (Send) event()       {}
func (TunnelUp) event()   {}
func (CallUp) event()     {}
func (CallDown) event()   {}
func (TunnelDown) event() {}

// eventQueue is a queue whose memory is let go when it grew in a storm.
type eventQueue struct {
	events []Event
	head   int
}

const keepEvents = 64

func (q *eventQueue) push(e Event) { q.events = append(q.events, e) }

func (q *eventQueue) pop() (Event, bool) {
	if q.head == len(q.events) {
		return nil, false
	}
	e := q.events[q.head]
	q.events[q.head] = nil
	if q.head++; q.head == len(q.events) {
		q.head = 0
		q.events = q.events[:0]
		if cap(q.events) > keepEvents {
			q.events = nil
		}
	}
	return e, true
}
