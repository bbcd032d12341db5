package engine

import (
	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/l2tp"
)

// machines are what the control loop owns: the protocols, the data plane, and the tables of
// peers and sessions where these meet.
type machines struct {
	Table *Table
	IKE   *ike.Server
	L2TP  *l2tp.Endpoint
	Plane *dataplane.Plane
	// Config is what they were made of.
	Config Config
	// Refused are messages that a machine made nothing of, by machine.
	Refused map[string]uint64

	granted  grants
	vault    *esp.Vault // of all SAs
	happened queue
	serving  served // who the control loop does something for
}

// served is who something is done for: a session, or a peer that has none yet. The
// zero served is nobody that we know.
type served struct {
	peer    *Peer
	session *Session
}

// Table is who there is.
type Table struct {
	Peers    map[uint64]*Peer
	Sessions map[*dataplane.Session]*Session
	last     uint64 // the number of the last session that was made
}

func newTable() *Table {
	return &Table{Peers: make(map[uint64]*Peer), Sessions: make(map[*dataplane.Session]*Session)}
}

// peerOf returns the peer with that number and makes it when IKE has just begun with it.
func (t *Table) peerOf(id ike.Peer) *Peer {
	p := t.Peers[uint64(id)]
	if p == nil {
		p = &Peer{
			ID: uint64(id), Plane: dataplane.NewPeer(uint64(id)), port: l2tpPort,
			Children: make(map[ike.SPI]*Child), Calls: make(map[l2tp.CallID]*Session),
		}
		t.Peers[p.ID] = p
	}
	return p
}

// NewSession returns a session of the peer that holds nothing yet.
func (t *Table) NewSession(p *Peer) *Session {
	t.last++
	return &Session{ID: t.last, Peer: p}
}

// sessionOf returns the session that a PPP frame is for. The workers may not
// have known it yet when the frame came.
func (t *Table) sessionOf(m *dataplane.Message) *Session {
	if m.Session != nil {
		if s := t.Sessions[m.Session]; s != nil && s.Link != nil { // no PPP in tunnel mode
			return s
		}
		return nil
	}
	p := t.Peers[m.Peer.ID]
	if p == nil {
		return nil
	}
	if s := p.Calls[m.Call]; s != nil && s.Call.Tunnel == m.Tunnel {
		return s
	}
	return nil
}

// of is who a message is from.
func (t *Table) of(m *dataplane.Message) (by served) {
	if m.Peer == nil {
		return by
	}
	by.peer = t.Peers[m.Peer.ID]
	if m.Session != nil {
		by.session = t.Sessions[m.Session]
	}
	return by
}

// queue is what has happened and nobody has taken yet.
type queue struct {
	events []Event
	taken  int
}

func (q *queue) empty() bool { return q.taken == len(q.events) }

func (q *queue) add(e Event) { q.events = append(q.events, e) }

func (q *queue) next() (Event, bool) {
	if q.empty() {
		q.events, q.taken = q.events[:0], 0
		return nil, false
	}
	e := q.events[q.taken]
	q.events[q.taken] = nil
	q.taken++
	return e, true
}

// Serve notes who something is done for, and returns who it was for until now: a panic costs
// him. nil: nobody that is known.
func (e *machines) Serve(p *Peer, s *Session) (wasPeer *Peer, wasSession *Session) {
	was := e.serving
	e.serving = served{p, s}
	return was.peer, was.session
}

// Count notes a message that a machine refused.
func (e *machines) Count(err error, machine string) {
	if err != nil {
		e.Refused[machine]++
		e.Config.Log.Debug("message-refused", zap.String("machine", machine), zap.Error(err))
	}
}

// unsent counts what could not be sent: the machines send again.
func (e *machines) unsent(err error) {
	if err != nil {
		e.Refused["send"]++
	}
}
