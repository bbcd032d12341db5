package l2tp

import (
	"encoding/binary"
	"fmt"
	"time"
)

// DialConfig is how a LAC dials. The zero value dials as culvert.
type DialConfig struct {
	Persona  *Persona // not copied; nil: culvert itself
	HostName string   // instead of the persona's, or Config's

	Join     TunnelID // place the call in this established tunnel of ours instead of a new one
	TunnelID TunnelID // pins our tunnel ID; 0: the persona's way
	CallID   CallID   // pins our call ID; 0: the persona's way

	TxSpeed     uint32   // bit/s that we claim; 0: the persona's
	Sequencing  bool     // demand sequence numbers in the data of both sides
	Correlation [16]byte // Windows' correlation identifier; zero: a random one
	TieBreaker  bool     // of two simultaneous tunnels between us and the peer keep one

	Timeout time.Duration // until the call must be up; 0: the persona's
}

// Dial opens a tunnel to the peer and a call in it, as LAC. It ends in a CallUp, or in a
// CallDown with the reason, for the returned call.
func (e *Endpoint) Dial(now time.Time, to Peer, d DialConfig) (Call, error) {
	if len(d.HostName) > maxHostName || d.Timeout < 0 {
		return Call{}, fmt.Errorf("%w: HostName or Timeout out of range", ErrConfig)
	}
	if d.Join != 0 {
		return e.join(now, to, &d)
	}
	p := e.peers[to]
	if p != nil && len(p.tunnels) >= e.cfg.MaxTunnels && !e.sweep(p) {
		return Call{}, ErrTooMany
	}
	persona := d.Persona.orOwn()
	t, err := e.newTunnel(now, to, persona, d.TunnelID)
	if err != nil {
		return Call{}, err
	}
	t.initiator, t.dial = true, &d
	c, err := e.openTunnel(now, t, &d)
	if err != nil {
		e.remove(t)
		return Call{}, err
	}
	e.transmit(now, t)
	return t.key(c), nil
}

// sweep removes the oldest tunnel that is over for its owner and only waits for the peer;
// false: there is none.
func (e *Endpoint) sweep(p *peer) bool {
	for _, t := range p.tunnels {
		if t.state > tunnelEstablished {
			e.remove(t)
			return true
		}
	}
	return false
}

// openTunnel queues the call and the SCCRQ.
func (e *Endpoint) openTunnel(now time.Time, t *tunnel, d *DialConfig) (*call, error) {
	if err := e.challenge(t, t.persona.Challenge); err != nil {
		return nil, err
	}
	if d.TieBreaker {
		var b [8]byte
		if err := e.random(b[:]); err != nil {
			return nil, err
		}
		t.tie = max(binary.BigEndian.Uint64(b[:]), 1)
	}
	c, err := e.queueCall(now, t, d)
	if err != nil {
		return nil, err
	}
	t.setState(now, tunnelWaitReply, 0)
	e.sendBurst(t)
	e.send(t, nil, MessageSCCRQ, t.persona.SCCRQ, Result{})
	return c, nil
}

// join places a call in a tunnel that is established.
func (e *Endpoint) join(now time.Time, to Peer, d *DialConfig) (Call, error) {
	t := e.peers[to].byLocal(d.Join)
	if t == nil || t.state != tunnelEstablished {
		return Call{}, ErrUnknownTunnel
	}
	if len(t.calls) >= e.cfg.MaxCalls {
		return Call{}, ErrTooMany
	}
	c, err := e.queueCall(now, t, d)
	if err != nil {
		return Call{}, err
	}
	if !t.persona.WaitAck || t.ch.idle() {
		e.placeCalls(now, t)
	}
	e.transmit(now, t)
	return t.key(c), nil
}

// queueCall makes the call that placeCalls will place.
func (e *Endpoint) queueCall(now time.Time, t *tunnel, d *DialConfig) (*call, error) {
	wait := d.Timeout
	if wait == 0 {
		wait = t.persona.Timeout
	}
	if wait == 0 {
		wait = e.cfg.Setup
	}
	if d.Correlation == [16]byte{} {
		if err := e.random(d.Correlation[:]); err != nil {
			return nil, err
		}
	}
	serial, err := e.newSerial(t.persona.Serials)
	if err != nil {
		return nil, err
	}
	c, err := e.addCall(now, t, t.persona.CallIDs, d.CallID, wait)
	if err != nil {
		return nil, err
	}
	c.serial, c.dial, c.sequencing = serial, d, d.Sequencing
	return c, nil
}

func (e *Endpoint) newSerial(how Numbering) (uint32, error) {
	switch how {
	case NumberZero:
		return 0, nil
	case NumberOne:
		return 1, nil
	case NumberCounting:
		e.lastSerial++
		return e.lastSerial, nil
	}
	var b [4]byte
	err := e.random(b[:])
	return binary.BigEndian.Uint32(b[:]), err
}

// sendBurst sends Apple's HELLOs, which are no part of the channel.
func (e *Endpoint) sendBurst(t *tunnel) {
	for range t.persona.Hellos {
		x := composition{endpoint: e, tunnel: t}
		e.emit(t, x.compose(MessageHELLO, nil))
	}
}
