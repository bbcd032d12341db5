package l2tp

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// tunnelState is the state of a control connection (RFC 2661 section 7.2.1):
//
//	LAC                       LNS
//	SCCRQ ->
//	                       <- SCCRP
//	SCCCN ->
//	(either side) StopCCN  -> <- acknowledgement
type tunnelState uint8

const (
	tunnelWaitReply   tunnelState = iota // SCCRQ is sent; the RFC's wait-ctl-reply
	tunnelWaitConnect                    // SCCRP is sent; the RFC's wait-ctl-conn
	tunnelEstablished                    // both sides agree
	tunnelStopping                       // our StopCCN waits for its acknowledgement; all is over for the owner
	tunnelStopped                        // the peer's StopCCN came; we stay to acknowledge its repetitions
	tunnelGone                           // in no list any more
)

// linger is how long a closed channel stays: a full retransmission cycle, 31 s (section
// 5.7).
const linger = 31 * time.Second

// stale is how long after a tunnel was established the very message that opened it is
// taken for a late repetition, and not for a peer that lost everything and dials again.
const stale = 2 * time.Second

// tunnel is one control connection.
type tunnel struct {
	deadline.Alarm // in Endpoint.timers
	peer           *peer
	persona        *Persona
	local          TunnelID
	remote         TunnelID // 0 until SCCRP
	state          tunnelState
	initiator      bool
	up             bool // TunnelUp was told
	hide           bool
	proven         bool // the peer proved the secret
	firmware       uint16
	ch             channel
	calls          []*call
	heard          time.Time // the last sign of life
	since          time.Time // of the state
	expires        time.Time // of what the state waits for; zero: for nothing
	mark           uint64    // fingerprint of the SCCRQ that opened it
	tie            uint64
	auth           *tunnelAuth // until it is established
	dial           *DialConfig // until it is established
	host           string
	vendor         string
}

func (t *tunnel) secret(e *Endpoint) []byte { return e.secret(t.peer.id) }

// timing returns how this tunnel repeats its messages.
func (t *tunnel) timing(e *Endpoint) Retransmit {
	if t.persona.own {
		return e.cfg.Retransmit
	}
	return t.persona.Retransmit
}

// hello returns the quiet after which this tunnel sends HELLO; 0: never.
func (t *tunnel) hello(e *Endpoint) time.Duration {
	if t.persona.own {
		return max(e.cfg.Hello, 0)
	}
	return t.persona.Hello
}

// newTunnel makes a tunnel and puts it among the peer's.
func (e *Endpoint) newTunnel(now time.Time, id Peer, p *Persona, pinned TunnelID) (*tunnel, error) {
	owner := e.peers[id]
	if owner == nil {
		owner = &peer{id: id}
	}
	local, err := e.newTunnelID(owner, p.TunnelIDs, pinned)
	if err != nil {
		return nil, err
	}
	ours := p.Window
	if p.own {
		ours = e.cfg.ReceiveWindow
	}
	t := &tunnel{peer: owner, persona: p, local: local, heard: now, ch: newChannel(defaultWindow, ours)}
	t.hide = e.cfg.Hide && p.own && len(t.secret(e)) > 0
	owner.tunnels = append(owner.tunnels, t)
	e.peers[id] = owner
	e.stats.Tunnels++
	return t, nil
}

// newTunnelID chooses an ID that is free with this peer.
func (e *Endpoint) newTunnelID(p *peer, how Numbering, pinned TunnelID) (TunnelID, error) {
	id := pinned
	if p.byLocal(pinned) != nil {
		return 0, fmt.Errorf("%w: TunnelID %d is in use", ErrConfig, pinned)
	}
	if id == 0 {
		n, err := e.number(how, uint16(e.lastTunnel))
		if err != nil {
			return 0, err
		}
		id = TunnelID(n)
	}
	for id == 0 || p.byLocal(id) != nil {
		id++
	}
	if how == NumberCounting {
		e.lastTunnel = id
	}
	return id, nil
}

// number draws an identifier in the way of a client; last is the one before.
func (e *Endpoint) number(how Numbering, last uint16) (uint16, error) {
	if how == NumberCounting {
		return last + 1, nil
	}
	var b [2]byte
	if err := e.random(b[:]); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint16(b[:])
	if how == NumberProcess {
		return 300 + n%30000, nil
	}
	return n, nil
}

// setState enters a state; what it waits for expires after the given time, never if 0.
func (t *tunnel) setState(now time.Time, s tunnelState, wait time.Duration) {
	t.state, t.since, t.expires = s, now, time.Time{}
	if wait > 0 {
		t.expires = now.Add(wait)
	}
	if s >= tunnelEstablished {
		t.auth, t.dial = nil, nil
	}
}

