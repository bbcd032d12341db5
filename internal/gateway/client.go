package gateway

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/event"
)

// peer is one client: what the engine knows of it, and how it logs in.
type peer struct {
	*engine.Peer
	all        []*session
	tunnelMode *session  // of all, the one without a call; nil: none
	login      *attempt  // by EAP inside IKEv2, or by name and password in IKEv1
	asking     *attempt  // its login of tunnel mode that was asked about last
	asked      bool      // its user's other sessions were asked whether they live
	refused    bool      // the log has said why its login failed, or will
	idleAt     time.Time // since when it has no session; zero: it has one

	rivals  int32               // for how many its own login waits
	claims  string              // what it calls itself in IKE, where it logs in by another name
	awaited []*peer             // whose logins wait for it to answer
	resume  *attempt            // its own login, while it waits
	refusal *event.LoginRefused // in whose words the log is to say so when IKE tells that it has
}

// session is one session of a peer, in its tenant's network or on the way there.
type session struct {
	*engine.Session
	peer   *peer
	tenant *tenantState  // nil until the user is known
	grant  *access.Grant // nil until then
	user   string
	addr   netip.Addr
	prefix netip.Prefix        // of IPv6; invalid: none
	login  *attempt            // in its link; nil: none is under way
	chain  []*x509.Certificate // that its user was proved with, by EAP; nil: in another way
	own    *access.Own         // what its user has of his own, as it was seen last; nil: nothing

	after, heir *session  // whose addresses it takes over, and which takes over its own; nil: none
	readyAt     time.Time // when it could have been opened, in place of after

	router      netip.Addr // our link-local address, while IPv6 is up
	advertiseAt time.Time  // when the next router advertisement is due
	advertised  int32

	leased            bool
	outside, unpooled bool // see outside.go
}

// clients are the peers and their sessions, as the server has them.
type clients struct {
	peers    map[uint64]*peer
	sessions map[uint64]*session
}

func newClients() clients {
	return clients{peers: make(map[uint64]*peer), sessions: make(map[uint64]*session)}
}

// of returns what the server has of a peer, and makes it; nil: the peer is gone.
func (c *clients) of(e *engine.Peer) *peer {
	p := c.peers[e.ID]
	if p == nil && !e.Gone {
		p = &peer{Peer: e}
		c.peers[e.ID] = p
	}
	return p
}

// session returns what the server has of a session, and makes it; nil: it has ended.
func (c *clients) session(e *engine.Session) *session {
	s := c.sessions[e.ID]
	if s != nil || e.Ended {
		return s
	}
	if p := c.of(e.Peer); p != nil {
		s = &session{Session: e, peer: p}
		c.add(s)
	}
	return s
}

func (c *clients) add(s *session) {
	c.sessions[s.ID] = s
	s.peer.all = append(s.peer.all, s)
}

// remove forgets a session, and reports whether it was there.
func (c *clients) remove(s *session) bool {
	if c.sessions[s.ID] != s {
		return false
	}
	delete(c.sessions, s.ID)
	p := s.peer
	p.all = slices.DeleteFunc(p.all, func(o *session) bool { return o == s })
	if p.tunnelMode == s {
		p.tunnelMode = nil
	}
	return true
}

// own are the peer's sessions, to go through while they end.
func (p *peer) own() []*session { return slices.Clone(p.all) }

// is IKE's number of the peer.
func (p *peer) ike() ike.Peer { return ike.Peer(p.ID) }

// place is where a session belongs in its tenant's network.
func (s *session) place() engine.Binding {
	return engine.Binding{Port: s.tenant.port, Addr: s.addr, Prefix: s.prefix, MTU: s.grant.MTU}
}

// key is the name that a user's address is leased under.
func (s *session) key() string { return config.UserKey(s.user) }
