package ppp

import (
	"encoding/binary"
	"encoding/hex"
	"io"
	"time"
)

// LCP's options (RFC 1661 section 6, RFC 1570, RFC 1990).
const (
	optionMRU        = 1
	optionACCM       = 2
	optionAuth       = 3
	optionMagic      = 5
	optionPFC        = 7
	optionACFC       = 8
	optionCallback   = 13
	optionMRRU       = 17
	optionEndpoint   = 19
	callbackCBCP     = 6
	maxCollisions    = 5 // equal magic numbers in a row that make a loop
	maxIdents        = 8
	magicLen         = 4
	serverLCPOptions = "\x01\x03\x05" // MRU, Authentication-Protocol, Magic-Number
)

// lcp is the Link Control Protocol of a link.
type lcp struct {
	automaton
	dropped uint32 // bit n: the peer rejected option n, we ask for it no more
	mru     uint16 // what we ask for
	magic   uint32
	method  Method // what a server demands, or what a client was asked for

	peerMRU    uint16
	peerMagic  uint32
	peerACFC   bool
	peerPFC    bool
	collisions uint8
	// insisted: as a server we asked for EAP although the client had another wish, or
	// as a client we have said once what we like better.
	insisted bool
}

func (p *lcp) init(l *Link) {
	p.automaton = automaton{link: l, layer: p, proto: ProtocolLCP, ids: l.persona().FirstID - 1}
	p.peerMRU = maxMRU
}

// renew begins a negotiation with everything we want.
func (p *lcp) renew() {
	p.dropped = 0
	p.mru = p.link.mru
	p.collisions, p.insisted = 0, false
	p.method = NoMethod
	if p.link.role == Server {
		p.method = p.link.auth.first()
	}
	p.newMagic()
}

// newMagic draws a magic number. Without randomness it is zero, which is none.
func (p *lcp) newMagic() {
	var b [magicLen]byte
	io.ReadFull(p.link.rand, b[:])
	p.magic = binary.BigEndian.Uint32(b[:])
}

func (p *lcp) appendRequest(b []byte) []byte {
	kinds := serverLCPOptions
	if p.link.role == Client {
		kinds = p.link.persona().LCP
	}
	for i := range len(kinds) {
		if p.dropped&(1<<kinds[i]) == 0 {
			b = p.appendOption(b, kinds[i])
		}
	}
	return b
}

func (p *lcp) appendOption(b []byte, kind uint8) []byte {
	switch kind {
	case optionMRU:
		return appendOption(b, kind, byte(p.mru>>8), byte(p.mru))
	case optionACCM:
		return appendOption(b, kind, 0, 0, 0, 0)
	case optionAuth:
		return appendMethod(append(b, kind, methodOptionLen(p.method)), p.method)
	case optionMagic:
		return binary.BigEndian.AppendUint32(append(b, kind, 6), p.magic)
	case optionCallback:
		return appendOption(b, kind, callbackCBCP)
	}
	return appendOption(b, kind)
}

func methodOptionLen(m Method) byte {
	if m == PAP || m == EAP {
		return 4
	}
	return 5
}

// begin looks for our own magic number in the peer's request: either the line is looped
// back, or chance gave both the same (RFC 1661 section 6.4). Nothing else in such a
// request is worth an answer, as it may be ours.
func (p *lcp) begin(options []byte) []byte {
	p.peerMRU, p.peerMagic, p.peerACFC, p.peerPFC = maxMRU, 0, false, false
	if p.link.role == Client {
		p.method = NoMethod
	}
	for rest := options; len(rest) > 0; {
		var o option
		o, rest, _ = consumeOption(rest)
		if o.kind == optionMagic && len(o.data) == magicLen {
			p.peerMagic = binary.BigEndian.Uint32(o.data)
		}
	}
	if p.peerMagic == 0 || p.peerMagic != p.magic {
		p.collisions = 0
		return nil
	}
	p.collisions++
	return p.nakMagic(nil)
}

// nakMagic suggests a magic number other than both.
func (p *lcp) nakMagic(nak []byte) []byte {
	var b [magicLen]byte
	io.ReadFull(p.link.rand, b[:])
	if m := binary.BigEndian.Uint32(b[:]); m == p.magic || m == 0 {
		binary.BigEndian.PutUint32(b[:], p.magic+1)
	}
	return appendOption(nak, optionMagic, b[:]...)
}

func (p *lcp) consider(o option, nak []byte) (judgement, []byte) {
	switch {
	case o.kind == optionMRU && len(o.data) == 2:
		return p.considerMRU(binary.BigEndian.Uint16(o.data), nak)
	case o.kind == optionACCM && len(o.data) == 4:
		return acceptable, nak // meaningless without an asynchronous line
	case o.kind == optionAuth:
		return p.considerAuth(o.data, nak)
	case o.kind == optionMagic && len(o.data) == magicLen:
		if p.peerMagic == 0 { // "A Magic-Number of zero is illegal and MUST always be Nak'd"
			return unacceptable, p.nakMagic(nak)
		}
		return acceptable, nak
	case o.kind == optionPFC && len(o.data) == 0:
		p.peerPFC = true
		return acceptable, nak
	case o.kind == optionACFC && len(o.data) == 0:
		p.peerACFC = true
		return acceptable, nak
	case o.kind == optionEndpoint && len(o.data) > 0:
		return acceptable, nak // says who the peer is (RFC 1990 section 5.1.3) and asks nothing of us
	}
	return unrecognizable, nak
}

