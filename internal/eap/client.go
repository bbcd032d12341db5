package eap

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// ClientConfig is what a Client needs.
type ClientConfig struct {
	Rand     io.Reader // required
	Identity string    // what it calls itself
	User     string    // of MSCHAPv2; empty: Identity
	Methods  []Type    // that it takes, the best first
	TLS      *TLSConfig
}

// Client answers a server. It is not safe for concurrent use.
type Client struct {
	c       ClientConfig
	queue   []Event
	id      uint8 // of the request that is being answered, or was
	last    []byte
	busy    bool
	over    bool
	method  Type
	tls     *session
	flight  *flight // of a handshake that is over
	answer  *Answer
	begun   byte     // identifier of the MSCHAPv2 challenge
	peer    [16]byte // our challenge in MSCHAPv2
	success bool     // the method is content: success may come
	failure error
	rounds  int
}

// NewClient returns a Client.
func NewClient(c ClientConfig) (*Client, error) {
	if c.Rand == nil || len(c.Methods) == 0 {
		return nil, fmt.Errorf("%w: Rand and Methods are required", ErrConfig)
	}
	for _, m := range c.Methods {
		switch {
		case m != TypeTLS && m != TypeMSCHAPv2:
			return nil, fmt.Errorf("%w: method %v is not known", ErrConfig, m)
		case m == TypeTLS && (c.TLS == nil || c.TLS.VerifyPeer == nil):
			return nil, fmt.Errorf("%w: EAP-TLS needs VerifyPeer", ErrConfig)
		}
	}
	if c.User == "" {
		c.User = c.Identity
	}
	return &Client{c: c}, nil
}

// Next returns the next event, if there is one.
func (c *Client) Next() (Event, bool) {
	if len(c.queue) == 0 {
		return nil, false
	}
	e := c.queue[0]
	c.queue = c.queue[1:]
	return e, true
}

// Close gives up: nothing more comes of the Client.
func (c *Client) Close() {
	c.over, c.queue = true, nil
	c.closeTLS()
}

func (c *Client) closeTLS() {
	if c.tls != nil {
		c.tls.close()
		c.tls = nil
	}
}

func (c *Client) emit(e Event) { c.queue = append(c.queue, e) }

// Input takes a packet of the server's. A request that was answered is answered
// again in the same way (RFC 3748, section 4.1).
func (c *Client) Input(now time.Time, packet []byte) error {
	p, err := ConsumePacket(packet)
	switch {
	case err != nil:
		return err
	case c.over || p.Code == CodeResponse:
		return ErrUnexpected
	case c.busy:
		return ErrBusy
	case p.Code == CodeSuccess:
		return c.handleSuccess()
	case p.Code == CodeFailure:
		c.end(Done{Err: c.why()})
		return nil
	case c.last != nil && p.Identifier == c.id:
		c.emit(Send{slices.Clone(c.last)})
		return nil
	}
	if c.rounds++; c.rounds > maxRounds {
		c.end(Done{Err: ErrTooMany})
		return nil
	}
	return c.handleRequest(now, p)
}

func (c *Client) handleRequest(now time.Time, p Packet) error {
	before, last := c.id, c.last
	c.id = p.Identifier
	var err error
	switch {
	case p.Type == TypeIdentity && c.method == 0:
		c.respond(TypeIdentity, []byte(c.c.Identity))
	case p.Type == TypeNotification:
		c.respond(TypeNotification, nil)
	case c.method == 0 && !slices.Contains(c.c.Methods, p.Type):
		c.respond(TypeNak, nakList(c.c.Methods))
	case c.method != 0 && c.method != p.Type:
		err = ErrUnexpected
	case p.Type == TypeTLS:
		err = c.handleTLS(now, p.Data)
	case p.Type == TypeMSCHAPv2:
		err = c.handleMSCHAPv2(p.Data)
	default:
		err = ErrUnexpected
	}
	if err != nil {
		c.id, c.last = before, last
	}
	return err
}

func nakList(methods []Type) []byte {
	var b []byte
	for _, m := range methods {
		b = append(b, byte(m))
	}
	return b
}

func (c *Client) respond(t Type, data []byte) {
	c.last = AppendPacket(nil, Packet{CodeResponse, c.id, t, data})
	c.emit(Send{slices.Clone(c.last)})
}

