package udp

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// controlRoom is enough for the control messages of one datagram or run, in
// either direction: packet information of either family and a segment size.
const controlRoom = 128

// control is aligned as the kernel wants its control messages.
type control [controlRoom / 8]uint64

func (c *control) bytes() *[controlRoom]byte { return (*[controlRoom]byte)(unsafe.Pointer(c)) }

// notes are what the kernel says about a datagram besides its content.
type notes struct {
	local   netip.Addr // where it was sent to
	segment int        // GRO: the length of the datagrams that were joined; 0: not joined
}

// readNotes reads the first n bytes of control messages.
func (c *control) readNotes(n int) notes {
	var out notes
	b := c.bytes()[:min(n, controlRoom)]
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		size := int(h.Len)
		if size < unix.SizeofCmsghdr || size > len(b) {
			break
		}
		out.read(h.Level, h.Type, b[unix.CmsgLen(0):size])
		b = b[min(unix.CmsgSpace(size-unix.CmsgLen(0)), len(b)):]
	}
	return out
}

func (o *notes) read(level, kind int32, data []byte) {
	switch {
	case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0]))
		o.local = netip.AddrFrom4(info.Spec_dst)
	case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
		o.local = withScope(netip.AddrFrom16(info.Addr).Unmap(), info.Ifindex)
	case level == unix.SOL_UDP && kind == unix.UDP_GRO && len(data) >= 4:
		o.segment = int(int32(binary.NativeEndian.Uint32(data)))
	}
}

// write puts the control messages for a send: the source address, unless it is
// the zero Addr, and the segment size, unless it is 0. It returns their length.
func (c *control) write(local netip.Addr, segment int) int {
	n := 0
	switch {
	case local.Is4():
		info := (*unix.Inet4Pktinfo)(c.put(&n, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo))
		*info = unix.Inet4Pktinfo{Spec_dst: local.As4()}
	case local.Is6():
		info := (*unix.Inet6Pktinfo)(c.put(&n, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo))
		*info = unix.Inet6Pktinfo{Addr: local.As16(), Ifindex: scopeOf(local)}
	}
	if segment > 0 {
		*(*uint16)(c.put(&n, unix.SOL_UDP, unix.UDP_SEGMENT, 2)) = uint16(segment)
	}
	return n
}

// put writes the header of a control message behind the first *n bytes, moves
// *n behind the message, and returns where its size bytes of data go.
func (c *control) put(n *int, level, kind int32, size int) unsafe.Pointer {
	b := c.bytes()[*n:]
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(size))
	*n += unix.CmsgSpace(size)
	return unsafe.Pointer(&b[unix.CmsgLen(0)])
}
