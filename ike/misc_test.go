package ike

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

func TestNoTenant(t *testing.T) {
	n := newNode(t, "s", Config{Candidates: func(_, _ netip.Addr) []Candidate { return nil }})
	if err := n.s.Input(start, pathFrom("198.51.100.1:500"), message1(t, 1)); err == nil {
		t.Error("accepted")
	}
	e, _ := n.s.Next()
	if f, ok := e.(Failed); !ok || f.Cause != CauseNoTenant {
		t.Errorf("%+v", e)
	}
	wantEmpty(t, n)
}

// TestBadPublicValue sends a public value of the right length that no group has.
func TestBadPublicValue(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	p.filter = func(from *node, b []byte) bool {
		h, body, _ := wire.ConsumeHeader(b)
		if from == p.client && h.Exchange == wire.ExchangeMain && h.Next == wire.PayloadKE {
			clear(body[4:36])
		}
		return true
	}
	p.dial(dialConfig("secret"))
	if len(p.server.failed) == 0 || p.server.failed[0].Cause != CauseMalformed {
		t.Errorf("%+v", p.server.failed)
	}
	p.closeAll()
}

// TestLateInitialContact gets INITIAL_CONTACT in an informational message under a
// second ISAKMP SA: what is older goes.
func TestLateInitialContact(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	id := p.dial(dialConfig("secret"))
	p.run(time.Second, nil)
	_ = p.client.s.Rekey(p.now, id, Phase1)
	p.run(time.Second, nil)
	i := p.client.s.peers[id].current()
	i.inform(wire.Notify{DOI: wire.DOIIPsec, Protocol: wire.ProtocolISAKMP,
		SPI: wire.CookieSPI(i.key.i, i.key.r), Type: wire.NotifyInitialContact})
	p.run(time.Second, nil)
	if st := p.server.s.Stats(); st.IKEs != 1 || st.Children != 0 || st.Peers != 1 {
		t.Errorf("%+v", st)
	}
	p.closeAll()
}

// TestGatewayMoved follows ESP to a new address: IKE goes there too.
func TestGatewayMoved(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	p.dial(dialConfig("secret"))
	to := Path{Local: serverNATT, Remote: addrPort("198.51.100.7:7777"), NATT: true}
	for id := range p.server.s.peers {
		p.server.s.Moved(p.now, id, to)
		_ = p.server.s.Rekey(p.now, id, Phase2)
	}
	for {
		e, ok := p.server.s.Next()
		if !ok {
			t.Fatal("nothing sent")
		}
		if s, ok := e.(Send); ok {
			if s.Path != to {
				t.Errorf("sent to %v", s.Path)
			}
			break
		}
	}
	p.closeAll()
}

// TestIKEsBounded lets a client run main modes without end.
func TestIKEsBounded(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast()), Limits: Limits{IKEs: 3}})
	id := p.dial(dialConfig("secret"))
	for range 20 {
		_ = p.client.s.Rekey(p.now, id, Phase1)
		p.run(200*time.Millisecond, nil)
	}
	if n := p.server.s.Stats().IKEs; n > 3 {
		t.Errorf("%d IKE SAs", n)
	}
	if len(p.usable()) != 1 {
		t.Error("child SA lost")
	}
	p.closeAll()
}

func TestSourcesBounded(t *testing.T) {
	s := newSources()
	l := Limits{TriesPerSource: 2, Tries: 1e9}
	for n := range 3 * maxSources {
		a := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		if !s.try(start.Add(time.Duration(n)*time.Millisecond), a, l, 1) {
			t.Fatal("first trial refused")
		}
		if s.known.Len() > maxSources {
			t.Fatalf("%d sources", s.known.Len())
		}
	}
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	if source(a) != source(b) || source(netip.MustParseAddr("::ffff:1.2.3.4")) != netip.MustParseAddr("1.2.3.4") {
		t.Error("IPv6 sources count by their /64")
	}
}

// TestRepeatedAnswers gives back the same bytes to the same question.
func TestRepeatedAnswers(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	p.dial(dialConfig("secret"))
	for n, b := range p.client.sent[:4] { // messages 1, 3, 5 and quick mode 1
		before := len(p.server.sent)
		path := Path{Local: serverNATT, Remote: clientNATT, NATT: true}
		_ = p.server.s.Input(p.now, path, bytes.Clone(b))
		p.drain(p.server)
		if n < 2 {
			continue // the exchange has gone on: no answer is owed
		}
		if len(p.server.sent) > before && !bytes.Equal(p.server.sent[before], p.server.sent[n]) {
			t.Errorf("message %d is answered with something new", n)
		}
	}
	p.closeAll()
}
