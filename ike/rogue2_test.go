package ike

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/auth"
	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// rogue is an initiator without manners: it runs IKE_SA_INIT as it should, has the
// keys of its SA, and then says whatever a test wants said, well protected.
type rogue struct {
	t      testing.TB
	n      *node
	now    time.Time
	path   Path
	offer  suite.IKE2Suite
	group  *suite.PrivateKey
	suite  suite.IKE2Suite
	keys   *suite.Keys2
	seal   *suite.SK
	open   *suite.SK
	i, r   wire.Cookie
	ni, nr []byte
	init   [2][]byte // request and answer
	next   wire.MessageID
	got    [][]byte // what the server has sent
}

func newRogue(t testing.TB, c Config, offer string) *rogue {
	t.Helper()
	c.V2 = true
	s, err := suite.ParseIKE2Suite(offer)
	if err != nil {
		t.Fatal(err)
	}
	return &rogue{t: t, n: newNode(t, "server", c), now: start, path: Path{Local: serverNATT, Remote: clientNATT, NATT: true},
		offer: s, i: wire.Cookie{1, 2, 3}, ni: bytes.Repeat([]byte{7}, 32)}
}

// rogueSuite is cheap.
const rogueSuite = "aes128gcm16-prfsha256-curve25519"

// mustRogue has keys.
func mustRogue(t testing.TB, c Config) *rogue {
	t.Helper()
	r := newRogue(t, c, rogueSuite)
	if r.begin(); r.keys == nil {
		t.Fatalf("no keys: %v", r.n.failed)
	}
	return r
}

// drain does what the server wants done.
func (r *rogue) drain() {
	for {
		e, ok := r.n.s.Next()
		if !ok {
			return
		}
		switch e := e.(type) {
		case Send:
			r.got = append(r.got, e.Data)
		case Compute:
			r.n.s.Computed(r.now, e.ID, e.Do())
		case Assign:
			r.n.take(e)
			r.n.s.Assigned(r.now, e.Peer, r.n.assign(e))
		case EAP:
			r.n.take(e)
			if r.n.eap != nil {
				r.n.s.EAPReply(r.now, e.Peer, r.n.eap(e))
			}
		default:
			r.n.take(e)
		}
	}
}

// give gives the server a message.
func (r *rogue) give(msg []byte) error {
	err := r.n.s.Input(r.now, r.path, bytes.Clone(msg))
	r.drain()
	return err
}

// wait lets time pass.
func (r *rogue) wait(d time.Duration) {
	for end := r.now.Add(d); ; {
		at := r.n.s.Deadline()
		if at.IsZero() || at.After(end) {
			r.now = end
			return
		}
		if at.After(r.now) {
			r.now = at
		}
		r.n.s.Advance(r.now)
		r.drain()
	}
}

// last is the newest answer, nil if there is none since had were there.
func (r *rogue) last(had int) []byte {
	if len(r.got) == had {
		return nil
	}
	return r.got[len(r.got)-1]
}

// hello is an IKE_SA_INIT request; more goes behind what there must be.
func (r *rogue) hello(more ...wire.Body) []byte {
	r.t.Helper()
	var err error
	if r.group, err = r.offer.Group.GenerateKey(stream("rogue")); err != nil {
		r.t.Fatal(err)
	}
	m := wire.StartMessage(nil, wire.Header{Initiator: r.i, Version: wire.V2, Exchange: wire.ExchangeSAInit, Flags: wire.FlagInitiator})
	m.Add(suite.OfferIKE2(nil, []suite.IKE2Proposal{r.offer.Proposal()}))
	m.Add(wire.KeyExchange2{Group: uint16(r.offer.Group), Data: r.group.Public()})
	m.Add(wire.Nonce2(r.ni))
	m.Add(wire.Notify2{Type: wire.Notify2FragmentationSupported})
	for _, b := range more {
		m.Add(b)
	}
	return m.Finish()
}

