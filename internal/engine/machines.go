package engine

import (
	"crypto/rand"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/l2tp"
)

func (e *machines) openPlane() (err error) {
	c := e.Config
	e.Plane, err = dataplane.New(dataplane.Config{
		Listen: e.granted.noting(c.Listen), Addresses: c.Addresses, Workers: c.Workers,
		IKEPort: c.IKEPort, NATTPort: c.NATTPort, Faults: c.Faults,
	})
	return err
}

func (e *machines) openMachines() error {
	spis, err := newSPIs(rand.Reader)
	if err != nil {
		return err
	}
	accept := e.Config.Candidates != nil
	if e.IKE, err = ike.NewServer(ike.Config{
		Rand: rand.Reader, AllocateSPI: spis.next, Received: e.Table.Received, Candidates: e.Config.Candidates, V2: accept,
		Refused: e.Config.Refused, Redirect: e.Config.Redirect,
	}); err != nil {
		return err
	}
	e.L2TP, err = l2tp.New(l2tp.Config{
		Rand: rand.Reader, HostName: "culvert", Vendor: "culvert", Accept: accept, Secret: e.l2tpSecret,
	})
	return err
}

// l2tpSecret returns the secret that a peer's tunnels are authenticated with; empty: none.
func (e *machines) l2tpSecret(id l2tp.Peer) []byte {
	if p := e.Table.Peers[uint64(id)]; p != nil {
		return e.Config.L2TPSecret(p)
	}
	return nil
}

// ReceiveBuffers is how many bytes the system gave the smallest receive buffer of a socket,
// and how many it was asked for; 0: that is not known.
func (e *machines) ReceiveBuffers() (granted, wanted int) { return e.granted.least, e.granted.wanted }

// Dial calls a server by IKE.
func (e *machines) Dial(now time.Time, c ike.DialConfig) (*Peer, error) {
	id, err := e.IKE.Dial(now, c)
	if err != nil {
		return nil, err
	}
	p := e.Table.peerOf(id)
	p.Called = true
	return p, nil
}

// LocalFor is the local address and port that messages of ours leave from; invalid: we have
// no socket there.
func (e *machines) LocalFor(local netip.Addr, natt bool) netip.AddrPort {
	for n := range e.Config.Addresses {
		l := e.Plane.Local(n, natt)
		if l.Addr() == local || l.Addr().IsUnspecified() && l.Addr().Is4() == local.Is4() {
			return netip.AddrPortFrom(local, l.Port())
		}
	}
	return netip.AddrPort{}
}
