package v1

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha3"
	"errors"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

func stream(seed string) *sha3.SHAKE {
	s := sha3.NewSHAKE256()
	s.Write([]byte(seed))
	return s
}

var (
	client = netip.MustParseAddrPort("192.168.1.10:500")
	server = netip.MustParseAddrPort("203.0.113.5:500")
)

var policy = suite.DefaultIKE(true, suite.AuthPSK)

// peers is a main mode between two machines.
type peers struct {
	t         *testing.T
	i, r      *Phase1
	messages  [][]byte
	responder wire.ID
}

func initiator(psk string, vendors ...wire.VendorID) InitiatorConfig {
	p := suite.Own()
	return InitiatorConfig{
		Rand: stream("i"), Offer: p.OfferIKE(), Vendors: vendors, NonceLen: 32, PSK: []byte(psk),
		Identity: wire.AddrID(client.Addr(), 0, 0), Ends: Ends{Local: client, Remote: server, HideLocal: true},
	}
}

func split(t *testing.T, msg []byte) (wire.Header, []byte) {
	t.Helper()
	h, body, err := wire.ConsumeHeader(bytes.Clone(msg))
	if err != nil {
		t.Fatal(err)
	}
	return h, body
}

// input gives a message to a machine and does what it wants computed.
func input(m *Phase1, h wire.Header, body []byte, e Ends) (Outcome, error) {
	out, err := m.Input(h, body, e)
	for err == nil && out.Compute != nil {
		out, err = m.Computed(out.Compute())
	}
	return out, err
}

func startMain(t *testing.T, c InitiatorConfig) *peers {
	t.Helper()
	i, m1, err := StartMain(c)
	if err != nil {
		t.Fatal(err)
	}
	h, body := split(t, m1)
	r, m2, err := AnswerMain(stream("r"), h, body, policy)
	if err != nil {
		t.Fatal(err)
	}
	p := &peers{t: t, i: i, r: r, messages: [][]byte{m1, m2}, responder: wire.AddrID(server.Addr(), 0, 0)}
	e := Ends{Local: server, Remote: client, HideRemote: true}
	for _, to := range []*Phase1{i, r, i, r} {
		h, body := split(t, p.messages[len(p.messages)-1])
		out, err := input(to, h, body, e)
		if err != nil {
			t.Fatal(err)
		}
		if out.Search {
			return p
		}
		p.messages = append(p.messages, out.Send)
	}
	t.Fatal("message 5 did not come")
	return nil
}

// try reports whether message 5 is opened by psk, which the machine then has.
func try(m *Phase1, psk string) bool {
	return m.Adopt(m.Search(1, func(int) []byte { return []byte(psk) })().(*Found))
}

func (p *peers) finish(psk string) {
	p.t.Helper()
	if !try(p.r, psk) {
		p.t.Fatal("key refused")
	}
	out, err := p.r.Accept(p.responder, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.messages = append(p.messages, out.Send)
	h, body := split(p.t, out.Send)
	if out, err = p.i.Input(h, body, Ends{}); err != nil || !out.Done {
		p.t.Fatal(err)
	}
}

var rfc3947 = wire.VendorRFC3947.ID()

func TestMainMode(t *testing.T) {
	p := startMain(t, initiator("secret", rfc3947, wire.VendorDPD.ID(1, 0)))
	if try(p.r, "wrong") || try(p.r, "") {
		t.Fatal("a wrong key opens message 5")
	}
	p.finish("secret")
	a, b := p.i.SA(), p.r.SA()
	if !bytes.Equal(a.keys.d, b.keys.d) || !bytes.Equal(a.keys.a, b.keys.a) || !bytes.Equal(a.last, b.last) {
		t.Error("keys differ")
	}
	if id := p.r.Identity(); id.String() != "ID_IPV4_ADDR 192.168.1.10" {
		t.Error(id)
	}
	if !a.Features.DPD || !b.Features.DPD || a.Features.NATT != NATTRFC {
		t.Errorf("%+v", a.Features)
	}
}

// natd returns the NAT-D payloads of a message.
func natd(t *testing.T, msg []byte) []wire.Payload {
	t.Helper()
	h, body := split(t, msg)
	chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
	if err != nil {
		t.Fatal(err)
	}
	var out []wire.Payload
	for _, p := range chain {
		if wire.IsNATD(p.Type) {
			out = append(out, p)
		}
	}
	return out
}

// TestNATD checks what each side is told about the addresses.
func TestNATD(t *testing.T) {
	tests := map[string]struct {
		vendors []wire.VendorID
		kind    wire.PayloadType
		copied  bool
	}{
		"RFC 3947":  {[]wire.VendorID{rfc3947}, wire.PayloadNATD, false},
		"draft 02":  {[]wire.VendorID{wire.VendorNATTDraft02N.ID()}, wire.PayloadNATDDraft, false},
		"both":      {[]wire.VendorID{wire.VendorNATTDraft03.ID(), rfc3947}, wire.PayloadNATD, false},
		"Microsoft": {[]wire.VendorID{wire.VendorMSNT5.ID(0, 0, 0, 8), rfc3947}, wire.PayloadNATD, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dialled := netip.MustParseAddrPort("198.51.100.80:500") // in front of the server's own NAT
			c := initiator("secret", tt.vendors...)
			c.Ends.Remote = dialled
			p := startMain(t, c)
			p.finish("secret")
			asked, told := natd(t, p.messages[2]), natd(t, p.messages[3])
			if len(asked) != 2 || len(told) != 2 || told[0].Type != tt.kind || asked[0].Type != tt.kind {
				t.Fatalf("%v %v", asked, told)
			}
			h := p.r.choice.Hash
			if !bytes.Equal(asked[0].Body, natHash(h, p.i.i, p.i.r, dialled)) || bytes.Equal(asked[1].Body, natHash(h, p.i.i, p.i.r, client)) {
				t.Error("the dialler must tell the truth about the server and hide itself")
			}
			if bytes.Equal(told[0].Body, natHash(h, p.i.i, p.i.r, client)) {
				t.Error("the client does not believe in a NAT")
			}
			want := natHash(h, p.i.i, p.i.r, server)
			if tt.copied {
				want = asked[0].Body
			}
			if !bytes.Equal(told[1].Body, want) {
				t.Errorf("our own address: %x, want %x", told[1].Body, want)
			}
		})
	}
}

