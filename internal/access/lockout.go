package access

import (
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/culvert-vpn/culvert/internal/config"
)

// What a Throttle only slows down, and who goes on all the same, is locked out for a time: a
// user from his address or from one device there, a device that tries the passwords of many
// users, and an address from which several such devices come. Devices that their user was in
// from before are held up by none of that.

const (
	// maxHostile is how many addresses, and how many devices, are known for the users that they
	// have tried.
	maxHostile = 1 << 12
	// hostileTime is how long a user that was tried counts against a device or an address.
	hostileTime = time.Hour
	// hostileDevices is how many devices of an address have to have tried wrong passwords for
	// the address to be hostile itself: one device is locked out alone.
	hostileDevices = 3
	// latelyTime is how long an address is known for a right user who was in from there.
	latelyTime = 30 * 24 * time.Hour
	// underSpraying is what part of limits.lockout.users is enough while passwords are sprayed
	// at the tenant.
	underSpraying = 10
)

// Lock is who is to be locked out: what his attempts have in common, beside the tenant.
type Lock struct {
	Source    netip.Prefix // the address, of IPv6 the /64
	Tenant    string
	User      string // as UserKey has it; empty: all users
	Device    string // empty: all devices
	Strangers bool   // right users were in from there lately: devices that nobody was in from
	For       time.Duration
	Reason    string
}

// hostile is a device or an address, and whose passwords it tried that were wrong.
type hostile struct {
	since   time.Time
	users   []scoreKey // different ones, no more than count
	devices []scoreKey // likewise, of an address
}

// suspects are the devices and addresses of those whose passwords were wrong.
type suspects struct {
	known *simplelru.LRU[scoreKey, *hostile]
	right *simplelru.LRU[scoreKey, time.Time] // when a right user was in last, by address: no wrong password has that forgotten
	tell  func(Lock)
}

func newSuspects(tell func(Lock)) *suspects {
	known, _ := simplelru.NewLRU[scoreKey, *hostile](2*maxHostile, nil) // it fails for sizes below 1
	right, _ := simplelru.NewLRU[scoreKey, time.Time](maxKnown, nil)
	return &suspects{known, right, tell}
}

// of is what is known under a key, of the time that counts.
func (s *suspects) of(now time.Time, key scoreKey) *hostile {
	h, ok := s.known.Get(key)
	if !ok {
		h = &hostile{since: now}
		s.known.Add(key, h)
	}
	if now.Sub(h.since) >= hostileTime {
		h.since, h.users, h.devices = now, nil, nil
	}
	return h
}

// note adds a key to a list of different ones, of no more than most.
func note(list []scoreKey, key scoreKey, most int) []scoreKey {
	if len(list) >= most || slices.Contains(list, key) {
		return list
	}
	return append(list, key)
}

// wrong notes a wrong password of somebody who was not in before, and locks out who is hostile by
// that. sprayed says that passwords are being sprayed at the tenant.
func (s *suspects) wrong(now time.Time, a *Attempt, sprayed bool) {
	most := a.Lockout.Users
	if most == 0 {
		return
	}
	if sprayed {
		most = max(2, most/underSpraying)
	}
	device, source := s.of(now, a.key(scoreDevice)), s.of(now, a.key(scoreSource))
	device.users = note(device.users, a.key(scoreUser), a.Lockout.Users)
	source.users = note(source.users, a.key(scoreUser), a.Lockout.Users)
	source.devices = note(source.devices, a.key(scoreDevice), hostileDevices)
	switch {
	case len(source.users) >= most && len(source.devices) >= hostileDevices && !s.knows(now, a):
		s.lock(a, Lock{Strangers: a.Tenant == "", Reason: "passwords of many users were tried from several devices there, and none was right"})
	case len(device.users) >= most:
		s.lock(a, Lock{Device: a.Device, Reason: "passwords of many users were tried from this device"})
	}
}

// knows reports whether a right user was in from where an attempt comes from, not too long ago.
func (s *suspects) knows(now time.Time, a *Attempt) bool {
	last, known := s.right.Get(a.key(scoreSource))
	return known && now.Sub(last) < latelyTime
}

// welcome notes that a right user is in from an address.
func (s *suspects) welcome(now time.Time, a *Attempt) { s.right.Add(a.key(scoreSource), now) }

// lockFor locks out who has exceeded a count: nobody for the counts of a user from everywhere or
// from his network, in which others may be who guess.
func (s *suspects) lockFor(a *Attempt, k scoreKind) {
	user := config.UserKey(a.User)
	switch k {
	case scoreDeviceUser:
		s.lock(a, Lock{User: user, Device: a.Device, Reason: "too many wrong passwords of this user from this device"})
	case scoreSourceUser:
		s.lock(a, Lock{User: user, Reason: "too many wrong passwords of this user from this address"})
	case scoreDevice:
		s.lock(a, Lock{Device: a.Device, Reason: "too many wrong passwords from this device"})
	case scoreSource:
		s.lock(a, Lock{Strangers: true, Reason: "too many wrong passwords from this address"})
	}
}

// lock has somebody be locked out, as the tenant has it.
func (s *suspects) lock(a *Attempt, l Lock) {
	if a.Lockout.For <= 0 {
		return
	}
	l.Tenant, l.Source, l.For = a.Tenant, a.Source(), a.Lockout.For
	s.tell(l)
}

func (Lock) finding() {}
