package ike

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// Mode config: what a client is given for tunnel mode
// (draft-dukes-ike-mode-cfg-02). The client asks for it (pull), or, if it does
// not, is told (push). What it was given once it is given again, for as long as
// anything is left of it.

// pushTime is how long a client that has logged in may take to ask.
const pushTime = 2 * time.Second

// idleTime is how long a client may be without child SAs that has an address, and
// cannot be asked whether it lives: those of Apple make them when there is
// something to send.
const idleTime = 10 * time.Minute

// ownVersion is our APPLICATION_VERSION.
const ownVersion = "culvert"

// awaitConfig gives a client that has logged in time to ask, unless it is one
// that does.
func (p *peer) awaitConfig(now time.Time) {
	if !p.pulls {
		p.pushAt = now.Add(pushTime)
	}
	if p.assignment == nil {
		p.childless = now.Add(childlessTime)
	}
}

// handleClientAsks takes what a client begins: its request for a configuration.
// One that has not logged in is given nothing.
func (i *isakmp) handleClientAsks(now time.Time, t *transaction, c wire.ModeConfig) error {
	p := i.peer
	if i.state != standing || i.user == "" || c.Type != wire.ConfigRequest {
		return ErrRefused
	}
	p.pulls, p.pushAt = true, time.Time{}
	p.waiting = append(p.waiting, t)
	p.assign(now, wantsOf(c))
	p.arm()
	return nil
}

// wantsOf reads a request.
func wantsOf(c wire.ModeConfig) Wants {
	w := Wants{Request: true}
	for _, a := range c.Attributes {
		switch a.Type {
		case wire.ModeIP4Address:
			w.IPv4 = true
			if addr, ok := netip.AddrFromSlice(a.Value); ok && addr.Is4() && !addr.IsUnspecified() {
				w.Addr4 = addr
			}
		case wire.ModeIP4DNS:
			w.DNS = true
		case wire.ModeIP4NBNS:
			w.NBNS = true
		case wire.UnitySplitDNS, wire.UnityDomain:
			w.Domains = true
		case wire.UnitySplitInclude:
			w.Subnets = true
		case wire.ModeVersion:
			w.Version = printable(a.Value)
		}
	}
	return w
}

// printable is what a peer calls itself, for a log.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b[:min(len(b), 128)]))
}

// assign finds out what the client gets, once.
func (p *peer) assign(now time.Time, w Wants) {
	if p.assignment != nil {
		p.configure(now)
		return
	}
	if p.assigning {
		return
	}
	p.assigning = true
	p.s.emit(Assign{Peer: p.id, Tenant: p.tenant, Identity: p.user, Family: p.features.Family, Wants: w})
}

// assigned takes the answer to an Assign.
func (p *peer) assigned(now time.Time, a Assignment) {
	if !p.assigning {
		return
	}
	p.assigning = false
	if !a.OK || a.NoAddress || !a.IPv4.Is4() {
		p.end(now, ReasonFailed, CauseTraffic, a.Detail, true)
		return
	}
	p.assignment = &a
	if len(p.children) == 0 {
		p.childless = p.idleEnd(now)
	}
	p.configure(now)
	p.arm()
}

// idleEnd is until when a client with an address must have a child SA; zero: as
// long as it lives.
func (p *peer) idleEnd(now time.Time) time.Time {
	if p.dial == nil && p.dpd.at.IsZero() {
		return now.Add(idleTime)
	}
	return time.Time{}
}

// configure answers those who ask, or tells a client that does not.
func (p *peer) configure(now time.Time) {
	for _, t := range p.waiting {
		t.answer(p.reply(t.asked))
	}
	p.waiting = nil
	if cur := p.current(); p.pushing && cur != nil {
		p.pushing = false
		cur.ask(now, p.pushed(), nil, nil)
	}
}

// push begins to tell a client that has not asked.
func (p *peer) push(now time.Time) {
	p.pushAt = time.Time{}
	p.pushing = true
	p.assign(now, Wants{Request: true, IPv4: true, DNS: true, NBNS: true, Domains: true, Subnets: true})
}

// pushed is what it is told: all there is, in the words it knows.
func (p *peer) pushed() wire.ModeConfig {
	asked := wire.ModeConfig{}
	list := []wire.AttributeType{wire.ModeIP4Address, wire.ModeIP4Netmask, wire.ModeIP4DNS, wire.ModeIP4NBNS}
	if p.features.Unity {
		list = append(list, wire.UnityDomain, wire.UnitySplitDNS, wire.UnitySplitInclude)
	}
	for _, t := range list {
		asked.AddBytes(t, nil)
	}
	c := p.reply(asked)
	c.Type = wire.ConfigSet
	return c
}

