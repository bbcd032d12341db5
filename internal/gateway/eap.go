package gateway

import (
	"crypto/rand"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/internal/eap"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/ppp/auth"
)

var refusedEAP = refusal{691, "Access denied", "EAP failed",
	"the client and we came to no end by EAP: see the error; EAP-MSCHAPv2 is what is served (Windows shows error 691 or 812)"}

// eapLogin is one login by EAP inside PPP: the machine, and what is known of
// its client so far.
type eapLogin struct {
	question ppp.Authenticate // of the link
	server   *eap.Server
	tenant   *tenantState // nil until the user's name was found
	why      *refusal
	err      error
}

// startEAP begins a login by EAP.
func (g *Gateway) startEAP(now time.Time, s *session, e ppp.Authenticate) {
	s.endEAP()
	server, err := eap.NewServer(eap.ServerConfig{Rand: rand.Reader, Name: "culvert", Methods: []eap.Type{eap.TypeMSCHAPv2}})
	if err != nil {
		g.refuseLogin(now, s, nil, e, refusedEAP, err)
		return
	}
	s.eap = &eapLogin{question: e, server: server}
	server.Start()
	g.eapEvents(now, s, s.eap)
}

// endEAP gives up a login by EAP, if there is one.
func (s *session) endEAP() {
	if s.eap != nil {
		s.eap.server.Close()
		s.eap = nil
	}
	if s.peer.dial != nil && s.peer.dial.eap != nil {
		s.peer.dial.eap.Close()
		s.peer.dial.eap = nil
	}
}

// eapResponse takes a client's packet. One that makes no sense gets the same
// request once more.
func (g *Gateway) eapResponse(now time.Time, s *session, e ppp.EAPResponse) {
	l := s.eap
	if l == nil || l.question.ID != e.ID {
		return
	}
	if err := l.server.Input(now, e.Packet); err != nil {
		g.count(err, "eap")
		l.server.Repeat()
	}
	g.eapEvents(now, s, l)
}

// eapEvents carries out what the machine of a login wants.
func (g *Gateway) eapEvents(now time.Time, s *session, l *eapLogin) {
	for s.eap == l {
		event, ok := l.server.Next()
		if !ok {
			break
		}
		switch e := event.(type) {
		case eap.Send:
			if e.Packet[0] == byte(eap.CodeRequest) { // the link says how it ended
				g.count(s.link.EAPRequest(now, l.question.ID, e.Packet), "eap")
			}
		case eap.Verify:
			g.verifyEAP(s, l, e)
		case eap.Done:
			g.eapDone(now, s, l, e)
		}
	}
	g.touch(s)
}

// verifyEAP finds out whether a response of MSCHAPv2 is right, in the pool.
func (g *Gateway) verifyEAP(s *session, l *eapLogin, v eap.Verify) {
	s.user = v.User
	l.question.User = v.User
	t, user, why, err := g.identify(s, v.User)
	if why == nil {
		s.user = user
	}
	g.work(func() {
		var verdict eap.Verdict
		if why == nil {
			verdict, why, err = g.judgeEAP(t, user, v)
		}
		if why != nil {
			verdict = eap.Verdict{Code: why.code, Message: why.message}
		}
		g.post(func(now time.Time) {
			if s.ended || s.eap != l {
				return
			}
			l.tenant, l.why, l.err = t, why, err
			l.server.Verified(verdict)
			g.eapEvents(now, s, l)
		})
	})
}

// judgeEAP compares a response with what is known of the user.
func (g *Gateway) judgeEAP(t *tenantState, user string, v eap.Verify) (eap.Verdict, *refusal, error) {
	if !t.allows(ppp.EAP) {
		return eap.Verdict{}, &refusedMethod, nil
	}
	a, why, err := g.account(t, user)
	defer clear(a.hash[:])
	if why != nil {
		return eap.Verdict{}, why, err
	}
	msk := masterSession(a.hash, v.NTResponse)
	proof, ok := auth.Verify(a.hash, v.Challenge, v.PeerChallenge, v.NTResponse, v.User)
	switch {
	case !ok:
		return eap.Verdict{}, &refusedPassword, nil
	case a.disabled:
		return eap.Verdict{}, &refusedDisabled, nil
	}
	return eap.Verdict{OK: true, Success: proof, MSK: msk}, nil, nil
}

// eapDone answers the link.
func (g *Gateway) eapDone(now time.Time, s *session, l *eapLogin, d eap.Done) {
	s.eap = nil
	clear(d.MSK)
	if !d.OK && l.why == nil {
		l.why, l.err = &refusedEAP, d.Err
	}
	g.authenticated(now, s, l.tenant, l.question, "", l.why, l.err)
}

// eapRequest takes a server's packet in a call of ours.
func (g *Gateway) eapRequest(now time.Time, s *session, e ppp.EAPRequest) {
	d := s.peer.dial
	if d == nil {
		return
	}
	if d.eap == nil {
		client, err := eap.NewClient(eap.ClientConfig{Rand: rand.Reader, Identity: d.config.User, Methods: []eap.Type{eap.TypeMSCHAPv2}})
		if err != nil {
			g.fail(now, d, err)
			return
		}
		d.eap = client
	}
	g.count(d.eap.Input(now, e.Packet), "eap")
	g.eapClientEvents(now, s, d)
	g.touch(s)
}

// eapClientEvents carries out what the machine of a call of ours wants.
func (g *Gateway) eapClientEvents(now time.Time, s *session, d *dial) {
	for d.eap != nil {
		event, ok := d.eap.Next()
		if !ok {
			return
		}
		switch e := event.(type) {
		case eap.Send:
			g.count(s.link.EAPRespond(e.Packet), "eap")
		case eap.Respond:
			d.eap.Responded(d.config.respond(e))
		case eap.Done:
			if !e.OK {
				g.log.Debug("eap-refused", zap.Error(e.Err))
			}
			d.eap = nil
			g.count(s.link.EAPFinished(now, e.OK), "eap")
		}
	}
}

// respond proves that we know the password.
func (c DialConfig) respond(r eap.Respond) eap.Answer {
	hash := auth.NTHash(c.Password)
	defer clear(hash[:])
	a := eap.Answer{NTResponse: auth.NTResponse(hash, r.Challenge, r.PeerChallenge, r.User)}
	a.MSK = masterSession(hash, a.NTResponse)
	a.Success = auth.AuthenticatorResponse(hash, a.NTResponse, r.Challenge, r.PeerChallenge, r.User)
	return a
}
