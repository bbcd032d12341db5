package ike

import (
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// dpd is dead peer detection towards one peer (RFC 3706): questions are asked
// only when the peer has been silent, and only of a peer that understands them.
type dpd struct {
	at       time.Time // when to look again
	sequence uint32
	tries    int32 // questions since the peer was heard
}

// watch begins dead peer detection, if both sides want it.
func (p *peer) watch(now time.Time) {
	if p.policy.DPD <= 0 || !p.features.DPD {
		p.dpd.at = time.Time{}
		return
	}
	p.beginDPD()
	p.dpd.at = p.heardAt.Add(p.policy.DPD)
}

// beginDPD chooses where to count from: "a random number" below the middle of the
// range, so that it can count up (RFC 3706, section 6.2).
func (p *peer) beginDPD() {
	if p.dpd.sequence == 0 {
		p.dpd.sequence = max(p.s.random()>>2, maxUnanswered)
	}
}

// maxUnanswered is how many questions may be answered at a time.
const maxUnanswered = 16

// ask asks a silent peer whether it lives, and gives it up after some questions.
func (p *peer) ask(now time.Time) {
	if quiet := p.heardAt.Add(p.policy.DPD); p.dpd.tries == 0 && quiet.After(now) {
		p.dpd.at = quiet
		return
	}
	tries := p.policy.DPDTries
	if tries <= 0 {
		tries = 5
	}
	if int(p.dpd.tries) >= tries {
		p.end(now, ReasonDead, CauseTimeout, "no answer to dead peer detection", false)
		return
	}
	p.dpd.at = now.Add(min(max(p.policy.DPD/3, time.Second), 10*time.Second))
	cur := p.current()
	if cur == nil {
		return
	}
	p.dpd.tries++
	p.dpd.sequence++
	cur.inform(cur.sa.AreYouThere(wire.NotifyRUThere, p.dpd.sequence))
}
