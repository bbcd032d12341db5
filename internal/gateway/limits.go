package gateway

import (
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/engine"
)

// apply has what a session was granted be in force from now on. Its flows are judged again
// by whoever sets the rules of its tenant anew.
func (g *server) apply(s *session, grant *access.Grant) {
	s.grant = grant
	g.introduce(s)
	g.engine.Limit(s.Session, engine.Limits{Session: grant.SessionTimeout, Idle: grant.IdleTimeout})
}

// opened notes that a session carries packets from now on.
func (g *server) opened(now time.Time, s *session) {
	g.engine.Opened(now, s.Session)
	g.tellUp(s)
}
