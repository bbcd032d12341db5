package eap

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/culvert-vpn/culvert/internal/certificate"
)

// Flags of EAP-TLS (RFC 5216, section 3.1).
const (
	flagLength = 0x80
	flagMore   = 0x40
	flagStart  = 0x20
)

const (
	// defaultFragment keeps EAP packets within what every carrier has room for.
	defaultFragment = 1024
	// maxFlight bounds one side's flight: a chain of certificates.
	maxFlight = 64 << 10
)

// TLSConfig is how EAP-TLS is done. It is shared between machines and not changed.
type TLSConfig struct {
	// Certificate is what we prove ourselves with.
	Certificate tls.Certificate
	// Authorities are named to clients, which choose a certificate by them. Server
	// only; may be nil.
	Authorities *x509.CertPool
	// ServerName is sent to a server; may be empty. Client only.
	ServerName string
	// VerifyPeer says whether the other side's certificates, as it sent them, may be
	// believed. It runs within Compute, before they are known to be its own.
	VerifyPeer func(now time.Time, sent []*x509.Certificate) error
	// VerifyProven says so again once the other side has shown that it has the key: what
	// takes others' time is not done for who has only seen a certificate. Server only; it
	// runs within Compute, and may be nil.
	VerifyProven func(now time.Time, sent []*x509.Certificate) error
	// MaxVersion bounds the version of TLS, zero for the newest; the oldest is 1.2.
	MaxVersion uint16
	// Fragment is the most data of TLS in one packet, zero for 1024.
	Fragment int
}

// session is what both sides of EAP-TLS do: fragments in both directions, and a
// handshake that is fed with whole flights.
type session struct {
	engine   *engine
	in       []byte // of the flight that is being received
	out      []byte // of the flight that is being sent
	whole    int    // its length
	fragment int
	keylog   bytes.Buffer
	peer     []*x509.Certificate
	failure  error // of VerifyPeer or VerifyProven, more exact than TLS's own
	now      time.Time
}

// flight is what one step of a handshake came to.
type flight struct {
	out  []byte
	over bool
	err  error
	msk  []byte
}

func newSession(c *TLSConfig, rand io.Reader, server bool) *session {
	s := &session{fragment: c.Fragment}
	if s.fragment <= 0 {
		s.fragment = defaultFragment
	}
	if server {
		s.engine = newEngine(func(n net.Conn) *tls.Conn { return tls.Server(n, s.config(c, rand)) }, func(conn *tls.Conn) error {
			if c.VerifyProven != nil {
				if s.failure = c.VerifyProven(s.now, s.peer); s.failure != nil {
					return s.failure
				}
			}
			return confirm(conn)
		})
	} else {
		s.engine = newEngine(func(n net.Conn) *tls.Conn { return tls.Client(n, s.config(c, rand)) }, confirmed)
	}
	return s
}

// config is how TLS is done for it.
func (s *session) config(c *TLSConfig, rand io.Reader) *tls.Config {
	config := &tls.Config{
		Rand: rand, Time: func() time.Time { return s.now }, Certificates: []tls.Certificate{c.Certificate},
		ServerName: c.ServerName, ClientCAs: c.Authorities, ClientAuth: tls.RequireAnyClientCert,
		MinVersion: tls.VersionTLS12, MaxVersion: c.MaxVersion, SessionTicketsDisabled: true,
		InsecureSkipVerify:    true, // VerifyPeer does
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error { return s.verify(c, raw) },
		KeyLogWriter:          &s.keylog,
	}
	// Ours is sent even if another authority's is asked for: the server's log then says so.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.Certificate, nil }
	return config
}

// confirm is the server's protected word of success (RFC 9190, section 2.5).
func confirm(c *tls.Conn) error {
	if c.ConnectionState().Version < tls.VersionTLS13 {
		return nil
	}
	_, err := c.Write([]byte{0})
	return err
}

// confirmed waits for it.
func confirmed(c *tls.Conn) error {
	if c.ConnectionState().Version < tls.VersionTLS13 {
		return nil
	}
	return readSuccess(c)
}

func (s *session) verify(c *TLSConfig, raw [][]byte) error {
	s.peer = nil
	for _, der := range raw {
		cert, err := certificate.Parse(der) // TLS has read it too, and strictly
		if err != nil {
			return err
		}
		s.peer = append(s.peer, cert)
	}
	s.failure = c.VerifyPeer(s.now, s.peer)
	return s.failure
}