func (p *lcp) considerMRU(mru uint16, nak []byte) (judgement, []byte) {
	if near := min(max(mru, minMRU), maxMRU); near != mru {
		return unacceptable, appendOption(nak, optionMRU, byte(near>>8), byte(near))
	}
	p.peerMRU = mru
	return acceptable, nak
}

// considerAuth takes what a server demands. A server is not authenticated by its client.
func (p *lcp) considerAuth(data, nak []byte) (judgement, []byte) {
	if p.link.role == Server {
		return unrecognizable, nak
	}
	m, best := methodOf(data), p.link.auth.first()
	// Some servers, SoftEther for one, ask for EAP at first and have nothing in it
	// for passwords: what we like better is proposed once.
	if p.link.auth.allows(m) && (m != EAP || best == EAP || p.insisted) {
		p.method = m
		return acceptable, nak
	}
	p.insisted = true
	if best == NoMethod {
		return unrecognizable, nak
	}
	return unacceptable, appendMethod(append(nak, optionAuth, methodOptionLen(best)), best)
}

func (p *lcp) missing(nak []byte) []byte { return nak }

func (p *lcp) naked(now time.Time, o option) {
	switch {
	case o.kind == optionMRU && len(o.data) == 2:
		p.mru = min(max(binary.BigEndian.Uint16(o.data), minMRU), maxMRU)
	case o.kind == optionMagic:
		p.newMagic()
		if p.collisions >= maxCollisions {
			p.link.fail(now, because(CauseLoopback, ""))
		}
	case o.kind == optionAuth && p.link.role == Server:
		p.nakedAuth(now, o.data)
	}
}

// nakedAuth follows the peer to another method if the policy has it. It insists on
// EAP once, as the client may know it and only like another better; then it asks for the
// next of ours, which the client may have without liking it best. When there is none
// left, the link ends: nobody gets in without.
func (p *lcp) nakedAuth(now time.Time, data []byte) {
	if m := methodOf(data); p.link.auth.allows(m) {
		p.method = m
		return
	}
	if p.method == EAP && !p.insisted {
		p.insisted = true
		return
	}
	if p.method = p.link.auth.after(p.method); p.method == NoMethod {
		p.link.fail(now, because(CauseNoCommonAuth, "the client wants "+nameOfMethod(data)))
	}
}

func (p *lcp) rejected(now time.Time, o option) {
	if o.kind == optionAuth && p.link.role == Server {
		p.link.fail(now, because(CauseNoCommonAuth, "the client refuses to authenticate"))
		return
	}
	if o.kind < 32 {
		p.dropped |= 1 << o.kind
	}
	if o.kind == optionMagic {
		p.magic = 0
	}
}

// terminating notes why the peer ends. If it does so amid the negotiation, no more than
// one restart period is spent on waiting for it to think better of it.
func (p *lcp) terminating(data []byte) {
	if p.state >= stateReqSent && p.state < stateOpened {
		p.counter = 0
	}
	r := Reason{Cause: CausePeer}
	r.Code, r.Detail = terminationReason(data)
	p.link.note(r)
}

// appendTermination says why: as Windows does for who speaks like Windows, and
// otherwise in words.
func (p *lcp) appendTermination(b []byte) []byte {
	r := p.link.reason
	switch {
	case !p.link.persona().RASCodes:
		return append(b, r.Cause.String()...)
	case r.Cause == CauseLocal || r.Cause == CauseNoAddress: // the latter was said in IPCP
		return appendTermination(b, p.magic, 0)
	}
	return appendTermination(b, p.magic, r.Code)
}

func (p *lcp) up(now time.Time) { p.link.lcpUp(now) }

func (p *lcp) down(now time.Time) { p.link.lcpDown(now) }

func (p *lcp) finished(time.Time) {
	if !p.link.failed {
		p.link.note(because(CauseSilent, ""))
	}
	p.link.die()
}

// extra takes the codes that only LCP has.
func (p *lcp) extra(now time.Time, k packet) (bool, error) {
	switch k.code {
	case protocolReject:
		if p.state != stateOpened { // "silently discarded" (RFC 1661 section 5.7)
			return true, ErrPhase
		}
		return true, p.link.handleProtocolReject(now, k.data)
	case echoRequest, echoReply, discardRequest:
		return true, p.handleEcho(now, k)
	case identification:
		if len(k.data) < magicLen {
			return true, ErrPacket
		}
		p.link.identified(k.data[magicLen:])
		return true, nil
	case timeRemaining:
		return true, nil
	}
	return false, nil
}

// handleEcho answers an Echo-Request. Who hears its own magic number hears itself.
func (p *lcp) handleEcho(now time.Time, k packet) error {
	if p.state != stateOpened {
		return ErrPhase
	}
	if len(k.data) < magicLen {
		return ErrPacket
	}
	if m := binary.BigEndian.Uint32(k.data); m != 0 && m == p.magic {
		p.link.fail(now, because(CauseLoopback, "echo"))
		return ErrLoopedBack
	}
	if k.code != echoRequest {
		return nil
	}
	b := binary.BigEndian.AppendUint32(startFrame(ProtocolLCP, echoReply, k.id), p.magic)
	data := k.data[magicLen:]
	b = append(b, data[:min(len(data), p.link.room()-magicLen)]...)
	p.apply(now, gotExtra, k.id, nil)
	p.link.send(finishFrame(b))
	return nil
}

// identificationText is an Identification fit to be shown.
func identificationText(b []byte) string {
	b = b[:min(len(b), 64)]
	if s, clean := printable(b); clean {
		return s
	}
	return hex.EncodeToString(b)
}
