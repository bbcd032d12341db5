package access

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
)

// Finding is what a Throttle has found out of attempts: a Lock or a Sign.
type Finding interface{ finding() }

// scoreKind is what failures are counted for.
type scoreKind uint8

const (
	scoreDeviceUser  scoreKind = iota // one user from one device
	scoreSourceUser                   // one user from one address
	scoreNetworkUser                  // one user from one network, of which one customer may have all
	scoreDevice                       // one device, whatever the user of a tenant
	scoreSource                       // one address, whatever the device and the user of a tenant
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

	Lockout config.Lockout // limits.lockout of the tenant

	keys   [scoreKinds]scoreKey // of its counts, once hashed
	hashed bool
	asking []scoreKind // where it is counted as being looked at
}

// scoreKey is a hash: names of any length, and none that anybody can choose to collide.
type scoreKey [16]byte

// source is the address that counts: of IPv6 the /64, which is one subscriber's.
func (a *Attempt) source() netip.Addr {
	addr := a.Client.Addr().Unmap()
	if addr.Is4() {
		return addr
	}
	p, _ := addr.Prefix(64)
	return p.Addr()
}

// Source is what an attempt comes from: its address, of IPv6 the /64, which is one subscriber's.
func (a *Attempt) Source() netip.Prefix {
	addr := a.source()
	if addr.Is4() {
		return netip.PrefixFrom(addr, 32)
	}
	return netip.PrefixFrom(addr, 64)
}

// key is under which an attempt is counted. All are hashed at once, since an attempt that
// succeeds needs each of them.
func (a *Attempt) key(k scoreKind) scoreKey {
	if !a.hashed {
		for k := range scoreKinds {
			a.keys[k] = a.hash(k)
		}
		a.hashed = true
	}
	return a.keys[k]
}

func (a *Attempt) hash(k scoreKind) scoreKey {
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
	text = appendName(text, a.Tenant) // no tenant's users hold up another's
	if k != scoreDevice && k != scoreSource {
		text = appendName(text, config.UserKey(a.User))
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