func TestNoNATT(t *testing.T) {
	p := startMain(t, initiator("secret"))
	if len(natd(t, p.messages[2]))+len(natd(t, p.messages[3])) != 0 {
		t.Error("NAT-D without having agreed on it")
	}
	p.finish("secret")
}

// TestAnswerVendors never answers a vendor ID that was not offered.
func TestAnswerVendors(t *testing.T) {
	offered := []wire.VendorID{wire.VendorXAUTH.ID(), wire.VendorUnity.ID(1, 0), wire.VendorNATTApple.ID(), wire.VendorFragmentation.ID()}
	p := startMain(t, initiator("secret", offered...))
	h, body := split(t, p.messages[1])
	chain, _ := wire.ParsePayloads(nil, h.Version, h.Next, body)
	if len(chain) != 2 || !bytes.Equal(chain[1].Body, wire.VendorFragmentation.ID()) {
		t.Errorf("%d payloads in message 2", len(chain))
	}
	p.finish("secret")
}

// TestLongOffer: an offer longer than any client's is not kept for a stranger.
func TestLongOffer(t *testing.T) {
	c := initiator("secret")
	transforms := &c.Offer.Proposals[0].Transforms
	for len(*transforms) < 250 {
		*transforms = append(*transforms, (*transforms)[0])
	}
	for n := range *transforms {
		(*transforms)[n].Attributes = append(bytes.Clone((*transforms)[n].Attributes), bytes.Repeat([]byte{0x80, 99, 0, 1}, 8)...)
	}
	_, m1, err := StartMain(c)
	if err != nil {
		t.Fatal(err)
	}
	h, body := split(t, m1)
	if _, _, err := AnswerMain(stream("r"), h, body, policy); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
}

func TestWrongStates(t *testing.T) {
	p := startMain(t, initiator("secret", rfc3947))
	h, body := split(t, p.messages[1])
	if _, err := p.i.Input(h, body, Ends{}); err == nil {
		t.Error("message 2 taken twice")
	}
	if _, err := p.r.Computed(nil); !errors.Is(err, ErrCompute) {
		t.Error(err)
	}
	if _, err := p.r.Accept(p.responder, nil); !errors.Is(err, ErrState) {
		t.Error("accepted without a key")
	}
	p.finish("secret")
	if try(p.r, "secret") {
		t.Error("tried a key when done")
	}
}

// TestSecretsZeroed looks into the machines after they are done.
func TestSecretsZeroed(t *testing.T) {
	p := startMain(t, initiator("secret", rfc3947))
	gxy := p.r.gxy
	p.finish("secret")
	if !bytes.Equal(gxy, make([]byte, len(gxy))) || !bytes.Equal(p.i.dial.PSK, make([]byte, 6)) {
		t.Error("secrets left")
	}
	sa := p.i.SA()
	sa.Zero()
	if !bytes.Equal(sa.keys.d, make([]byte, len(sa.keys.d))) {
		t.Error("SKEYID_d left")
	}
}

// TestStretch follows RFC 2409 appendix B: SHA-1 gives 20 bytes, 3DES wants 24.
func TestStretch(t *testing.T) {
	e := []byte("12345678901234567890")
	prf := func(b []byte) []byte { m := hmac.New(sha1.New, e); m.Write(b); return m.Sum(nil) }
	k1 := prf([]byte{0})
	want := append(bytes.Clone(k1), prf(k1)...)[:24]
	if got := stretch(suite.HashSHA1, e, 24); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	if got := stretch(suite.HashSHA1, e, 16); !bytes.Equal(got, e[:16]) {
		t.Errorf("%x", got)
	}
}

// TestKeymat follows RFC 2409 section 5.5 with 32 + 20 bytes of key.
func TestKeymat(t *testing.T) {
	d, ni, nr := []byte("skeyid_d"), []byte("ni"), []byte("nr")
	spi := [4]byte{1, 2, 3, 4}
	prf := func(parts ...[]byte) []byte {
		m := hmac.New(sha1.New, d)
		for _, p := range parts {
			m.Write(p)
		}
		return m.Sum(nil)
	}
	rest := append([]byte{3}, append(spi[:], "ninr"...)...)
	k1 := prf([]byte("gxy"), rest)
	k2 := prf(k1, []byte("gxy"), rest)
	k3 := prf(k2, []byte("gxy"), rest)
	want := append(append(k1, k2...), k3...)[:52]
	if got := keymat(suite.HashSHA1, d, []byte("gxy"), spi, ni, nr, 52); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}
