package ike

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/internal/eap"
)

// eapHouse is a server whose clients log in by EAP-TLS, and the logins under way.
type eapHouse struct {
	*node
	t      testing.TB
	ca     *authority
	config eap.ServerConfig
	logins map[Peer]*eap.Server
	in     int // logins that came to a good end
}

func newEAPHouse(t testing.TB, l Limits) *eapHouse {
	h := &eapHouse{node: eapServer(t, l), t: t, ca: newAuthority(t, "clients"), logins: map[Peer]*eap.Server{}}
	h.config = eap.ServerConfig{Rand: rand.Reader, Methods: []eap.Type{eap.TypeTLS}, SkipIdentity: true, TLS: h.tls("vpn")}
	h.eap = h.reply
	return h
}

// tls is EAP-TLS with a certificate in somebody's name.
func (h *eapHouse) tls(name string) *eap.TLSConfig {
	c := h.ca.issue(h.t, name, x509.ExtKeyUsageClientAuth, 0)
	pair := tls.Certificate{PrivateKey: c.Signer}
	for _, x := range c.Chain {
		pair.Certificate = append(pair.Certificate, x.Raw)
	}
	return &eap.TLSConfig{Certificate: pair, VerifyPeer: func(time.Time, []*x509.Certificate) error { return nil }}
}

// reply answers as a gateway does.
func (h *eapHouse) reply(e EAP) EAPReply {
	s := h.logins[e.Peer]
	if s == nil {
		var err error
		if s, err = eap.NewServer(h.config); err != nil {
			h.t.Fatal(err)
		}
		h.logins[e.Peer] = s
		s.Start()
	} else if err := s.Input(start, e.Packet); err != nil {
		h.t.Fatal(err)
	}
	var r EAPReply
	for {
		e, ok := s.Next()
		if !ok {
			r.Held = s.Held()
			return r
		}
		switch e := e.(type) {
		case eap.Send:
			r.Packet = e.Packet
		case eap.Compute:
			s.Computed(e.Do())
		case eap.Done:
			r.Done, r.OK, r.MSK = true, e.OK, e.MSK
			if e.OK {
				h.in++
			}
		}
	}
}

// tidy gives up the logins whose connection is gone, as a gateway does, and forgets what
// was told.
func (h *eapHouse) tidy() {
	for id := range h.closed {
		if s := h.logins[id]; s != nil {
			s.Close()
		}
		delete(h.logins, id)
	}
	clear(h.closed)
	h.events, h.failed = nil, nil
}

// hello is the first flight of a client of EAP-TLS.
func (h *eapHouse) hello() []byte {
	c, err := eap.NewClient(eap.ClientConfig{Rand: rand.Reader, Identity: "x", Methods: []eap.Type{eap.TypeTLS}, TLS: h.tls("x")})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := c.Input(start, eap.AppendPacket(nil, eap.Packet{Code: eap.CodeRequest, Identifier: 1, Type: eap.TypeTLS, Data: []byte{0x20}})); err != nil {
		h.t.Fatal(err)
	}
	for {
		switch e, _ := c.Next(); e := e.(type) {
		case eap.Compute:
			c.Computed(e.Do())
		case eap.Send:
			c.Close()
			return e.Packet
		default:
			h.t.Fatal("no hello")
		}
	}
}

// eapIn is what the server asks by EAP in an answer.
func eapIn(chain []wire.Payload) []byte {
	p, ok := wire.Find(chain, wire.PayloadEAP)
	if !ok {
		return nil
	}
	return bytes.Clone(p.Body)
}

// answer answers a question of EAP-TLS with such data, and returns the next one.
func (r *rogue) answer(asked, data []byte) []byte {
	if asked == nil || r.n.s.spis[r.r] == nil { // the server has let it go
		return nil
	}
	packet := eap.AppendPacket(nil, eap.Packet{Code: eap.CodeResponse, Identifier: asked[1], Type: eap.TypeTLS, Data: data})
	return eapIn(r.ask(wire.ExchangeAuth, wire.EAP(packet)))
}

// hoard has a stranger have the server hold as much as it can: a handshake of TLS, a flight
// in it that never ends, and all pieces of a message but one.
func (r *rogue) hoard(hello []byte) {
	if r.begin(); r.keys == nil {
		return
	}
	asked := r.answer(eapIn(r.ask(wire.ExchangeAuth, wire.ID2{Type: wire.IDFQDN, Data: []byte("x")})), hello[5:])
	for n := 0; len(asked) > 6 && n < 20; n++ { // the server's flight
		asked = r.answer(asked, []byte{0})
	}
	for range 4 {
		asked = r.answer(asked, append([]byte{0x40}, make([]byte, 16000)...))
	}
	if r.n.s.spis[r.r] == nil {
		return
	}
	h := wire.Header{Initiator: r.i, Responder: r.r, Version: wire.V2, Exchange: wire.ExchangeAuth, Flags: wire.FlagInitiator, MessageID: r.next}
	pieces, err := r.seal.SealFragments(stream("iv"), h, wire.PayloadIDi, make([]byte, 60_000), 1064)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, p := range pieces[1:] {
		_ = r.give(p)
	}
}