// handleSCCRQ serves a peer that opens a tunnel.
func (e *Endpoint) handleSCCRQ(now time.Time, from Peer, m Message) error {
	f, v := readFields(m, e.secret(from))
	if f.tunnel == 0 {
		return ErrMissing // there is no way to answer
	}
	if m.Ns != 0 {
		return ErrSequence
	}
	mark := fingerprint(m)
	if again, err := e.repeated(now, from, f.tunnel, mark); again {
		return err
	}
	if e.loseTie(e.peers[from], &f) {
		return ErrTie
	}
	room := e.makeRoom(now, from)
	t, err := e.newTunnel(now, from, &ownPersona, 0)
	if err != nil {
		return err
	}
	t.mark = mark
	t.ch.nr, t.ch.ackDue = 1, true
	t.learn(&f)
	t.setState(now, tunnelWaitConnect, e.cfg.Setup)
	switch {
	case !room:
		e.stop(now, t, Reason{CauseRefused, MessageStopCCN, Result{StopError, ErrorResources, "no more tunnels of one peer"}})
	case !e.refused(now, t, &f, v):
		err = e.sendSCCRP(t, &f)
	}
	if err != nil {
		e.remove(t)
		return err
	}
	e.transmit(now, t)
	return nil
}

// fingerprint tells two SCCRQs apart that name the same tunnel ID.
func fingerprint(m Message) uint64 {
	h := fnv.New64a()
	var b []byte
	for _, a := range m.AVPs {
		b = appendAVP(b[:0], a)
		h.Write(b)
	}
	return h.Sum64()
}

// repeated deals with an SCCRQ for an ID that the peer's tunnel already has. In the
// handshake the same message is a repetition: our answer was lost, and is sent again.
// After it, it is the peer that restarted and counts anew, and the old tunnel goes
// without a word, because a StopCCN would hit the new one.
func (e *Endpoint) repeated(now time.Time, from Peer, remote TunnelID, mark uint64) (bool, error) {
	p := e.peers[from]
	if p == nil {
		return false, nil
	}
	t := p.accepted(remote)
	switch {
	case t == nil:
		return false, nil
	case t.mark == mark && t.state == tunnelWaitConnect:
		e.stats.Duplicates++
		t.heard = now
		t.ch.sent = 0
		t.ch.ackDue = true
		e.transmit(now, t)
		return true, nil
	case t.mark == mark && now.Sub(t.since) < stale:
		e.stats.Duplicates++
		return true, ErrStale
	}
	e.drop(t, Reason{Cause: CauseReplaced})
	return false, nil
}

// loseTie compares the tie breakers of simultaneous SCCRQs (section 4.4.3): the lower one
// wins, one wins against none, equal ones lose both. It reports whether the peer's
// tunnel loses; ours is dropped if it does. Without any, there will be two tunnels.
func (e *Endpoint) loseTie(p *peer, f *fields) bool {
	if p == nil {
		return false
	}
	theirs := f.has(AttrTieBreaker)
	for _, t := range slices.Clone(p.tunnels) {
		ours := t.tie != 0
		if t.state != tunnelWaitReply || !t.initiator || (!ours && !theirs) {
			continue
		}
		weLose := theirs && (!ours || f.tie <= t.tie)
		theyLose := ours && (!theirs || t.tie <= f.tie)
		if weLose {
			e.drop(t, Reason{Cause: CauseTie})
		}
		if theyLose {
			return true
		}
	}
	return false
}

// makeRoom lets tunnels of the peer give way until a new one fits: closing ones first,
// then the one that is silent longest. One that may be alive does not; then there is
// no room.
func (e *Endpoint) makeRoom(now time.Time, id Peer) bool {
	p := e.peers[id]
	for p != nil && len(p.tunnels) >= e.cfg.MaxTunnels {
		victim := p.tunnels[0]
		for _, t := range p.tunnels[1:] {
			if t.yieldsBefore(victim) {
				victim = t
			}
		}
		if victim.state == tunnelEstablished && now.Sub(victim.heard) < e.quiet() {
			return false
		}
		e.stop(now, victim, Reason{CauseReplaced, MessageStopCCN, Result{}})
		e.drop(victim, Reason{Cause: CauseReplaced})
	}
	return true
}

// quiet is the silence after which a tunnel has left a HELLO unanswered for a while.
func (e *Endpoint) quiet() time.Duration { return max(e.cfg.Hello, 0) + 10*time.Second }

