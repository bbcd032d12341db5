package ppp

import (
	"bytes"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/internal/x/deadline"
	"github.com/culvert-vpn/culvert/ppp/auth"
)

// client is what a Link in the client's role has more than a server's: who it is, like
// what it speaks, and the client's side of authentication.
type client struct {
	persona  *Persona
	user     string
	password []byte
	host     string

	deadline time.Time
	tries    uint8
	waiting  bool   // a request or response is out
	ids      uint8  // PAP's
	id       uint8  // of the request or response that is out
	digest   uint64 // of the challenge that it answers
	request  []byte // the frame that is out, for repetition
	asked    bool   // there was an EAP request: id and digest are its
	success  string // what an MS-CHAPv2 server proves itself with
}

func newClient(c Config) *client {
	return &client{persona: c.Persona.orOwn(), user: c.User, password: bytes.Clone(c.Password), host: c.HostName}
}

// zero forgets the password.
func (c *client) zero() {
	c.stop()
	clear(c.password)
	c.password = nil
}

func (c *client) stop() {
	clear(c.request) // PAP's has the password in it
	c.request, c.success = nil, ""
	c.waiting, c.asked = false, false
	c.deadline = time.Time{}
}

// start begins to authenticate as the server demanded in LCP; CHAP waits for its challenge.
func (c *client) start(l *Link, now time.Time) {
	c.stop()
	switch l.lcp.method {
	case NoMethod:
		l.enterNetwork(now)
	case PAP:
		c.ids++
		b := auth.AppendPAP(startFrame(ProtocolPAP, papRequest, c.ids), c.user, c.password)
		c.submit(l, now, c.ids, finishFrame(b))
	}
}

// submit sends what proves us, until there is an answer.
func (c *client) submit(l *Link, now time.Time, id uint8, frame []byte) {
	c.id, c.request, c.waiting, c.tries = id, frame, true, 1
	c.deadline = now.Add(l.restart)
	l.sendAgain(frame)
}

func (c *client) advance(l *Link, now time.Time) {
	switch {
	case !deadline.Due(now, c.deadline):
	case c.tries < l.tries:
		c.tries++
		c.deadline = now.Add(l.restart)
		l.sendAgain(c.request)
	default:
		c.deadline = time.Time{}
		l.fail(now, because(CauseAuthTimeout, ""))
	}
}

// input takes what a server says in CHAP or PAP.
func (c *client) input(l *Link, now time.Time, proto Protocol, p packet) error {
	switch {
	case l.phase != phaseAuthenticate && l.phase != phaseNetwork:
		return ErrPhase
	case proto == ProtocolPAP && l.lcp.method == PAP:
		return c.inputPAP(l, now, p)
	case proto == ProtocolCHAP && (l.lcp.method == MSCHAPv2 || l.lcp.method == CHAPMD5):
		return c.inputCHAP(l, now, p)
	}
	return ErrPhase
}

func (c *client) inputPAP(l *Link, now time.Time, p packet) error {
	switch {
	case p.code != papAck && p.code != papNak:
		return ErrCode
	case !c.waiting || p.id != c.id:
		return ErrMismatch
	case p.code == papAck:
		c.accepted(l, now)
	default:
		message := p.data
		if len(message) > 0 {
			message = message[1:]
		}
		c.refused(l, now, auth.Failure{Code: auth.Refused, Message: string(message)})
	}
	return nil
}

func (c *client) inputCHAP(l *Link, now time.Time, p packet) error {
	switch {
	case p.code == chapChallenge:
		return c.respond(l, now, p)
	case p.code != chapSuccess && p.code != chapFailure:
		return ErrCode
	case !c.waiting || p.id != c.id:
		return ErrMismatch
	case p.code == chapFailure:
		c.failed(l, now, p.data)
	case l.lcp.method == MSCHAPv2 && !auth.VerifySuccess(p.data, c.success):
		l.fail(now, because(CauseServerIdentity, ""))
	default:
		c.accepted(l, now)
	}
	return nil
}

// respond answers a challenge. The same challenge gets the same response: the server
// may have heard the first.
func (c *client) respond(l *Link, now time.Time, p packet) error {
	if len(p.data) < 1 || p.data[0] == 0 || len(p.data) < 1+int(p.data[0]) {
		return ErrPacket
	}
	value, digest := p.data[1:1+int(p.data[0])], l.lcp.digest(p.data)
	if c.request != nil && c.id == p.id && c.digest == digest {
		l.sendAgain(c.request)
		return nil
	}
	response, err := c.response(l, now, p.id, value)
	if err != nil {
		return err
	}
	c.digest = digest
	b := startFrame(ProtocolCHAP, chapResponse, p.id)
	b = append(append(b, byte(len(response))), response...)
	c.submit(l, now, p.id, finishFrame(append(b, c.user...)))
	return nil
}

// response computes what proves us to that challenge.
func (c *client) response(l *Link, now time.Time, id uint8, challenge []byte) ([]byte, error) {
	if l.lcp.method == CHAPMD5 {
		r := auth.MD5Response(id, c.password, challenge)
		return r[:], nil
	}
	if len(challenge) != auth.ChallengeLen {
		return nil, ErrPacket
	}
	var r auth.Response
	if !l.random(now, r.PeerChallenge[:]) {
		return nil, ErrNoRandomness
	}
	theirs := [auth.ChallengeLen]byte(challenge)
	hash := auth.NTHashBytes(c.password)
	defer clear(hash[:])
	r.NTResponse = auth.NTResponse(hash, theirs, r.PeerChallenge, c.user)
	c.success = auth.AuthenticatorResponse(hash, r.NTResponse, theirs, r.PeerChallenge, c.user)
	return auth.AppendResponse(nil, r), nil
}

// accepted goes on to the network phase. The response stays for a repeated challenge.
func (c *client) accepted(l *Link, now time.Time) {
	c.waiting = false
	c.deadline = time.Time{}
	if l.lcp.method == PAP {
		clear(c.request)
		c.request = nil
	}
	l.enterNetwork(now)
}

// failed reads a CHAP Failure. There is nobody to ask for another password, so that a
// retry is not taken.
func (c *client) failed(l *Link, now time.Time, message []byte) {
	f := auth.Failure{Code: auth.Refused, Message: string(message)}
	if l.lcp.method == MSCHAPv2 {
		if g, err := auth.ParseFailure(string(message)); err == nil {
			f = g
		}
	}
	c.refused(l, now, f)
}

func (c *client) refused(l *Link, now time.Time, f auth.Failure) {
	c.stop()
	text := strings.TrimSpace(printableText(f.Message[:min(len(f.Message), 80)]))
	l.fail(now, Reason{Cause: CauseAuthFailed, Code: f.Code, Detail: text})
}
