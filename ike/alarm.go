package ike

import (
	"container/heap"
	"time"
)

// An alarm is the next deadline of one thing (an ISAKMP SA, an exchange, a child
// SA, a peer). Each has one, embedded, and keeps in it the earliest of its own
// deadlines, so that a Server with many thousands of peers finds the next one in
// O(log n).
type alarm struct {
	at    time.Time
	index int // in the heap, plus one; 0: not in it
	due   func(now time.Time)
}

// alarms is a binary heap of the alarms that are set, earliest first.
type alarms []*alarm

func (h alarms) Len() int           { return len(h) }
func (h alarms) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarms) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}
func (h *alarms) Push(x any) {
	a := x.(*alarm)
	*h = append(*h, a)
	a.index = len(*h)
}
func (h *alarms) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	a.index = 0
	return a
}

// set arms a for at; the zero time disarms it.
func (h *alarms) set(a *alarm, at time.Time) {
	switch {
	case at.IsZero():
		h.stop(a)
	case a.index == 0:
		a.at = at
		heap.Push(h, a)
	case !a.at.Equal(at):
		a.at = at
		heap.Fix(h, a.index-1)
	}
}

func (h *alarms) stop(a *alarm) {
	if a.index != 0 {
		heap.Remove(h, a.index-1)
	}
}
