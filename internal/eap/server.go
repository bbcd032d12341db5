package eap

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// maxRounds bounds the requests of one authentication. A chain of certificates in
// fragments needs some dozens.
const maxRounds = 120

// ServerConfig is what a Server needs.
type ServerConfig struct {
	Rand io.Reader // of challenges; required
	// Methods are those allowed, the best first: the client refuses those that it
	// does not want (RFC 3748, section 5.3.1).
	Methods []Type
	// Name is what the server calls itself in MSCHAPv2.
	Name string
	// SkipIdentity begins with the first method at once. Windows wants to be asked
	// who it is.
	SkipIdentity bool
	TLS          *TLSConfig // required for TypeTLS; shared, not changed
}

// Server authenticates one client. It is not safe for concurrent use.
type Server struct {
	c        ServerConfig
	queue    []Event
	state    serverState
	id       uint8  // of the request that is waiting for its answer
	last     []byte // that request
	fresh    bool   // it is the first one of its method, which may be refused
	rounds   int
	tried    []Type
	method   serverMethod
	identity string
	result   *Done // what a closing request will end with
}

type serverState uint8

const (
	stateIdle    serverState = iota // not started
	stateWaiting                    // a request is out
	stateBusy                       // an event is out that has to come back
	stateClosing                    // the last request is out: any answer ends it
	stateDone                       // over
)

// serverMethod is the server's side of a method. It asks by Server.request and ends
// with Server.finish.
type serverMethod interface {
	kind() Type
	begin(s *Server)
	// respond takes the data of a response.
	respond(now time.Time, s *Server, data []byte) error
	// close lets go of what the method holds.
	close()
}

// NewServer returns a Server that has not started.
func NewServer(c ServerConfig) (*Server, error) {
	if c.Rand == nil || len(c.Methods) == 0 {
		return nil, fmt.Errorf("%w: Rand and Methods are required", ErrConfig)
	}
	for _, m := range c.Methods {
		switch {
		case m != TypeTLS && m != TypeMSCHAPv2:
			return nil, fmt.Errorf("%w: method %v is not served", ErrConfig, m)
		case m == TypeTLS && (c.TLS == nil || c.TLS.VerifyPeer == nil || len(c.TLS.Certificate.Certificate) == 0):
			return nil, fmt.Errorf("%w: EAP-TLS needs a certificate and VerifyPeer", ErrConfig)
		}
	}
	return &Server{c: c}, nil
}

// Start asks for the identity, or begins the first method.
func (s *Server) Start() {
	if s.state != stateIdle {
		return
	}
	var first [1]byte
	if _, err := io.ReadFull(s.c.Rand, first[:]); err != nil {
		s.finish(Done{Err: fmt.Errorf("eap: randomness: %w", err)})
		return
	}
	s.id = first[0]
	if s.c.SkipIdentity {
		s.beginMethod(s.c.Methods[0])
		return
	}
	s.request(TypeIdentity, nil)
}

// Next returns the next event, if there is one.
func (s *Server) Next() (Event, bool) {
	if len(s.queue) == 0 {
		return nil, false
	}
	e := s.queue[0]
	s.queue = s.queue[1:]
	return e, true
}

// Repeat sends the request that is waiting for its answer again, for a carrier that
// loses packets.
func (s *Server) Repeat() {
	if s.state == stateWaiting || s.state == stateClosing {
		s.emit(Send{slices.Clone(s.last)})
	}
}

// Close gives up: nothing more comes of the Server.
func (s *Server) Close() {
	s.setState(stateDone)
	s.queue = nil
	s.closeMethod()
}

func (s *Server) closeMethod() {
	if s.method != nil {
		s.method.close()
		s.method = nil
	}
}

func (s *Server) setState(to serverState) { s.state = to }

func (s *Server) emit(e Event) { s.queue = append(s.queue, e) }

// Input takes a packet of the client's.
func (s *Server) Input(now time.Time, packet []byte) error {
	p, err := ConsumePacket(packet)
	switch {
	case err != nil:
		return err
	case s.state == stateBusy:
		return ErrBusy
	case p.Code != CodeResponse || p.Identifier != s.id, s.state != stateWaiting && s.state != stateClosing:
		return ErrUnexpected
	case s.state == stateClosing:
		s.end(*s.result)
		return nil
	case s.method == nil:
		return s.handleIdentity(p)
	case p.Type == TypeNak && s.fresh:
		return s.handleNak(p.Data)
	case p.Type == TypeExpanded && s.fresh:
		s.finish(Done{Err: ErrNoMethod}) // an expanded Nak: it wants vendors' methods
		return nil
	case p.Type != s.method.kind():
		return ErrUnexpected
	}
	if err := s.method.respond(now, s, p.Data); err != nil {
		return err
	}
	return nil
}

// handleIdentity takes the answer to the identity request.
func (s *Server) handleIdentity(p Packet) error {
	if p.Type != TypeIdentity || len(p.Data) > maxName {
		return ErrUnexpected
	}
	s.identity = string(p.Data)
	s.beginMethod(s.c.Methods[0])
	return nil
}

// handleNak begins the best method that the client wants and has not refused.
func (s *Server) handleNak(wanted []byte) error {
	for _, m := range s.c.Methods {
		if slices.Contains(wanted, byte(m)) && !slices.Contains(s.tried, m) {
			s.beginMethod(m)
			return nil
		}
	}
	s.finish(Done{Err: fmt.Errorf("%w: it wants %s, and %s is allowed", ErrNoMethod, typeList(wanted), typeList(s.c.Methods))})
	return nil
}

func typeList[T ~uint8](list []T) string {
	if len(list) == 0 {
		return "none"
	}
	out := ""
	for i, t := range list[:min(len(list), 8)] {
		if i > 0 {
			out += ", "
		}
		out += Type(t).String()
	}
	return out
}

func (s *Server) beginMethod(t Type) {
	s.closeMethod()
	s.tried = append(s.tried, t)
	if t == TypeTLS {
		s.method = newTLSServer(s.c.TLS, s.c.Rand)
	} else {
		s.method = &mschapv2Server{}
	}
	s.method.begin(s)
	s.fresh = true
}

// request sends a request and waits for its answer.
func (s *Server) request(t Type, data []byte) {
	if s.rounds++; s.rounds > maxRounds {
		s.finish(Done{Err: ErrTooMany})
		return
	}
	s.id++
	s.fresh = false
	s.last = AppendPacket(nil, Packet{CodeRequest, s.id, t, data})
	s.setState(stateWaiting)
	s.emit(Send{slices.Clone(s.last)})
}

// closing sends a last request, after whose answer the end is d.
func (s *Server) closing(t Type, data []byte, d Done) {
	s.request(t, data)
	if s.state == stateWaiting {
		s.result = &d
		s.setState(stateClosing)
	}
}

// finish ends the authentication with success or failure.
func (s *Server) finish(d Done) { s.end(d) }

func (s *Server) end(d Done) {
	if s.state == stateDone {
		return
	}
	if s.method != nil {
		d.Method = s.method.kind()
	}
	if d.Identity == "" {
		d.Identity = s.identity
	}
	code := CodeFailure
	if d.OK {
		code = CodeSuccess
	}
	// RFC 3748, section 4.2: the identifier is that of the response before it.
	s.emit(Send{AppendPacket(nil, Packet{Code: code, Identifier: s.id})})
	s.emit(d)
	s.setState(stateDone)
	s.closeMethod()
}
