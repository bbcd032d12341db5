package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/dataplane"
	"github.com/culvert-vpn/culvert/ike/wire/wiretest"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// The ways into the control loop, as FuzzControlLoop counts them.
const (
	intoIKE         = iota // of a stranger, at port 500
	intoNATT               // of a stranger, at port 4500
	intoPeer1              // with the cookies of a client of IKEv1
	intoPeer2              // with the SPIs of a client of IKEv2
	intoL2TP               // an L2TP control message
	intoAVPs               // the AVPs of one that is next in its tunnel
	intoPPP                // a PPP frame
	intoPackets4           // an IP packet in a PPP link
	intoPackets6           // one of IPv6
	intoXAUTH              // an IP packet in tunnel mode of IKEv1
	intoIKEv2              // an IP packet in tunnel mode of IKEv2
	waysIntoControl        // how many there are
)

// nextNs is what L2TP control message follows SCCRQ, SCCCN, ICRQ and ICCN.
const nextNs = 4

// dialledFor dials as a way needs it.
func dialledFor(way int) func(*dialer.DialConfig) {
	switch way {
	case intoPeer2, intoIKEv2:
		return byKeyAs("carol")
	case intoXAUTH:
		return byXAUTH
	}
	return func(*dialer.DialConfig) {}
}

// overhear has the network keep the cookies of the IKE message that each client has
// sent last, and returns how to ask for them.
func (w *world) overhear() func(of netip.Addr) [16]byte {
	var mu sync.Mutex
	seen := make(map[netip.Addr][16]byte)
	w.net.Tap(func(from, to netip.AddrPort, b []byte) bool {
		if to.Port() == 4500 && len(b) >= 32 && binary.BigEndian.Uint32(b) == 0 {
			mu.Lock()
			seen[from.Addr()] = [16]byte(b[4:])
			mu.Unlock()
		}
		return true
	})
	return func(of netip.Addr) [16]byte {
		mu.Lock()
		defer mu.Unlock()
		return seen[of]
	}
}

// ours is what the server has given a client: its L2TP tunnel and its prefix.
func (w *world) ours(of netip.Addr) (tunnel uint16, prefix netip.Prefix) {
	w.server.server.engine.Work.Do(context.Background(), func(time.Time) {
		for _, s := range w.server.server.sessions {
			if s.peer.Path.Remote.Addr() == of {
				tunnel, prefix = uint16(s.Call.Tunnel), s.prefix
			}
		}
	})
	return tunnel, prefix
}

// inTunnel lays the header of a control message before AVPs.
func inTunnel(tunnel uint16, ns, nr uint16, avps []byte) []byte {
	b := []byte{0xc8, 2}
	for _, n := range []uint16{uint16(12 + len(avps)), tunnel, 0, ns, nr} {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return append(b, avps...)
}

// into sends b by one of the ways.
func (c *client) into(way int, b []byte, cookies [16]byte) {
	tunnel, _ := c.w.ours(c.local)
	avps := inTunnel(tunnel, nextNs, 2, b)
	if way == intoPeer1 || way == intoPeer2 {
		b = append(cookies[:], b...)
		if len(b) >= 28 {
			binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
		}
	}
	c.g.Engine.Work.Do(context.Background(), func(time.Time) {
		switch way {
		case intoIKE:
			c.g.Engine.Plane.SendIKE(c.pathTo(500), false, b)
		case intoNATT, intoPeer1, intoPeer2:
			c.g.Engine.Plane.SendIKE(c.pathTo(4500), true, b)
		}
		for _, s := range c.g.Engine.Table.Sessions {
			switch way {
			case intoL2TP:
				c.g.Engine.Plane.SendL2TP(s.Peer.Plane, append([]byte{0xc8, 2}, b...))
			case intoAVPs:
				c.g.Engine.Plane.SendL2TP(s.Peer.Plane, avps)
			case intoPPP:
				c.g.Engine.Plane.SendPPP(s.Plane, b)
			case intoPackets4:
				c.g.Engine.Plane.SendPPP(s.Plane, append([]byte{0x00, 0x21}, b...))
			case intoPackets6:
				c.g.Engine.Plane.SendPPP(s.Plane, append([]byte{0x00, 0x57}, b...))
			case intoXAUTH, intoIKEv2:
				c.g.Engine.Plane.SendIP(s.Plane, b)
			}
		}
		c.g.Engine.Plane.Flush()
	})
}

// pathTo is the way to a port of the server.
func (c *client) pathTo(port uint16) dataplane.Path {
	return dataplane.Path{Local: netip.AddrPortFrom(c.local, port), Remote: netip.AddrPortFrom(netip.MustParseAddr(serverAddr), port)}
}

// wantNoFault fails the test if one of the gateways has met a panic.
func (w *world) wantNoFault() {
	w.t.Helper()
	for _, entry := range w.log.FilterMessage("fault").All() {
		w.t.Errorf("%v", entry.ContextMap())
	}
	n := w.server.server.faults.Count()
	for _, c := range w.clients {
		n += c.g.Engine.Config.Faults.Count()
	}
	if n != 0 {
		w.t.Errorf("%d panics", n)
	}
}

// FuzzControlLoop: anything, by every way into the control loop: IKE messages of
// strangers and with a client's cookies, what an L2TP tunnel and a PPP link carry, and
// packets that the control loop answers, of clients of every protocol. Nothing panics,
// in the server and in the client whom it answers, and another client notices nothing.
func FuzzControlLoop(f *testing.F) {
	h := hostile{Rand: rand.New(rand.NewPCG(1, 1)), from: netip.MustParseAddr("10.100.1.2"), from6: netip.MustParseAddr("2001:db8:1::5")}
	for way := range waysIntoControl {
		for range 4 {
			b := map[bool]func() []byte{true: h.packet, false: h.frame}[way >= intoPackets4]()
			switch {
			case way < intoL2TP:
				b = h.ike()
			case way < intoPPP:
				b = h.control()[2:]
			}
			f.Add(uint8(way), b)
		}
	}
	for i, flow := range wiretest.All(f) {
		f.Add(uint8(i%2), flow.Data)
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		if len(b) > 3000 {
			return
		}
		inWorld(t, goodRoad, neighboursConfig, func(t *testing.T, w *world) {
			cookies := w.overhear()
			bob, c := w.client(nil), w.client(nil)
			other := bob.mustDial(func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" })
			way := int(kind) % waysIntoControl
			c.mustDial(dialledFor(way))
			for range 2 {
				c.into(way, bytes.Clone(b), cookies(c.local))
				time.Sleep(time.Second)
			}
			bob.wantPing(other, "198.18.0.2")
			w.wantNoFault()
		})
	})
}
