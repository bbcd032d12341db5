package gateway

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"time"

	"go.uber.org/zap"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/internal/eap"
	pppauth "github.com/culvert-vpn/culvert/ppp/auth"
)

// tunnelLogin is one login by EAP inside IKEv2: the machine, and what is known
// of its client so far.
type tunnelLogin struct {
	server *eap.Server
	group  []*tenantState // who may turn out to be the client's tenant
	tenant *tenantState   // nil until it has
	user   string
	why    *refusal
	err    error
}

var refusedEAP2 = refusal{0, "", "EAP failed",
	"the client and we came to no end by EAP: see the error, and auth.allow of the tenant"}

// eapTunnel carries a packet of EAP between IKEv2 and the machine of its login.
func (g *Gateway) eapTunnel(now time.Time, e ike.EAP) {
	p := g.peerOf(e.Peer)
	if e.Initiator {
		g.eapTunnelRequest(now, p, e.Packet)
		return
	}
	if e.Packet == nil {
		p.label, p.path, p.identity, p.family = e.Tenant, e.Path, e.Identity, e.Family
		if !g.startTunnelLogin(now, p) {
			return
		}
	} else if p.login == nil {
		g.ike.EAPReply(now, e.Peer, ike.EAPReply{Done: true, Detail: "no login is under way"})
		return
	} else if err := p.login.server.Input(now, e.Packet); err != nil {
		g.count(err, "eap")
		p.login.server.Repeat()
	}
	g.tunnelLoginEvents(now, p, p.login)
}

// startTunnelLogin makes the machine with the methods that the client may use.
func (g *Gateway) startTunnelLogin(now time.Time, p *peer) bool {
	l := &tunnelLogin{group: g.keys.relatives(p.label, p.path.Local.Addr())}
	c := eap.ServerConfig{Rand: rand.Reader, Name: "culvert"}
	for _, t := range l.group[:min(1, len(l.group))] {
		if t.Auth.Allow.EAP {
			c.Methods = append(c.Methods, eap.TypeMSCHAPv2)
		}
		if t.Auth.Allow.EAPTLS {
			c.Methods, c.TLS = append(c.Methods, eap.TypeTLS), t.eapTLS()
		}
	}
	server, err := eap.NewServer(c)
	if err != nil {
		g.ike.EAPReply(now, ike.Peer(p.id), ike.EAPReply{Done: true, Detail: err.Error()})
		return false
	}
	p.endLogin()
	l.server, p.login = server, l
	server.Start()
	return true
}

// eapTLS is how the tenant does EAP-TLS.
func (t *tenantState) eapTLS() *eap.TLSConfig {
	c := tls.Certificate{PrivateKey: t.Certificate.Key}
	for _, x := range t.Certificate.Chain {
		c.Certificate = append(c.Certificate, x.Raw)
	}
	authorities := x509.NewCertPool()
	for _, x := range t.CA {
		authorities.AddCert(x)
	}
	return &eap.TLSConfig{Certificate: c, Authorities: authorities, VerifyPeer: func(now time.Time, sent []*x509.Certificate) error {
		_, err := t.trust.Verify(now, sent, auth.PurposeClient)
		return err
	}}
}

// endLogin gives up a login, if there is one.
func (p *peer) endLogin() {
	if p.login != nil && p.login.server != nil {
		p.login.server.Close()
	}
	p.login = nil
}

// tunnelLoginEvents carries out what the machine of a login wants.
func (g *Gateway) tunnelLoginEvents(now time.Time, p *peer, l *tunnelLogin) {
	var last []byte
	for p.login == l {
		event, ok := l.server.Next()
		if !ok {
			return
		}
		switch e := event.(type) {
		case eap.Send:
			if last = e.Packet; e.Packet[0] == byte(eap.CodeRequest) {
				g.ike.EAPReply(now, ike.Peer(p.id), ike.EAPReply{Packet: e.Packet})
			}
		case eap.Verify:
			g.verifyTunnel(p, l, e)
		case eap.Compute:
			g.work(func() {
				r := e.Do()
				g.post(func(now time.Time) {
					if p.login == l {
						l.server.Computed(r)
						g.tunnelLoginEvents(now, p, l)
					}
				})
			})
		case eap.Done:
			g.tunnelLoginDone(now, p, l, e, last)
			return
		}
	}
}

// verifyTunnel finds out whether a response of MSCHAPv2 is right, in the pool.
func (g *Gateway) verifyTunnel(p *peer, l *tunnelLogin, v eap.Verify) {
	l.user = v.User
	t, user, why, err := g.choose(l.group, v.User)
	if why == nil {
		l.user = user
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
			if p.login != l {
				return
			}
			l.tenant, l.why, l.err = t, why, err
			l.server.Verified(verdict)
			g.tunnelLoginEvents(now, p, l)
		})
	})
}

// tunnelLoginDone answers IKE. What was found out stays with the peer: Assign
// asks for it.
func (g *Gateway) tunnelLoginDone(now time.Time, p *peer, l *tunnelLogin, d eap.Done, last []byte) {
	defer clear(d.MSK)
	if d.OK && d.Method == eap.TypeTLS {
		l.tenant, l.user = l.group[0], auth.Identity(d.Certificates[0])
	}
	if d.OK && l.tenant != nil {
		g.ike.EAPReply(now, ike.Peer(p.id), ike.EAPReply{
			Packet: last, Done: true, OK: true, MSK: d.MSK, Identity: l.user, Tenant: l.tenant.Name + byCertificate,
		})
		return
	}
	if l.why == nil {
		l.why, l.err = &refusedEAP2, d.Err
	}
	fields := append(p.fields(), zap.String("user", l.user), zap.String("method", d.Method.String()),
		zap.String("cause", l.why.cause), zap.String("hint", l.why.hint))
	if l.err != nil {
		fields = append(fields, zap.Error(l.err))
	}
	g.log.Warn("login-refused", fields...)
	g.failures[l.why.cause]++
	p.login = nil
	g.ike.EAPReply(now, ike.Peer(p.id), ike.EAPReply{Packet: last, Done: true, Identity: l.user, Detail: l.why.cause})
}

// masterSession is the MSK of an MSCHAPv2 login: the server's receive key, its
// send key, and zeroes (RFC 3079 section 3).
func masterSession(hash [16]byte, response [24]byte) []byte {
	master := pppauth.MasterKey(hash, response)
	defer clear(master[:])
	receive, send := pppauth.StartKey(master, false, true), pppauth.StartKey(master, true, true)
	return append(append(append(make([]byte, 0, 64), receive[:]...), send[:]...), make([]byte, 32)...)
}

// eapTunnelRequest takes a server's packet in a call of ours.
func (g *Gateway) eapTunnelRequest(now time.Time, p *peer, packet []byte) {
	d := p.dial
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
	if err := d.eap.Input(now, packet); err != nil {
		g.ike.EAPReply(now, ike.Peer(p.id), ike.EAPReply{Done: true, Detail: err.Error()})
		return
	}
	for d.eap != nil {
		event, ok := d.eap.Next()
		if !ok {
			return
		}
		switch e := event.(type) {
		case eap.Send:
			g.ike.EAPReply(now, ike.Peer(p.id), ike.EAPReply{Packet: e.Packet})
		case eap.Respond:
			d.eap.Responded(d.config.respond(e))
		case eap.Done:
			d.eap = nil
			r := ike.EAPReply{Done: true, OK: e.OK, MSK: e.MSK}
			if e.Err != nil {
				r.Detail = e.Err.Error()
			}
			g.ike.EAPReply(now, ike.Peer(p.id), r)
		}
	}
}
