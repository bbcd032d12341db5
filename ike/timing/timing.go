package timing

import "time"

// Retransmit is the timing of an exchange that we started.
type Retransmit struct {
	First time.Duration // until the first repetition; doubled each time
	Max   time.Duration // bound of the interval
	Tries int           // repetitions before giving up
}

// Repeater is the retransmission of a message of type T until its answer comes. It
// backs off from Retransmit.First to Retransmit.Max. The zero value waits for nothing.
type Repeater[T any] struct {
	data T
	at   time.Time // zero: nothing waits for an answer
	wait time.Duration
	left int
}

// Start arms r for a message that was just sent and keeps it.
func (r *Repeater[T]) Start(now time.Time, t Retransmit, data T) {
	*r = Repeater[T]{data: data, at: now.Add(t.First), wait: t.First, left: t.Tries}
}

// Stop ends the repetitions: the answer is here.
func (r *Repeater[T]) Stop() { *r = Repeater[T]{} }

// At is when Fire is wanted; zero: not at all.
func (r *Repeater[T]) At() time.Time { return r.at }

// Data is the message that waits for its answer; the zero T if none does.
func (r *Repeater[T]) Data() T { return r.data }

// Fire returns the message to repeat, or false if it is time to give up.
func (r *Repeater[T]) Fire(now time.Time, t Retransmit) (data T, ok bool) {
	if r.left == 0 {
		r.at = time.Time{}
		return data, false
	}
	r.left--
	r.wait = min(2*r.wait, t.Max)
	r.at = now.Add(r.wait)
	return r.data, true
}
