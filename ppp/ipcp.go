package ppp

import (
	"net/netip"
	"time"
)

// IPCP's options (RFC 1332 section 3.3, RFC 1877 section 1).
const (
	optionAddress       = 3
	optionPrimaryDNS    = 129
	optionPrimaryNBNS   = 130
	optionSecondaryDNS  = 131
	optionSecondaryNBNS = 132

	serverIPCPOptions = "\x03"
)

// slot numbers the options that carry an address.
type slot uint8

const (
	slotAddress slot = iota
	slotDNS
	slotNBNS
	slotDNS2
	slotNBNS2
	slotCount
)

// slotOf returns the slot of an option.
func slotOf(kind uint8) (slot, bool) {
	switch {
	case kind == optionAddress:
		return slotAddress, true
	case kind >= optionPrimaryDNS && kind <= optionSecondaryNBNS:
		return slot(kind-optionPrimaryDNS) + slotDNS, true
	}
	return 0, false
}

// addresses has one address a slot; zero is none.
type addresses [slotCount][4]byte

var noAddress [4]byte

func (a *addresses) set(s slot, addr netip.Addr) {
	a[s] = noAddress
	if addr = addr.Unmap(); addr.Is4() {
		a[s] = addr.As4()
	}
}

// addr returns the address of a slot, invalid if there is none.
func (a *addresses) addr(s slot) netip.Addr {
	if a[s] == noAddress {
		return netip.Addr{}
	}
	return netip.AddrFrom4(a[s])
}

// ipcp is the IP Control Protocol of a link.
//
// A server asks for its own address and knows what the client should ask for: it Naks
// what differs and rejects what it has nothing for. A client asks for the address
// 0.0.0.0 and for its servers, and adopts what it is told.
type ipcp struct {
	automaton
	dropped uint8     // bit n: the peer rejected slot n
	asked   uint8     // bit n: the peer's last request had slot n, and we did not reject it
	ours    addresses // what we ask for
	theirs  addresses // server: what the peer is to ask for; client: slotAddress is the server's
}

func (p *ipcp) init(l *Link) {
	p.automaton = automaton{link: l, layer: p, proto: ProtocolIPCP, ids: l.persona().FirstID - 1}
}

// renew begins a negotiation with everything we want.
func (p *ipcp) renew() { p.dropped = 0 }

// assign takes what a verdict gives both sides.
func (p *ipcp) assign(v Verdict) {
	p.ours.set(slotAddress, v.Local)
	p.theirs.set(slotAddress, v.Peer)
	dns, nbns := servers(v.DNS), servers(v.NBNS)
	p.theirs.set(slotDNS, dns[0])
	p.theirs.set(slotDNS2, dns[1])
	p.theirs.set(slotNBNS, nbns[0])
	p.theirs.set(slotNBNS2, nbns[1])
}

func (p *ipcp) appendRequest(b []byte) []byte {
	kinds := serverIPCPOptions
	if p.link.role == Client {
		kinds = p.link.persona().IPCP
	}
	for i := range len(kinds) {
		if s, ok := slotOf(kinds[i]); ok && p.dropped&(1<<s) == 0 {
			b = appendOption(b, kinds[i], p.ours[s][:]...)
		}
	}
	return b
}

func (p *ipcp) begin([]byte) []byte {
	p.asked = 0
	return nil
}

func (p *ipcp) consider(o option, nak []byte) (judgement, []byte) {
	s, ok := slotOf(o.kind)
	if !ok || len(o.data) != 4 {
		return unrecognizable, nak // among others IP-Compression-Protocol: Van Jacobson's is not spoken
	}
	if p.link.role == Client {
		return p.considerServer(s, [4]byte(o.data)), nak
	}
	want := p.theirs[s]
	if want == noAddress {
		return unrecognizable, nak
	}
	p.asked |= 1 << s
	if [4]byte(o.data) != want {
		return unacceptable, appendOption(nak, o.kind, want[:]...)
	}
	return acceptable, nak
}

