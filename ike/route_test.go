package ike

import (
	"bytes"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// elsewhere is where the client is not, or not yet.
var elsewhere = Path{Local: serverNATT, Remote: addrPort("198.51.100.66:4500"), NATT: true}

// note is the payload of an informational message that means nothing.
var note = wire.Notify{DOI: wire.DOIIPsec, Protocol: wire.ProtocolISAKMP, Type: wire.NotifyType(40500)}

// moves are the events of that kind.
func moves(n *node) (list []Moved) {
	for _, e := range n.events {
		if m, ok := e.(Moved); ok {
			list = append(list, m)
		}
	}
	return list
}

// dialledPair is a client of IKEv1 with its peers on both sides.
func dialledPair(t *testing.T) (p *pair, client, server *peer) {
	t.Helper()
	p = newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	client = p.client.s.peers[p.dial(dialConfig("secret"))]
	p.run(5*time.Second, nil)
	p.server.events = nil
	return p, client, serverPeer(t, p)
}

// Somebody on the way has recorded an informational message, or kept it back. Hours
// later it moves nobody, and is not taken twice.
func TestRecordedMessagesMoveNobody(t *testing.T) {
	p, client, server := dialledPair(t)
	sa := client.current().sa
	here := server.path
	recorded, kept := sa.Inform(1000, note), sa.Inform(1001, note)
	if err := p.server.s.Input(p.now, here, bytes.Clone(recorded)); err != nil {
		t.Fatal(err)
	}
	for k := range 1000 {
		if err := p.server.s.Input(p.now, here, sa.Inform(wire.MessageID(2000+k), note)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.server.s.Input(p.now, elsewhere, recorded); err == nil {
		t.Error("a message was taken twice")
	}
	_ = p.server.s.Input(p.now, elsewhere, kept)
	p.drain(p.server)
	if server.path != here || len(moves(p.server)) > 0 {
		t.Errorf("the peer is at %v now: %v", server.path.Remote, moves(p.server))
	}
	p.closeAll()
}

// The numbers of dead peer detection go up: an old question is not answered, and an
// answer to none that we asked is no sign of life.
func TestDPDNumbersAreChecked(t *testing.T) {
	p, client, server := dialledPair(t)
	sa := client.current().sa
	there := func(kind wire.NotifyType, id wire.MessageID, sequence uint32) int {
		_ = p.server.s.Input(p.now, server.path, sa.Inform(id, sa.AreYouThere(kind, sequence)))
		sends, _ := drainAll(p.server)
		return sends
	}
	if there(wire.NotifyRUThere, 11, 500) != 1 || there(wire.NotifyRUThere, 12, 501) != 1 || there(wire.NotifyRUThere, 13, 501) != 1 {
		t.Error("a new question, or a repeated one, is not answered")
	}
	if there(wire.NotifyRUThere, 14, 500) != 0 {
		t.Error("an old question is answered")
	}
	heard := server.heardAt
	p.now = p.now.Add(time.Second)
	if there(wire.NotifyRUThereAck, 15, 77); server.heardAt != heard {
		t.Error("an answer to no question of ours counts as a sign of life")
	}
	p.closeAll()
}

// The message IDs of an ISAKMP SA are bounded: it is renewed in time where we renew, and
// ends before one could be used again.
func TestMessageIDsAreBounded(t *testing.T) {
	for _, renews := range []bool{false, true} {
		policy := fast()
		policy.Rekey = renews
		p := newPair(t, 1, Config{Candidates: psk("acme", "secret", policy)})
		client := p.client.s.peers[p.dial(dialConfig("secret"))]
		server := serverPeer(t, p)
		first := server.current()
		sa := client.current().sa
		taken := 0
		for k := 0; k < 3*maxMessageIDs && first.state == standing; k++ {
			if p.server.s.Input(p.now, server.path, sa.Inform(wire.MessageID(1000+k), note)) == nil {
				taken++
			}
			if k%1000 == 0 {
				p.run(10*time.Millisecond, nil)
			}
		}
		if taken > maxMessageIDs {
			t.Errorf("renews %v: %d messages under one SA", renews, taken)
		}
		p.run(time.Minute, nil)
		if first.state != gone || renews && server.current() == nil || len(p.usable()) != 1 {
			t.Errorf("renews %v: state %v, current %v, %d child SAs", renews, first.state, server.current(), len(p.usable()))
		}
		p.closeAll()
	}
}

// A client whose packets come from elsewhere is sent to there at once, and is asked
// there: until it has answered that is not proven.
func TestMovedClientIsAskedWhereItIs(t *testing.T) {
	p, _, server := dialledPair(t)
	p.filter = func(from *node, _ []byte) bool { return from != p.server } // somebody else is there
	p.server.s.Moved(p.now, server.id, elsewhere)
	p.run(20*time.Second, nil)
	if m := moves(p.server); len(m) != 1 || m[0].Path != elsewhere || !m[0].Unproven {
		t.Fatalf("moves %+v", m)
	}
	p.filter = nil
	p.run(time.Minute, nil)
	if m := moves(p.server); len(m) != 2 || m[1].Path != elsewhere || m[1].Unproven {
		t.Fatalf("moves %+v", m)
	}
	p.closeAll()
}

// A client that sends nothing but questions whether we live is followed to its new
// address, once it has answered there.
func TestIdleClientIsFollowed(t *testing.T) {
	p, client, server := dialledPair(t)
	sa := client.current().sa
	if err := p.server.s.Input(p.now, elsewhere, sa.Inform(50, sa.AreYouThere(wire.NotifyRUThere, 9000))); err != nil {
		t.Fatal(err)
	}
	if len(moves(p.server)) != 0 {
		t.Fatal("a question alone moves it")
	}
	p.run(5*time.Second, nil)
	if m := moves(p.server); len(m) != 1 || m[0].Path != elsewhere || m[0].Unproven || server.path != elsewhere {
		t.Fatalf("moves %+v", m)
	}
	p.closeAll()
}

// The same with IKEv2: by the cookie of MOBIKE where the client speaks it, and else by
// any answer from there.
func TestV2MovedClientIsAskedWhereItIs(t *testing.T) {
	for _, mobike := range []bool{false, true} {
		r := mustRogue(t, Config{Candidates: psk("acme", "secret", nil)})
		login := append(r.proof("secret"), wishes(1)...)
		if mobike {
			login = append(login, wire.Notify2{Type: wire.Notify2MobikeSupported})
		}
		r.ask(wire.ExchangeAuth, login...)
		r.wantUp(1)
		r.path.Remote = elsewhere.Remote
		for id := range r.n.s.sessions {
			r.n.s.Moved(r.now, id, Path(r.path))
		}
		r.drain()
		m := moves(r.n)
		if len(m) != 1 || m[0].Path.Remote != elsewhere.Remote || !m[0].Unproven {
			t.Fatalf("mobike %v: moves %+v", mobike, m)
		}
		if r.answerQuestions(false); mobike {
			if m = moves(r.n); len(m) != 1 || len(r.n.closed) > 0 {
				t.Fatalf("an answer without the cookie: moves %+v, closed %v", m, r.n.closed)
			}
			r.got = nil
			r.wait(10 * time.Second)
			r.answerQuestions(true)
		}
		if m = moves(r.n); len(m) != 2 || m[1].Unproven {
			t.Fatalf("mobike %v: moves %+v", mobike, m)
		}
		r.wantUp(1)
		r.wantEmpty()
	}
}
