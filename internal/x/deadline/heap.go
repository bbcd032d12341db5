package deadline

import "time"

// Alarm is the deadline of one thing, which embeds it and is a Waiter by that. The
// zero Alarm is in no Heap. It is in one at most.
type Alarm struct {
	at    time.Time
	place int // in the heap, plus one; 0: not in it
}

// Deadline returns when it is set to; zero: it is not set.
func (a *Alarm) Deadline() time.Time { return a.at }

func (a *Alarm) alarm() *Alarm { return a }

// Waiter is what has a deadline: a pointer to what embeds an Alarm.
type Waiter interface{ alarm() *Alarm }

// Heap has the things whose deadline is set, the earliest first. The zero Heap is
// empty and ready for use.
type Heap[T Waiter] struct{ waiting []T }

// Set sets the deadline of x, or takes it out if at is zero.
func (h *Heap[T]) Set(x T, at time.Time) {
	if at.IsZero() {
		h.Stop(x)
		return
	}
	a := x.alarm()
	if a.place > 0 && a.at.Equal(at) {
		return
	}
	a.at = at
	if a.place == 0 {
		h.waiting = append(h.waiting, x)
		a.place = len(h.waiting)
	}
	h.fix(a.place - 1)
}

// Stop takes x out. One that is not in the heap is left as it is.
func (h *Heap[T]) Stop(x T) {
	a := x.alarm()
	if a.place == 0 {
		return
	}
	i, last := a.place-1, len(h.waiting)-1
	h.swap(i, last)
	var none T
	h.waiting[last] = none
	h.waiting = h.waiting[:last]
	*a = Alarm{}
	if i < last {
		h.fix(i)
	}
}

// Len returns how many deadlines are set.
func (h *Heap[T]) Len() int { return len(h.waiting) }

// Due returns what has the earliest deadline if that has come at now.
func (h *Heap[T]) Due(now time.Time) (x T, ok bool) {
	if !Due(now, h.Next()) {
		return x, false
	}
	return h.waiting[0], true
}

// Next returns the earliest deadline; zero: none is set.
func (h *Heap[T]) Next() time.Time {
	if len(h.waiting) == 0 {
		return time.Time{}
	}
	return h.waiting[0].alarm().at
}

// fix moves what is at i to where its deadline belongs.
func (h *Heap[T]) fix(i int) {
	for i > 0 && h.less(i, (i-1)/2) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		child := 2*i + 1
		if child >= len(h.waiting) {
			return
		}
		if child+1 < len(h.waiting) && h.less(child+1, child) {
			child++
		}
		if !h.less(child, i) {
			return
		}
		h.swap(i, child)
		i = child
	}
}

func (h *Heap[T]) less(i, j int) bool {
	return h.waiting[i].alarm().at.Before(h.waiting[j].alarm().at)
}

func (h *Heap[T]) swap(i, j int) {
	h.waiting[i], h.waiting[j] = h.waiting[j], h.waiting[i]
	h.waiting[i].alarm().place, h.waiting[j].alarm().place = i+1, j+1
}
