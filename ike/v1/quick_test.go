package v1

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

func quickConfig(pfs suite.Group, mode suite.Encapsulation) QuickConfig {
	p := suite.Own()
	for n := range p.ESP {
		p.ESP[n].Group = pfs
	}
	spi := [4]byte{0xa, 0xb, 0xc, 0xd}
	return QuickConfig{
		Rand: stream("q"), ID: 0x11223344, Offer: p.OfferESP(spi, mode), SPI: spi, NonceLen: 32, PFS: pfs,
		IDci: wire.AddrID(client.Addr(), 17, 1701), IDcr: wire.AddrID(server.Addr(), 17, 1701),
		NATOA: []netip.Addr{client.Addr(), server.Addr()},
	}
}

func mainSAs(t *testing.T) (*SA, *SA) {
	p := startMain(t, initiator("secret", rfc3947))
	p.finish("secret")
	return p.i.SA(), p.r.SA()
}

func settle(q *Quick, out Outcome, err error) (Outcome, error) {
	for err == nil && out.Compute != nil {
		out, err = q.Computed(out.Compute())
	}
	return out, err
}

func TestQuickMode(t *testing.T) {
	for _, pfs := range []suite.Group{suite.GroupNone, suite.GroupX25519, suite.GroupMODP1024} {
		a, b := mainSAs(t)
		i, out, err := StartQuick(a, quickConfig(pfs, suite.UDPTransport))
		if out, err = settle(i, out, err); err != nil {
			t.Fatal(err)
		}
		h, body := split(t, out.Send)
		r, err := AnswerQuick(b, stream("p"), h, body)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Choose(suite.DefaultESP(false)); err != nil {
			t.Fatal(err)
		}
		out, err = r.Reply([4]byte{1, 2, 3, 4}, r.Request().NATOA)
		if out, err = settle(r, out, err); err != nil {
			t.Fatal(err)
		}
		h, body = split(t, out.Send)
		out, err = i.Input(h, body)
		if out, err = settle(i, out, err); err != nil || !out.Done {
			t.Fatal(err)
		}
		h, body = split(t, out.Send)
		if out, err = r.Input(h, body); err != nil || !out.Done {
			t.Fatal(err)
		}
		wantSameChild(t, i.Child(), r.Child(), pfs)
	}
}

// TestQuickModeNarrowed: of what we asked for in tunnel mode the answer may keep a part;
// what is not a part of it is not believed.
func TestQuickModeNarrowed(t *testing.T) {
	all, own := wire.PrefixID(netip.MustParsePrefix("0.0.0.0/0"), 0, 0), wire.AddrID(netip.MustParseAddr("10.9.0.2"), 0, 0)
	part := wire.PrefixID(netip.MustParsePrefix("10.200.0.0/24"), 0, 0)
	for _, x := range []struct {
		name             string
		asked, kept      wire.ID
		answered, wanted wire.ID
	}{
		{"a part", all, own, part, part},
		{"all", all, own, all, all},
		{"more", part, own, all, part},
		{"a part, for another address", all, wire.AddrID(netip.MustParseAddr("10.9.0.3"), 0, 0), part, all},
	} {
		a, b := mainSAs(t)
		c := quickConfig(suite.GroupNone, suite.UDPTunnel)
		c.IDci, c.IDcr, c.NATOA = own, x.asked, nil
		i, out, err := StartQuick(a, c)
		if err != nil {
			t.Fatal(err)
		}
		h, body := split(t, out.Send)
		r, err := AnswerQuick(b, stream("p"), h, body)
		if err == nil {
			err = r.Choose(suite.DefaultESP(false))
		}
		if err != nil {
			t.Fatal(err)
		}
		r.request.IDci, r.request.IDcr = x.kept, x.answered
		if out, err = r.Reply([4]byte{1, 2, 3, 4}, nil); err != nil {
			t.Fatal(err)
		}
		h, body = split(t, out.Send)
		if out, err = i.Input(h, body); err != nil || !out.Done {
			t.Fatal(err)
		}
		if got := i.Child().Request; got.IDcr.String() != x.wanted.String() || got.IDci.String() != own.String() {
			t.Errorf("%s: for %v and %v", x.name, got.IDci, got.IDcr)
		}
	}
}

func wantSameChild(t *testing.T, x, y Child, pfs suite.Group) {
	t.Helper()
	if x.In != y.Out || x.Out != y.In || x.ESP.ESPSuite != y.ESP.ESPSuite || x.ESP.Group != pfs {
		t.Errorf("%+v\n%+v", x.ESP, y.ESP)
	}
	if !bytes.Equal(x.KeyIn.Encryption, y.KeyOut.Encryption) || bytes.Equal(x.KeyIn.Encryption, x.KeyOut.Encryption) {
		t.Error("keys")
	}
	if len(y.NATOA) != 2 || y.NATOA[0] != client.Addr() || len(x.NATOA) != 2 {
		t.Errorf("NAT-OA %v %v", x.NATOA, y.NATOA)
	}
}

// TestQuickTampered changes each byte of message 1: nothing of it is believed.
func TestQuickTampered(t *testing.T) {
	a, b := mainSAs(t)
	_, out, err := StartQuick(a, quickConfig(suite.GroupNone, suite.UDPTransport))
	if err != nil {
		t.Fatal(err)
	}
	for n := wire.HeaderLen; n < len(out.Send); n++ {
		h, body := split(t, out.Send)
		body[n-wire.HeaderLen] ^= 1
		if _, err := AnswerQuick(b, stream("p"), h, body); err == nil {
			t.Errorf("byte %d", n)
		}
	}
	h, body := split(t, out.Send)
	if _, err := AnswerQuick(b, stream("p"), h, body); err != nil {
		t.Error(err)
	}
}

// TestTunnelMode parses the request and finds nothing in it.
func TestTunnelMode(t *testing.T) {
	a, b := mainSAs(t)
	_, out, err := StartQuick(a, quickConfig(suite.GroupNone, suite.UDPTunnel))
	if err != nil {
		t.Fatal(err)
	}
	h, body := split(t, out.Send)
	r, err := AnswerQuick(b, stream("p"), h, body)
	if err != nil {
		t.Fatal(err)
	}
	p := suite.DefaultESP(false)
	p.Encapsulations = []suite.Encapsulation{suite.UDPTransport}
	if err := r.Choose(p); !errors.Is(err, suite.ErrNoProposal) {
		t.Error(err)
	}
}

func TestInform(t *testing.T) {
	a, b := mainSAs(t)
	msg := a.Inform(77, DeleteESP([4]byte{1, 2, 3, 4}), a.DeleteSelf(), a.AreYouThere(wire.NotifyRUThere, 5))
	for n := range msg {
		h, body, err := wire.ConsumeHeader(bytes.Clone(msg[:n]))
		if err != nil {
			continue
		}
		if _, err := b.OpenInform(h, body); err == nil {
			t.Errorf("%d bytes accepted", n)
		}
	}
	h, body := split(t, msg)
	chain, err := b.OpenInform(h, body)
	if err != nil || len(chain) != 3 {
		t.Fatal(err, len(chain))
	}
	d, _ := wire.ConsumeDelete(chain[0].Body)
	if d.Count() != 1 || d.Protocol != wire.ProtocolESP {
		t.Errorf("%+v", d)
	}
}
