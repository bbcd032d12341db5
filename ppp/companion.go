package ppp

import "time"

// companion is a network protocol that a persona negotiates beside IPCP and IPV6CP
// because the native client does. Nothing is carried in it: it asks for what the client
// asks for, gives up when that is refused, and takes nothing from the server.
type companion struct {
	automaton
	ask  *Network
	code int // why it gives up, in Windows' numbers
}

// newCompanions makes those of the link's persona.
func (l *Link) newCompanions() {
	networks := l.persona().Networks
	for i := range networks {
		switch networks[i].Protocol {
		case ProtocolIPCP:
		case ProtocolIPV6CP:
			l.enableIPv6(true)
		default:
			c := &companion{ask: &networks[i]}
			c.automaton = automaton{link: l, layer: c, proto: networks[i].Protocol, ids: l.persona().FirstID - 1}
			l.extras = append(l.extras, c)
		}
	}
}

func (c *companion) appendRequest(b []byte) []byte { return append(b, c.ask.Options...) }

func (c *companion) begin([]byte) []byte { return nil }

func (c *companion) consider(_ option, nak []byte) (judgement, []byte) { return unrecognizable, nak }

func (c *companion) missing(nak []byte) []byte { return nak }

func (c *companion) naked(now time.Time, _ option) { c.giveUp(now) }

func (c *companion) rejected(now time.Time, _ option) { c.giveUp(now) }

// giveUp ends the protocol, not the link. Windows calls it 732, "not converging".
func (c *companion) giveUp(now time.Time) {
	c.code = rasCodes[CauseNotConverging]
	c.apply(now, wantClose, 0, nil)
}

func (c *companion) terminating([]byte) {}

func (c *companion) appendTermination(b []byte) []byte {
	if c.link.persona().RASCodes {
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
