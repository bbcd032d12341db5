package ike

import (
	"bytes"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// handleInformational takes an informational message. What is not protected is
// only counted: anybody could have written it.
func (s *Server) handleInformational(now time.Time, m message) error {
	i := s.find(m.header)
	if i == nil {
		return ErrUnknownSA
	}
	if m.header.Flags&wire.FlagEncryption == 0 {
		return i.handleUnprotected(now, m)
	}
	if i.state == negotiating && i.initiator {
		return i.handleRefusal(now, m)
	}
	if i.state != standing && i.state != extending {
		return ErrState
	}
	if i.used(uint32(m.header.MessageID)) {
		return ErrDuplicate
	}
	chain, err := i.sa.OpenInform(m.header, m.body)
	if err != nil {
		return dropped(err)
	}
	i.remember(now, uint32(m.header.MessageID))
	if !i.current(now, m.path, chain) {
		return ErrDuplicate
	}
	i.met(now, m.path)
	for _, p := range chain {
		if err := i.handleNews(now, m.path, p); err != nil {
			return err
		}
		if i.state == gone {
			return nil
		}
	}
	return nil
}

// current reports whether an authentic message is none that was held back: what it says
// of dead peer detection is not old.
func (i *isakmp) current(now time.Time, path Path, chain []wire.Payload) bool {
	for _, p := range chain {
		if p.Type != wire.PayloadNotify || i.state != standing {
			continue
		}
		n, err := wire.ConsumeNotify(p.Body)
		sequence, ok := n.Sequence()
		switch {
		case err != nil || !ok:
		case n.Type == wire.NotifyRUThere && !i.asksFresh(sequence):
			return false
		case n.Type == wire.NotifyRUThereAck && !i.peer.answered(now, path, sequence):
			return false
		}
	}
	return true
}

// handleUnprotected takes an unprotected message. Only while a dialler has no
// keys yet a refusal is believed: nobody could have protected it, and it repeats
// our random cookie.
func (i *isakmp) handleUnprotected(now time.Time, m message) error {
	chain, err := wire.ParsePayloads(nil, m.header.Version, m.header.Next, m.body)
	if err != nil {
		return malformed(err)
	}
	p, ok := wire.Find(chain, wire.PayloadNotify)
	if !ok || !i.initiator || i.state != negotiating {
		return ErrUnprotected
	}
	n, err := wire.ConsumeNotify(p.Body)
	if err != nil {
		return malformed(err)
	}
	if !n.Type.IsError() {
		return ErrUnprotected
	}
	i.hint = n.Type
	cause, what := CauseNoProposal, " to what we offered"
	if n.Type == wire.NotifyUnsupportedExchange && i.phase1.Aggressive() {
		cause, what = CauseRefused, " to aggressive mode"
	} else if n.Type != wire.NotifyNoProposalChosen {
		return ErrUnprotected
	}
	if i.phase1.Keyed() {
		return ErrUnprotected
	}
	peer := i.peer
	i.forget()
	peer.mainFailed(now, i, cause, "the other side answered "+n.Type.String()+what)
	return nil
}

// handleNews takes one payload of an authentic informational message. Unknown
// ones are ignored, as "implementations MUST" ignore unknown status types
// (RFC 2408, section 3.14).
func (i *isakmp) handleNews(now time.Time, path Path, p wire.Payload) error {
	switch p.Type {
	case wire.PayloadNotify:
		n, err := wire.ConsumeNotify(p.Body)
		if err != nil {
			return malformed(err)
		}
		i.handleNotify(now, path, n)
	case wire.PayloadDelete:
		d, err := wire.ConsumeDelete(p.Body)
		if err != nil {
			return malformed(err)
		}
		i.handleDelete(now, d)
	}
	return nil
}

func (i *isakmp) handleNotify(now time.Time, path Path, n wire.Notify) {
	switch {
	case n.Type == wire.NotifyRUThere:
		if sequence, ok := n.Sequence(); ok {
			i.informAt(path, i.sa.AreYouThere(wire.NotifyRUThereAck, sequence))
			if p := i.peer; i.state == standing && p.dial == nil && p.path != path && path.NATT {
				p.askRoute(now, path) // it says nothing yet that it is there
			}
		}
	case n.Type == wire.NotifyInitialContact && i.state == extending:
		i.contact = true
	case n.Type == wire.NotifyInitialContact:
		i.peer.initialContact(now, i)
	case n.Type.IsError() && i.state == extending:
		i.loginOver(now, CauseRefused, "instead of a login the other side sent "+n.Type.String())
	case n.Type.IsError():
		i.refused(now, n.Type)
	}
}

// initialContact drops what is older than the SA under which the peer says that
// it remembers nothing.
func (p *peer) initialContact(now time.Time, newest *isakmp) {
	if p.dial != nil {
		return
	}
	for n := len(p.ikes) - 1; n >= 0; n-- {
		if i := p.ikes[n]; i.established.Before(newest.established) {
			i.forget()
		}
	}
	for n := len(p.children) - 1; n >= 0; n-- {
		if c := p.children[n]; c.made.Before(newest.established) {
			c.remove()
		}
	}
	p.reap(now, ReasonReplaced)
}

// refused takes an authentic refusal of the quick mode that we run.
func (i *isakmp) refused(now time.Time, why wire.NotifyType) {
	cause := CauseRefused
	switch why {
	case wire.NotifyNoProposalChosen:
		cause = CauseNoESPProposal
	case wire.NotifyInvalidIDInformation:
		cause = CauseSelectors
	}
	for _, q := range i.quicks {
		if q.initiator && !q.done {
			q.forget()
			i.peer.quickFailed(now, q, cause, "the other side answered "+why.String())
			return
		}
	}
}

// handleDelete forgets what the peer says it has deleted.
func (i *isakmp) handleDelete(now time.Time, d wire.Delete) {
	p := i.peer
	if i.state == extending { // it may speak of itself only
		if d.Protocol == wire.ProtocolISAKMP && bytes.Equal(d.SPIs, wire.CookieSPI(i.key.i, i.key.r)) {
			i.loginOver(now, CauseRefused, "the other side went away before the login")
		}
		return
	}
	for spi := range d.All() {
		switch {
		case d.Protocol == wire.ProtocolESP && len(spi) == 4:
			p.childDeleted(now, spiOf([4]byte(spi)))
		case d.Protocol == wire.ProtocolISAKMP && len(spi) == 16:
			p.ikeDeleted(now, cookies{wire.Cookie(spi[:8]), wire.Cookie(spi[8:])})
		}
		if p.closed {
			return
		}
	}
}

// childDeleted takes the SPI on which the peer receives no more: ours outbound.
func (p *peer) childDeleted(now time.Time, out SPI) {
	for _, c := range p.children {
		if c.out == out {
			c.deletedByPeer(now)
			return
		}
	}
}

// ikeDeleted forgets an ISAKMP SA. Child SAs stay: some clients delete it as part
// of renewing it.
func (p *peer) ikeDeleted(now time.Time, key cookies) {
	for _, i := range p.ikes {
		if i.key == key && i.state == standing {
			i.drop(now, ReasonDeleted)
			return
		}
	}
}