// reply grants what was asked for. Attributes that are not known are left out.
func (p *peer) reply(asked wire.ModeConfig) wire.ModeConfig {
	c := wire.ModeConfig{Type: wire.ConfigReply}
	var done []wire.AttributeType
	for _, a := range asked.Attributes {
		if !slices.Contains(done, a.Type) {
			done = append(done, a.Type)
			p.grant(&c, a.Type)
		}
	}
	if p.features.Unity && !slices.Contains(done, wire.UnitySavePassword) {
		p.grant(&c, wire.UnitySavePassword) // nobody asks for it, and Apple's clients follow it
	}
	return c
}

// grant adds what the client is given of one kind.
func (p *peer) grant(c *wire.ModeConfig, t wire.AttributeType) {
	a := p.assignment
	switch t {
	case wire.ModeIP4Address:
		c.AddBytes(t, a.IPv4.AsSlice())
	case wire.ModeIP4Netmask: // the link has no other hosts
		c.AddBytes(t, []byte{255, 255, 255, 255})
	case wire.ModeIP4DNS:
		addAddrs(c, t, a.DNS)
	case wire.ModeIP4NBNS:
		addAddrs(c, t, a.NBNS)
	case wire.ModeVersion:
		c.AddBytes(t, []byte(ownVersion))
	case wire.UnitySavePassword: // or a person would be asked again at each renewal of phase 1
		c.AddShort(t, 1)
	case wire.UnityDomain:
		if len(a.Domains) > 0 {
			c.AddBytes(t, []byte(a.Domains[0]))
		}
	case wire.UnitySplitDNS:
		if len(a.Domains) > 0 {
			c.AddBytes(t, []byte(strings.Join(a.Domains, ",")))
		}
	case wire.UnitySplitInclude:
		if split := splitOf(a.Local); len(split) > 0 {
			c.AddBytes(t, split)
		}
	}
}

func addAddrs(c *wire.ModeConfig, t wire.AttributeType, list []netip.Addr) {
	for _, a := range list {
		if a.Is4() {
			c.AddBytes(t, a.AsSlice())
		}
	}
}

// splitOf are the networks of IPv4 that go through the tunnel; none: all do.
func splitOf(list []netip.Prefix) []byte {
	var b []byte
	for n, x := range list {
		if x.Addr().Is4() && !slices.Contains(list[:n], x) {
			b = wire.AppendSplit(b, x)
		}
	}
	return b
}

// requestConfig asks the server that we dialled for an address.
func (i *isakmp) requestConfig(now time.Time) {
	c := wire.ModeConfig{Type: wire.ConfigRequest}
	for _, t := range i.peer.dial.habits.Asks {
		c.AddBytes(t, nil)
	}
	p := i.peer
	i.ask(now, c, p.configured, func(now time.Time) {
		if p.assignment == nil {
			p.mainFailed(now, i, CauseTimeout, "the server does not answer mode config")
		}
	})
}

// configured takes what the server gives us. What it gives later must be the same.
func (p *peer) configured(now time.Time, c wire.ModeConfig) {
	a := assignmentOf(c)
	switch {
	case !a.IPv4.IsValid() && p.assignment != nil:
		return
	case !a.IPv4.IsValid():
		p.fail(now, CauseTraffic, "the server gives us no address")
	case p.assignment == nil:
		p.assignment = &a
		p.dial.networks = a.Subnets
		if len(a.Subnets) == 0 {
			p.dial.networks = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0)}
		}
		if only := p.dial.config.Remote.Addr; only.IsValid() {
			p.dial.networks = []netip.Prefix{only}
		}
		p.s.emit(Configured{Peer: p.id, Assignment: a})
		p.continueQuick(now)
	case p.assignment.IPv4 != a.IPv4:
		p.fail(now, CauseTraffic, "the server gives us another address than before")
	}
}

// fail ends a connection of ours.
func (p *peer) fail(now time.Time, cause Cause, detail string) {
	p.s.fail(now, Failed{Peer: p.id, Path: p.path, Tenant: p.tenant, Cause: cause, Detail: detail})
	p.end(now, ReasonFailed, cause, detail, true)
}

// assignmentOf reads what a server has granted.
func assignmentOf(c wire.ModeConfig) Assignment {
	a := Assignment{OK: true}
	for _, x := range c.Attributes {
		addr, _ := netip.AddrFromSlice(x.Value)
		switch {
		case x.Type == wire.ModeIP4Address && addr.Is4() && !addr.IsUnspecified():
			a.IPv4 = addr
		case x.Type == wire.ModeIP4DNS && addr.Is4():
			a.DNS = append(a.DNS, addr)
		case x.Type == wire.ModeIP4NBNS && addr.Is4():
			a.NBNS = append(a.NBNS, addr)
		case x.Type == wire.UnitySplitDNS:
			a.Domains = append(a.Domains, strings.FieldsFunc(printable(x.Value), func(r rune) bool { return r == ',' || r == ' ' })...)
		case x.Type == wire.UnitySplitInclude:
			if list, err := wire.ParseSplit(x.Value); err == nil {
				a.Subnets = append(a.Subnets, list...)
			}
		}
	}
	return a
}
