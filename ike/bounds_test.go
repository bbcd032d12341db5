package ike

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// serverPeer is the only peer of IKEv1 that a server has.
func serverPeer(t testing.TB, p *pair) *peer {
	t.Helper()
	if len(p.server.s.peers) != 1 {
		t.Fatalf("%d peers", len(p.server.s.peers))
	}
	for _, x := range p.server.s.peers {
		return x
	}
	return nil
}

// quicksOf counts what is kept of quick modes.
func quicksOf(p *peer) (n int) {
	for _, i := range p.ikes {
		n += len(i.quicks)
	}
	return n
}

// Whoever has the pre-shared key, and no user, can ask for any number of quick modes
// that are refused: what is kept of them is bounded, and gone soon.
func TestRefusedQuickModesAreBounded(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	cl := p.client.s.peers[p.dial(dialConfig("secret"))]
	srv := serverPeer(t, p)
	ask := func(id wire.MessageID, port uint16) error {
		c := cl.dial.request(p.client.s.allocateSPI())
		c.Rand, c.ID = p.client.s.config.Rand, id
		c.IDcr.Port = port
		_, out, err := v1.StartQuick(cl.current().sa, c)
		if err != nil {
			t.Fatal(err)
		}
		defer drainAll(p.server)
		return p.server.s.Input(p.now, Path{Local: serverNATT, Remote: clientNATT, NATT: true}, out.Send)
	}
	for k := range 2000 {
		if err := ask(wire.MessageID(100000+k), 7); err == nil { // not L2TP
			t.Fatal("not refused")
		}
		if n := quicksOf(srv); n > 64 || p.server.s.alarms.Len() > 80 {
			t.Fatalf("after %d quick modes %d are kept, with %d alarms", k+1, n, p.server.s.alarms.Len())
		}
	}
	if srv.quicks.open != 0 {
		t.Errorf("%d under way", srv.quicks.open)
	}
	p.now = p.now.Add(6 * time.Second)
	p.server.s.Advance(p.now)
	if n := quicksOf(srv); n > 1 { // the one that made the child SA answers longer
		t.Errorf("%d are still kept after 6 s", n)
	}
	if err := ask(5, 1701); err != nil || srv.quicks.open != 1 {
		t.Errorf("a good one after them: %v, %d under way", err, srv.quicks.open)
	}
}

// renew renews the IKE SA of a rogue, and reports whether the server let it.
func (r *rogue) renew(spi uint64) bool {
	r.t.Helper()
	key, err := suite.GroupX25519.GenerateKey(stream("x"))
	if err != nil {
		r.t.Fatal(err)
	}
	ni := bytes.Repeat([]byte{3}, 32)
	own := binary.BigEndian.AppendUint64(nil, spi)
	chain := r.ask(wire.ExchangeCreateChild, suite.OfferIKE2(own, []suite.IKE2Proposal{r.offer.Proposal()}), wire.Nonce2(ni),
		wire.KeyExchange2{Group: uint16(suite.GroupX25519), Data: key.Public()})
	p, ok := wire.Find(chain, wire.PayloadKE2)
	if !ok {
		r.wantNotify(chain, wire.Notify2TemporaryFailure)
		return false
	}
	ke, _ := wire.ConsumeKeyExchange2(p.Body)
	p, _ = wire.Find(chain, wire.PayloadSA2)
	sa, _ := wire.ConsumeSA2(p.Body)
	p, _ = wire.Find(chain, wire.PayloadNonce2)
	shared, err := key.Shared(ke.Data)
	if err != nil {
		r.t.Fatal(err)
	}
	r.i, r.r = wire.Cookie(own), wire.Cookie(sa.Proposals[0].SPI)
	r.use(r.suite.RekeyKeys(r.suite.PRF, r.keys.D, [][]byte{shared}, suite.Nonces{Ni: ni, Nr: bytes.Clone(p.Body), SPIi: r.i, SPIr: r.r}))
	r.next = 0
	return true
}

// A client that renews its IKE SA without end, and deletes none, is asked to wait.
func TestV2RenewalsAreBounded(t *testing.T) {
	r := mustRogue(t, Config{Candidates: psk("acme", "secret", nil)})
	r.login("secret")
	r.wantUp(1)
	renewed := 0
	for k := range uint64(100) {
		if r.renew(1000 + k) {
			renewed++
		}
		if n := len(r.n.s.spis); n > 6 {
			t.Fatalf("%d IKE SAs of one client after %d renewals", n, k+1)
		}
	}
	if renewed == 0 {
		t.Error("it may renew none")
	}
	r.wantUp(1)
	r.wait(31 * time.Second) // what it replaced is gone
	if !r.renew(9999) {
		t.Error("no renewal after those that it replaced were gone")
	}
	r.wantUp(1)
	r.wantEmpty()
}

// A client that says again and again that it has moved is asked about the last place
// only, and once.
func TestV2MobikeAsksOnce(t *testing.T) {
	r := mustRogue(t, Config{Candidates: psk("acme", "secret", nil)})
	mobike := wire.Notify2{Type: wire.Notify2MobikeSupported}
	r.ask(wire.ExchangeAuth, append(append(r.proof("secret"), mobike), wishes(1)...)...)
	r.wantUp(1)
	for range 1000 {
		r.path.Remote = netip.AddrPortFrom(r.path.Remote.Addr(), r.path.Remote.Port()+1)
		if r.ask(wire.ExchangeInformational2, wire.Notify2{Type: wire.Notify2UpdateSAAddresses}) == nil {
			t.Fatal("no answer")
		}
	}
	asked := r.answerQuestions(true)
	if asked > 2 { // the one under way, and the one about the last place
		t.Errorf("%d questions about 1000 moves", asked)
	}
	last := r.n.events[len(r.n.events)-1]
	if m, ok := last.(Moved); !ok || m.Unproven || m.Path.Remote != r.path.Remote {
		t.Errorf("last: %+v", last)
	}
	r.wantUp(1)
	r.wantEmpty()
}

// answerQuestions answers the requests that the server has sent, until it has no more,
// and says how many there were. cookies says whether a COOKIE2 is returned.
func (r *rogue) answerQuestions(cookies bool) (n int) {
	r.t.Helper()
	seen := map[wire.MessageID]bool{}
	for k := 0; k < len(r.got); k++ {
		h, _, err := wire.ConsumeHeader(r.got[k])
		if err != nil || h.Flags&wire.FlagResponse != 0 || h.Initiator != r.i || seen[h.MessageID] {
			continue
		}
		seen[h.MessageID] = true
		n++
		e, inner, err := r.open.Open(bytes.Clone(r.got[k]))
		if err != nil {
			continue // of an IKE SA that was renewed
		}
		chain, err := wire.ParsePayloads([]wire.Payload{}, wire.V2, e.First, inner)
		if err != nil {
			r.t.Fatal(err)
		}
		var answer []wire.Body
		if c, ok := notifyOf(chain, wire.Notify2Cookie2); ok && cookies {
			answer = append(answer, wire.Notify2{Type: c.Type, Data: bytes.Clone(c.Data)})
		}
		r.respond(h, answer...)
	}
	return n
}

// respond answers a request of the server.
func (r *rogue) respond(h wire.Header, payloads ...wire.Body) {
	r.t.Helper()
	var c wire.Chain
	for _, p := range payloads {
		c.Add(p)
	}
	h.Flags = wire.FlagInitiator | wire.FlagResponse
	msg, err := r.seal.Seal(nil, stream("iv"), h, c.First(), c.Bytes())
	if err != nil {
		r.t.Fatal(err)
	}
	_ = r.give(msg)
}
