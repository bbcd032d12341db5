package ppp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// EAP inside PPP (RFC 3748 section 3.1). The link carries the packets and repeats
// requests; what is in them is for the owner's machine, or the one behind it:
//
//	server                                        client
//	Authenticate{Method: EAP} -> make a machine
//	EAPRequest(packet)     ---- request ---->     EAPRequest event -> its machine
//	EAPResponse event      <--- response ----     EAPRespond(packet)
//	     ...                                           ...
//	Authenticated(verdict) -- success/failure ->  EAPRequest event -> its machine
//	                                              EAPFinished(ok)

// Codes of EAP (RFC 3748 section 4).
const (
	eapRequest  code = 1
	eapResponse code = 2
	eapSuccess  code = 3
	eapFailure  code = 4

	maxEAPRounds = 200 // of EAP-TLS with long chains a few dozen are seen
)

// checkEAP checks that a packet of the owner's is one of that code and fits the link.
func (l *Link) checkEAP(packet []byte, c code) error {
	if len(packet) < packetHeaderLen || code(packet[0]) != c || int(binary.BigEndian.Uint16(packet[2:])) != len(packet) {
		return fmt.Errorf("%w: EAP", ErrPacket)
	}
	if len(packet) > int(l.lcp.peerMRU) {
		return fmt.Errorf("%w: EAP packet of %d octets, the peer takes %d", ErrTooLong, len(packet), l.lcp.peerMRU)
	}
	return nil
}

// EAPRoom is the size of the largest EAP packet that the peer takes, in bytes: methods
// that have more to say cut it (RFC 3748 section 3.1).
func (l *Link) EAPRoom() int { return int(l.lcp.peerMRU) }

func eapFrame(packet []byte) []byte {
	return append(AppendHeader(make([]byte, 0, maxHeaderLen+len(packet)), ProtocolEAP, false, false), packet...)
}

// startEAP lets the owner begin.
func (a *authenticator) startEAP(l *Link) {
	a.state = judgePondering
	a.rounds = 0
	a.query++
	l.tell(Authenticate{ID: a.query, Method: EAP})
}

// EAPRequest sends a request of the owner's machine to the client, and repeats it until
// there is a response. id is that of the Authenticate event; a request that nobody waits
// for is ErrAnswer. The packet is copied.
func (l *Link) EAPRequest(now time.Time, id uint32, packet []byte) error {
	a := &l.judge
	switch {
	case l.phase == phaseDead:
		return ErrClosed
	case a.method != EAP || a.state != judgePondering || a.query != id:
		return ErrAnswer
	}
	if err := l.checkEAP(packet, eapRequest); err != nil {
		return err
	}
	if a.rounds++; a.rounds > maxEAPRounds {
		l.fail(now, because(CauseNotConverging, "EAP"))
		return nil
	}
	a.state, a.reply, a.tries = judgeAsking, packet[1], 1
	a.result = eapFrame(packet)
	a.deadline = now.Add(l.restart)
	l.sendAgain(a.result)
	return nil
}

// repeatEAP sends the request that is out once more.
func (a *authenticator) repeatEAP(l *Link, now time.Time) {
	a.tries++
	a.deadline = now.Add(l.restart)
	l.sendAgain(a.result)
}

// inputEAP takes a response. "An authenticator receiving a Response whose Identifier
// value does not match that of the currently outstanding Request MUST silently discard
// the Response" (RFC 3748 section 4.1).
func (a *authenticator) inputEAP(l *Link, p packet) error {
	switch {
	case p.code != eapResponse:
		return ErrCode
	case a.state == judgePondering && p.id == a.reply:
		return ErrRepetition
	case a.state != judgeAsking:
		return ErrPhase
	case p.id != a.reply:
		return fmt.Errorf("%w: EAP identifier %d", ErrMismatch, p.id)
	}
	a.state = judgePondering
	a.deadline = time.Time{}
	a.result = nil
	l.tell(EAPResponse{ID: a.query, Packet: p.bytes()})
	return nil
}

// answerEAP sends the end: the owner's packet, or else one of ours.
func (a *authenticator) answerEAP(l *Link, c code, packet []byte) {
	if l.checkEAP(packet, c) != nil {
		packet = []byte{byte(c), a.reply, 0, packetHeaderLen}
	}
	l.send(eapFrame(packet))
}

// bytes returns the packet as it came, in memory of its own.
func (p packet) bytes() []byte {
	b := append(make([]byte, 0, packetHeaderLen+len(p.data)), byte(p.code), p.id)
	b = binary.BigEndian.AppendUint16(b, uint16(packetHeaderLen+len(p.data)))
	return append(b, p.data...)
}

// inputEAP takes a server's packet. A request that comes again gets its response again
// (RFC 3748 section 4.1).
func (c *client) inputEAP(l *Link, p packet) error {
	switch {
	case l.phase != phaseAuthenticate:
		return ErrPhase
	case p.code < eapRequest || p.code == eapResponse || p.code > eapFailure:
		return ErrCode
	case p.code != eapRequest:
		l.tell(EAPRequest{Packet: p.bytes()})
		return nil
	}
	digest := l.lcp.digest(p.data)
	if p.id == c.id && digest == c.digest && c.asked {
		if c.request != nil {
			l.sendAgain(c.request)
		}
		return nil
	}
	c.id, c.digest, c.asked, c.request = p.id, digest, true, nil
	l.tell(EAPRequest{Packet: p.bytes()})
	return nil
}

// alternate tells the owner's machine that the server is content, since it begins with
// the network protocols: its Success was lost, which nobody repeats. "PPP [...] NCP
// traffic" is such an indication (RFC 3748 section 4.2). Whether the method was at its
// end is for the machine to know.
func (c *client) alternate(l *Link) {
	if l.lcp.method == EAP && l.phase == phaseAuthenticate && c.request != nil {
		l.tell(EAPRequest{Packet: []byte{byte(eapSuccess), c.id, 0, packetHeaderLen}})
	}
}

// EAPRespond sends a response of the owner's machine to the server's last request. The
// packet is copied.
func (l *Link) EAPRespond(packet []byte) error {
	c := l.client
	switch {
	case l.phase == phaseDead:
		return ErrClosed
	case c == nil || l.phase != phaseAuthenticate || l.lcp.method != EAP || !c.asked || c.request != nil:
		return ErrAnswer
	}
	if err := l.checkEAP(packet, eapResponse); err != nil {
		return err
	}
	if packet[1] != c.id {
		return ErrMismatch
	}
	c.request = eapFrame(packet)
	l.send(bytes.Clone(c.request))
	return nil
}

// EAPFinished says what the client's machine came to: that the server is who it should
// be and let us in, or not.
func (l *Link) EAPFinished(now time.Time, ok bool) error {
	c := l.client
	switch {
	case l.phase == phaseDead:
		return ErrClosed
	case c == nil || l.phase != phaseAuthenticate || l.lcp.method != EAP:
		return ErrAnswer
	case ok:
		c.accepted(l, now)
	default:
		l.fail(now, because(CauseAuthFailed, "EAP"))
	}
	return nil
}
