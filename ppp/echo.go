package ppp

import (
	"encoding/binary"
	"time"

	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// echo asks a silent peer whether it lives (RFC 1661 section 5.8). Whatever it sends
// counts as life: a peer with traffic is never asked.
type echo struct {
	interval time.Duration // of silence; negative: never ask
	failures uint8         // questions in a row without an answer that end the link
	missed   uint8
	deadline time.Time
}

func (e *echo) start(now time.Time) {
	e.missed = 0
	if e.interval > 0 {
		e.deadline = now.Add(e.interval)
	}
}

func (e *echo) stop() { e.deadline = time.Time{} }

func (e *echo) advance(l *Link, now time.Time) {
	if !deadline.Due(now, e.deadline) {
		return
	}
	if quiet := now.Sub(l.heardAt); quiet < e.interval {
		e.missed = 0
		e.deadline = l.heardAt.Add(e.interval)
		return
	}
	if e.missed >= e.failures {
		e.stop()
		l.fail(now, because(CauseEcho, ""))
		return
	}
	e.missed++
	e.deadline = now.Add(e.interval)
	l.AskEcho()
}

// AskEcho asks the peer at once whether it lives, if LCP is open. Heard tells when it
// has answered; nothing ends if it does not.
func (l *Link) AskEcho() {
	if l.lcp.state != stateOpened {
		return
	}
	b := startFrame(ProtocolLCP, echoRequest, l.lcp.nextID())
	l.send(finishFrame(binary.BigEndian.AppendUint32(b, l.lcp.magic)))
}

// Heard is when the peer last showed life, as far as the link was told.
func (l *Link) Heard() time.Time { return l.heardAt }