// handleSuccess believes a success only where the method is content, for anybody
// can send one (RFC 3748, section 4.2).
func (c *Client) handleSuccess() error {
	if !c.success {
		return ErrUnexpected
	}
	d := Done{OK: true}
	if c.answer != nil {
		d.MSK = c.answer.MSK
	}
	if c.flight != nil {
		d.MSK, d.Certificates = c.flight.msk, c.tls.peer
	}
	c.end(d)
	return nil
}

func (c *Client) why() error {
	if c.failure != nil {
		return c.failure
	}
	return ErrRefused
}

func (c *Client) end(d Done) {
	d.Method, d.Identity = c.method, c.c.Identity
	c.emit(d)
	c.over = true
	c.closeTLS()
}

// handleMSCHAPv2 takes the challenge, and what the server says to the response.
func (c *Client) handleMSCHAPv2(data []byte) error {
	m, err := consumeMessage(data)
	switch {
	case err != nil:
		return err
	case m.op == opChallenge && c.answer == nil:
		return c.handleChallenge(m)
	case m.op == opSuccess && c.answer != nil:
		c.success = proves(m.body, c.answer.Success)
		if !c.success {
			c.failure = ErrProof
			c.respond(TypeMSCHAPv2, []byte{opFailure})
			return nil
		}
		c.respond(TypeMSCHAPv2, []byte{opSuccess})
	case m.op == opFailure && c.answer != nil:
		c.failure = fmt.Errorf("%w: the server says %q", ErrRejected, m.body[:min(len(m.body), maxName)])
		c.respond(TypeMSCHAPv2, []byte{opFailure})
	default:
		return ErrUnexpected
	}
	return nil
}

func (c *Client) handleChallenge(m message) error {
	if len(m.body) < 17 || m.body[0] != 16 || len(m.body) > 17+maxName {
		return ErrMalformed
	}
	r := Respond{User: c.c.User, Server: string(m.body[17:]), Challenge: [16]byte(m.body[1:17])}
	if _, err := io.ReadFull(c.c.Rand, r.PeerChallenge[:]); err != nil {
		return fmt.Errorf("eap: randomness: %w", err)
	}
	c.method, c.busy, c.begun, c.peer = TypeMSCHAPv2, true, m.id, r.PeerChallenge
	c.emit(r)
	return nil
}

// proves compares the authenticator response in constant time; its digits may be of
// either case.
func proves(body []byte, want string) bool {
	if want == "" || len(body) < len(want) {
		return false
	}
	return subtle.ConstantTimeCompare(bytes.ToUpper(body[:len(want)]), []byte(strings.ToUpper(want))) == 1
}

// Responded answers a Respond.
func (c *Client) Responded(a Answer) {
	if !c.busy || c.method != TypeMSCHAPv2 || c.over {
		return
	}
	c.busy, c.answer = false, &a
	body := append([]byte{responseLen}, c.peer[:]...)
	body = append(append(body, make([]byte, 8)...), a.NTResponse[:]...)
	body = append(append(body, 0), c.c.User...)
	c.respond(TypeMSCHAPv2, message{opResponse, c.begun, body}.append(nil))
}

// handleTLS takes a packet of EAP-TLS.
func (c *Client) handleTLS(now time.Time, data []byte) error {
	start := len(data) > 0 && data[0]&flagStart != 0
	switch {
	case start && c.tls == nil:
		c.method, c.tls = TypeTLS, newSession(c.c.TLS, c.c.Rand, false)
		c.work(now, nil)
		return nil
	case start || c.tls == nil:
		return ErrUnexpected
	}
	whole, more, err := c.tls.consume(data)
	switch {
	case err != nil:
		return err
	case more:
		c.respond(TypeTLS, []byte{0})
	case len(c.tls.out) > 0:
		c.respond(TypeTLS, c.tls.continued(false))
	case len(whole) == 0 || c.flight != nil:
		return ErrUnexpected
	default:
		c.work(now, whole)
	}
	return nil
}

// work has the handshake go on.
func (c *Client) work(now time.Time, in []byte) {
	c.busy = true
	session := c.tls
	c.emit(Compute{func() any { return session.step(now, in, false) }})
}

// Computed takes what a Compute returned.
func (c *Client) Computed(result any) {
	f, ok := result.(flight)
	if !ok || !c.busy || c.over {
		return
	}
	c.busy = false
	if f.over {
		c.flight, c.success, c.failure = &f, f.err == nil, f.err
	}
	c.respond(TypeTLS, c.tls.send(f.out))
}
