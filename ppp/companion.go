package ppp

import (
	"encoding/binary"
	"io"
	"time"
)

// IPV6CP's option and what is in it (RFC 5072 section 4.1).
const (
	optionInterfaceID = 1
	universalBit      = 0x02 // in the first octet of an identifier
)

// companion is a network protocol that a persona negotiates beside IPCP because the
// native client does. Nothing is carried in it: it asks for what the client asks for,
// gives up when that is refused, and takes nothing from the server but its IPV6CP
// interface identifier.
type companion struct {
	automaton
	ask  *network
	id   uint64 // our interface identifier
	code int    // why it gives up, in Windows' numbers
}

// newCompanions makes those of the link's persona.
func (l *Link) newCompanions() {
	networks := l.persona().networks
	for i := range networks {
		if networks[i].proto == ProtocolIPCP {
			continue
		}
		c := &companion{ask: &networks[i]}
		c.automaton = automaton{link: l, layer: c, proto: networks[i].proto, ids: l.persona().firstID - 1}
		l.extras = append(l.extras, c)
	}
}

func (c *companion) appendRequest(b []byte) []byte {
	if c.proto != ProtocolIPV6CP {
		return append(b, c.ask.options...)
	}
	if c.id == 0 {
		c.newInterfaceID()
	}
	return binary.BigEndian.AppendUint64(append(b, optionInterfaceID, 10), c.id)
}

// newInterfaceID draws one. Some clients make theirs of a hardware address (RFC 4291
// appendix A); of the others, the universal bit is not set (RFC 5072 section 4.1).
func (c *companion) newInterfaceID() {
	var b [8]byte
	io.ReadFull(c.link.rand, b[:])
	b[0] &^= universalBit
	if c.link.persona().hardwareID {
		b[0] |= universalBit
		b[3], b[4] = 0xff, 0xfe
	}
	c.id = max(binary.BigEndian.Uint64(b[:]), 1)
}

func (c *companion) begin([]byte) []byte { return nil }

func (c *companion) consider(o option, nak []byte) (judgement, []byte) {
	if c.proto == ProtocolIPV6CP && o.kind == optionInterfaceID && len(o.data) == 8 {
		if theirs := binary.BigEndian.Uint64(o.data); theirs != 0 && theirs != c.id {
			return acceptable, nak
		}
	}
	return unrecognizable, nak
}

func (c *companion) missing(nak []byte) []byte { return nak }

func (c *companion) naked(now time.Time, o option) {
	if c.proto == ProtocolIPV6CP && o.kind == optionInterfaceID && len(o.data) == 8 {
		c.id = binary.BigEndian.Uint64(o.data)
		return
	}
	c.giveUp(now)
}

func (c *companion) rejected(now time.Time, _ option) { c.giveUp(now) }

// giveUp ends the protocol, not the link. Windows calls it 732, "not converging".
func (c *companion) giveUp(now time.Time) {
	c.code = rasCodes[CauseNotConverging]
	c.apply(now, wantClose, 0, nil)
}

func (c *companion) terminating([]byte) {}

func (c *companion) appendTermination(b []byte) []byte {
	if c.link.persona().windows {
		return appendTermination(b, c.link.lcp.magic, c.code)
	}
	return b
}

func (c *companion) extra(time.Time, packet) (bool, error) { return false, nil }

// up ends what must not begin: a server that agrees to CCP would encrypt.
func (c *companion) up(now time.Time) {
	if c.proto == ProtocolCCP {
		c.giveUp(now)
	}
}

func (c *companion) down(time.Time)     {}
func (c *companion) finished(time.Time) {}
