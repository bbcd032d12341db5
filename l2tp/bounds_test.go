package l2tp

import (
	"testing"
	"time"
)

// kept is how many messages wait in all tunnels.
func (s *station) kept() (n int) {
	for _, p := range s.e.peers {
		for _, t := range p.tunnels {
			n += len(t.ch.queue) + len(t.ch.held)
		}
	}
	return n
}

// A peer that acknowledges nothing and asks on is let go: what is kept for it, and the
// work for each of its messages, does not grow with what it asks.
func TestAnswersThatNobodyAcknowledgesAreBounded(t *testing.T) {
	s := newStation(t, testConfig())
	local := s.serve(9)
	s.sent, s.events = nil, nil
	most, stopped := 0, -1
	for i := range uint32(5000) {
		_ = s.e.Input(s.now, client, message(Header{local, 0, uint16(2 + i), 1}, MessageICRQ,
			u16(AttrAssignedCall, uint16(i%60000+1)), u32(AttrCallSerial, 1)))
		s.drain()
		for _, b := range s.sent {
			if m, err := ParseMessage(b, nil); err == nil && m.Type() == MessageStopCCN && stopped < 0 {
				stopped = int(i)
			}
		}
		s.sent, s.events = nil, nil
		most = max(most, s.kept())
	}
	if most > 65 { // 64, and what tells the client
		t.Errorf("%d messages were kept", most)
	}
	if stopped < 8 || stopped > 128 {
		t.Errorf("the tunnel was closed after %d requests", stopped)
	}
	s.advance(2 * linger)
	if got := s.e.Stats(); got.Tunnels != 0 || got.Calls != 0 {
		t.Errorf("left: %+v", got)
	}
}

// A peer that acknowledges may ask for as many calls as it likes, one after another.
func TestRequestsThatAreAcknowledged(t *testing.T) {
	s := newStation(t, testConfig())
	local := s.serve(9)
	nr := uint16(1)
	for i := range uint16(1000) {
		s.sent, s.events = nil, nil
		s.input(message(Header{local, 0, 2 + i, nr}, MessageICRQ, u16(AttrAssignedCall, i+1), u32(AttrCallSerial, 1)))
		for _, b := range s.sent {
			if m, err := ParseMessage(b, nil); err == nil && !m.ZLB() {
				nr = m.Ns + 1
			}
		}
	}
	if got := s.e.Stats(); got.Tunnels != 1 || got.Calls != 8 || s.kept() > 1 {
		t.Errorf("%+v, %d messages kept", got, s.kept())
	}
}

// Tunnels that live keep their place: of one peer a fifth is refused, and told so, until
// one of the four does not answer HELLO.
func TestTunnelsThatLiveGiveNoWay(t *testing.T) {
	cfg := testConfig()
	cfg.Idle = -1 // they have no calls
	s := newStation(t, cfg)
	for id := uint16(1); id <= 4; id++ {
		s.serve(id)
	}
	s.sent, s.events = nil, nil
	for id := uint16(5); id < 10; id++ {
		s.input(sccrq(id))
		m := s.wantSent(MessageStopCCN)
		if m.Tunnel != TunnelID(id) {
			t.Errorf("told %d", m.Tunnel)
		}
		if got := s.e.Stats().Tunnels; got > 5 {
			t.Errorf("%d tunnels", got)
		}
		s.sent, s.events = nil, nil
	}
	s.advance(75 * time.Second) // no HELLO is answered
	s.sent, s.events = nil, nil
	s.input(sccrq(20))
	for _, b := range s.sent {
		if m, err := ParseMessage(b, nil); err == nil && m.Type() == MessageSCCRP {
			return
		}
	}
	t.Error("no tunnel has given way")
}
