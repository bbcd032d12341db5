package ipkt

import "encoding/binary"

const (
	tcpFlagSYN   = 0x02
	optionEnd    = 0
	optionNop    = 1
	optionMSS    = 2
	optionMSSLen = 4
)

// ClampMSS lowers the maximum segment size that a TCP SYN announces to what
// fits into packets of mtu bytes (RFC 9293 section 3.7.1: without the options
// that the IP and TCP headers may carry). A SYN without the option is left
// alone. It reports whether the packet was changed; the checksum follows
// incrementally, so a wrong one stays wrong.
func (p *Packet) ClampMSS(mtu int) bool {
	return p.Protocol == ProtocolTCP && p.clampMSS(mtu)
}

// Opens reports whether the packet is a TCP SYN: the only one that has an MSS.
func (p *Packet) Opens() bool {
	return p.Protocol == ProtocolTCP && p.Offset == 0 && len(p.Bytes) >= p.HeaderLen+tcpHeaderLen &&
		p.Bytes[p.HeaderLen+13]&tcpFlagSYN != 0
}

func (p *Packet) clampMSS(mtu int) bool {
	tcp := p.Payload()
	if p.Fragment() || len(tcp) < tcpHeaderLen || tcp[13]&tcpFlagSYN == 0 {
		return false
	}
	fixed := ipv6HeaderLen
	if p.Is4() {
		fixed = ipv4HeaderLen
	}
	limit := mtu - fixed - tcpHeaderLen
	at := findMSS(tcp)
	if at == 0 || limit <= 0 {
		return false
	}
	if int(binary.BigEndian.Uint16(tcp[at:])) <= limit {
		return false
	}
	setWord(tcp, at, uint16(limit), 16)
	return true
}

// findMSS returns the offset of the value of a TCP header's MSS option, or 0.
func findMSS(tcp []byte) int {
	end := min(int(tcp[12]>>4)*4, len(tcp))
	for i := tcpHeaderLen; i < end; {
		switch {
		case tcp[i] == optionEnd:
			return 0
		case tcp[i] == optionNop:
			i++
			continue
		case i+1 >= end || tcp[i+1] < 2 || i+int(tcp[i+1]) > end:
			return 0
		case tcp[i] == optionMSS && tcp[i+1] == optionMSSLen:
			return i + 2
		}
		i += int(tcp[i+1])
	}
	return 0
}

// setWord writes a 16-bit value at an offset of b and corrects the checksum,
// which is at another. The value may lie across two words of the sum.
func setWord(b []byte, at int, value uint16, checksumAt int) {
	even := at &^ 1
	var old, new [2]uint16
	last := even + (at-even)*2 // the word that the second byte lies in
	old[0], old[1] = wordAt(b, even), wordAt(b, last)
	binary.BigEndian.PutUint16(b[at:], value)
	new[0], new[1] = wordAt(b, even), wordAt(b, last)
	sum := update(binary.BigEndian.Uint16(b[checksumAt:]), old[0], new[0])
	if last != even {
		sum = update(sum, old[1], new[1])
	}
	binary.BigEndian.PutUint16(b[checksumAt:], sum)
}

// wordAt is the 16-bit word at an offset, padded with zero at the end of b.
func wordAt(b []byte, at int) uint16 {
	if at+1 < len(b) {
		return binary.BigEndian.Uint16(b[at:])
	}
	return uint16(b[at]) << 8
}
