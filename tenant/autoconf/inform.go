package autoconf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// DHCP's ports, and the place of its fields (RFC 2131 section 2).
const (
	portServer4 = 67
	portClient4 = 68

	fieldsLen   = 236 // up to the cookie
	cookie      = 0x63825363
	minDHCP     = 300 // what BOOTP's relays and some clients take at least
	opRequest   = 1
	opReply     = 2
	atCiaddr    = 12
	atGiaddr    = 24
	atChaddr    = 28
	chaddrLen   = 16
	minDatagram = 576 // what a client takes that does not say, RFC 2131 section 2
)

// The options of RFC 2132, RFC 3004, RFC 3397, RFC 3442 and MS-DHCPE 2.2.8.
const (
	optionPad        = 0
	optionMask       = 1
	optionDNS        = 6
	optionDomain     = 15
	optionNBNS       = 44
	optionType       = 53
	optionServer     = 54
	optionWanted     = 55
	optionMaxSize    = 57
	optionVendor     = 60
	optionUserClass  = 77
	optionSearch     = 119
	optionRoutes     = 121
	optionRoutesMS   = 249
	optionEnd        = 255
	typeInform       = 8
	typeAck          = 5
	hardwarePPPApple = 8 // what Apple's clients call a PPP link
)

// inform is a client's DHCPINFORM.
type inform struct {
	fields  []byte // the first fieldsLen bytes of it
	wanted  []byte // the parameter request list; nil: it has none
	maxSize int    // the largest packet it takes
	windows bool
	apple   bool
}

// wants reports whether the client asks for an option; who asks for none in
// particular gets all.
func (q *inform) wants(option byte) bool {
	return q.wanted == nil || bytes.IndexByte(q.wanted, option) >= 0
}

// inform answers a DHCPINFORM (RFC 2131 section 4.3.5).
func (r *Responder) inform(c Client, p ipkt.Packet) ([]byte, error) {
	_, payload, err := consumeUDP(p, portServer4)
	if err != nil {
		return nil, err
	}
	q, err := parseInform(payload)
	if err != nil {
		return nil, err
	}
	// The answer goes to the client's address, which is what its session was
	// given: another one in ciaddr cannot be reached.
	if ciaddr := netip.AddrFrom4([4]byte(q.fields[atCiaddr:])); ciaddr != c.Addr && !ciaddr.IsUnspecified() {
		return nil, fmt.Errorf("%w: DHCPINFORM of %v in the session of %v", ErrIgnored, ciaddr, c.Addr)
	}
	room := min(q.maxSize, c.MTU) - ipv4HeaderLen - udpHeaderLen
	return udp4(netip.AddrPortFrom(r.gateway, portServer4), netip.AddrPortFrom(c.Addr, portClient4), r.ack(c, q, room)), nil
}

// parseInform reads a DHCPINFORM.
func parseInform(b []byte) (*inform, error) {
	if len(b) < fieldsLen+4 || b[0] != opRequest || b[2] > chaddrLen || binary.BigEndian.Uint32(b[fieldsLen:]) != cookie {
		return nil, ErrMalformed
	}
	q := &inform{fields: b[:fieldsLen], maxSize: minDatagram, apple: b[1] == hardwarePPPApple}
	kind := byte(0)
	for rest := b[fieldsLen+4:]; ; {
		option, data, after, err := consumeOption(rest)
		switch {
		case err != nil:
			return nil, err
		case option == optionEnd && kind != typeInform:
			return nil, ErrIgnored // addresses come from PPP
		case option == optionEnd && [4]byte(b[atGiaddr:]) != [4]byte{}:
			return nil, ErrIgnored // from a relay behind the client
		case option == optionEnd:
			return q, nil
		case option == optionType && len(data) == 1:
			kind = data[0]
		}
		q.learn(option, data)
		rest = after
	}
}

// learn takes what an option says about the client.
func (q *inform) learn(option byte, data []byte) {
	switch option {
	case optionWanted:
		q.wanted = append(slices.Clip(q.wanted), data...)
	case optionMaxSize:
		if len(data) == 2 {
			q.maxSize = max(minDatagram, int(binary.BigEndian.Uint16(data)))
		}
	case optionVendor:
		q.windows = q.windows || bytes.HasPrefix(data, []byte("MSFT"))
	case optionUserClass:
		q.windows = q.windows || bytes.Contains(data, []byte("RRAS.Microsoft"))
	}
}