func (t *tunnel) yieldsBefore(o *tunnel) bool {
	if closing := t.state > tunnelEstablished; closing != (o.state > tunnelEstablished) {
		return closing
	}
	return t.heard.Before(o.heard)
}

// learn takes over what SCCRQ or SCCRP say of the peer.
func (t *tunnel) learn(f *fields) {
	t.remote = f.tunnel
	t.host, t.vendor, t.firmware = printable(f.host), printable(f.vendor), f.firmware
	t.ch.setWindow(f.receiveWindow())
}

// refused stops a tunnel whose SCCRQ or SCCRP cannot be agreed to.
func (e *Endpoint) refused(now time.Time, t *tunnel, f *fields, v *violation) bool {
	switch {
	case v != nil:
		e.stop(now, t, Reason{CauseProtocol, MessageStopCCN, v.result()})
	case f.version>>8 != ProtocolVersion>>8:
		e.stop(now, t, Reason{CauseProtocol, MessageStopCCN, Result{Code: StopVersion, Error: ProtocolVersion}})
	case !t.initiator && !e.cfg.Accept:
		e.stop(now, t, Reason{CauseRefused, MessageStopCCN, Result{Code: StopUnauthorized, Message: "tunnels are not served here"}})
	case f.has(AttrChallenge) && len(t.secret(e)) == 0:
		e.stopAuth(now, t, "a challenge, but no secret is known here")
	default:
		return false
	}
	return true
}

func (e *Endpoint) stopAuth(now time.Time, t *tunnel, text string) {
	e.stop(now, t, Reason{CauseAuth, MessageStopCCN, Result{Code: StopUnauthorized, Message: text}})
}

// challenge prepares tunnel authentication where there is a secret: our challenge. The
// answer to the peer's goes into our SCCRP or SCCCN.
func (e *Endpoint) challenge(t *tunnel, size int) error {
	if len(t.secret(e)) == 0 || size == 0 {
		return nil
	}
	t.auth = &tunnelAuth{challenge: make([]byte, size)}
	return e.random(t.auth.challenge)
}

func (e *Endpoint) sendSCCRP(t *tunnel, f *fields) error {
	if err := e.challenge(t, t.persona.Challenge); err != nil {
		return err
	}
	if f.has(AttrChallenge) {
		t.auth.answer(MessageSCCRP, t.secret(e), f.challenge)
	}
	e.send(t, nil, MessageSCCRP, t.persona.sccrp, Result{})
	return nil
}

// handleTunnel takes a message about the tunnel whose turn it is.
func (e *Endpoint) handleTunnel(now time.Time, t *tunnel, kind MessageType, f *fields, v *violation) {
	switch {
	case kind == MessageStopCCN:
		e.handleStopCCN(now, t, f)
	case v != nil && kind != MessageSCCRP:
		e.stop(now, t, Reason{CauseProtocol, MessageStopCCN, v.result()})
	case kind == MessageHELLO:
		// To be acknowledged, and that is all (section 6.5).
	case kind == MessageSCCRP && t.state == tunnelWaitReply:
		e.handleSCCRP(now, t, f, v)
	case kind == MessageSCCCN && t.state == tunnelWaitConnect:
		e.handleSCCCN(now, t, f)
	default:
		// Section 7.2.1: the state tables clear the tunnel.
		e.stop(now, t, Reason{CauseProtocol, MessageStopCCN, Result{Code: StopFSM, Message: "unexpected " + kind.String()}})
	}
}

func (e *Endpoint) handleSCCRP(now time.Time, t *tunnel, f *fields, v *violation) {
	if f.tunnel == 0 {
		e.stop(now, t, Reason{CauseProtocol, MessageStopCCN, Result{StopError, ErrorValue, "SCCRP without Assigned Tunnel ID"}})
		return
	}
	t.learn(f)
	if e.refused(now, t, f, v) || !e.proved(now, t, MessageSCCRP, f) {
		return
	}
	if f.has(AttrChallenge) {
		if t.auth == nil {
			t.auth = &tunnelAuth{}
		}
		t.auth.answer(MessageSCCCN, t.secret(e), f.challenge)
	}
	e.send(t, nil, MessageSCCCN, t.persona.SCCCN, Result{})
	e.establish(now, t)
	if !t.persona.WaitAck {
		e.placeCalls(now, t)
	}
}

// proved checks the answer to our challenge and stops the tunnel if it is wrong.
func (e *Endpoint) proved(now time.Time, t *tunnel, carrier MessageType, f *fields) bool {
	if t.auth == nil || t.auth.challenge == nil {
		return true
	}
	if !f.has(AttrChallengeResponse) {
		e.stopAuth(now, t, "our challenge was not answered")
		return false
	}
	t.proven = t.auth.verify(carrier, t.secret(e), f.response)
	if !t.proven {
		e.stopAuth(now, t, "the answer to our challenge is wrong: the tunnel secrets differ")
	}
	return t.proven
}

