package autoconf

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// DHCPv6's ports, messages, options and status codes (RFC 8415 sections 7 and 21).
const (
	portServer6 = 547
	portClient6 = 546

	solicit6     = 1
	advertise6   = 2
	request6     = 3
	renew6       = 5
	rebind6      = 6
	reply6       = 7
	release6     = 8
	decline6     = 9
	information6 = 11

	option6Client  = 1
	option6Server  = 2
	option6NA      = 3
	option6TA      = 4
	option6Wanted  = 6
	option6Status  = 13
	option6Rapid   = 14
	option6DNS     = 23 // RFC 3646
	option6Search  = 24
	option6PD      = 25
	option6Prefix  = 26
	option6Refresh = 32

	statusNoAddrs  = 2
	statusNoPrefix = 6

	maxDUID   = 130 // RFC 8415 section 11.1
	maxIAs    = 8   // answered in one message; who asks for more gets no more
	refresh   = time.Hour
	message6  = 4 // type and transaction
	header6PD = 12
)

// query6 is a client's DHCPv6 message.
type query6 struct {
	kind        byte
	transaction [3]byte
	client      []byte
	server      []byte
	wanted      []byte // the option request; nil: none
	asks        bool   // there is one
	rapid       bool
	ias         []ia
}

// ia is an identity association that the client asks for: addresses, or prefixes.
type ia struct {
	option uint16
	id     [4]byte
}

// dhcp6 answers a DHCPv6 message.
func (r *Responder) dhcp6(c Client, p ipkt.Packet) ([]byte, error) {
	_, payload, err := consumeUDP(p, portServer6)
	if err != nil {
		return nil, err
	}
	q, err := parse6(payload)
	if err != nil {
		return nil, err
	}
	if !q.valid(r.duid) || !p.Source().IsLinkLocalUnicast() {
		return nil, ErrIgnored
	}
	from := netip.AddrPortFrom(c.Router, portServer6)
	return udp6(from, netip.AddrPortFrom(p.Source(), portClient6), r.reply(c, q)), nil
}

// parse6 reads a message.
func parse6(b []byte) (*query6, error) {
	if len(b) < message6 {
		return nil, ErrMalformed
	}
	q := &query6{kind: b[0], transaction: [3]byte(b[1:])}
	for rest := b[message6:]; len(rest) > 0; {
		if len(rest) < 4 || len(rest) < 4+int(binary.BigEndian.Uint16(rest[2:])) {
			return nil, ErrMalformed
		}
		n := 4 + int(binary.BigEndian.Uint16(rest[2:]))
		if err := q.learn(binary.BigEndian.Uint16(rest), rest[4:n]); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	return q, nil
}

// learn takes an option.
func (q *query6) learn(option uint16, data []byte) error {
	switch option {
	case option6Client:
		q.client = data
	case option6Server:
		q.server = data
	case option6Wanted:
		q.wanted, q.asks = data, true
	case option6Rapid:
		q.rapid = true
	case option6NA, option6TA, option6PD:
		if len(data) < 4 || option != option6TA && len(data) < header6PD {
			return ErrMalformed
		}
		if len(q.ias) < maxIAs {
			q.ias = append(q.ias, ia{option, [4]byte(data)})
		}
	}
	if (option == option6Client || option == option6Server) && (len(data) == 0 || len(data) > maxDUID) {
		return ErrMalformed
	}
	return nil
}

// valid tells whether a message is one that we answer, and for us: the rules
// of RFC 8415 section 16.
func (q *query6) valid(duid []byte) bool {
	ours := bytes.Equal(q.server, duid)
	switch q.kind {
	case solicit6, rebind6:
		return q.client != nil && q.server == nil
	case request6, renew6, release6, decline6:
		return q.client != nil && ours
	case information6:
		return (q.server == nil || ours) && len(q.ias) == 0
	}
	return false
}

// wants reports whether the client asks for an option.
func (q *query6) wants(option uint16) bool {
	for b := q.wanted; len(b) >= 2; b = b[2:] {
		if binary.BigEndian.Uint16(b) == option {
			return true
		}
	}
	return !q.asks
}

// reply makes the answer: to a solicitation an advertisement, unless the client
// can do without.
func (r *Responder) reply(c Client, q *query6) []byte {
	kind := byte(reply6)
	if q.kind == solicit6 && !q.rapid {
		kind = advertise6
	}
	b := append([]byte{kind}, q.transaction[:]...)
	b = appendOption6(b, option6Server, r.duid)
	if q.client != nil {
		b = appendOption6(b, option6Client, q.client)
	}
	if q.kind == solicit6 && q.rapid {
		b = appendOption6(b, option6Rapid, nil)
	}
	if q.kind == release6 || q.kind == decline6 {
		return appendOption6(b, option6Status, []byte{0, 0})
	}
	b = r.appendIAs(b, c, q)
	return r.appendServers6(b, c, q)
}

// appendIAs answers what the client asks for: a prefix, once, where the tenant
// delegates; never an address (RFC 8415 section 18.3).
func (r *Responder) appendIAs(b []byte, c Client, q *query6) []byte {
	given := !r.delegate || c.Prefix.Bits() >= prefixLen
	for _, a := range q.ias {
		data := append(a.id[:len(a.id):len(a.id)], make([]byte, 8)...)
		switch {
		case a.option == option6PD && !given:
			given = true
			data = appendSeconds(appendSeconds(a.id[:len(a.id):len(a.id)], preferred/2), preferred*4/5)
			data = appendOption6(data, option6Prefix, delegation(c.Prefix))
		case a.option == option6PD:
			data = appendOption6(data, option6Status, []byte{0, statusNoPrefix})
		case a.option == option6TA:
			data = appendOption6(data[:4], option6Status, []byte{0, statusNoAddrs})
		default:
			data = appendOption6(data, option6Status, []byte{0, statusNoAddrs})
		}
		b = appendOption6(b, a.option, data)
	}
	return b
}

// delegation is the body of an IA Prefix option (RFC 8415 section 21.22) for
// the second half of a client's prefix: what the link has is in the first.
func delegation(p netip.Prefix) []byte {
	b := appendSeconds(appendSeconds(nil, preferred), validLifetime)
	half := p.Masked().Addr().As16()
	half[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	return append(append(b, byte(p.Bits()+1)), half[:]...)
}

// appendServers6 appends DNS servers, domains, and when to ask again, as far
// as the client wants them and they fit.
func (r *Responder) appendServers6(b []byte, c Client, q *query6) []byte {
	room := c.MTU - ipv6HeaderLen - udpHeaderLen
	var servers []byte
	for _, a := range r.dns6 {
		servers = append(servers, a.AsSlice()...)
	}
	add := func(option uint16, data []byte) {
		if len(data) > 0 && q.wants(option) && len(b)+4+len(data) <= room {
			b = appendOption6(b, option, data)
		}
	}
	add(option6DNS, servers)
	add(option6Search, r.names)
	if q.kind == information6 {
		add(option6Refresh, appendSeconds(nil, refresh))
	}
	return b
}

// appendOption6 appends an option.
func appendOption6(b []byte, option uint16, data []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, option)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}