// step feeds the handshake. It is slow, and may run on any goroutine.
func (s *session) step(now time.Time, in []byte, server bool) flight {
	s.now = now
	f := flight{out: s.engine.step(in)}
	if hello := f.out; server && s.engine.hello == nil {
		s.engine.hello = bytes.Clone(hello)
	} else if !server && s.engine.hello == nil && len(in) > 0 {
		s.engine.hello = bytes.Clone(in)
	}
	f.over, f.err = s.engine.over, s.engine.err
	if f.over && f.err == nil {
		f.msk, f.err = exportMSK(s.engine.conn.ConnectionState(), s.keylog.Bytes(), serverRandom(s.engine.hello))
	}
	if f.err != nil {
		if s.failure != nil {
			f.err = s.failure
		}
		f.err = fmt.Errorf("%w: %w", ErrTLS, f.err)
	}
	if f.over {
		clear(s.keylog.Bytes())
	}
	return f
}

// close gives up the handshake.
func (s *session) close() { s.engine.close() }

// consume takes the data of a packet. It returns a whole flight, or nothing and
// whether the packet was an acknowledgement or wants one.
func (s *session) consume(data []byte) (whole []byte, more bool, err error) {
	if len(data) < 1 {
		return nil, false, ErrMalformed
	}
	flags, b := data[0], data[1:]
	if flags&flagLength != 0 {
		if len(b) < 4 || binary.BigEndian.Uint32(b) > maxFlight {
			return nil, false, ErrMalformed
		}
		b = b[4:]
	}
	if len(s.in)+len(b) > maxFlight {
		return nil, false, ErrMalformed
	}
	s.in = append(s.in, b...)
	if flags&flagMore != 0 {
		return nil, true, nil
	}
	whole, s.in = s.in, nil
	return whole, false, nil
}

// send begins to send a flight and returns the data of its first packet.
func (s *session) send(out []byte) []byte {
	s.out, s.whole = out, len(out)
	return s.continued(true)
}

// continued returns the data of the next packet of the flight.
func (s *session) continued(first bool) []byte {
	n := min(len(s.out), s.fragment)
	var data []byte
	flags := byte(0)
	if n < len(s.out) {
		flags |= flagMore
	}
	if first && n < s.whole {
		data = binary.BigEndian.AppendUint32([]byte{flags | flagLength}, uint32(s.whole))
	} else {
		data = []byte{flags}
	}
	data = append(data, s.out[:n]...)
	s.out = s.out[n:]
	return data
}

// tlsServer is the server's side of the method.
type tlsServer struct {
	*session
	begun  bool    // the handshake has what it was sent first
	result *flight // of a handshake that is over
}

func newTLSServer(c *TLSConfig, rand io.Reader) *tlsServer {
	return &tlsServer{session: newSession(c, rand, true)}
}

func (m *tlsServer) kind() Type { return TypeTLS }

func (m *tlsServer) begin(s *Server) { s.request(TypeTLS, []byte{flagStart}) }

func (m *tlsServer) respond(now time.Time, s *Server, data []byte) error {
	whole, more, err := m.consume(data)
	switch {
	case err != nil:
		return err
	case more:
		s.request(TypeTLS, []byte{0})
	case len(m.out) > 0: // an acknowledgement
		s.request(TypeTLS, m.continued(false))
	case m.result != nil: // the last flight has arrived
		m.conclude(s)
	case len(whole) == 0:
		return ErrUnexpected
	default:
		s.setState(stateBusy)
		m.begun = true
		s.emit(Compute{func() any { return m.step(now, whole, true) }})
	}
	return nil
}

// conclude ends the method with what the handshake came to.
func (m *tlsServer) conclude(s *Server) {
	s.finish(Done{OK: m.result.err == nil, MSK: m.result.msk, Certificates: m.peer, Err: m.result.err})
}

// handshakeSize is about what crypto/tls holds for a handshake under way, in bytes.
const handshakeSize = 48 << 10

// Held is about how many bytes a login under way holds.
func (s *Server) Held() int {
	if s.state == stateDone {
		return 0
	}
	n := cap(s.last)
	if m, ok := s.method.(*tlsServer); ok {
		n += cap(m.in) + m.whole
		if m.begun {
			n += handshakeSize
		}
	}
	return n
}

// Failure is why the login is lost, from the moment that is known: the client may
// hear of it by an alert of TLS and go before the method ends. Nil: it is not, or
// Done says why.
func (s *Server) Failure() error {
	if m, ok := s.method.(*tlsServer); ok && m.result != nil {
		return m.result.err
	}
	return nil
}

// Computed takes what a Compute returned.
func (s *Server) Computed(result any) {
	m, ok := s.method.(*tlsServer)
	f, fits := result.(flight)
	if !ok || !fits || s.state != stateBusy {
		return
	}
	if f.over {
		m.result = &f
	}
	if len(f.out) == 0 && f.over {
		m.conclude(s)
		return
	}
	s.request(TypeTLS, m.send(f.out))
}
