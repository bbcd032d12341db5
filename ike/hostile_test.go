package ike

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
	"github.com/culvert-vpn/culvert/ike/wire/wiretest"
)

// message1 is a first message with another cookie for each n.
func message1(t testing.TB, n int) []byte {
	b := bytes.Clone(wiretest.Load(t, "windows10-main1").Data)
	copy(b, fmt.Sprintf("%08d", n))
	return b
}

func pathFrom(addr string) Path { return Path{Local: serverIKE, Remote: addrPort(addr)} }

// drainAll throws the events of n away, the computations undone, and counts them.
func drainAll(n *node) (sends, computes int) {
	for {
		e, ok := n.s.Next()
		if !ok {
			return sends, computes
		}
		switch e.(type) {
		case Send:
			sends++
		case Compute:
			computes++
		}
	}
}

// TestHalfOpenPerSource: what one source has is bounded. Anybody can write a first message in
// its name, so the oldest gives way.
func TestHalfOpenPerSource(t *testing.T) {
	n := newNode(t, "s", Config{Candidates: psk("acme", "secret", nil), Limits: Limits{HalfOpen: 50, HalfOpenPerSource: 10}})
	for k := range 20 {
		if err := n.s.Input(start, pathFrom("198.51.100.1:500"), message1(t, k)); err != nil {
			t.Error(err)
		}
	}
	if n.s.Stats().HalfOpen != 10 || len(n.s.opening) != 10 {
		t.Errorf("%d half open, %d kept", n.s.Stats().HalfOpen, len(n.s.opening))
	}
	n.s.Advance(start.Add(halfOpenTime))
	wantEmpty(t, n)
}

// TestHalfOpenPerSourceEvictsNobody: when there is room only for who has nothing, who has as much as one
// source may have does not get more by the place of others.
func TestHalfOpenPerSourceEvictsNobody(t *testing.T) {
	n := newNode(t, "s", Config{Candidates: psk("acme", "secret", nil), Limits: Limits{HalfOpen: 22, HalfOpenPerSource: 10}})
	for k := range 20 {
		source := []string{"198.51.100.1:500", "198.51.100.2:500"}[k%2]
		if err := n.s.Input(start, pathFrom(source), message1(t, k)); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.s.Input(start, pathFrom("198.51.100.1:500"), message1(t, 20)); err != nil {
		t.Error(err)
	}
	if have := n.s.halfOpen.count(netip.MustParsePrefix("198.51.100.2/32")); have != 10 {
		t.Errorf("%d half open are left of 10", have)
	}
}

// TestHalfOpenTotal floods a server from false sources while a client dials.
func TestHalfOpenTotal(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast()), Limits: Limits{HalfOpen: 50}})
	flood := 0
	p.filter = func(*node, []byte) bool {
		for range 20 {
			flood++
			source := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(flood >> 8), byte(flood)}), 500)
			// Windows' offer is refused here, so give it one that is not.
			b := bytes.Clone(p.client.sent[0])
			copy(b, fmt.Sprintf("%08d", flood))
			_ = p.server.s.Input(p.now, Path{Local: serverIKE, Remote: source}, b)
		}
		if n := p.server.s.Stats().HalfOpen; n > 50 {
			t.Fatalf("%d half open", n)
		}
		drainAll(p.server)
		return true
	}
	// The flood eats the server's events, so it only runs while the client sends.
	filter := p.filter
	p.filter = func(from *node, b []byte) bool {
		if from == p.client {
			return filter(from, b)
		}
		return true
	}
	p.dial(dialConfig("secret"))
	if len(p.usable()) != 1 {
		t.Error("the flood keeps an honest client out")
	}
	p.filter = nil
	p.run(2*time.Minute, nil)
	p.closeAll()
}

