package access

import (
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
)

// Authority says of those who log in who they are, and what is against them. It is a
// machine: it opens nothing, starts nothing and reads no clock, and belongs to one goroutine.
// What waits for a disk or takes a processor leaves it as Work; what waits for a network is
// its own to repeat, by its Deadline. It answers each Ask once.
type Authority interface {
	// Ask asks who somebody is. The id is the caller's, and of no other login that has
	// no Answer yet. The Proof is the authority's from now on, to be overwritten.
	Ask(now time.Time, id uint64, who Who, p Proof)
	// Worked brings what a login's Work came to.
	Worked(now time.Time, id uint64, j Judgement)
	// Forget says that nobody waits for the answer any more. It still comes, as soon
	// as it can be had, since what somebody tried counts also if he has left.
	Forget(id uint64)
	// Advance does what is due.
	Advance(now time.Time)
	// Deadline is when Advance is wanted; zero: not at all.
	Deadline() time.Time
	// Next returns what the authority wants done, until there is nothing.
	Next() (Event, bool)
}

// Event is what an authority wants done: a Work or an Answer.
type Event interface{ event() }

// Answer is what an authority says of a login. Whoever takes it clears its MSK.
type Answer struct {
	ID uint64
	Judgement
}

func (Answer) event() {}

// Judgement is what was found out about a Proof.
type Judgement struct {
	Refusal Refusal // None: it is right, and the account is in order
	Err     error   // what went wrong, beside that; nil: nothing
	Success string  // of MS-CHAPv2: what shows the client that we know the password, too
	MSK     []byte  // of MSCHAPv2 by EAP; whoever takes it clears it
	Own     *Own    // what he has of his own; nil: nothing, or he does not get in
}

// Outcome is what a judgement says of the password alone.
func (j Judgement) Outcome() Outcome {
	switch j.Refusal {
	case None, Disabled:
		return RightPassword
	case UnknownUser, WrongPassword:
		return PasswordWrong
	}
	return NotJudged
}

// Who is somebody who logs in, as far as his name says it.
type Who struct {
	Tenant  *config.Tenant // nil: his name leads to none
	User    string         // within the tenant
	Names   []string       // others under which he may have an account; nil: none
	Refusal Refusal        // what is against him already; None: nothing
	Err     error          // and why
}

// names are all that he may have an account under.
func (w Who) names() []string { return append([]string{w.User}, w.Names...) }

// queue is what an authority wants done, in the order of its wishes.
type queue struct {
	events []Event
	taken  int
}

func (q *queue) add(e Event) { q.events = append(q.events, e) }

func (q *queue) next() (Event, bool) {
	if q.taken == len(q.events) {
		q.events, q.taken = q.events[:0], 0
		return nil, false
	}
	e := q.events[q.taken]
	q.events[q.taken] = nil
	q.taken++
	return e, true
}
