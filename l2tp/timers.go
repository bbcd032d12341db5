package l2tp

import "time"

// timers is a heap of tunnels by their deadline. A tunnel knows its place, which is its
// index plus one; 0: it is not in the heap.
type timers []*tunnel

// arm puts t in, moves it, or takes it out if it has no deadline.
func (h *timers) arm(t *tunnel, at time.Time) {
	if at.IsZero() {
		h.disarm(t)
		return
	}
	t.deadline = at
	if t.place == 0 {
		*h = append(*h, t)
		t.place = len(*h)
	}
	h.fix(t.place - 1)
}

func (h *timers) disarm(t *tunnel) {
	if t.place == 0 {
		return
	}
	i, last := t.place-1, len(*h)-1
	h.swap(i, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	t.place = 0
	if i < last {
		h.fix(i)
	}
}

// first returns the tunnel whose deadline is the earliest, nil if there is none.
func (h timers) first() *tunnel {
	if len(h) == 0 {
		return nil
	}
	return h[0]
}

func (h timers) fix(i int) {
	for i > 0 && h.less(i, (i-1)/2) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h.less(child+1, child) {
			child++
		}
		if !h.less(child, i) {
			return
		}
		h.swap(i, child)
		i = child
	}
}

func (h timers) less(i, j int) bool { return h[i].deadline.Before(h[j].deadline) }

func (h timers) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

// earlier returns the earlier of two times; the zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