// TestCheapRefusals checks that nothing a stranger sends costs a computation
// before it has shown that it receives our answers.
func TestCheapRefusals(t *testing.T) {
	n := newNode(t, "s", Config{Candidates: psk("acme", "secret", nil)})
	first := message1(t, 1)
	if err := n.s.Input(start, pathFrom("198.51.100.1:500"), bytes.Clone(first)); err != nil {
		t.Fatal(err)
	}
	e, _ := n.s.Next()
	answer := e.(Send).Data
	third := wire.StartMessage(nil, wire.Header{Initiator: wire.Cookie(first), Responder: wire.Cookie(answer[8:]),
		Version: wire.V1, Exchange: wire.ExchangeMain})
	third.Add(wire.KeyExchange(make([]byte, 95)))
	third.Add(wire.Nonce(make([]byte, 16)))
	short := bytes.Clone(third.Finish())
	wrong := bytes.Clone(short)
	wrong[8] ^= 1
	exchange := bytes.Clone(short)
	exchange[18] = 77
	tests := map[string]struct {
		msg  []byte
		want error
	}{
		"short public value": {short, ErrMalformed},
		"wrong cookie":       {wrong, ErrUnknownSA},
		"unknown exchange":   {exchange, ErrExchange},
		"repeated":           {first, ErrDuplicate},
	}
	for name, tt := range tests {
		if err := n.s.Input(start, pathFrom("198.51.100.1:500"), bytes.Clone(tt.msg)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, computes := drainAll(n); computes != 0 {
			t.Errorf("%s: %d computations", name, computes)
		}
	}
}

// TestComputationLimit bounds the computations that strangers have under way.
func TestComputationLimit(t *testing.T) {
	n := newNode(t, "s", Config{Candidates: psk("acme", "secret", nil), Limits: Limits{Computations: 3}})
	computes := 0
	for k := range 10 {
		path := pathFrom("198.51.100.1:500")
		first := message1(t, k)
		_ = n.s.Input(start, path, bytes.Clone(first))
		e, _ := n.s.Next()
		third := wire.StartMessage(nil, wire.Header{Initiator: wire.Cookie(first), Responder: wire.Cookie(e.(Send).Data[8:]),
			Version: wire.V1, Exchange: wire.ExchangeMain})
		third.Add(wire.KeyExchange(make([]byte, 96)))
		third.Add(wire.Nonce(make([]byte, 16)))
		_ = n.s.Input(start, path, third.Finish())
		_, c := drainAll(n)
		computes += c
	}
	if computes != 3 {
		t.Errorf("%d computations", computes)
	}
}

// TestKeyTrials bounds how many keys a source can make us try.
func TestKeyTrials(t *testing.T) {
	var list []Candidate
	for n := range 50 {
		list = append(list, Candidate{Tenant: fmt.Sprint(n), PSK: fmt.Append(nil, "key", n), Policy: fast()})
	}
	p := newPair(t, 1, Config{Candidates: func(_, _ netip.Addr) []Candidate { return list }, Limits: Limits{TriesPerSource: 1}})
	for range 2 { // the first costs more than there is
		id := p.dial(dialConfig("guess"))
		if _, closed := p.client.closed[id]; !closed {
			t.Error("up")
		}
	}
	guessing := false
	for _, f := range p.server.failed {
		guessing = guessing || f.Cause == CauseGuessing
	}
	if !guessing {
		t.Errorf("no limit reached: %v", p.server.failed)
	}
	p.closeAll()
}

// cut is a filter that gives the other side every beginning of a message first, none
// of which may be taken.
func (p *pair) cut(from *node, b []byte) bool {
	to, path := p.server, Path{Local: serverNATT, Remote: clientNATT, NATT: true}
	if from == p.server {
		to, path = p.client, Path{Local: clientNATT, Remote: serverNATT, NATT: true}
	}
	for n := range b {
		if err := to.s.Input(p.now, path, bytes.Clone(b[:n])); err == nil {
			p.t.Errorf("%d of %d bytes from %s accepted", n, len(b), from.name)
		}
	}
	return true
}

// TestTruncated cuts every message of a handshake at every length: nothing of it
// is taken, and the handshake goes on unharmed.
func TestTruncated(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	p.filter = p.cut
	p.dial(dialConfig("secret"))
	if len(p.usable()) != 1 {
		t.Error("not up")
	}
	p.filter = nil
	p.closeAll()
}

// TestFlippedBits changes one bit of each protected message: it is dropped, and
// the true message is still welcome.
func TestFlippedBits(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast()), Limits: Limits{TriesPerSource: 1e6, Tries: 1e6}})
	p.filter = func(from *node, b []byte) bool {
		if exchange, _ := exchangeOf(b); exchange == byte(wire.ExchangeMain) {
			return true
		}
		to, path := p.server, Path{Local: serverNATT, Remote: clientNATT, NATT: true}
		if from == p.server {
			to, path = p.client, Path{Local: clientNATT, Remote: serverNATT, NATT: true}
		}
		for n := wire.HeaderLen; n < len(b); n += 7 {
			bad := bytes.Clone(b)
			bad[n] ^= 0x10
			if err := to.s.Input(p.now, path, bad); err == nil {
				t.Errorf("byte %d of %d from %s changed and accepted", n, len(b), from.name)
			}
		}
		return true
	}
	id := p.dial(dialConfig("secret"))
	if len(p.usable()) != 1 {
		t.Error("not up")
	}
	p.client.s.Close(p.now, id, ReasonLocal)
	p.run(time.Minute, nil)
	if len(p.server.s.peers) != 0 {
		t.Error("DELETE was not taken")
	}
	p.closeAll()
}