// begin runs IKE_SA_INIT.
func (r *rogue) begin(more ...wire.Body) {
	r.t.Helper()
	had := len(r.got)
	r.init[0] = r.hello(more...)
	_ = r.give(r.init[0])
	if r.init[1] = r.last(had); r.init[1] == nil {
		return
	}
	h, chain := r.parse(r.init[1])
	if cookie, asked := notifyOf(chain, wire.Notify2Cookie); asked {
		had = len(r.got)
		r.init[0] = r.hello(append(more, cookie)...)
		_ = r.give(r.init[0])
		if r.init[1] = r.last(had); r.init[1] == nil {
			return
		}
		h, chain = r.parse(r.init[1])
	}
	p, ok := wire.Find(chain, wire.PayloadKE2)
	if !ok {
		return
	}
	ke, _ := wire.ConsumeKeyExchange2(p.Body)
	nonce, _ := wire.Find(chain, wire.PayloadNonce2)
	shared, err := r.group.Shared(ke.Data)
	if err != nil {
		r.t.Fatal(err)
	}
	r.r, r.nr, r.suite, r.next = h.Responder, bytes.Clone(nonce.Body), r.offer, 1
	r.suite.Additional = suite.Additional{}
	r.use(r.suite.Keys(shared, suite.Nonces{Ni: r.ni, Nr: r.nr, SPIi: r.i, SPIr: r.r}))
}

func (r *rogue) use(k *suite.Keys2) {
	var err, err2 error
	r.keys = k
	r.seal, err = suite.NewSK(r.suite, k.Ei, k.Ai)
	r.open, err2 = suite.NewSK(r.suite, k.Er, k.Ar)
	if err != nil || err2 != nil {
		r.t.Fatal(err, err2)
	}
}

// parse reads a message that nothing protects.
func (r *rogue) parse(msg []byte) (wire.Header, []wire.Payload) {
	r.t.Helper()
	h, body, err := wire.ConsumeHeader(msg)
	if err != nil {
		r.t.Fatal(err)
	}
	chain, err := wire.ParsePayloads(nil, wire.V2, h.Next, body)
	if err != nil {
		r.t.Fatal(err)
	}
	return h, chain
}

// sealed is a request with that message ID.
func (r *rogue) sealed(x wire.ExchangeType, id wire.MessageID, payloads ...wire.Body) []byte {
	var c wire.Chain
	for _, p := range payloads {
		c.Add(p)
	}
	return r.sealedRaw(x, id, c.First(), c.Bytes())
}

// sealedRaw is a request with what may be no payloads inside.
func (r *rogue) sealedRaw(x wire.ExchangeType, id wire.MessageID, first wire.PayloadType, inner []byte) []byte {
	h := wire.Header{Initiator: r.i, Responder: r.r, Version: wire.V2, Exchange: x, Flags: wire.FlagInitiator, MessageID: id}
	msg, err := r.seal.Seal(nil, stream("iv"), h, first, inner)
	if err != nil {
		r.t.Fatal(err)
	}
	return msg
}

// ask sends the next request and returns what answers it; nil if nothing does.
func (r *rogue) ask(x wire.ExchangeType, payloads ...wire.Body) []wire.Payload {
	r.t.Helper()
	return r.askRaw(r.sealed(x, r.next, payloads...))
}

func (r *rogue) askRaw(msg []byte) []wire.Payload {
	r.t.Helper()
	had := len(r.got)
	_ = r.give(msg)
	for _, answer := range r.got[had:] {
		h, _, err := wire.ConsumeHeader(answer)
		if err != nil || h.Flags&wire.FlagResponse == 0 || h.MessageID != r.next {
			continue
		}
		r.next++
		e, inner, err := r.open.Open(bytes.Clone(answer))
		if err != nil {
			r.t.Fatal(err)
		}
		chain, err := wire.ParsePayloads([]wire.Payload{}, wire.V2, e.First, inner)
		if err != nil {
			r.t.Fatal(err)
		}
		return chain
	}
	return nil
}

