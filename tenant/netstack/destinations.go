package netstack

import (
	"net/netip"
	"sync"
	"time"

	"github.com/culvert-vpn/culvert/tenant"
)

const (
	// portLingers is how long the kernel keeps a port from being used towards the
	// same destination, after a connection that this side closed first (TIME-WAIT).
	portLingers = time.Minute
	// maxLingering is how many ports are remembered to linger, towards all destinations.
	maxLingering = 1 << 17
)

// destinations are the host's TCP ports towards each destination, shared like
// UDP's: every connection there takes another one, and one that the client closes
// keeps it for a minute.
type destinations struct {
	limit int // towards one destination

	mu        sync.Mutex
	all       map[netip.AddrPort]*towards
	lingering []lingering // in order
}

// towards is how many ports towards a destination are in use, altogether and by whom.
type towards struct {
	used int
	by   map[portHolder]int
}

// portHolder is a client of a device, or the device, of all its clients.
type portHolder struct {
	d      *Device
	client netip.Addr // invalid: all
}

// lingering is a port that is in use until some time.
type lingering struct {
	until time.Time
	to    netip.AddrPort
	by    portHolder
}

// enter takes a port towards a destination for a client, if there is one.
func (t *destinations) enter(now time.Time, to netip.AddrPort, by portHolder) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	at := t.all[to]
	if at == nil {
		at = &towards{by: make(map[portHolder]int)}
	}
	if !at.room(by, t.limit) {
		return false
	}
	t.all[to] = at
	at.used++
	at.by[by]++
	at.by[portHolder{d: by.d}]++
	return true
}

// room reports whether a client may have one more port of so many: half of them is
// for one device.
func (at *towards) room(by portHolder, limit int) bool {
	mine, device := at.by[by], at.by[portHolder{d: by.d}]
	if mine == 0 {
		return at.used < limit
	}
	return tenant.Room(device, at.used, limit) && tenant.Room(mine, device, limit/tenantShare)
}

// leave gives a port back, at once or when it can be used again.
func (t *destinations) leave(now time.Time, to netip.AddrPort, by portHolder, lingers bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	if lingers {
		if t.lingering = append(t.lingering, lingering{now.Add(portLingers), to, by}); len(t.lingering) <= maxLingering {
			return
		}
		to, by = t.lingering[0].to, t.lingering[0].by
		t.lingering = t.lingering[1:]
	}
	t.free(to, by)
}

// expire gives back what has lingered. The caller holds the lock.
func (t *destinations) expire(now time.Time) {
	n := 0
	for ; n < len(t.lingering) && !now.Before(t.lingering[n].until); n++ {
		t.free(t.lingering[n].to, t.lingering[n].by)
	}
	if t.lingering = t.lingering[n:]; len(t.lingering) == 0 {
		t.lingering = nil
	}
}

func (t *destinations) free(to netip.AddrPort, by portHolder) {
	at := t.all[to]
	for _, h := range []portHolder{by, {d: by.d}} {
		if at.by[h]--; at.by[h] == 0 {
			delete(at.by, h)
		}
	}
	if at.used--; at.used == 0 {
		delete(t.all, to)
	}
}
