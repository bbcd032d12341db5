package l2tp

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// Config is what an Endpoint needs. Durations and numbers that are zero mean the
// defaults; a negative duration means never.
type Config struct {
	Rand     io.Reader // crypto/rand.Reader; pinned in tests
	HostName string    // what we call ourselves; required
	Vendor   string    // Vendor Name AVP; none if empty
	Firmware uint16

	ReceiveWindow uint16        // control messages a peer may have in flight to us; 8, at most 64
	Retransmit    Retransmit    // 1 s doubling up to 8 s, 9 times: 63 s
	Hello         time.Duration // quiet before a HELLO; 60 s
	Setup         time.Duration // for a tunnel or a call to come up; 60 s
	Idle          time.Duration // of a tunnel without calls before it is closed; 60 s

	Accept bool              // serve tunnels and calls of others: be an LNS
	Secret func(Peer) []byte // secret for tunnel authentication; nil, or an empty one: none
	Hide   bool              // hide AVPs that we send where there is a secret

	MaxTunnels int // of one peer, closing ones included; 4
	MaxCalls   int // of one tunnel; 8
}

const (
	defaultDelay = 60 * time.Second
	maxWindow    = 64
	maxTries     = 100
	maxHostName  = 255
	maxCalls     = 10_000 // of one peer: IDs have 16 bits
)

// withDefaults returns the configuration with every zero replaced.
func (c Config) withDefaults() Config {
	if c.ReceiveWindow == 0 {
		c.ReceiveWindow = 8
	}
	if c.Retransmit == (Retransmit{}) {
		c.Retransmit = Retransmit{Initial: time.Second, Limit: 8 * time.Second, Tries: 9}
	}
	for _, d := range []*time.Duration{&c.Hello, &c.Setup, &c.Idle} {
		if *d == 0 {
			*d = defaultDelay
		}
	}
	if c.MaxTunnels == 0 {
		c.MaxTunnels = 4
	}
	if c.MaxCalls == 0 {
		c.MaxCalls = 8
	}
	return c
}

func (c *Config) validate() error {
	r := c.Retransmit
	switch {
	case c.Rand == nil:
		return fmt.Errorf("%w: Rand is nil", ErrConfig)
	case c.HostName == "" || len(c.HostName) > maxHostName || len(c.Vendor) > maxHostName:
		return fmt.Errorf("%w: HostName must have 1 to %d octets, Vendor at most as many", ErrConfig, maxHostName)
	case c.ReceiveWindow > maxWindow:
		return fmt.Errorf("%w: ReceiveWindow is above %d", ErrConfig, maxWindow)
	case r.Initial <= 0 || r.Limit < r.Initial || r.Tries < 1 || r.Tries > maxTries:
		return fmt.Errorf("%w: Retransmit wants 0 < Initial <= Limit and 1 to %d Tries", ErrConfig, maxTries)
	case c.Setup < 0:
		return fmt.Errorf("%w: Setup must be positive", ErrConfig)
	case c.MaxTunnels < 1 || c.MaxCalls < 1 || c.MaxTunnels > maxCalls || c.MaxCalls > maxCalls/c.MaxTunnels:
		return fmt.Errorf("%w: MaxTunnels and MaxCalls want 1 to %d calls in all", ErrConfig, maxCalls)
	}
	return nil
}

// Endpoint is the L2TP of one gateway: LNS and LAC for all its peers. It is not for
// concurrent use.
type Endpoint struct {
	cfg    Config
	peers  map[Peer]*peer
	timers deadline.Heap[*tunnel]
	events eventQueue
	stats  Stats
	avps   []AVP // scratch of Input

	lastTunnel TunnelID // of those that count
	lastCall   CallID
	lastSerial uint32
}

// peer is what we have with one remote party.
type peer struct {
	id      Peer
	tunnels []*tunnel // oldest first
}

// Stats counts since New, but for Peers, Tunnels and Calls, which are those of now.
type Stats struct {
	Peers, Tunnels, Calls int
	Received              uint64 // control messages that were well-formed
	Sent                  uint64 // control messages, repetitions and acknowledgements included
	Repeated              uint64 // control messages sent again
	Duplicates            uint64 // control messages received again
	Early                 uint64 // control messages received before their turn
	Dropped               uint64 // messages for which Input returned an error
	StrayHellos           uint64 // HELLOs to tunnel 0, as Apple's clients send before they dial
	Ignored               uint64 // messages in order that had no meaning: for calls that are gone, or of unknown type
}

// New returns an Endpoint without any tunnel.
func New(cfg Config) (*Endpoint, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Endpoint{cfg: cfg, peers: make(map[Peer]*peer), avps: make([]AVP, 0, MaxAVPs)}, nil
}

// Stats returns the counters.
func (e *Endpoint) Stats() Stats {
	s := e.stats
	s.Peers = len(e.peers)
	return s
}

// Next returns the next event; false: there is none.
func (e *Endpoint) Next() (Event, bool) { return e.events.pop() }

// Deadline returns when Advance is wanted; zero: nothing is scheduled.
func (e *Endpoint) Deadline() time.Time { return e.timers.Next() }

// Advance does what is due at now.
func (e *Endpoint) Advance(now time.Time) {
	for {
		t, ok := e.timers.Due(now)
		if !ok {
			return
		}
		e.advance(now, t)
		e.transmit(now, t)
	}
}

// Input takes a control message of the peer: a UDP payload whose T bit is set. b is
// borrowed for the call. An error means that the message was dropped.
func (e *Endpoint) Input(now time.Time, from Peer, b []byte) error {
	err := e.input(now, from, b)
	if err != nil {
		e.stats.Dropped++
	}
	return err
}