func (e *Endpoint) handleSCCCN(now time.Time, t *tunnel, f *fields) {
	if !e.proved(now, t, MessageSCCCN, f) {
		return
	}
	// Android goes on only after an acknowledgement of its own, so it gets it before
	// anything else is sent.
	e.sendZLB(t)
	e.establish(now, t)
}

func (e *Endpoint) establish(now time.Time, t *tunnel) {
	t.setState(now, tunnelEstablished, 0)
	e.watchIdle(now, t)
	t.up = true
	e.events.push(TunnelUp{
		Peer: t.peer.id, Tunnel: t.local, RemoteTunnel: t.remote, Initiator: t.initiator,
		HostName: t.host, Vendor: t.vendor, Firmware: t.firmware,
		Window: t.ch.window, Authenticated: t.proven,
	})
}

// watchIdle bounds the life of an established tunnel that has no calls.
func (e *Endpoint) watchIdle(now time.Time, t *tunnel) {
	if t.state != tunnelEstablished {
		return
	}
	t.expires = time.Time{}
	if len(t.calls) == 0 && e.cfg.Idle > 0 {
		t.expires = now.Add(e.cfg.Idle)
	}
}

// handleStopCCN ends the tunnel; it stays to acknowledge repetitions (section 5.7).
func (e *Endpoint) handleStopCCN(now time.Time, t *tunnel, f *fields) {
	e.sendZLB(t)
	e.end(t, Reason{CausePeer, MessageStopCCN, parseResult(f.resultCode)})
	t.setState(now, tunnelStopped, linger)
	t.ch.abandon()
}

// stop ends the tunnel with a StopCCN, which implies the end of its calls (section 5.7).
// Result code 0 stands for the one that the persona uses.
func (e *Endpoint) stop(now time.Time, t *tunnel, why Reason) {
	if t.state > tunnelEstablished {
		return
	}
	if why.Result.Code == 0 {
		why.Result.Code = t.persona.StopCode
	}
	e.flush(now, t)
	t.ch.dropUnsent()
	if t.remote == 0 {
		t.ch.abandon() // an SCCRQ repeated would open what is to be closed
	}
	t.ch.urgent = true
	e.send(t, nil, MessageStopCCN, t.persona.StopCCN, why.Result)
	e.flush(now, t) // before the owner hears of it and takes the way to the peer down
	e.end(t, why)
	t.setState(now, tunnelStopping, linger)
}

// hangUp closes the tunnel because its owner wants so: CDN for each call, as far as the
// peer's window has room for them before the StopCCN.
func (e *Endpoint) hangUp(now time.Time, t *tunnel, result Result) {
	if t.state > tunnelEstablished {
		return
	}
	room := int(t.ch.window) - len(t.ch.queue)
	for _, c := range t.calls {
		if room--; room > 0 && c.remote != 0 && !(t.initiator && t.persona.StopOnly) {
			e.send(t, c, MessageCDN, t.persona.CDN, Result{Code: ClearAdministrative})
		}
	}
	t.ch.urgent = true
	e.stop(now, t, Reason{CauseLocal, MessageStopCCN, result})
}

// end tells the owner that the tunnel and its calls are over.
func (e *Endpoint) end(t *tunnel, why Reason) {
	if t.state > tunnelEstablished {
		return
	}
	for _, c := range t.calls {
		e.events.push(CallDown{Call: t.key(c), Up: c.state == callUp, Reason: why})
	}
	e.stats.Calls -= len(t.calls)
	t.calls = nil
	e.events.push(TunnelDown{
		Peer: t.peer.id, Tunnel: t.local, Up: t.up, HostName: t.host, Vendor: t.vendor, Reason: why,
	})
}

// drop ends the tunnel without a message and removes it.
func (e *Endpoint) drop(t *tunnel, why Reason) {
	e.end(t, why)
	e.remove(t)
}

// remove takes the tunnel out of all lists.
func (e *Endpoint) remove(t *tunnel) {
	if t.state == tunnelGone {
		return
	}
	t.state = tunnelGone
	e.timers.Stop(t)
	p := t.peer
	p.tunnels = slices.DeleteFunc(p.tunnels, func(o *tunnel) bool { return o == t })
	if len(p.tunnels) == 0 {
		delete(e.peers, p.id)
	}
	e.stats.Tunnels--
}
