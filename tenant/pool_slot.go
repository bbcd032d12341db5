package tenant

import (
	"net/netip"
	"time"
)

// slotState says what an address of the pool may be used for.
type slotState uint8

const (
	slotDynamic  slotState = iota // leased to anybody
	slotStatic                    // leased to its owner only
	slotReserved                  // never leased
)

// slot is an address that was leased, or is not to be leased to just anybody.
// A dynamic slot is either leased or in the two lists of free ones.
type slot struct {
	addr       netip.Addr
	owner      string // who has it or had it last
	state      slotState
	leased     bool
	since      int64 // of the lease, or its end, in seconds since 1970; 0: none of either
	prev, next *slot // free slots by age
	mine, more *slot // free slots of one owner: the one before, the one after
}

// lease is what the slot is written down as.
func (s *slot) lease() Lease {
	l := Lease{Owner: s.owner, Addr: s.addr}
	if s.since != 0 {
		l.Since = time.Unix(s.since, 0).UTC()
	}
	return l
}

// seconds is a time as slots have it.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// slotList is a ring of free slots with the longest free one in front.
type slotList struct {
	root slot
	len  int
}

func (l *slotList) init() { l.root.prev, l.root.next = &l.root, &l.root }

func (l *slotList) front() *slot { return l.after(&l.root) }

func (l *slotList) after(s *slot) *slot {
	if s.next == &l.root {
		return nil
	}
	return s.next
}

func (l *slotList) pushBack(s *slot) {
	s.prev, s.next = l.root.prev, &l.root
	s.prev.next, l.root.prev = s, s
	l.len++
}

func (l *slotList) remove(s *slot) {
	s.prev.next, s.next.prev = s.next, s.prev
	s.prev, s.next = nil, nil
	l.len--
}

// ownerList is the free slots of one owner, the one it had last in front.
type ownerList struct{ front *slot }

func (l *ownerList) pushFront(s *slot) {
	s.mine, s.more = nil, l.front
	if l.front != nil {
		l.front.mine = s
	}
	l.front = s
}

func (l *ownerList) remove(s *slot) {
	if s.mine != nil {
		s.mine.more = s.more
	} else {
		l.front = s.more
	}
	if s.more != nil {
		s.more.mine = s.mine
	}
	s.mine, s.more = nil, nil
}