// TestReplay gives every message of a session to both sides again, twice: nothing
// changes, and nothing is computed.
func TestReplay(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	id := p.dial(dialConfig("secret"))
	if err := p.client.s.Rekey(p.now, id, Phase2); err != nil {
		t.Fatal(err)
	}
	p.run(time.Second, nil)
	before := p.server.s.Stats()
	for range 2 {
		for _, b := range p.client.sent {
			_ = p.server.s.Input(p.now, Path{Local: serverNATT, Remote: addrPort("198.51.100.9:4500"), NATT: true}, bytes.Clone(b))
		}
	}
	_, computes := drainAll(p.server)
	after := p.server.s.Stats()
	if computes != 0 || after.Children != before.Children || after.Peers != before.Peers {
		t.Errorf("%d computations, %+v", computes, after)
	}
	for _, peer := range p.server.s.peers {
		if peer.path.Remote != clientNATT {
			t.Errorf("moved to %v", peer.path)
		}
	}
	p.closeAll()
}

func TestAggressiveRefused(t *testing.T) {
	n := newNode(t, "s", Config{Candidates: psk("acme", "secret", nil)})
	b := message1(t, 1)
	b[18] = byte(wire.ExchangeAggressive)
	if err := n.s.Input(start, pathFrom("198.51.100.1:500"), bytes.Clone(b)); !errors.Is(err, ErrExchange) {
		t.Error(err)
	}
	e, _ := n.s.Next()
	if f, ok := e.(Failed); !ok || f.Cause != CauseAggressive {
		t.Errorf("%+v", e)
	}
	e, _ = n.s.Next()
	if s, ok := e.(Send); !ok || len(s.Data) >= len(b) {
		t.Errorf("%+v", e)
	}
	wantEmpty(t, n)
}

// TestUnprotectedNotify believes a refusal only while it can be one.
func TestUnprotectedNotify(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	id := p.dial(dialConfig("secret"))
	key := p.client.s.peers[id].ikes[0].key
	for _, why := range []wire.NotifyType{wire.NotifyNoProposalChosen, wire.NotifyInvalidSPI} {
		b := v1.Refusal(key.i, key.r, 77, why)
		if err := p.client.s.Input(p.now, Path{Local: clientNATT, Remote: serverNATT, NATT: true}, b); !errors.Is(err, ErrUnprotected) {
			t.Error(err)
		}
	}
	if len(p.client.closed) != 0 || len(p.usable()) != 1 {
		t.Error("closed by an unprotected message")
	}
	p.closeAll()
}

