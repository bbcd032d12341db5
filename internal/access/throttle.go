package access

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/culvert-vpn/culvert/internal/config"
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
	maxKnown  = 1 << 16
	knownTime = 30 * 24 * time.Hour
)

// LongestDelay is how long a login waits at most since it was asked for, and how soon one is
// refused that is not looked at.
const LongestDelay = 2 * time.Second

// scoreKind is what failures are counted for.
type scoreKind uint8

const (
	scoreDeviceUser  scoreKind = iota // one user from one device
	scoreSourceUser                   // one user from one address
	scoreNetworkUser                  // one user from one network, of which one customer may have all
	scoreDevice                       // one device, whatever the user
	scoreSource                       // one address, whatever the device and the user
	scoreUser                         // one user, from everywhere
	scoreKinds
)

// free is how many failures a kind of count has free: a multiple of
// limits.login_failures.
func (a *Attempt) free(k scoreKind) float64 {
	return float64(a.Free) * [scoreKinds]float64{1, 4, 6, 8, 40, 20}[k]
}

// String says in the log what is held up.
func (k scoreKind) String() string {
	return [scoreKinds]string{"this user from this device", "this user from this address", "this user from this network", "this device", "unknown users from this address",
		"this user from unknown addresses"}[k]
}

// Attempt is one password that a client tries.
type Attempt struct {
	Client netip.AddrPort // where it comes from
	Device string         // what its device calls itself in IKE
	Tenant string         // empty: the name leads to none
	User   string
	Free   int       // limits.login_failures of the tenant; 0: nothing is held up
	Began  time.Time // when it was asked for first

	counts []*score // where it is counted as being asked about
}

// score is a count of failures.
type score struct {
	key      scoreKey
	failures float64 // as of at; they are forgotten evenly
	at       time.Time
	asking   int  // logins whose password is being looked at
	told     bool // the log knows
}

// level is how many failures are not forgotten yet.
func (s *score) level(now time.Time, k scoreKind, free float64) float64 {
	forget := forgetOthers
	if k == scoreDeviceUser {
		forget = forgetOwn
	}
	return max(0, s.failures-free*now.Sub(s.at).Seconds()/forget.Seconds())
}

// scoreKey is a hash: names of any length, and none that anybody can choose to collide.
type scoreKey [16]byte

// Throttle counts wrong passwords. It belongs to one goroutine.
type Throttle struct {
	scores *simplelru.LRU[scoreKey, *score]
	known  *simplelru.LRU[scoreKey, time.Time] // who was in, and when last
	lines  *rate.Limiter                       // of the log
}

// NewThrottle returns one that has counted nothing.
func NewThrottle() *Throttle {
	scores, _ := simplelru.NewLRU[scoreKey, *score](maxScores, nil) // it fails for sizes below 1
	known, _ := simplelru.NewLRU[scoreKey, time.Time](maxKnown, nil)
	return &Throttle{scores: scores, known: known, lines: rate.NewLimiter(1, 20)}
}

// source is the address that counts: of IPv6 the /64, which is one subscriber's.
func (a *Attempt) source() netip.Addr {
	addr := a.Client.Addr().Unmap()
	if addr.Is4() {
		return addr
	}
	p, _ := addr.Prefix(64)
	return p.Addr()
}

func (a *Attempt) key(k scoreKind) scoreKey {
	var b [256]byte
	text := append(b[:0], byte(k))
	switch k {
	case scoreUser:
		text = append(text, 0)
	case scoreNetworkUser:
		text = appendAddr(text, Network(a.Client.Addr()).Addr())
	default:
		text = appendAddr(text, a.source())
	}
	if k == scoreDeviceUser || k == scoreDevice {
		text = appendName(text, a.Device)
	}
	if k != scoreDevice && k != scoreSource {
		text = appendName(appendName(text, a.Tenant), config.UserKey(a.User))
	}
	sum := sha256.Sum256(text)
	return scoreKey(sum[:])
}

// appendName appends a name with its length before it, so that no two lists of names are
// one text.
func appendName(text []byte, name string) []byte {
	return append(binary.AppendUvarint(text, uint64(len(name))), name...)
}

// appendAddr appends an address of either family.
func appendAddr(text []byte, a netip.Addr) []byte {
	b := a.As16()
	return append(text, b[:]...)
}

// wasIn reports whether a login of that kind succeeded, not too long ago.
func (t *Throttle) wasIn(now time.Time, a *Attempt, k scoreKind) bool {
	last, ok := t.known.Get(a.key(k))
	return ok && now.Sub(last) < knownTime
}

// judged are the counts that an attempt is judged by.
func (t *Throttle) judged(now time.Time, a *Attempt) []scoreKind {
	switch {
	case t.wasIn(now, a, scoreDeviceUser):
		return []scoreKind{scoreDeviceUser}
	case t.wasIn(now, a, scoreSourceUser):
		return []scoreKind{scoreDeviceUser, scoreSourceUser, scoreDevice, scoreSource}
	}
	return []scoreKind{scoreDeviceUser, scoreSourceUser, scoreNetworkUser, scoreDevice, scoreSource, scoreUser}
}

// Ruling is what becomes of an attempt.
type Ruling struct {
	Wait   time.Duration // ask again after that
	Refuse bool
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
		if s == nil {
			continue
		}
		free := a.free(k)
		over := s.level(now, k, free) - free
		switch {
		case over >= patientFailures:
			return Ruling{Refuse: true, By: k.String(), Tell: t.tells(now, s)}
		case over >= 0:
			least = max(least, min(LongestDelay, time.Duration((over+1)*float64(failureStep))))
			busy = busy || s.asking > 0
		case over > -free:
			busy = busy || over+float64(s.asking) >= 0
		default:
			busy = busy || float64(s.asking) >= atOnce*free
		}
	}
	waited := now.Sub(a.Began)
	switch {
	case waited < least:
		return Ruling{Wait: least - waited}
	case busy && waited > askLongest:
		return Ruling{Refuse: true}
	case busy:
		return Ruling{Wait: max(askAgain, waited/2)}
	}
	for _, k := range kinds {
		s := t.score(now, a.key(k))
		s.asking++
		a.counts = append(a.counts, s)
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
		s = &score{key: key, at: now}
		t.scores.Add(key, s)
	}
	return s
}

// drop forgets a count that says nothing: most logins leave none behind.
func (t *Throttle) drop(s *score) {
	if s.asking > 0 || s.failures > 0 {
		return
	}
	if kept, ok := t.scores.Peek(s.key); ok && kept == s {
		t.scores.Remove(s.key)
	}
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
	for _, s := range a.counts {
		s.asking--
		t.drop(s)
	}
	a.counts = nil
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
		t.known.Add(a.key(scoreDeviceUser), now)
		t.known.Add(a.key(scoreSourceUser), now)
	}
}

func (t *Throttle) fail(now time.Time, a *Attempt, k scoreKind) {
	s := t.score(now, a.key(k))
	free := a.free(k)
	level := s.level(now, k, free)
	s.told = s.told && level >= free
	s.failures, s.at = level+1, now
}

// Network is what one customer of a provider may have of addresses.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits)
	return p
}
