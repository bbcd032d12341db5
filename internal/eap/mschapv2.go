package eap

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"
)

// Operations of MSCHAPv2 (draft-kamath-pppext-eap-mschapv2-02, section 2).
const (
	opChallenge = 1
	opResponse  = 2
	opSuccess   = 3
	opFailure   = 4
)

const (
	responseLen  = 49  // peer challenge 16, reserved 8, NT response 24, flags 1
	codeRejected = 691 // ERROR_AUTHENTICATION_FAILURE
	mskLen       = 64
)

// message is a packet of MSCHAPv2: all but the short answers to success and failure
// have an identifier and a length.
type message struct {
	op, id byte
	body   []byte
}

// consumeMessage reads a message. Some clients count their length wrong by a few
// bytes, so that what there is decides.
func consumeMessage(b []byte) (message, error) {
	if len(b) == 1 && (b[0] == opSuccess || b[0] == opFailure) {
		return message{op: b[0]}, nil
	}
	if len(b) < 4 {
		return message{}, ErrMalformed
	}
	return message{op: b[0], id: b[1], body: b[4:]}, nil
}

func (m message) append(dst []byte) []byte {
	dst = append(dst, m.op, m.id)
	dst = binary.BigEndian.AppendUint16(dst, uint16(4+len(m.body)))
	return append(dst, m.body...)
}

// mschapv2Server asks for a response, has it verified, and proves itself.
type mschapv2Server struct {
	challenge [16]byte
	id        byte
	user      string
	verdict   *Verdict
}

func (m *mschapv2Server) kind() Type { return TypeMSCHAPv2 }

func (m *mschapv2Server) close() {}

// begin sends the challenge. Its identifier is the request's, as everybody has it.
func (m *mschapv2Server) begin(s *Server) {
	if _, err := io.ReadFull(s.c.Rand, m.challenge[:]); err != nil {
		s.finish(Done{Err: fmt.Errorf("eap: randomness: %w", err)})
		return
	}
	m.id = s.id + 1
	body := append([]byte{16}, m.challenge[:]...)
	s.request(TypeMSCHAPv2, message{opChallenge, m.id, append(body, s.c.Name...)}.append(nil))
}

func (m *mschapv2Server) respond(_ time.Time, s *Server, data []byte) error {
	in, err := consumeMessage(data)
	switch {
	case err != nil:
		return err
	case in.op == opResponse && m.verdict == nil:
		return m.handleResponse(s, in)
	case in.op == opSuccess && m.verdict != nil && m.verdict.OK:
		s.finish(Done{OK: true, Identity: m.user, MSK: m.verdict.MSK})
		return nil
	case in.op == opFailure && m.verdict != nil:
		// The client did not believe our proof.
		s.finish(Done{Identity: m.user, Err: ErrRefused})
		return nil
	}
	return ErrUnexpected
}

func (m *mschapv2Server) handleResponse(s *Server, in message) error {
	if len(in.body) < 1+responseLen || in.body[0] != responseLen || len(in.body) > 1+responseLen+maxName {
		return ErrMalformed
	}
	value := in.body[1:]
	m.user = string(value[responseLen:])
	s.setState(stateBusy)
	s.emit(Verify{User: m.user, Challenge: m.challenge,
		PeerChallenge: [16]byte(value[:16]), NTResponse: [24]byte(value[24:48])})
	return nil
}

// Verified answers a Verify.
func (s *Server) Verified(v Verdict) {
	m, ok := s.method.(*mschapv2Server)
	if !ok || s.state != stateBusy {
		return
	}
	m.verdict = &v
	if v.OK {
		text := v.Success
		if v.Message != "" {
			text += " M=" + v.Message
		}
		s.request(TypeMSCHAPv2, message{opSuccess, m.id, []byte(text)}.append(nil))
		return
	}
	if v.Code == 0 {
		v.Code = codeRejected
	}
	// R=0: there is no second try within one exchange. Windows keeps its first user
	// name on a retry, so that nothing would come of it.
	text := fmt.Sprintf("E=%d R=0 C=%s V=3 M=%s", v.Code, strings.ToUpper(hex.EncodeToString(m.challenge[:])), v.Message)
	s.closing(TypeMSCHAPv2, message{opFailure, m.id, []byte(text)}.append(nil),
		Done{Identity: m.user, Err: fmt.Errorf("%w (error %d)", ErrRejected, v.Code)})
}
