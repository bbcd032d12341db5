package l2tp

import (
	"fmt"
	"slices"
	"time"
)

// callState is the state of an incoming call (RFC 2661 sections 7.4.1 and 7.4.2):
//
//	LAC                       LNS
//	ICRQ ->
//	                       <- ICRP
//	ICCN ->
//	(either side) CDN
type callState uint8

const (
	callQueued      callState = iota // LAC: the tunnel is not ready yet; the RFC's wait-tunnel
	callWaitReply                    // LAC: ICRQ is sent
	callConfirming                   // LAC: ICCN is sent, and the persona waits for its acknowledgement
	callWaitConnect                  // LNS: ICRP is sent
	callUp                           // established
)

// call is one call of a tunnel.
type call struct {
	local      CallID
	remote     CallID // 0 until ICRP
	state      callState
	sequencing bool
	serial     uint32
	expires    time.Time   // when it must be up; zero: it is
	dial       *DialConfig // of a LAC, until it is up
}

func (t *tunnel) key(c *call) Call { return Call{t.peer.id, t.local, c.local} }

func (t *tunnel) byLocalCall(id CallID) *call {
	for _, c := range t.calls {
		if c.local == id {
			return c
		}
	}
	return nil
}

func (t *tunnel) byRemoteCall(id CallID) *call {
	for _, c := range t.calls {
		if c.remote == id && id != 0 {
			return c
		}
	}
	return nil
}

// newCallID chooses an ID that is free in all tunnels of the peer.
func (e *Endpoint) newCallID(p *peer, how Numbering, pinned CallID) (CallID, error) {
	id := pinned
	if pinned != 0 && p.hasCall(pinned) {
		return 0, fmt.Errorf("%w: CallID %d is in use", ErrConfig, pinned)
	}
	if id == 0 {
		n, err := e.number(how, uint16(e.lastCall))
		if err != nil {
			return 0, err
		}
		id = CallID(n)
	}
	for id == 0 || p.hasCall(id) {
		id++
	}
	if how == NumberCounting {
		e.lastCall = id
	}
	return id, nil
}

func (p *peer) hasCall(id CallID) bool {
	for _, t := range p.tunnels {
		if t.byLocalCall(id) != nil {
			return true
		}
	}
	return false
}

// addCall makes a call that must be up within wait.
func (e *Endpoint) addCall(now time.Time, t *tunnel, how Numbering, pinned CallID, wait time.Duration) (*call, error) {
	id, err := e.newCallID(t.peer, how, pinned)
	if err != nil {
		return nil, err
	}
	c := &call{local: id, expires: now.Add(wait)}
	t.calls = append(t.calls, c)
	e.stats.Calls++
	e.watchIdle(now, t)
	return c, nil
}

// handleCall takes a message about a call whose turn it is.
func (e *Endpoint) handleCall(now time.Time, t *tunnel, m Message, f *fields, v *violation) {
	kind := m.Type()
	switch kind {
	case MessageCDN:
		e.handleCDN(now, t, m, f)
		return
	case MessageICRQ, MessageOCRQ:
		e.handleRequest(now, t, kind, f, v)
		return
	}
	c := t.byLocalCall(m.Call)
	switch {
	case c == nil:
		e.stats.Ignored++ // it ended while this was under way
	case v != nil:
		e.clear(now, t, c, Reason{CauseProtocol, MessageCDN, v.result()})
	case kind == MessageWEN || kind == MessageSLI:
		// For the framing of asynchronous lines, which we have not got: acknowledged.
	case kind == MessageICRP && c.state == callWaitReply:
		e.handleICRP(now, t, c, f)
	case kind == MessageICCN && c.state == callWaitConnect:
		e.handleICCN(t, c, f)
	default:
		// Sections 7.4.1 and 7.4.2: the state tables clear the call.
		e.clear(now, t, c, Reason{CauseProtocol, MessageCDN, Result{ClearError, ErrorValue, "unexpected " + kind.String()}})
	}
}

// handleRequest answers ICRQ and OCRQ.
func (e *Endpoint) handleRequest(now time.Time, t *tunnel, kind MessageType, f *fields, v *violation) {
	old := t.byRemoteCall(f.call)
	switch {
	case f.call == 0 || t.state != tunnelEstablished:
		e.stats.Ignored++ // there is nobody to answer
		return
	case old != nil: // the peer lost the old one
		e.endCall(now, t, old, Reason{Cause: CauseReplaced})
	}
	if t.state != tunnelEstablished {
		return
	}
	why := Reason{CauseRefused, MessageCDN, Result{Code: ClearNoFacilities, Message: "outgoing calls are not served here"}}
	switch {
	case v != nil:
		why = Reason{CauseProtocol, MessageCDN, v.result()}
	case kind == MessageOCRQ:
	case !e.cfg.Accept:
		why.Result.Message = "incoming calls are not served here"
	case len(t.calls) >= e.cfg.MaxCalls:
		why.Result = Result{ClearBusyFacilities, ErrorResources, "no more calls in this tunnel"}
	default:
		e.answerICRQ(now, t, f)
		return
	}
	e.refuseCall(now, t, f.call, why)
}

