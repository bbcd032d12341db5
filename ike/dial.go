package ike

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// dialler is what a peer that we dialled is asked for, again at each renewal.
type dialler struct {
	config   DialConfig
	persona  suite.Persona
	habits   v1.Habits
	identity wire.ID
	peer     *peer
	networks []netip.Prefix // of tunnel mode, that have no child SA yet
}

// zero overwrites the password.
func (d *dialler) zero() {
	if d.config.XAUTH != nil {
		clear(d.config.XAUTH.Password)
	}
}

// Dial starts a connection. It ends in Up and Installed, or in Closed.
func (s *Server) Dial(now time.Time, c DialConfig) (Peer, error) {
	if c.V2 != nil {
		return s.dial2(now, c)
	}
	d, err := newDialler(c)
	if err != nil {
		return 0, err
	}
	p := s.newPeer(d.proof(), c.Path)
	d.config.PSK = nil
	d.peer, p.dial = p, d
	d.applyPolicy(p.policy)
	first := v1.InitiatorConfig{Rand: s.config.Rand, PSK: bytes.Clone(p.proof.PSK), InitialContact: d.habits.InitialContact,
		Certificate: p.proof.certificate1()}
	d.introduce(&first)
	if err := p.launch(now, first, c.Path); err != nil {
		p.unregister()
		return 0, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	s.dialled[c.Path.ends()] = p
	s.dialled[c.NATTPath.ends()] = p
	return p.id, nil
}

func newDialler(c DialConfig) (*dialler, error) {
	for _, p := range []Path{c.Path, c.NATTPath} {
		if !p.Remote.IsValid() || !p.Local.IsValid() || p.Local.Addr().IsUnspecified() {
			return nil, fmt.Errorf("%w: a dial needs real addresses at both ends", ErrConfig)
		}
	}
	look := v1.Own()
	if c.Persona != nil {
		look = *c.Persona
		look.IKE, look.ESP = slices.Clone(look.IKE), slices.Clone(look.ESP)
	}
	d := &dialler{config: c, persona: look.Persona, habits: look.Habits}
	if err := d.check(); err != nil {
		return nil, err
	}
	if x := c.XAUTH; x != nil {
		d.config.XAUTH = &DialXAUTH{User: x.User, Password: bytes.Clone(x.Password), Push: x.Push}
		d.persona.Vendors = v1.XAUTHVendors(look.Vendors)
	}
	d.identity = d.ownIdentity()
	if c.PFS && d.habits.PFS == suite.GroupNone {
		d.habits.PFS = suite.GroupMODP2048
	}
	return d, nil
}

func (d *dialler) ownIdentity() wire.ID {
	name := d.config.Identity
	switch {
	case d.aggressive():
		return d.groupID()
	case name == "" && d.config.Certificate != nil:
		return subjectID(d.config.Certificate)
	case name == "" && d.habits.IDPort:
		return wire.AddrID(d.config.Path.Local.Addr(), 17, 500)
	case name == "":
		return wire.AddrID(d.config.Path.Local.Addr(), 0, 0)
	case strings.Contains(name, "@"):
		return wire.ID{Type: wire.IDUserFQDN, Data: []byte(name)}
	}
	return wire.ID{Type: wire.IDFQDN, Data: []byte(name)}
}

// applyPolicy puts the suites and lifetimes of the dial into the persona.
func (d *dialler) applyPolicy(p Policy) {
	if len(d.config.IKE) > 0 {
		life := d.persona.IKE[0].Life
		d.persona.IKE = nil
		for _, s := range d.config.IKE {
			d.persona.IKE = append(d.persona.IKE, suite.IKE{IKESuite: s, Life: life})
		}
	}
	if len(d.config.ESP) > 0 {
		life := d.persona.ESP[0].Life
		d.persona.ESP = nil
		for _, s := range d.config.ESP {
			d.persona.ESP = append(d.persona.ESP, suite.ESP{ESPSuite: s, Life: life})
		}
	}
	for n := range d.persona.IKE {
		d.persona.IKE[n].Auth = d.method()
		d.persona.IKE[n].Life.Seconds = seconds(p.IKELifetime, d.persona.IKE[n].Life.Seconds)
	}
	for n := range d.persona.ESP {
		d.persona.ESP[n].Life.Seconds = seconds(p.ChildLifetime, d.persona.ESP[n].Life.Seconds)
	}
}

// method is how we prove who we are.
func (d *dialler) method() suite.AuthMethod {
	m := suite.AuthPSK
	if d.config.Certificate != nil {
		m = suite.AuthRSASignature
	}
	if d.config.XAUTH != nil {
		m = m.WithXAUTH(false)
	}
	return m
}

// introduce fills in what the persona says in phase 1.
func (d *dialler) introduce(c *v1.InitiatorConfig) {
	persona := d.persona
	if d.aggressive() {
		persona.IKE = oneGroup(persona.IKE)
	}
	c.Offer = persona.OfferIKE()
	c.Vendors = d.persona.Vendors
	c.NonceLen = d.persona.NonceLen
	c.Identity = d.identity
	if d.method().Signed() { // certificates do not fit into a datagram
		c.Vendors = withFragmentation(c.Vendors)
	}
}

// request is the quick mode of the persona.
func (d *dialler) request(spi SPI) v1.QuickConfig {
	persona := d.persona
	persona.ESP = append([]suite.ESP(nil), d.persona.ESP...)
	for n := range persona.ESP {
		persona.ESP[n].Group = d.habits.PFS
	}
	c := v1.QuickConfig{SPI: spi.bytes(), NonceLen: d.persona.NonceLen, PFS: d.habits.PFS}
	c.Offer = persona.OfferESP(spi.bytes(), d.encapsulation(suite.Transport, suite.UDPTransport, suite.UDPTransportDraft))
	c.IDci, c.IDcr = d.selectors()
	if d.peer.features.NATT != v1.NATTNone {
		c.NATOA = d.peer.ownOriginals()
	}
	return c
}

// encapsulation is the mode that we ask for, of those that go with what was found out
// about NATs.
func (d *dialler) encapsulation(plain, udp, draft suite.Encapsulation) suite.Encapsulation {
	switch d.peer.features.NATT {
	case v1.NATTRFC:
		return udp
	case v1.NATTDraft:
		return draft
	}
	return plain
}

// selectors are the identities of quick mode: L2TP to the server, from the port
// that the persona would name.
func (d *dialler) selectors() (wire.ID, wire.ID) {
	local, remote := d.config.Local, d.config.Remote
	if local == (Selector{}) {
		local = Selector{Proto: 17, Port: d.localPort()}
	}
	if remote == (Selector{}) {
		remote = Selector{Proto: 17, Port: portL2TP}
	}
	return selectorID(local, d.peer.path.Local), selectorID(remote, d.peer.path.Remote)
}

func selectorID(s Selector, outer netip.AddrPort) wire.ID {
	if s.Addr.IsValid() && !s.Addr.IsSingleIP() {
		return wire.PrefixID(s.Addr, s.Proto, s.Port)
	}
	a := outer.Addr()
	if s.Addr.IsValid() {
		a = s.Addr.Addr()
	}
	return wire.AddrID(a, s.Proto, s.Port)
}

func (d *dialler) localPort() uint16 {
	switch {
	case d.habits.Port == v1.PortAny:
		return 0
	case d.config.LocalPort != 0:
		return d.config.LocalPort
	}
	return portL2TP
}

// floated is the path after the move to port 4500.
func (p *peer) floated(path Path) Path {
	if p.dial == nil || path.NATT {
		return path
	}
	return p.dial.config.NATTPath
}

// ownOriginals are the NAT-OA payloads of a message 1 of ours.
func (p *peer) ownOriginals() []netip.Addr {
	return []netip.Addr{p.path.Local.Addr().Unmap(), p.path.Remote.Addr().Unmap()}
}

// hostIDs stand for all traffic between the two ends of the path.
func (p *peer) hostIDs() (wire.ID, wire.ID) {
	return wire.AddrID(p.path.Local.Addr(), 0, 0), wire.AddrID(p.path.Remote.Addr(), 0, 0)
}
