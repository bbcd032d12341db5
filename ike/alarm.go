package ike

import (
	"time"

	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// An alarm is the next deadline of one thing (an ISAKMP SA, an exchange, a child
// SA, a peer). Each has one, embedded, and keeps in it the earliest of its own
// deadlines, so that a Server with many thousands of peers finds the next one in
// O(log n).
type alarm struct {
	deadline.Alarm
	due func(now time.Time)
}
