package ipkt

import (
	"encoding/binary"
	"math/bits"
)

// leastWide is from how many bytes on several words at once are faster.
const leastWide = 128

// Checksum adds b to initial in the Internet checksum's arithmetic (RFC 1071)
// and returns the sum, not its complement. b begins at an even offset of what
// is summed. A region that holds a valid checksum sums up to 0xffff.
func Checksum(b []byte, initial uint16) uint16 {
	var sum, carry uint64
	if len(b) >= leastWide {
		sum, b = sumWide(b)
	}
	for len(b) >= 32 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[8:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[16:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[24:]), carry)
		b = b[32:]
	}
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b), carry)
		b = b[8:]
	}
	sum, carry = bits.Add64(sum, tail(b), carry)
	sum, carry = bits.Add64(sum, uint64(bits.ReverseBytes16(initial)), carry)
	sum, carry = bits.Add64(sum, carry, 0)
	return bits.ReverseBytes16(fold(sum + carry))
}

// sumChain adds up words of 64 bits for as long as the carry can stay in its
// flag, and returns what is left: fewer than 128 bytes.
func sumChain(b []byte) (sum uint64, rest []byte) {
	var carry uint64
	for len(b) >= 128 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[8:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[16:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[24:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[32:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[40:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[48:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[56:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[64:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[72:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[80:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[88:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[96:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[104:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[112:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[120:]), carry)
		b = b[128:]
	}
	sum, carry = bits.Add64(sum, carry, 0)
	return sum + carry, b
}

// tail is the last bytes of a sum, fewer than 8 of them, as a little endian
// number.
func tail(b []byte) uint64 {
	var n uint64
	for i, c := range b {
		n |= uint64(c) << (8 * i)
	}
	return n
}

// fold brings a sum down to 16 bits with end-around carry.
func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum&0xffff)
}

// PseudoChecksum is the sum of the pseudo header (RFC 9293 section 3.1, RFC
// 8200 section 8.1) for length bytes of the packet's transport protocol.
func (p *Packet) PseudoChecksum(length int) uint16 {
	addrs := p.Bytes[12:20]
	if !p.Is4() {
		addrs = p.Bytes[8:40]
	}
	return Checksum(addrs, fold(uint64(p.Protocol)+uint64(length)))
}

// headerIntact verifies the checksum of an IPv4 header.
func headerIntact(h []byte) bool {
	if len(h) != ipv4HeaderLen {
		return Checksum(h, 0) == 0xffff
	}
	sum := uint64(binary.LittleEndian.Uint32(h)) + uint64(binary.LittleEndian.Uint32(h[4:])) +
		uint64(binary.LittleEndian.Uint32(h[8:])) + uint64(binary.LittleEndian.Uint32(h[12:])) +
		uint64(binary.LittleEndian.Uint32(h[16:]))
	return fold(sum) == 0xffff // in either order of the bytes
}

// update returns the checksum field that follows from sum when a 16-bit word
// of what is summed changes from old to new (RFC 1624 equation 3).
func update(sum, old, new uint16) uint16 {
	return ^fold(uint64(^sum) + uint64(^old) + uint64(new))
}

// SetHeaderChecksum computes the checksum of an IPv4 header anew.
func SetHeaderChecksum(header []byte) {
	header[10], header[11] = 0, 0
	binary.BigEndian.PutUint16(header[10:], ^Checksum(header, 0))
}