// consumeOption takes the first option off b. There is always one: END is last.
func consumeOption(b []byte) (option byte, data, rest []byte, err error) {
	for len(b) > 0 && b[0] == optionPad {
		b = b[1:]
	}
	switch {
	case len(b) == 0:
		return 0, nil, nil, ErrMalformed
	case b[0] == optionEnd:
		return optionEnd, nil, nil, nil
	case len(b) < 2 || len(b) < 2+int(b[1]):
		return 0, nil, nil, ErrMalformed
	}
	n := 2 + int(b[1])
	return b[0], b[2:n], b[n:], nil
}

// ack makes the DHCPACK. Apple's client wants the message type to be the first
// option, and END not to be the last byte.
func (r *Responder) ack(c Client, q *inform, room int) []byte {
	b := make([]byte, fieldsLen, minDHCP)
	b[0] = opReply
	copy(b[1:3], q.fields[1:3])
	copy(b[4:8], q.fields[4:8])     // xid
	copy(b[10:12], q.fields[10:12]) // flags
	copy(b[atCiaddr:], c.Addr.AsSlice())
	copy(b[atChaddr:atChaddr+chaddrLen], q.fields[atChaddr:])
	b = binary.BigEndian.AppendUint32(b, cookie)
	b = append(b, optionType, 1, typeAck)
	b = appendOption(b, optionServer, r.gateway.AsSlice())
	b = r.appendWanted(b, c, q, room-2) // END and a byte behind it stay
	b = append(b, optionEnd, optionPad)
	for len(b) < minDHCP {
		b = append(b, optionPad)
	}
	return b
}

// appendWanted appends what the client asks for and there is, as far as it fits.
func (r *Responder) appendWanted(b []byte, c Client, q *inform, room int) []byte {
	add := func(option byte, data []byte) {
		if len(data) > 0 && q.wants(option) && len(b)+optionLen(data) <= room {
			b = appendOption(b, option, data)
		}
	}
	add(optionMask, r.mask(c.Addr))
	add(optionDNS, r.dns4)
	add(optionDomain, r.domain(q))
	add(optionNBNS, r.nbns)
	if q.windows || q.wants(optionRoutesMS) { // Windows takes it without asking
		b = appendOption(b, optionRoutesMS, r.classless(room-len(b)))
	}
	if q.wants(optionRoutes) {
		b = appendOption(b, optionRoutes, r.classless(room-len(b)))
	}
	add(optionSearch, r.names)
	return b
}

// domain is option 15. Apple's clients take a list there, and send the queries
// for each of its domains to our servers; others take one name, and find the
// list in option 119.
func (r *Responder) domain(q *inform) []byte {
	switch {
	case len(r.domains) == 0:
		return nil
	case q.apple:
		return []byte(strings.Join(r.domains, " "))
	}
	return []byte(r.domains[0])
}

// mask is the network mask of the pool that the client's address is from.
func (r *Responder) mask(addr netip.Addr) []byte {
	for _, p := range r.pools {
		if p.Contains(addr) {
			return binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-p.Bits()))
		}
	}
	return []byte{255, 255, 255, 255}
}

// classless writes the routes in the form of RFC 3442: as many as have room.
// The router in them is the gateway; on a link between two nobody looks at it.
func (r *Responder) classless(room int) []byte {
	var b []byte
	for _, p := range r.routes4 {
		next := append(b, byte(p.Bits()))
		next = append(next, p.Addr().AsSlice()[:(p.Bits()+7)/8]...)
		next = append(next, r.gateway.AsSlice()...)
		if optionLen(next) > room {
			break
		}
		b = next
	}
	return b
}

// appendOption appends an option; more than 255 bytes of data are split over
// several of them (RFC 3396), and none at all are left out.
func appendOption(b []byte, option byte, data []byte) []byte {
	for len(data) > 0 {
		n := min(len(data), 255)
		b = append(append(b, option, byte(n)), data[:n]...)
		data = data[n:]
	}
	return b
}

// optionLen is how many bytes appendOption appends.
func optionLen(data []byte) int { return len(data) + 2*((len(data)+254)/255) }
