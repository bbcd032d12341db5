package engine

import (
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/ike"
)

// Child SAs: from what IKE has agreed on to the tables of the data plane, and what a peer is
// sent packets by.

// children are the child SAs of all peers.
type children struct{ machines *machines }

// install makes a child SA known to the data plane.
func (e *children) install(now time.Time, i ike.Installed) {
	p := e.machines.Table.peerOf(i.Peer)
	c, err := e.newChild(p.Plane, i.Child)
	i.Child.KeyIn.Zero()
	i.Child.KeyOut.Zero()
	if err != nil {
		e.machines.happened.add(SARefused{p, err})
		e.machines.IKE.Close(now, i.Peer, ike.ReasonLocal)
		return
	}
	p.Children[c.In] = c
	c.SA.TunnelMode = p.tunnelModeSession(c)
	if c.Only = selectors(&c.ChildTerms, p.Called); c.Only != nil && c.SA.TunnelMode != nil {
		e.machines.Plane.AddNarrowSA(esp.SPI(c.In), c.SA, c.Only)
	} else {
		e.machines.Plane.AddSA(esp.SPI(c.In), c.SA)
	}
	if c.Active {
		e.activate(i.Peer, c.In)
	}
}

// newChild makes the two ends of a child SA from what IKE agreed on.
func (e *children) newChild(p *dataplane.Peer, sa ike.ChildSA) (*Child, error) {
	t, err := esp.ByIANA(sa.Encryption, sa.KeyBits, sa.Integrity)
	if err != nil {
		return nil, err
	}
	c := &Child{ChildTerms: sa.ChildTerms}
	c.SA, err = dataplane.NewSA(p, esp.InboundConfig{
		SPI: esp.SPI(sa.In), Transform: t, ESN: sa.ESN, Vault: e.machines.vault,
		Keys: esp.Keys{Encryption: sa.KeyIn.Encryption, Integrity: sa.KeyIn.Integrity},
	})
	if err != nil {
		return nil, err
	}
	c.Out, err = esp.NewOutbound(esp.OutboundConfig{
		SPI: esp.SPI(sa.Out), Transform: t, ESN: sa.ESN, Vault: e.machines.vault, After: e.machines.Config.After,
		Keys: esp.Keys{Encryption: sa.KeyOut.Encryption, Integrity: sa.KeyOut.Integrity},
	})
	return c, err
}

// activate sends on that SA from now on.
func (e *children) activate(id ike.Peer, in ike.SPI) {
	p := e.machines.Table.Peers[uint64(id)]
	if p == nil || p.Children[in] == nil {
		return
	}
	if p.Current != nil && p.Current.In != in && (p.Children[in].Transport || p.Children[in].Replaces != 0) {
		p.Rekeys++
	}
	p.Current = p.Children[in]
	p.Current.active = true
	p.used++
	p.Current.used = p.used
	if p.Current.Path.Remote.IsValid() {
		p.Path = p.Current.Path
	}
	if port := p.Current.Remote.Port; port != 0 {
		p.port = port
	}
	e.Reroute(p)
	e.machines.happened.add(Ready{p})
}

// activateUsed sends on a peer's only SA when the peer does so: its first packet
// in the SA may be looked at before the last message of its quick mode, which
// waits in the queue of strangers, and would be answered into the void.
func (e *children) activateUsed(p *Peer) {
	if p.Current != nil || len(p.Children) != 1 {
		return
	}
	for in := range p.Children {
		e.activate(ike.Peer(p.ID), in)
	}
}

// Reroute tells the data plane how packets reach the peer now.
func (e *children) Reroute(p *Peer) {
	if p.Current == nil {
		return
	}
	c := p.Current
	local, remote := p.innerAddresses(c)
	port := uint16(l2tpPort)
	if c.Local.Port != 0 {
		port = c.Local.Port
	}
	err := e.machines.Plane.Route(p.Plane, dataplane.Encapsulation{
		Out: c.Out, Path: planePath(p.Path), LocalPort: port, RemotePort: p.port,
		InnerLocal: local, InnerRemote: remote, OuterMTU: e.machines.Config.OuterMTU,
		Ways: p.Ways(), Trial: p.tried(),
	})
	if err != nil {
		e.machines.happened.add(RouteRefused{p, err})
	}
}

// setPort notes the port that the peer's L2TP speaks from: some choose a new
// one at every dial and name none in their selector.
func (e *children) setPort(p *Peer, port uint16) {
	if p.port != port && port != 0 {
		p.port = port
		e.Reroute(p)
	}
}

// Received returns how many packets have come in a child SA.
func (t *Table) Received(id ike.Peer, in ike.SPI) uint64 {
	p := t.Peers[uint64(id)]
	if p == nil || p.Children[in] == nil {
		return 0
	}
	packets, _ := p.Children[in].SA.In.Opened()
	return packets
}

// uninstall forgets a child SA.
func (e *children) uninstall(r ike.Removed) {
	p := e.machines.Table.Peers[uint64(r.Peer)]
	if p == nil || p.Children[r.In] == nil {
		return
	}
	c := p.Children[r.In]
	delete(p.Children, r.In)
	e.machines.Plane.RemoveSA(esp.SPI(r.In))
	lost := p.Current == c
	if lost {
		p.Current = p.newestActive()
	}
	if lost || p.TunnelMode != nil {
		e.Reroute(p)
	}
}
