package ike

import (
	"bytes"
	"crypto/x509"
	"time"

	"github.com/culvert-vpn/culvert/ike/family"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// Extended authentication: phase 1 has shown that the client knows the key of a
// group, and now the server asks who of the group it is
// (draft-ietf-ipsec-isakmp-xauth-06, section 3).
//
//	Client                              Server
//	       <--   REQUEST(TYPE, USER-NAME, USER-PASSWORD)
//	REPLY(TYPE, USER-NAME, USER-PASSWORD)    -->
//	       <--   SET(STATUS)
//	ACK                                      -->
//
// Until then the ISAKMP SA belongs to a peer of its own, whatever there is from
// the same address: who knows the key of the group is not yet the user, and must
// not be able to touch what the user has. Then it joins the user's peer.

const (
	loginTime   = 60 * time.Second // for all of it; the client may ask a person
	refusalTime = 5 * time.Second  // for the acknowledgement of a refusal
	maxLogin    = 256              // bytes of a name or a password
	maxAsked    = 3                // how often we answer a server
)

// Login asks whether the password is that of the user, who has the tenant's key
// already. LoggedIn answers. Password belongs to whoever takes the event, and is
// to be overwritten.
type Login struct {
	Peer     Peer
	Path     Path
	Tenant   string
	Identity string // what the peer calls itself in phase 1, for a group the same for all
	Family   family.Family
	User     string
	Password []byte
	// Certificates are what the peer proved itself with in phase 1, its own first;
	// nil: by key.
	Certificates []*x509.Certificate
}

// LoginReply is the answer to a Login.
type LoginReply struct {
	OK bool
	// User is the name to know the user by, unique within the candidate's label.
	User string
	// Policy is that of the tenant that the login names, where that need not be the
	// event's: its floor of algorithms counts for phase 1, too. Nil: the event's.
	Policy *Policy
	Detail string // why not, for the log
}

// DialXAUTH makes a dial one of extended authentication and mode config: by
// IKEv1 in tunnel mode.
type DialXAUTH struct {
	User     string
	Password []byte // copied
	// Push says that the server begins with mode config, not we.
	Push bool
}

func (Login) event() {}

// beginLogin starts extended authentication, or waits for the server to.
func (i *isakmp) beginLogin(now time.Time) {
	i.setState(extending)
	i.deadline = now.Add(loginTime)
	if i.peer.dial != nil {
		return
	}
	c := wire.ModeConfig{Type: wire.ConfigRequest}
	c.AddShort(wire.XAUTHType, wire.XAUTHGeneric)
	c.AddBytes(wire.XAUTHUser, nil)
	c.AddBytes(wire.XAUTHPassword, nil)
	i.ask(now, c, i.handleCredentials, func(now time.Time) { i.giveUp(now) })
}

// handleCredentials takes the client's name and password.
func (i *isakmp) handleCredentials(now time.Time, c wire.ModeConfig) {
	if i.state != extending || i.loginAsked {
		return
	}
	user, password := credential(c, wire.XAUTHUser), credential(c, wire.XAUTHPassword)
	if c.Type != wire.ConfigReply || len(user) == 0 || len(user) > maxLogin || len(password) > maxLogin {
		clear(password)
		i.refuseLogin(now, "the client sent no name and password")
		return
	}
	i.loginAsked = true
	p := i.peer
	i.s.emit(Login{Peer: p.id, Path: i.path, Tenant: p.tenant, Identity: i.identity, Family: i.sa.Features.Family,
		User: string(user), Password: password, Certificates: i.chain})
}

// credential copies a value and overwrites it where it came from. Android ends it
// with a NUL.
func credential(c wire.ModeConfig, t wire.AttributeType) []byte {
	a, ok := c.Find(t)
	if !ok {
		return nil
	}
	defer clear(a.Value)
	return bytes.Clone(bytes.TrimSuffix(a.Value, []byte{0}))
}

// LoggedIn answers a Login event.
func (s *Server) LoggedIn(now time.Time, id Peer, r LoginReply) {
	p := s.peers[id]
	if p == nil || p.dial != nil {
		return
	}
	for _, i := range p.ikes {
		if i.state != extending || !i.loginAsked || i.denied != "" {
			continue
		}
		switch {
		case !r.OK:
			i.refuseLogin(now, r.Detail)
		case p.user != "" && p.user != r.User:
			i.refuseLogin(now, "another user than before")
		case r.Policy != nil && !s.policies.allowsIKE(r.Policy, i.sa.Choice.IKESuite):
			i.refuseLogin(now, notAllowed(i.sa.Choice.IKESuite.String()))
		default:
			if i.admit(now, r.User); r.Policy != nil {
				i.peer.policy = *r.Policy
			}
		}
		return
	}
}

// notAllowed says that a login is right, and was protected too weakly for its tenant.
func notAllowed(suite string) string {
	return "the tenant that the login names does not allow " + suite + ", with which the client came"
}

// status is what the server says at the end.
func status(v uint16) wire.ModeConfig {
	c := wire.ModeConfig{Type: wire.ConfigSet}
	c.AddShort(wire.XAUTHStatus, v)
	return c
}

// refuseLogin tells the client that it does not get in. There is one attempt in a
// phase 1: clients know no other, and each guess costs the guesser a
// Diffie-Hellman.
func (i *isakmp) refuseLogin(now time.Time, detail string) {
	i.denied = detail
	i.deadline = now.Add(refusalTime)
	i.arm()
	i.ask(now, status(wire.XAUTHFail), func(now time.Time, _ wire.ModeConfig) { i.giveUp(now) }, nil)
}

// silence is what it means if the other side says nothing.
func (i *isakmp) silence() string {
	if i.peer.dial != nil {
		return "phase 1 stands, and the server does not ask for our name"
	}
	return "the client does not say its name and password"
}

// loginOver ends an ISAKMP SA whose user did not get in.
func (i *isakmp) loginOver(now time.Time, cause Cause, detail string) {
	p := i.peer
	if p.dial != nil {
		i.forget()
		p.mainFailed(now, i, cause, detail)
		return
	}
	if i.denied != "" {
		cause, detail = CauseAuthentication, i.denied
	} else {
		i.s.fail(now, Failed{Peer: p.id, Path: i.path, Tenant: p.tenant, Cause: cause, Detail: detail})
	}
	i.tellDeleted()
	if p.up { // we began, to renew phase 1: what stands, stands
		i.drop(now, ReasonFailed)
		return
	}
	p.end(now, ReasonFailed, cause, detail, false)
}

// admit takes a user in. One who is here already, from the same address, renews
// phase 1 or has lost everything and begins anew: the address it was given stays.
func (i *isakmp) admit(now time.Time, user string) {
	p := i.peer
	key := memberKey{local: i.path.Local, remote: i.path.Remote, tenant: p.tenant, identity: i.identity, user: user}
	if known := i.s.members[key]; known != nil && known != p {
		p.forgetIKE(i)
		i.peer = known
		known.ikes = append(known.ikes, i)
		p.end(now, ReasonReplaced, CauseNone, "", false)
		p = known
	}
	i.ask(now, status(wire.XAUTHOK), nil, nil)
	i.user, p.user = user, user
	i.deadline = time.Time{}
	i.setState(standing)
	p.enroll(key)
	p.heard(now, i.path)
	p.awaitConfig(now)
	p.ikeUp(now, i)
	if i.contact {
		p.initialContact(now, i)
	}
	i.arm()
}

// handleServerAsks takes what a server that we dialled begins.
func (i *isakmp) handleServerAsks(now time.Time, t *transaction, c wire.ModeConfig) error {
	_, end := c.Find(wire.XAUTHStatus)
	switch x := i.peer.dial.config.XAUTH; {
	case x == nil:
		return ErrRefused
	case i.state == extending && c.Type == wire.ConfigRequest && asksLogin(c):
		return i.answerLogin(t, x)
	case i.state == extending && c.Type == wire.ConfigSet && end:
		i.handleStatus(now, t, c)
		return nil
	case i.state == standing && c.Type == wire.ConfigSet && !end:
		t.acknowledge()
		i.peer.configured(now, c)
		return nil
	}
	return ErrState
}

func asksLogin(c wire.ModeConfig) bool {
	for _, t := range []wire.AttributeType{wire.XAUTHType, wire.XAUTHUser, wire.XAUTHPassword} {
		if _, ok := c.Find(t); ok {
			return true
		}
	}
	return false
}

// answerLogin says our name and password. Other types than the generic one are
// not known here.
func (i *isakmp) answerLogin(t *transaction, x *DialXAUTH) error {
	if i.said++; i.said > maxAsked {
		return ErrLimit
	}
	c := wire.ModeConfig{Type: wire.ConfigReply}
	if _, ok := t.asked.Find(wire.XAUTHType); ok {
		c.AddShort(wire.XAUTHType, wire.XAUTHGeneric)
	}
	password := append(make([]byte, 0, len(x.Password)+1), x.Password...)
	if i.peer.dial.habits.EndsWithNUL {
		password = append(password, 0)
	}
	defer clear(password)
	c.AddBytes(wire.XAUTHUser, []byte(x.User))
	c.AddBytes(wire.XAUTHPassword, password)
	t.answer(c)
	return nil
}

// acknowledge answers a SET with the types of its attributes.
func (t *transaction) acknowledge() {
	c := t.asked
	c.Type = wire.ConfigAck
	t.answer(c)
}

// handleStatus takes the end of extended authentication.
func (i *isakmp) handleStatus(now time.Time, t *transaction, c wire.ModeConfig) {
	t.acknowledge()
	p := i.peer
	if a, _ := c.Find(wire.XAUTHStatus); a.Uint() != uint64(wire.XAUTHOK) {
		p.heardAt = now
		i.forget()
		p.mainFailed(now, i, CauseAuthentication, "the server refuses our name or password")
		return
	}
	i.deadline = time.Time{}
	i.setState(standing)
	p.ikeUp(now, i)
	if p.closed {
		return
	}
	if d := p.dial; !d.config.XAUTH.Push && (p.assignment == nil || !d.habits.AsksOnce) {
		i.requestConfig(now)
	}
	i.arm()
}
