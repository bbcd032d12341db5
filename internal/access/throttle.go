package access

import (
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Wrong passwords, counted for whoever has the key already. Each one counts for the
// device it came from, for the user from its address and from its network, for the device
// with all users, for the address, and for the user from everywhere; what a count allows grows in that
// order, so that a guesser is stopped long before anybody beside him is. Counts that
// are too high make logins wait, then refuse them without a look at the password.
//
// A device whose user was in before from its address is held up by its own wrong
// passwords alone, whatever is tried beside it or elsewhere; another device of his
// there not by what is tried elsewhere.

const (
	// forgetOwn is how long until all failures that are free are forgotten of one user
	// and device, forgetOthers of the counts that are for more.
	forgetOwn    = 15 * time.Minute
	forgetOthers = time.Hour
	// failureStep is how much longer each failure beyond those that are free makes the
	// next login wait, up to LongestDelay; after patientFailures of them it is refused.
	failureStep     = 500 * time.Millisecond
	patientFailures = 4
	// askAgain is when a login asks once more that waits for what others come to, later
	// each time, and askLongest how long it does.
	askAgain   = 20 * time.Millisecond
	askLongest = 10 * time.Second
	// atOnce is how many times the free failures may be looked at at a time where
	// there was no failure: right logins come in crowds.
	atOnce = 4

	maxScores = 1 << 16
	// maxKnown is how many users are known who were in, and maxPlaces the devices and
	// addresses of each: who logs in by ever others has those of nobody else forgotten.
	maxKnown  = 1 << 15
	maxPlaces = 32
	knownTime = 30 * 24 * time.Hour
)

// LongestDelay is how long a login waits at most since it was asked for, and how soon one is
// refused that is not looked at.
const LongestDelay = 2 * time.Second

// score is a count of failures.
type score struct {
	failures float64 // as of at; they are forgotten evenly
	at       time.Time
	told     bool // the log knows
}

// level is how many failures are not forgotten yet: none where nothing was counted, and s
// is nil.
func (s *score) level(now time.Time, k scoreKind, free float64) float64 {
	if s == nil {
		return 0
	}
	forget := forgetOthers
	if k == scoreDeviceUser {
		forget = forgetOwn
	}
	return max(0, s.failures-free*now.Sub(s.at).Seconds()/forget.Seconds())
}

// Throttle counts wrong passwords. It belongs to one goroutine.
type Throttle struct {
	scores   *simplelru.LRU[scoreKey, *score]
	known    *simplelru.LRU[scoreKey, []place] // from where users were in
	asking   map[scoreKey]int32                // logins whose password is being looked at
	lines    *rate.Limiter                     // of the log
	suspects *suspects
	guesses  *guesses
	signs    []Finding // that nobody has taken yet
}

// NewThrottle returns one that has counted nothing.
func NewThrottle() *Throttle {
	scores, _ := simplelru.NewLRU[scoreKey, *score](maxScores, nil) // it fails for sizes below 1
	known, _ := simplelru.NewLRU[scoreKey, []place](maxKnown, nil)
	t := &Throttle{scores: scores, known: known, asking: map[scoreKey]int32{}, lines: rate.NewLimiter(1, 20)}
	t.suspects = newSuspects(func(l Lock) { t.signs = append(t.signs, l) })
	t.guesses = newGuesses(func(s Sign) { t.signs = append(t.signs, s) })
	return t
}

// place is a device or an address that a user was in from.
type place struct {
	key  scoreKey
	last int64 // when, in seconds since 1970
}

// wasIn reports whether a login of that kind succeeded, not too long ago.
func (t *Throttle) wasIn(now time.Time, a *Attempt, k scoreKind) bool {
	places, _ := t.known.Get(a.key(scoreUser))
	n := slices.IndexFunc(places, func(p place) bool { return p.key == a.key(k) })
	return n >= 0 && now.Sub(time.Unix(places[n].last, 0)) < knownTime
}

// meet notes that one has. Of too many places of a user the one gives way where he was last
// the longest ago.
func (t *Throttle) meet(now time.Time, a *Attempt, k scoreKind) {
	places, _ := t.known.Get(a.key(scoreUser))
	places = slices.DeleteFunc(places, func(p place) bool { return p.key == a.key(k) })
	if len(places) == maxPlaces {
		places = slices.Delete(places, 0, 1)
	}
	t.known.Add(a.key(scoreUser), append(places, place{a.key(k), now.Unix()}))
}

// What attempts are judged by: the counts of those whose device was in before, of those
// whose user was from their address, and of others.
var (
	ofKnownDevices   = []scoreKind{scoreDeviceUser}
	ofKnownAddresses = []scoreKind{scoreDeviceUser, scoreSourceUser, scoreDevice, scoreSource}
	ofStrangers      = []scoreKind{scoreDeviceUser, scoreSourceUser, scoreNetworkUser, scoreDevice, scoreSource, scoreUser}
)

// judged are the counts that an attempt is judged by.
func (t *Throttle) judged(now time.Time, a *Attempt) []scoreKind {
	switch {
	case t.wasIn(now, a, scoreDeviceUser):
		return ofKnownDevices
	case t.wasIn(now, a, scoreSourceUser):
		return ofKnownAddresses
	}
	return ofStrangers
}

// Ruling is what becomes of an attempt.
type Ruling struct {
	Wait   time.Duration // ask again after that
	Refuse bool
	Busy   bool   // refuse it, since too many others are being looked at for too long
	By     string // what is held up, in words
	Tell   bool   // the log is to know
}

// Ask decides whether the password of an attempt is looked at now: if the Ruling is
// zero, it is, and Settle must follow.
func (t *Throttle) Ask(now time.Time, a *Attempt) Ruling {
	if a.Free <= 0 {
		return Ruling{}
	}
	kinds := t.judged(now, a)
	var least time.Duration
	busy := false
	for _, k := range kinds {
		s, _ := t.scores.Get(a.key(k))
		asking := float64(t.asking[a.key(k)])
		free := a.free(k)
		over := s.level(now, k, free) - free
		switch {
		case over >= patientFailures:
			t.Unseen(now, a)
			if len(kinds) > len(ofKnownDevices) {
				t.suspects.lockFor(a, k)
			}
			return Ruling{Refuse: true, By: k.String(), Tell: t.tells(now, s)}
		case over >= 0:
			least = max(least, min(LongestDelay, time.Duration((over+1)*float64(failureStep))))
			busy = busy || asking > 0
		case over > -free:
			busy = busy || over+asking >= 0
		default:
			busy = busy || asking >= atOnce*free
		}
	}
	waited := now.Sub(a.Began)
	switch {
	case waited < least:
		return Ruling{Wait: least - waited}
	case busy && waited > askLongest:
		return Ruling{Busy: true}
	case busy:
		return Ruling{Wait: max(askAgain, waited/2)}
	}
	a.asking = kinds
	for _, k := range kinds {
		t.asking[a.key(k)]++
	}
	return Ruling{}
}

// tells reports whether the log is to know that a count holds logins up: once until
// it has fallen, and not too often in all.
func (t *Throttle) tells(now time.Time, s *score) bool {
	if s.told || !t.lines.AllowN(now, 1) {
		return false
	}
	s.told = true
	return true
}

// score returns a count and makes it if it is not there.
func (t *Throttle) score(now time.Time, key scoreKey) *score {
	s, ok := t.scores.Get(key)
	if !ok {
		s = &score{at: now}
		t.scores.Add(key, s)
	}
	return s
}

// Outcome is what the look at a password came to.
type Outcome uint8

// The outcomes.
const (
	NotJudged Outcome = iota // something else was against the login
	PasswordWrong
	RightPassword
)

// Settle notes what an attempt that was let through came to.
func (t *Throttle) Settle(now time.Time, a *Attempt, o Outcome) {
	for _, k := range a.asking {
		if n := t.asking[a.key(k)]; n > 1 {
			t.asking[a.key(k)] = n - 1
		} else {
			delete(t.asking, a.key(k))
		}
	}
	a.asking = nil
	t.guess(now, a, o)
	if a.Free <= 0 {
		return
	}
	switch o {
	case PasswordWrong:
		for k := range scoreKinds {
			t.fail(now, a, k)
		}
	case RightPassword:
		t.scores.Remove(a.key(scoreDeviceUser))
		t.meet(now, a, scoreDeviceUser)
		t.meet(now, a, scoreSourceUser)
	}
}

// guess counts who is guessed at, and who guesses: not a device that was in before, which has
// an old password.
func (t *Throttle) guess(now time.Time, a *Attempt, o Outcome) {
	switch {
	case !a.Client.IsValid(): // there was no password to guess
	case o == RightPassword:
		t.guesses.right(now, a)
		t.suspects.welcome(now, a)
	case o == PasswordWrong && !t.Known(now, a):
		t.guesses.wrong(now, a)
		if a.Free > 0 {
			t.suspects.wrong(now, a, t.guesses.sprayed(a))
		}
	}
}

// Welcome notes that a client of a tenant is in, whatever proved him: his address is not locked
// out as a whole for what others there try.
func (t *Throttle) Welcome(now time.Time, tenant string, client netip.AddrPort) {
	t.suspects.welcome(now, &Attempt{Client: client, Tenant: tenant})
}

// Unseen counts a login that is refused without a look at the password.
func (t *Throttle) Unseen(now time.Time, a *Attempt) {
	if !t.Known(now, a) {
		t.guesses.unseen(now, a)
	}
}

// Advance forgets what is over.
func (t *Throttle) Advance(now time.Time) { t.guesses.expire(now) }

func (t *Throttle) fail(now time.Time, a *Attempt, k scoreKind) {
	s := t.score(now, a.key(k))
	free := a.free(k)
	level := s.level(now, k, free)
	s.told = s.told && level >= free
	s.failures, s.at = level+1, now
}

// Known reports whether the device of an attempt was in before as its user: it is held up by its
// own wrong passwords alone.
func (t *Throttle) Known(now time.Time, a *Attempt) bool { return t.wasIn(now, a, scoreDeviceUser) }

// Forgive forgets what has led to a Lock that is taken back: else the next wrong password would
// lead to it again, and the right one would be refused unseen.
func (t *Throttle) Forgive(l Lock) {
	a := &Attempt{Client: netip.AddrPortFrom(l.Source.Addr(), 0), Tenant: l.Tenant, User: l.User, Device: l.Device}
	kind := scoreSource
	switch {
	case l.User != "" && l.Device != "":
		kind = scoreDeviceUser
	case l.User != "":
		kind = scoreSourceUser
	case l.Device != "":
		kind = scoreDevice
	}
	t.scores.Remove(a.key(kind))
	if h, known := t.suspects.known.Peek(a.key(kind)); known {
		h.users, h.devices = nil, nil
	}
}

// Next returns what a Throttle has found out, until there is nothing: a Lock, or a Sign.
func (t *Throttle) Next() (Finding, bool) {
	if len(t.signs) == 0 {
		return nil, false
	}
	f := t.signs[0]
	if t.signs = t.signs[1:]; len(t.signs) == 0 {
		t.signs = nil
	}
	return f, true
}