func (e *Endpoint) input(now time.Time, from Peer, b []byte) error {
	m, err := ParseMessage(b, e.avps)
	if err != nil {
		return err
	}
	e.stats.Received++
	p := e.peers[from]
	if m.Tunnel == 0 {
		switch m.Type() {
		case MessageSCCRQ:
			return e.handleSCCRQ(now, from, m)
		case MessageHELLO:
			// Apple's clients send a burst of these to make their kernel ask for a
			// security association. They are no part of any channel.
			e.stats.StrayHellos++
			return nil
		}
	}
	t := p.byLocal(m.Tunnel)
	if t == nil {
		t = e.stray(p, m)
	}
	if t == nil {
		e.acknowledgeStray(from, m)
		return ErrUnknownTunnel
	}
	err = e.receive(now, t, m, b)
	e.transmit(now, t)
	return err
}

// acknowledgeStray answers a StopCCN about a tunnel that we do not know, maybe because
// we were started anew: unanswered, the peer would repeat it for a minute before it
// dials again. Its Assigned Tunnel ID says where to.
func (e *Endpoint) acknowledgeStray(from Peer, m Message) {
	if m.Tunnel == 0 || m.Type() != MessageStopCCN {
		return
	}
	f, err := readFields(m, nil)
	if err != nil || !f.has(AttrAssignedTunnel) || f.tunnel == 0 {
		return
	}
	b := appendHeader(nil, Header{Tunnel: f.tunnel, Ns: m.Nr, Nr: m.Ns + 1})
	sealLength(b)
	e.stats.Sent++
	e.events.push(Send{To: from, Data: b})
}

// stray finds the tunnel of a StopCCN or CDN whose header does not name it: a refusal
// from one who did not learn our ID, or an old Windows that closes with a wrong one. It
// is looked for by the IDs that the peer assigned; only if the message has none does
// the peer's sole tunnel match.
func (e *Endpoint) stray(p *peer, m Message) *tunnel {
	if p == nil || (m.Type() != MessageStopCCN && m.Type() != MessageCDN) {
		return nil
	}
	f, _ := readFields(m, e.secret(p.id))
	for _, t := range p.tunnels {
		switch {
		case f.has(AttrAssignedTunnel) && t.remote == f.tunnel,
			f.has(AttrAssignedCall) && t.byRemoteCall(f.call) != nil:
			return t
		case m.Type() == MessageStopCCN && t.remote == 0 && len(p.tunnels) == 1:
			return t
		}
	}
	if len(p.tunnels) == 1 && !f.has(AttrAssignedTunnel) && !f.has(AttrAssignedCall) {
		return p.tunnels[0]
	}
	return nil
}

// Alive says that authenticated data of the peer arrived at now. It counts for the
// newest established tunnel of the peer: as an answer to HELLO, and it delays the next.
func (e *Endpoint) Alive(now time.Time, from Peer) {
	p := e.peers[from]
	if p == nil {
		return
	}
	for _, t := range slices.Backward(p.tunnels) {
		if t.state == tunnelEstablished {
			t.heard = now
			return
		}
	}
}

// ClosePeer closes all tunnels of the peer: CDN and StopCCN, which are repeated until
// they are acknowledged. result is that of the StopCCN.
func (e *Endpoint) ClosePeer(now time.Time, id Peer, result Result) {
	p := e.peers[id]
	if p == nil {
		return
	}
	for _, t := range slices.Clone(p.tunnels) {
		e.hangUp(now, t, result)
		e.transmit(now, t)
	}
}

// Forget drops all that is known of a peer, without a message: it is out of reach.
func (e *Endpoint) Forget(id Peer) {
	p := e.peers[id]
	if p == nil {
		return
	}
	for _, t := range slices.Clone(p.tunnels) {
		e.drop(t, Reason{Cause: CauseForgotten})
	}
}

// CloseTunnel closes one tunnel with StopCCN, its calls with CDN before it.
func (e *Endpoint) CloseTunnel(now time.Time, id Peer, tunnel TunnelID, result Result) error {
	t := e.peers[id].byLocal(tunnel)
	if t == nil || t.state > tunnelEstablished {
		return ErrUnknownTunnel
	}
	e.hangUp(now, t, result)
	e.transmit(now, t)
	return nil
}

// CloseCall closes one call with CDN. A LAC closes its tunnel after its last call.
func (e *Endpoint) CloseCall(now time.Time, call Call, result Result) error {
	t := e.peers[call.Peer].byLocal(call.Tunnel)
	if t == nil {
		return ErrUnknownTunnel
	}
	c := t.byLocalCall(call.Call)
	if c == nil {
		return ErrUnknownCall
	}
	e.clear(now, t, c, Reason{CauseLocal, MessageCDN, result})
	e.transmit(now, t)
	return nil
}

// byLocal returns the peer's tunnel by the ID that we assigned. p may be nil.
func (p *peer) byLocal(id TunnelID) *tunnel {
	if p == nil || id == 0 {
		return nil
	}
	for _, t := range p.tunnels {
		if t.local == id {
			return t
		}
	}
	return nil
}

// accepted returns the tunnel that the peer opened under the ID it assigned.
func (p *peer) accepted(remote TunnelID) *tunnel {
	for _, t := range p.tunnels {
		if !t.initiator && t.remote == remote {
			return t
		}
	}
	return nil
}

func (e *Endpoint) secret(id Peer) []byte {
	if e.cfg.Secret == nil {
		return nil
	}
	return e.cfg.Secret(id)
}

func (e *Endpoint) random(b []byte) error {
	if _, err := io.ReadFull(e.cfg.Rand, b); err != nil {
		return fmt.Errorf("l2tp: randomness: %w", err)
	}
	return nil
}