func (e *Endpoint) answerICRQ(now time.Time, t *tunnel, f *fields) {
	c, err := e.addCall(now, t, NumberRandom, 0, e.cfg.Setup)
	if err != nil {
		return
	}
	c.state, c.remote, c.serial = callWaitConnect, f.call, f.serial
	e.send(t, c, MessageICRP, ownPersona.icrp, Result{})
}

// refuseCall answers a request with CDN.
func (e *Endpoint) refuseCall(now time.Time, t *tunnel, remote CallID, why Reason) {
	c, err := e.addCall(now, t, NumberRandom, 0, 0)
	if err != nil {
		return
	}
	c.remote = remote
	e.clear(now, t, c, why)
}

func (e *Endpoint) handleICRP(now time.Time, t *tunnel, c *call, f *fields) {
	if f.call == 0 {
		e.clear(now, t, c, Reason{CauseProtocol, MessageCDN, Result{ClearError, ErrorValue, "ICRP without Assigned Session ID"}})
		return
	}
	c.remote = f.call
	e.send(t, c, MessageICCN, t.persona.ICCN, Result{})
	e.flush(now, t) // before PPP begins
	if t.persona.WaitAck {
		c.state = callConfirming
		return
	}
	e.bringUp(t, c, f)
}

func (e *Endpoint) handleICCN(t *tunnel, c *call, f *fields) {
	c.sequencing = f.has(AttrSequencingRequired)
	e.sendZLB(t) // before PPP begins: Android waits for it
	e.bringUp(t, c, f)
}

// bringUp tells the owner that the call is up. f may be nil.
func (e *Endpoint) bringUp(t *tunnel, c *call, f *fields) {
	up := CallUp{
		Call: t.key(c), RemoteTunnel: t.remote, RemoteCall: c.remote, LAC: c.dial != nil,
		Sequencing: c.sequencing, Serial: c.serial, HostName: t.host, Vendor: t.vendor,
	}
	if f != nil {
		up.TxSpeed, up.RxSpeed = f.txSpeed, f.rxSpeed
		if !f.has(AttrRxSpeed) {
			up.RxSpeed = f.txSpeed // section 4.4.4: they are the same
		}
	}
	c.state, c.dial, c.expires = callUp, nil, time.Time{}
	e.events.push(up)
}

// handleCDN ends a call: the one in the header, or the one that the Assigned Session ID
// names where a client leaves the header empty, or the only one.
func (e *Endpoint) handleCDN(now time.Time, t *tunnel, m Message, f *fields) {
	c := t.byLocalCall(m.Call)
	if c == nil {
		c = t.byRemoteCall(f.call)
	}
	if c == nil && m.Call == 0 && f.call == 0 && len(t.calls) == 1 {
		c = t.calls[0]
	}
	if c == nil {
		e.stats.Ignored++
		return
	}
	if !t.initiator { // as a LAC we send StopCCN, which acknowledges too
		e.sendZLB(t)
	}
	e.endCall(now, t, c, Reason{CausePeer, MessageCDN, parseResult(f.resultCode)})
}

// clear ends a call with CDN. Result code 0 stands for administrative reasons.
func (e *Endpoint) clear(now time.Time, t *tunnel, c *call, why Reason) {
	if why.Result.Code == 0 {
		why.Result.Code = ClearAdministrative
	}
	if c.state != callQueued || c.remote != 0 {
		if !(t.initiator && t.persona.StopOnly && len(t.calls) == 1) {
			e.send(t, c, MessageCDN, t.persona.CDN, why.Result)
			e.flush(now, t)
		}
	}
	e.endCall(now, t, c, why)
}

// endCall forgets a call and tells its owner. A LAC has no use for a tunnel without
// calls: it closes it.
func (e *Endpoint) endCall(now time.Time, t *tunnel, c *call, why Reason) {
	t.calls = slices.DeleteFunc(t.calls, func(o *call) bool { return o == c })
	e.stats.Calls--
	e.events.push(CallDown{Call: t.key(c), Up: c.state == callUp, Reason: why})
	e.watchIdle(now, t)
	if t.initiator && len(t.calls) == 0 {
		e.stop(now, t, Reason{Cause: why.Cause, Via: MessageStopCCN})
	}
}

// placeCalls sends the ICRQ of calls that waited for their tunnel.
func (e *Endpoint) placeCalls(now time.Time, t *tunnel) {
	for _, c := range t.calls {
		if c.state == callQueued {
			c.state = callWaitReply
			e.send(t, c, MessageICRQ, t.persona.ICRQ, Result{})
		}
	}
}

// confirm goes on where a persona waits for acknowledgements.
func (e *Endpoint) confirm(now time.Time, t *tunnel) {
	if !t.persona.WaitAck || !t.initiator || t.state != tunnelEstablished || !t.ch.idle() {
		return
	}
	for _, c := range t.calls {
		if c.state == callConfirming {
			e.bringUp(t, c, nil)
		}
	}
	e.placeCalls(now, t)
}