// TestFragments gives a handshake to the server in fragments.
func TestFragments(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	p.filter = func(from *node, b []byte) bool {
		h, _, _ := wire.ConsumeHeader(b)
		if from != p.client || h.Responder.IsZero() || len(b) < 100 || h.Exchange != wire.ExchangeQuick {
			return true
		}
		half := len(b) / 2
		for k, part := range [][]byte{b[half:], b[:half]} {
			m := wire.StartMessage(nil, h)
			m.Add(wire.Fragment{ID: 1, Number: uint8(2 - k), Last: k == 0, Data: part})
			if err := p.server.s.Input(p.now, Path{Local: serverNATT, Remote: clientNATT, NATT: true}, m.Finish()); err != nil {
				t.Errorf("fragment %d: %v", k, err)
			}
		}
		p.drain(p.server)
		return false
	}
	p.dial(dialConfig("secret"))
	if len(p.usable()) != 1 {
		t.Error("not up")
	}
	p.closeAll()
}

// TestFragmentBounds keeps no more than one message of fragments, and none for
// strangers.
func TestFragmentBounds(t *testing.T) {
	var f fragments
	for n := range 1000 {
		if f.add(wire.Fragment{ID: uint16(n / 40), Number: uint8(1 + n%40), Data: make([]byte, 4000)}) != nil {
			t.Fatal("whole")
		}
		if f.bytes > maxFragmentBytes {
			t.Fatalf("%d bytes kept", f.bytes)
		}
	}
	n := newNode(t, "s", Config{Candidates: psk("acme", "secret", nil)})
	first := message1(t, 1)
	_ = n.s.Input(start, pathFrom("198.51.100.1:500"), bytes.Clone(first))
	e, _ := n.s.Next()
	h, _, _ := wire.ConsumeHeader(e.(Send).Data)
	m := wire.StartMessage(nil, h)
	m.Add(wire.Fragment{ID: 1, Number: 1, Data: make([]byte, 500)})
	if err := n.s.Input(start, pathFrom("198.51.100.1:500"), m.Finish()); !errors.Is(err, ErrState) {
		t.Error(err)
	}
}

// TestChildrenBounded lets a client open child SAs without end, as Windows does
// when L2TP stays silent.
func TestChildrenBounded(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast()), Limits: Limits{Children: 4}})
	id := p.dial(dialConfig("secret"))
	for range 20 {
		_ = p.client.s.Rekey(p.now, id, Phase2)
		p.run(200*time.Millisecond, nil)
	}
	if n := len(p.server.children); n > 4 {
		t.Errorf("%d children", n)
	}
	p.closeAll()
}

func FuzzInput(f *testing.F) {
	for _, flow := range wiretest.All(f) {
		f.Add(flow.Data, uint8(0))
	}
	p := newPair(f, 1, Config{Candidates: psk("acme", "secret", fast())})
	p.dial(dialConfig("secret"))
	for _, b := range p.client.sent {
		f.Add(b, uint8(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, known uint8) {
		p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
		p.dial(dialConfig("secret"))
		if i := anySA(p.server.s); known&1 == 1 && len(b) >= 16 && i != nil {
			copy(b, i.key.i[:])
			copy(b[8:], i.key.r[:])
		}
		for range 2 {
			_ = p.server.s.Input(p.now, Path{Local: serverNATT, Remote: clientNATT, NATT: true}, bytes.Clone(b))
		}
		p.drain(p.server)
		if len(p.usable()) == 0 {
			t.Fatal("a message that nobody authenticated has closed the session")
		}
		p.closeAll()
	})
}

func anySA(s *Server) *isakmp {
	for _, i := range s.sas {
		return i
	}
	return nil
}
