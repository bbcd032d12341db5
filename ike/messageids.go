package ike

import "time"

// messageIDs are all message IDs that were used under an ISAKMP SA. They "MUST be
// unique" (RFC 2408, section 3.1): a message with one that was used is a replay,
// however long ago it was recorded.
type messageIDs map[uint32]struct{}

// maxMessageIDs bounds them. An SA is renewed long before it has used as many, and ends
// when it has.
const maxMessageIDs = 1 << 14

func (m messageIDs) has(id uint32) bool { _, ok := m[id]; return ok }

// full reports whether no message may come any more but those of exchanges under way.
func (m messageIDs) full() bool { return len(m) >= maxMessageIDs }

// used reports whether a message that begins an exchange is a replay, or too much.
func (i *isakmp) used(id uint32) bool { return id == 0 || i.ids.full() || i.ids.has(id) }

// remember notes the ID of a message under the SA, which is renewed in time, or ends:
// the other side then begins another.
func (i *isakmp) remember(now time.Time, id uint32) {
	i.ids[id] = struct{}{}
	switch {
	case i.state != standing:
	case i.ids.full():
		i.expireAt = now
		i.arm()
	case len(i.ids) == maxMessageIDs/2 && i.peer.renews():
		i.rekeyAt = now
		i.arm()
	}
}
