package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr is room for an address of either family. Its family is at the same
// place in both.
type sockaddr = unix.RawSockaddrInet6

// putSockaddr writes an address and returns how long it is in bytes.
func putSockaddr(sa *sockaddr, a netip.AddrPort) uint32 {
	if a.Addr().Is4() {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*sa4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr().As4()}
		putPort(&sa4.Port, a.Port())
		return unix.SizeofSockaddrInet4
	}
	*sa = sockaddr{Family: unix.AF_INET6, Addr: a.Addr().As16(), Scope_id: scopeOf(a.Addr())}
	putPort(&sa.Port, a.Port())
	return unix.SizeofSockaddrInet6
}

// getSockaddr reads an address that the kernel wrote.
func getSockaddr(sa *sockaddr) netip.AddrPort {
	if sa.Family == unix.AF_INET {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), getPort(&sa4.Port))
	}
	addr := netip.AddrFrom16(sa.Addr).Unmap()
	return netip.AddrPortFrom(withScope(addr, sa.Scope_id), getPort(&sa.Port))
}

// Ports are big endian in memory, whatever the type says.

func putPort(p *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], port)
}

func getPort(p *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:])
}

// withScope adds a zone to an address that is only unique on its link.
func withScope(a netip.Addr, scope uint32) netip.Addr {
	if scope == 0 || !a.IsLinkLocalUnicast() {
		return a
	}
	return a.WithZone(strconv.Itoa(int(scope)))
}

// scopeOf is the interface index in the zone of an address, which withScope
// wrote as a number and people write as a name.
func scopeOf(a netip.Addr) uint32 {
	zone := a.Zone()
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	return 0
}