// TestStrangersAreBoundedInBytes: as many strangers as there may be, those of one network
// having the server hold as much as they can. All of that takes less than 128 MB, an honest
// client of EAP-TLS from elsewhere is in, and so is a neighbour of theirs.
func TestStrangersAreBoundedInBytes(t *testing.T) {
	h := newEAPHouse(t, Limits{BeginsPerSource: 100_000})
	hello, k := h.hello(), 0
	before := inUse()
	crowd := func(n int, from string, do func(*rogue)) {
		for range n {
			k++
			do(stranger2(t, h.node, k, netip.MustParseAddr(fmt.Sprintf(from, k%24)), start))
			h.tidy()
		}
	}
	hoard := func(r *rogue) { r.hoard(hello) }
	crowd(2750, "10.%d.0.1", func(r *rogue) { r.beginEAP() })
	crowd(830, "2001:db8:0:%x::1", hoard)
	took := inUse() - before
	l := h.s.config.Limits
	t.Logf("%d strangers: %d MB, of which %d KB beside their exchanges", h.s.stats.HalfOpen, took>>20, h.s.burdens.root.n>>10)
	if took > 128<<20 {
		t.Errorf("strangers hold %d MB", took>>20)
	}
	if h.s.burdens.root.n < l.StrangerBytes*3/4 || h.s.stats.HalfOpen < l.HalfOpen*3/4 {
		t.Errorf("this is no crowd: %d strangers, %d bytes", h.s.stats.HalfOpen, h.s.burdens.root.n)
	}
	h.wantLogin("192.0.2.77")
	h.wantLogin("2001:db8:0:ff::1")
	stranger2(t, h.node, 1<<21, netip.MustParseAddr("192.0.2.99"), start).wait(time.Hour)
	if h.s.burdens.root.n != 0 || len(h.s.burdens.known) != 0 {
		t.Errorf("%d bytes of %d networks are left", h.s.burdens.root.n, len(h.s.burdens.known))
	}
	runtime.KeepAlive(h)
}

// TestWhoHoldsMostGivesWay: where all networks hold as much as there is room for, a new
// client pushes out one of the network that has most, and nobody of one that has less than
// it would have itself; of what is told no more than that there was no room.
func TestWhoHoldsMostGivesWay(t *testing.T) {
	n := newNode(t, "s", Config{Candidates: psk("acme", "secret", nil), Limits: Limits{StrangerBytes: 1000}})
	come := func(from string, now time.Time, bytes int) (*held, bool) {
		h, source := &held{s: n.s}, netip.MustParseAddr(from)
		if !n.s.admit(now, source, proven) {
			t.Fatal("no room for an exchange")
		}
		n.s.enter(now, h, &h.stranger, source, proven)
		return h, n.s.weigh(now, &h.stranger, bytes)
	}
	var all []*held
	for k := range 8 {
		h, ok := come(fmt.Sprintf("198.51.100.%d", k), start, 100)
		if all = append(all, h); !ok {
			t.Fatal("no room for the first")
		}
	}
	small, _ := come("192.0.2.1", start, 200)
	if _, ok := come("203.0.113.1", start, 200); !ok || have(all) != 6 || small.home == nil {
		t.Errorf("who holds less than a network of 800 is not in: %d are left of that", have(all))
	}
	if _, ok := come("198.51.100.200", start, 200); ok || have(all) != 6 {
		t.Errorf("who would hold more than all others pushes them out: %d are left", have(all))
	}
	if !n.s.weigh(start, &small.stranger, 50) || n.s.burdens.root.n != 850 {
		t.Errorf("who holds less now is counted for more: %d in all", n.s.burdens.root.n)
	}
	if n.s.over(&small.stranger); !n.s.weigh(start, &small.stranger, 0) || n.s.burdens.root.n != 800 {
		t.Errorf("who holds nothing any more is counted: %d in all", n.s.burdens.root.n)
	}
	for _, h := range all {
		n.s.release(&h.stranger)
	}
	if n.s.burdens.root.n != 200 {
		t.Errorf("%d bytes are left", n.s.burdens.root.n)
	}
}

// inUse is what the heap and the stacks take, in bytes.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// wantLogin has an honest client log in by EAP-TLS.
func (h *eapHouse) wantLogin(from string) {
	h.t.Helper()
	now, had := start, h.in
	r := stranger2(h.t, h.node, 1<<20+had, netip.MustParseAddr(from), now)
	if r.begin(); r.keys == nil {
		h.t.Fatalf("no answer: %v", h.failed)
	}
	c, err := eap.NewClient(eap.ClientConfig{Rand: rand.Reader, Identity: "alice", Methods: []eap.Type{eap.TypeTLS}, TLS: h.tls("alice")})
	if err != nil {
		h.t.Fatal(err)
	}
	asked := eapIn(r.ask(wire.ExchangeAuth, wire.ID2{Type: wire.IDFQDN, Data: []byte("alice")}))
	for asked != nil && asked[0] == byte(eap.CodeRequest) {
		if err := c.Input(now, asked); err != nil {
			h.t.Fatal(err)
		}
		asked = nil
		for e, ok := c.Next(); ok; e, ok = c.Next() {
			switch e := e.(type) {
			case eap.Compute:
				c.Computed(e.Do())
			case eap.Send:
				asked = eapIn(r.ask(wire.ExchangeAuth, wire.EAP(e.Packet)))
			}
		}
	}
	if h.in != had+1 {
		h.t.Errorf("an honest client at %s is not in: %v", from, h.failed)
	}
}