// proof is who it says it is, and the proof with a key.
func (r *rogue) proof(key string) []wire.Body {
	id := wire.ID2{Type: wire.IDFQDN, Data: []byte("rogue")}
	octets := auth.Octets{Message: r.init[0], Nonce: r.nr, ID: id.AppendBody(nil), PRF: r.suite.PRF, SKp: r.keys.Pi}
	return []wire.Body{id, wire.Auth{Method: wire.AuthShared, Data: auth.SharedKey(octets, []byte(key))}}
}

// wishes are what it wants: an address, and a child SA with the SPI for all traffic.
func wishes(spi byte) []wire.Body {
	return append([]wire.Body{wire.Config{Type: wire.ConfigRequest, Attributes: []wire.ConfigAttribute{{Type: wire.ConfigIP4Address}}}}, childWish(spi, 0, "0.0.0.0/0")...)
}

// childWish is the offer of a child SA for what it calls its own network.
func childWish(spi byte, group suite.Group, own string) []wire.Body {
	e := suite.ESP2{ESPSuite: suite.ESPSuite{Encryption: suite.EncAESGCM16, KeyBits: 128}, Group: group}
	ts := func(responder bool, p string) wire.TS {
		return wire.TS{Responder: responder, List: []wire.TrafficSelector{wire.PrefixSelector(netip.MustParsePrefix(p), 0, 0)}}
	}
	return []wire.Body{suite.OfferESP2([4]byte{9, 9, 9, spi}, []suite.ESP2Proposal{e.Proposal()}), ts(false, own), ts(true, "0.0.0.0/0")}
}

// login proves itself with a key and asks for an address and a child SA.
func (r *rogue) login(key string) []wire.Payload {
	r.t.Helper()
	return r.ask(wire.ExchangeAuth, append(r.proof(key), wishes(1)...)...)
}

// create asks for a child SA.
func (r *rogue) create(payloads ...wire.Body) []wire.Payload {
	r.t.Helper()
	return r.ask(wire.ExchangeCreateChild, append(payloads, wire.Nonce2(bytes.Repeat([]byte{3}, 32)))...)
}

// notifyOf is the notify of a type in an answer.
func notifyOf(chain []wire.Payload, t wire.Notify2Type) (wire.Notify2, bool) {
	for _, p := range chain {
		if n, err := wire.ConsumeNotify2(p.Body); err == nil && p.Type == wire.PayloadNotify2 && n.Type == t {
			return n, true
		}
	}
	return wire.Notify2{}, false
}

// wantNotify fails unless the answer has a notify of that type.
func (r *rogue) wantNotify(chain []wire.Payload, t wire.Notify2Type) wire.Notify2 {
	r.t.Helper()
	n, ok := notifyOf(chain, t)
	if !ok {
		r.t.Fatalf("no %v in %v; failed %v", t, chain, r.n.failed)
	}
	return n
}

// wantDown fails unless the connection is over, and after a while nothing is left.
func (r *rogue) wantDown() {
	r.t.Helper()
	if len(r.n.closed) != 1 || len(r.n.children) != 0 {
		r.t.Fatalf("closed %v, %d child SAs", r.n.closed, len(r.n.children))
	}
	r.wantEmpty()
}

// wantEmpty fails unless nothing is left of it after all timeouts.
func (r *rogue) wantEmpty() {
	r.t.Helper()
	for id := range r.n.s.sessions {
		r.n.s.Close(r.now, id, ReasonLocal)
	}
	r.drain()
	r.wait(10 * time.Minute)
	wantEmpty(r.t, r.n)
}

// wantUp fails unless there are that many child SAs, and a question is answered.
func (r *rogue) wantUp(children int) {
	r.t.Helper()
	if answer := r.ask(wire.ExchangeInformational2); answer == nil && len(r.n.children) > 0 || len(r.n.closed) > 0 || len(r.n.children) != children {
		r.t.Fatalf("closed %v, %d child SAs, answer %v", r.n.closed, len(r.n.children), answer)
	}
}
