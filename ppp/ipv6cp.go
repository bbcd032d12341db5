package ppp

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"
)

// IPV6CP's option and what is in it (RFC 5072 section 4.1).
const (
	optionInterfaceID = 1
	universalBit      = 0x02 // in the first octet of an identifier
)

// InterfaceID tells the ends of a link apart in IPv6 (RFC 5072 section 4.1); zero is none.
type InterfaceID uint64

// LinkLocal returns the link-local address of the end (RFC 5072 section 5).
func (id InterfaceID) LinkLocal() netip.Addr {
	a := [16]byte{0xfe, 0x80}
	binary.BigEndian.PutUint64(a[8:], uint64(id))
	return netip.AddrFrom16(a)
}

// ipv6cp is the IPv6 Control Protocol of a link (RFC 5072). The link does without it
// where the peer does: it ends by itself, and never the link.
//
// A server waits for its client to begin. Only then does it speak, and clients that
// never heard of it are not bothered.
type ipv6cp struct {
	automaton
	ours   InterfaceID
	theirs InterfaceID
	hint   InterfaceID // what the peer is told to take if it has none, or ours
	asked  bool        // the peer's last request has an identifier
	told   bool        // Up6 was told, and no Down6 since
	code   int         // why it gives up, in Windows' numbers
}

func newIPv6CP(l *Link) *ipv6cp {
	p := &ipv6cp{}
	p.automaton = automaton{link: l, layer: p, proto: ProtocolIPV6CP, ids: l.persona().FirstID - 1}
	return p
}

// enableIPv6 makes IPV6CP part of the link, or ends that.
func (l *Link) enableIPv6(on bool) {
	if !on {
		l.ipv6 = nil
	} else if l.ipv6 == nil {
		l.ipv6 = newIPv6CP(l)
	}
}

// openIPv6 begins with IPV6CP where no persona has an order for it. To wait in Stopped
// is the passive option of RFC 1661 section 4.1.
func (l *Link) openIPv6(now time.Time) {
	switch {
	case l.ipv6 == nil:
	case l.role == Server:
		l.ipv6.setState(stateStopped)
	case !l.persona().has(ProtocolIPV6CP):
		l.ipv6.restart(now)
	}
}

// draw draws an identifier. Some clients make theirs of a hardware address (RFC 4291
// appendix A); of the others, the universal bit is not set (RFC 5072 section 4.1).
func (p *ipv6cp) draw() InterfaceID {
	var b [8]byte
	io.ReadFull(p.link.rand, b[:])
	b[0] &^= universalBit
	if p.link.persona().HardwareID {
		b[0] |= universalBit
		b[3], b[4] = 0xff, 0xfe
	}
	return InterfaceID(max(binary.BigEndian.Uint64(b[:]), 1))
}

func (p *ipv6cp) appendRequest(b []byte) []byte {
	if p.ours == 0 {
		p.ours = p.draw()
	}
	return binary.BigEndian.AppendUint64(append(b, optionInterfaceID, 10), uint64(p.ours))
}

func (p *ipv6cp) begin([]byte) []byte {
	p.asked = false
	return nil
}

// consider takes an identifier that is one and not ours. Others are Nak'ed with one
// that would do; compression of headers is rejected.
func (p *ipv6cp) consider(o option, nak []byte) (judgement, []byte) {
	if o.kind != optionInterfaceID || len(o.data) != 8 {
		return unrecognizable, nak
	}
	p.asked = true
	p.theirs = InterfaceID(binary.BigEndian.Uint64(o.data))
	if p.theirs == 0 || p.theirs == p.ours {
		return unacceptable, p.suggest(nak)
	}
	return acceptable, nak
}

// suggest appends an identifier for the peer, the same one as long as it will do.
func (p *ipv6cp) suggest(nak []byte) []byte {
	for p.hint == 0 || p.hint == p.ours {
		p.hint = max(p.draw(), p.hint+1) // also moves on without randomness
	}
	return binary.BigEndian.AppendUint64(append(nak, optionInterfaceID, 10), uint64(p.hint))
}

// missing makes a client say its identifier: its packets have it as a source.
func (p *ipv6cp) missing(nak []byte) []byte {
	if p.asked || p.link.role == Client {
		return nak
	}
	return p.suggest(nak)
}

// naked takes what the peer suggests, unless that is no identifier or its own.
func (p *ipv6cp) naked(_ time.Time, o option) {
	if o.kind != optionInterfaceID || len(o.data) != 8 {
		return
	}
	id := InterfaceID(binary.BigEndian.Uint64(o.data))
	if id == 0 || id == p.theirs {
		id = p.draw()
	}
	p.ours = id
}

// rejected ends the protocol, not the link. Windows calls it 732, "not converging".
func (p *ipv6cp) rejected(now time.Time, _ option) {
	p.code = rasCodes[CauseNotConverging]
	p.apply(now, wantClose, 0, nil)
}

func (p *ipv6cp) terminating([]byte) {}

func (p *ipv6cp) appendTermination(b []byte) []byte {
	if p.link.persona().RASCodes {
		return appendTermination(b, p.link.lcp.magic, p.code)
	}
	return b
}

func (p *ipv6cp) extra(time.Time, packet) (bool, error) { return false, nil }

func (p *ipv6cp) up(time.Time) {
	if !p.asked {
		p.theirs = 0
	}
	p.told = true
	lcp := &p.link.lcp
	p.link.tell(Up6{
		LocalID: p.ours, PeerID: p.theirs,
		PeerMRU: int(lcp.peerMRU), SendACFC: lcp.peerACFC, SendPFC: lcp.peerPFC,
	})
}

func (p *ipv6cp) down(time.Time) {
	if p.told {
		p.told = false
		p.link.tell(Down6{})
	}
}

func (p *ipv6cp) finished(time.Time) {}
