package tun

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// vnetLen is the length in bytes of the header before each packet of a device
// with vnet headers: struct virtio_net_hdr, in the host's byte order.
//
//	flags:8 gso_type:8 hdr_len:16 gso_size:16 csum_start:16 csum_offset:16
const vnetLen = 10

// errVnet says that the kernel handed over something that it should not.
var errVnet = errors.New("tun: malformed vnet header")

type vnetHeader struct {
	flags      uint8
	gsoType    uint8
	headerLen  int // of IP and transport headers; a hint only
	gsoSize    int // payload bytes of a segment
	csumStart  int // where the transport header begins
	csumOffset int // of the checksum in it
}

func parseVnet(b []byte) vnetHeader {
	order := binary.NativeEndian
	return vnetHeader{
		flags:      b[0],
		gsoType:    b[1],
		headerLen:  int(order.Uint16(b[2:])),
		gsoSize:    int(order.Uint16(b[4:])),
		csumStart:  int(order.Uint16(b[6:])),
		csumOffset: int(order.Uint16(b[8:])),
	}
}

// appendVnet appends the header as the kernel reads it.
func appendVnet(b []byte, h vnetHeader) []byte {
	order := binary.NativeEndian
	b = append(b, h.flags, h.gsoType)
	b = order.AppendUint16(b, uint16(h.headerLen))
	b = order.AppendUint16(b, uint16(h.gsoSize))
	b = order.AppendUint16(b, uint16(h.csumStart))
	return order.AppendUint16(b, uint16(h.csumOffset))
}

// needsChecksum says that the transport checksum is the pseudo header's only.
func (h vnetHeader) needsChecksum() bool { return h.flags&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0 }

// gso is the kind of segments without the mark of congestion notification.
func (h vnetHeader) gso() uint8 { return h.gsoType &^ unix.VIRTIO_NET_HDR_GSO_ECN }
