package policy

import (
	"sync"
	"sync/atomic"
)

// Scope is whose limit on flows it is.
type Scope uint8

// The scopes.
const (
	OfSession Scope = iota
	OfTenant
	OfAll // tenants together
)

// Reached is a limit on flows that was reached since that was last told.
type Reached struct {
	Scope   Scope
	User    string // of a session: whose it is; empty: nobody's that rules name
	Session uint64 // 0, of a session: of others, of whom nothing else was told
	Most    int    // flows that the limit leaves; OfAll: beside those that each tenant has for itself
	Pushed  uint64 // flows that made room for others
	Full    uint64 // flows that found no room
}

// reached are the limits on flows that were reached, to be told of: sessions one by one, as
// many in a turn as there is room for. A turn ends when there is room again.
type reached struct {
	turn   atomic.Uint32 // from 0 on; a Party has the next one
	full   atomic.Bool   // there is no room for another session
	mu     sync.Mutex
	kept   [maxNotes]*Party
	n      int
	given  int           // of them, to whoever asked
	others atomic.Uint64 // flows pushed out of sessions that there was no room for
	tenant beyond
	all    beyond
}

// beyond is what has become of flows beyond one limit, and how much of that was told.
type beyond struct {
	pushed, full         atomic.Uint64
	toldPushed, toldFull uint64 // reached.mu is held, as for what follows
	told                 bool   // in this turn
}

// by is a limit of the tenant, or of all.
func (r *reached) by(ofTenant bool) *beyond {
	if ofTenant {
		return &r.tenant
	}
	return &r.all
}

// bySession notes that a session has pushed out a flow of its own; it takes no lock but for
// the first one of a turn.
func (r *reached) bySession(who *Party) {
	if who.told.Load() != r.turn.Load()+1 && !r.keep(who) {
		r.others.Add(1)
		return
	}
	who.pushed.Add(1)
}

// keep has a session be told of in this turn, if there is room.
func (r *reached) keep(who *Party) bool {
	if r.full.Load() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	turn := r.turn.Load() + 1
	if who.told.Load() == turn { // by another worker
		return true
	}
	if r.n == maxNotes {
		return false
	}
	r.kept[r.n] = who
	r.n++
	r.full.Store(r.n == maxNotes)
	who.told.Store(turn)
	return true
}

// Reached returns the limits that were reached since that was last told, each once in a
// turn. With room, the turn ends: what has become of flows since is told as well, and others
// are told of from now on.
func (f *Flows) Reached(room bool) (all []Reached) {
	r := &f.reached
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.given
	if room {
		first = 0
	}
	for _, p := range r.kept[first:r.n] {
		all = appendReached(all, OfSession, p.who(), f.most.Load(), p.pushed.Swap(0), 0)
	}
	r.given = r.n
	all = r.tenant.tell(all, OfTenant, int64(f.bounds.Tenant), room)
	if b := f.bounds.Budget; b != nil {
		all = r.all.tell(all, OfAll, b.size, room)
	}
	if room {
		all = appendReached(all, OfSession, nil, f.most.Load(), r.others.Swap(0), 0)
		clear(r.kept[:r.n])
		r.n, r.given = 0, 0
		r.full.Store(false)
		r.turn.Add(1)
	}
	return all
}

// tell adds a limit that was reached and was not told of in this turn; with room, in any case.
func (b *beyond) tell(all []Reached, of Scope, most int64, room bool) []Reached {
	if b.told && !room {
		return all
	}
	pushed, full := b.pushed.Load(), b.full.Load()
	told := appendReached(all, of, nil, most, pushed-b.toldPushed, full-b.toldFull)
	b.toldPushed, b.toldFull = pushed, full
	b.told = !room && len(told) > len(all)
	return told
}

// appendReached adds a limit, unless nothing came of it.
func appendReached(all []Reached, of Scope, who *Identity, most int64, pushed, full uint64) []Reached {
	if pushed == 0 && full == 0 {
		return all
	}
	r := Reached{Scope: of, Most: int(most), Pushed: pushed, Full: full}
	if who != nil {
		r.User, r.Session = who.User, who.Session
	}
	return append(all, r)
}
