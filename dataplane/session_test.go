package dataplane

import (
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/esp"
)

// rekeyed gives the rig's peer another SA to send on, after change of its way.
func (r *rig) rekeyed(change func(e *Encapsulation)) *esp.Outbound {
	r.t.Helper()
	e, _ := r.peer.Encapsulation()
	tr := e.Out.Transform()
	out, err := esp.NewOutbound(esp.OutboundConfig{SPI: 2001, Transform: tr, Keys: esp.Keys{
		Encryption: make([]byte, tr.EncryptionKeyLen()), Integrity: make([]byte, tr.IntegrityKeyLen()),
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	e.Out = out
	change(&e)
	if err := r.plane.Route(r.peer, e); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// TestPlaceOfWay: a session's way out is part of it, over any number of SAs. If it
// is another one it is elsewhere, and the first stays as it was: somebody may be
// sending by it.
func TestPlaceOfWay(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	s := r.session
	if s.send.Load() != &s.firstSend {
		t.Fatal("the way is not part of the session")
	}
	for range 3 {
		out := r.rekeyed(func(*Encapsulation) {})
		if s.send.Load() != &s.firstSend || s.out.Load() != out {
			t.Fatal("after another SA")
		}
	}
	first := s.firstSend
	for _, remote := range []string{"198.51.100.9:4500", "198.51.100.7:4500"} {
		r.rekeyed(func(e *Encapsulation) { e.Path.Remote = netip.MustParseAddrPort(remote) })
		if st := s.send.Load(); st == &s.firstSend || st.path.Remote.String() != remote || s.firstSend != first {
			t.Errorf("after a move to %s", remote)
		}
	}
}

// TestPlaceOfWays: what has keys of networks' SAs is not kept beyond its use.
func TestPlaceOfWays(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	r.session.marks &^= markSending
	r.rekeyed(func(e *Encapsulation) { e.Ways = []Way{{Out: e.Out}} })
	if !r.session.send.Load().divided || r.session.firstSend.divided {
		t.Error("the session keeps the ways")
	}
}

// TestPlaceOfBinding: a session that is bound for both families has one binding,
// and one that is bound again, after it was for nothing, has another: a worker may
// have the first, with the network of before.
func TestPlaceOfBinding(t *testing.T) {
	r := newRig6(t)
	s, first := r.session, r.session.bound.Load()
	if first != &s.firstBinding || !first.subject.Has4() || !first.subject.Has6() || s.prefix != &s.firstPrefix {
		t.Fatalf("bound to IPv4: %v, IPv6: %v", first.subject.Has4(), first.subject.Has6())
	}
	r.plane.Unbind(s)
	if s.bound.Load() != first || first.subject.Has4() || !first.subject.Has6() {
		t.Error("without IPv4")
	}
	r.plane.Unbind6(s)
	other := &Port{device: r.device}
	r.plane.Bind(s, other, clientAddr, LinkOptions{})
	r.plane.Bind6(s, other, clientPrefix, LinkOptions{})
	if b := s.bound.Load(); b == first || first.port != r.link.port || first.subject.Has4() || b.port != other || s.prefix == &s.firstPrefix {
		t.Error("another network has the binding of the first")
	}
}

// Encapsulation returns the peer's present way out, and whether it has one.
func (p *Peer) Encapsulation() (Encapsulation, bool) {
	r := p.route.Load()
	if r == nil {
		return Encapsulation{}, false
	}
	return r.Encapsulation, true
}
