package gateway

import (
	"time"

	"github.com/culvert-vpn/culvert/internal/event"
)

// room is how full a pool of one family was when somebody was told.
type room struct {
	level level
	at    time.Time // when that was
}

// level is how full a pool is.
type level uint8

// The levels.
const (
	hasRoom    level = iota
	nearlyFull       // nine in ten are taken
	full
)

// A pool that fills and empties again is told of now and then, not each time: in a small one
// each login would be news.
const (
	againFull = 10 * time.Minute // until it is told again that a pool is fuller
	againRoom = time.Minute      // for how long it was told to be full, before it is told that it is not
)

// taken is how many of what a pool of one family leases nobody else can have, and of how many.
func (a *addressPool) taken(six bool) (taken, size int) {
	if six {
		return a.six.Leased() + a.six.Idle(), a.six.Size()
	}
	return a.four.Leased() + a.four.Idle(), a.four.Size()
}

// tellRoom says that a pool of which somebody has been given something is full by that, or
// nearly.
func (a *addressPool) tellRoom(now time.Time, g *server, t *tenantState) {
	a.tellFuller(now, g, t, false)
	if a.six != nil {
		a.tellFuller(now, g, t, true)
	}
}

func (a *addressPool) tellFuller(now time.Time, g *server, t *tenantState, six bool) {
	taken, size := a.taken(six)
	r, is := a.roomOf(six), hasRoom
	switch {
	case taken >= size:
		is = full
	case taken*10 >= size*9:
		is = nearlyFull
	}
	if is <= r.level || r.level == hasRoom && !r.at.IsZero() && now.Sub(r.at) < againFull {
		return
	}
	*r = room{is, now}
	if is == full {
		g.emit(event.PoolFull{Tenant: t.Name, Pool: a.Name, What: what(six), Size: size,
			Hint: "who logs in and has nothing of his own there is refused, or gets no IPv6: enlarge the pool; `culvert pools --leases` shows who has what"})
		return
	}
	g.emit(event.PoolNearlyFull{Tenant: t.Name, Pool: a.Name, What: what(six), Taken: taken, Size: size,
		Hint: "enlarge the pool before it is full; `culvert pools` shows how it is used"})
}

// lookAtRoom says of the pools, which are a tenant's, that they are full, or nearly, or are not any more.
func (p *pools) lookAtRoom(now time.Time, g *server, t *tenantState) {
	for _, a := range p.all {
		a.tellRoom(now, g, t)
		for _, six := range []bool{false, true} {
			r := a.roomOf(six)
			if r.level == hasRoom || now.Sub(r.at) < againRoom || six && a.six == nil {
				continue
			}
			if taken, size := a.taken(six); taken*10 < size*8 {
				r.level = hasRoom
				g.emit(event.PoolHasRoom{Tenant: t.Name, Pool: a.Name, What: what(six), Taken: taken, Size: size})
			}
		}
	}
}

func (a *addressPool) roomOf(six bool) *room {
	if six {
		return &a.room[1]
	}
	return &a.room[0]
}

func what(six bool) string {
	if six {
		return "prefixes"
	}
	return "addresses"
}
