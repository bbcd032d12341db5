package access

import (
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Guessing is seen as what it is, whatever part of it is held up: many passwords of one user,
// or a few of each of many users, from wherever they come. Only passwords that were wrong and
// were not followed by a right one from the same source count: people mistype.

const (
	// guessTime is after how long without another wrong password a user is not guessed at any
	// more.
	guessTime = time.Hour
	// fewTries is how many passwords of a user are few, as who sprays has it.
	fewTries = 5
	// manySources is from how many sources wrong passwords of one user come who is guessed at,
	// however few they are.
	manySources = 10
	// maxGuessed bounds the users of whom wrong passwords are counted, maxOfTenant those of one
	// tenant; maxSources the sources that are counted of a user, maxSpraying those of a tenant.
	maxGuessed  = 1 << 15
	maxOfTenant = 1 << 13
	maxSources  = 16
	maxSpraying = 1 << 10
	// maxSample is how many sources a Sign names.
	maxSample = 8
	// tellSpraying and tellBruteForce are how often it is said that it goes on.
	tellSpraying   = 10 * time.Minute
	tellBruteForce = time.Hour
	// maxName bounds what is kept of a user's name, in bytes.
	maxName = 128
)

// Sign says that passwords are guessed at.
type Sign struct {
	Spraying bool   // of many users, a few of each; else many of one
	State    string // begun, goes-on, over
	Tenant   string // empty: the names lead to none
	User     string // not of Spraying
	Users    int    // of Spraying
	Tries    int
	Sources  int // addresses, of IPv6 /64; no more than are counted: 16 of a user, 1024 of a tenant
	Sample   []netip.Prefix
	Untold   int // others of whom nothing was said, as it was too many at a time
}

// The states of a Sign.
const (
	begun  = "begun"
	goesOn = "goes-on"
	isOver = "over"
)

// guesses are the wrong passwords that were not followed by right ones.
type guesses struct {
	now     time.Time // of what is under way
	users   *simplelru.LRU[scoreKey, *guessed]
	tenants map[string]*sprayed
	lines   *rate.Limiter // of what is said of single users
	untold  int
	tell    func(Sign)
}

// guessed is a user whose passwords were wrong.
type guessed struct {
	of          *sprayed
	user        string
	tries       int
	sources     []tried
	first, last time.Time
	begun, told bool
	toldAt      time.Time
}

// tried is how many of them came from a source.
type tried struct {
	source netip.Prefix
	tries  int
}

// sprayed is a tenant with such users.
type sprayed struct {
	tenant  string
	all     int // users of whom wrong passwords are counted
	few     int // of all, those with a few
	sources *simplelru.LRU[netip.Prefix, time.Time]
	begun   bool
	most    int // limits.lockout.spraying, as it was then
	toldAt  time.Time
	users   int // since it has begun
	tries   int // likewise
}

func newGuesses(tell func(Sign)) *guesses {
	g := &guesses{tenants: make(map[string]*sprayed), lines: rate.NewLimiter(rate.Every(10*time.Second), 20), tell: tell}
	g.users, _ = simplelru.NewLRU[scoreKey, *guessed](maxGuessed, func(_ scoreKey, u *guessed) { g.leave(u) })
	return g
}

// tenant is that of an attempt.
func (g *guesses) tenant(a *Attempt) *sprayed {
	t := g.tenants[a.Tenant]
	if t == nil {
		t = &sprayed{tenant: a.Tenant}
		t.sources, _ = simplelru.NewLRU[netip.Prefix, time.Time](maxSpraying, nil)
		g.tenants[a.Tenant] = t
	}
	return t
}

// wrong counts a wrong password.
func (g *guesses) wrong(now time.Time, a *Attempt) {
	g.expire(now)
	u, known := g.users.Get(a.key(scoreUser))
	if !known {
		t := g.tenant(a)
		if t.all >= maxOfTenant {
			return
		}
		u = &guessed{of: t, user: a.User[:min(len(a.User), maxName)], first: now}
		t.all++
		t.users++
		g.users.Add(a.key(scoreUser), u)
	}
	if !u.begun && now.Sub(u.first) >= guessTime {
		u.first, u.sources = now, nil
		u.set(0)
	}
	u.of.sources.Add(a.Source(), now)
	g.try(now, a, u)
	g.lookSpraying(now, a, u.of)
}

// unseen counts a password that was not looked at, of somebody whose others were wrong.
func (g *guesses) unseen(now time.Time, a *Attempt) {
	g.expire(now)
	if u, known := g.users.Get(a.key(scoreUser)); known {
		u.of.sources.Add(a.Source(), now)
		g.try(now, a, u)
	}
}

// try counts a try, and says when it is too many.
func (g *guesses) try(now time.Time, a *Attempt, u *guessed) {
	u.last = now
	u.of.tries++
	u.set(u.tries + 1)
	source := a.Source()
	if n := slices.IndexFunc(u.sources, func(t tried) bool { return t.source == source }); n >= 0 {
		u.sources[n].tries++
	} else if len(u.sources) < maxSources {
		u.sources = append(u.sources, tried{source, 1})
	}
	most := a.Lockout.BruteForce
	switch {
	case u.begun && u.told && now.Sub(u.toldAt) >= tellBruteForce:
		g.say(u, goesOn)
	case !u.begun && most > 0 && (u.tries >= most || len(u.sources) >= manySources):
		u.begun = true
		if u.told = g.lines.AllowN(now, 1); !u.told {
			g.untold++
			return
		}
		g.say(u, begun)
	}
}

// set notes how many tries there are of a user.
func (u *guessed) set(tries int) {
	if u.isFew() {
		u.of.few--
	}
	u.tries = tries
	if u.isFew() {
		u.of.few++
	}
}

func (u *guessed) isFew() bool { return u.tries > 0 && u.tries <= fewTries }

// right forgets what was wrong from where the right password has come now.
func (g *guesses) right(now time.Time, a *Attempt) {
	g.expire(now)
	u, known := g.users.Peek(a.key(scoreUser))
	if !known || u.begun {
		return
	}
	source := a.Source()
	n := slices.IndexFunc(u.sources, func(t tried) bool { return t.source == source })
	if n < 0 || u.sources[n].tries > fewTries { // nobody mistypes so often: it is another
		return
	}
	u.set(u.tries - u.sources[n].tries)
	u.sources = slices.Delete(u.sources, n, n+1)
	if u.tries <= 0 {
		u.of.users--
		g.users.Remove(a.key(scoreUser))
	}
}

// lookSpraying says when passwords of so many users were tried that they are sprayed.
func (g *guesses) lookSpraying(now time.Time, a *Attempt, t *sprayed) {
	most := a.Lockout.Spraying
	switch {
	case t.begun && now.Sub(t.toldAt) >= tellSpraying:
		g.saySpraying(now, t, goesOn)
	case !t.begun && most > 0 && t.few >= most:
		t.begun, t.most, t.users, t.tries = true, most, t.few, 0
		for _, u := range g.users.Values() {
			if u.of == t {
				t.tries += u.tries
			}
		}
		g.saySpraying(now, t, begun)
	}
}

// sprayed reports whether passwords are being sprayed at the tenant of an attempt.
func (g *guesses) sprayed(a *Attempt) bool {
	t := g.tenants[a.Tenant]
	return t != nil && t.begun
}

// expire forgets who was not tried any more for a while.
func (g *guesses) expire(now time.Time) {
	for g.now = now; ; {
		_, u, ok := g.users.GetOldest()
		if !ok || now.Sub(u.last) < guessTime {
			return
		}
		g.users.RemoveOldest()
	}
}

// leave is the end of a user's count.
func (g *guesses) leave(u *guessed) {
	t := u.of
	t.all--
	tries := u.tries
	u.set(0)
	if u.tries = tries; u.begun && u.told {
		g.say(u, isOver)
	}
	if t.begun && t.few <= t.most/2 {
		g.saySpraying(g.now, t, isOver)
		t.begun = false
	}
	if t.all == 0 {
		delete(g.tenants, t.tenant)
	}
}

// say tells of a user.
func (g *guesses) say(u *guessed, state string) {
	u.toldAt = g.now
	s := Sign{State: state, Tenant: u.of.tenant, User: u.user, Tries: u.tries, Sources: len(u.sources), Untold: g.untold}
	g.untold = 0
	most := slices.SortedStableFunc(slices.Values(u.sources), func(a, b tried) int { return b.tries - a.tries })
	for _, t := range most[:min(len(most), maxSample)] {
		s.Sample = append(s.Sample, t.source)
	}
	g.tell(s)
}

// saySpraying tells of a tenant, with the sources that were last.
func (g *guesses) saySpraying(now time.Time, t *sprayed, state string) {
	t.toldAt = now
	if state != isOver {
		for {
			_, last, ok := t.sources.GetOldest()
			if !ok || now.Sub(last) < guessTime {
				break
			}
			t.sources.RemoveOldest()
		}
	}
	all := t.sources.Keys()
	s := Sign{Spraying: true, State: state, Tenant: t.tenant, Users: t.users, Tries: t.tries, Sources: len(all)}
	s.Sample = slices.Clone(all[max(0, len(all)-maxSample):])
	g.tell(s)
}

func (Sign) finding() {}