// considerServer takes the server's address as it is. Servers ask a client for nothing else.
func (p *ipcp) considerServer(s slot, addr [4]byte) judgement {
	if s != slotAddress || addr == noAddress {
		return unrecognizable
	}
	p.theirs[s] = addr
	return acceptable
}

// missing makes a client ask for its address if it does not on its own: "appending the
// option to the Configure-Nak" prompts for it (RFC 1332 section 3.3, RFC 1661
// section 5.3).
func (p *ipcp) missing(nak []byte) []byte {
	if p.link.role == Client || p.has(slotAddress) {
		return nak
	}
	return appendOption(nak, optionAddress, p.theirs[slotAddress][:]...)
}

// naked adopts what a server tells its client. A server does not let itself be renumbered.
func (p *ipcp) naked(_ time.Time, o option) {
	s, ok := slotOf(o.kind)
	if ok && p.link.role == Client && len(o.data) == 4 {
		p.ours[s] = [4]byte(o.data)
	}
}

// rejected asks no more. A client without an address has no use for the link.
func (p *ipcp) rejected(now time.Time, o option) {
	s, ok := slotOf(o.kind)
	if !ok {
		return
	}
	if s == slotAddress && p.link.role == Client {
		p.link.note(because(CauseNoAddress, "the server rejects the request for one"))
		p.apply(now, wantClose, 0, nil)
		return
	}
	p.dropped |= 1 << s
	p.ours[s] = noAddress
}

func (p *ipcp) terminating(data []byte) {
	code, words := terminationReason(data)
	p.link.note(Reason{Cause: CausePeer, Code: code, Detail: words})
}

func (p *ipcp) appendTermination(b []byte) []byte {
	if p.link.persona().RASCodes {
		return appendTermination(b, p.link.lcp.magic, p.link.reason.Code)
	}
	return append(b, p.link.reason.Cause.String()...)
}

func (p *ipcp) extra(time.Time, packet) (bool, error) { return false, nil }

// up checks that there is an address to use before it tells.
func (p *ipcp) up(now time.Time) {
	l := p.link
	switch {
	case l.role == Server && !p.has(slotAddress):
		l.fail(now, because(CauseNoAddress, "the client does not take the address that it was assigned"))
	case l.role == Server:
		l.ipcpUp(now, Up{
			Local: p.ours.addr(slotAddress), Peer: p.theirs.addr(slotAddress),
			DNS: p.given(slotDNS, slotDNS2), NBNS: p.given(slotNBNS, slotNBNS2),
		})
	case p.ours[slotAddress] == noAddress:
		l.fail(now, because(CauseNoAddress, "the server assigned none"))
	default:
		l.ipcpUp(now, Up{
			Local: p.ours.addr(slotAddress), Peer: p.theirs.addr(slotAddress),
			DNS: p.told(slotDNS, slotDNS2), NBNS: p.told(slotNBNS, slotNBNS2),
		})
	}
}

// has tells whether the peer's last request had that slot.
func (p *ipcp) has(s slot) bool { return p.asked&(1<<s) != 0 }

// given lists what a client took of two slots.
func (p *ipcp) given(slots ...slot) (list []netip.Addr) {
	for _, s := range slots {
		if p.has(s) {
			list = append(list, p.theirs.addr(s))
		}
	}
	return list
}

// told lists what a server told us in two slots.
func (p *ipcp) told(slots ...slot) (list []netip.Addr) {
	for _, s := range slots {
		if a := p.ours.addr(s); a.IsValid() {
			list = append(list, a)
		}
	}
	return list
}

func (p *ipcp) down(now time.Time) { p.link.ipcpDown(now) }

// finished ends the link: it has nothing else to carry.
func (p *ipcp) finished(now time.Time) {
	p.link.fail(now, because(CauseNetworkRefused, "no answer"))
}
