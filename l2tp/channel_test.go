package l2tp

import (
	"testing"
	"time"
)

// TestRetransmission: RFC 2661 section 5.8: exponential back-off with a cap, then the
// tunnel is cleared. An unanswered HELLO is borne for a minute.
func TestRetransmission(t *testing.T) {
	s := newStation(t, testConfig())
	s.serve(9)
	s.e.cfg.Idle = -1
	s.e.peers[client].tunnels[0].expires = time.Time{}
	s.e.transmit(s.now, s.e.peers[client].tunnels[0])
	s.advance(59 * time.Second)
	s.wantNothing()
	s.advance(time.Second)
	first := s.wantSent(MessageHELLO)
	for _, gap := range []time.Duration{1, 2, 4, 8, 8, 8, 8, 8, 8} {
		s.advance(gap*time.Second - 1)
		s.wantNothing()
		s.advance(1)
		if again := s.wantSent(MessageHELLO); again.Ns != first.Ns {
			t.Fatalf("repeated with Ns %d, was %d", again.Ns, first.Ns)
		}
	}
	s.advance(8 * time.Second)
	if down := wantEvent[TunnelDown](s); down.Reason.Cause != CauseTimeout || !down.Up {
		t.Fatalf("%+v", down)
	}
	s.wantNothing()
	s.wantGone()
}

// TestHelloAnswered: the acknowledgement of HELLO is a sign of life.
func TestHelloAnswered(t *testing.T) {
	s := newStation(t, testConfig())
	local := s.serve(9)
	s.serveCall(local, 5)
	for ns := uint16(2); ns < 6; ns++ {
		s.advance(time.Minute)
		if m := s.wantSent(MessageHELLO); m.Ns != ns || m.Call != 0 || m.Tunnel != 9 {
			t.Fatalf("%+v", m.Header)
		}
		s.input(zlb(Header{local, 0, 4, ns + 1}))
		s.wantNothing()
	}
}

// TestDataIsLife: data delays HELLO, and keeps up a peer that does not answer it.
func TestDataIsLife(t *testing.T) {
	s := newStation(t, testConfig())
	local := s.serve(9)
	s.serveCall(local, 5)
	for range 10 {
		s.advance(30 * time.Second)
		s.e.Alive(s.now, client)
	}
	s.wantNothing()
	s.advance(time.Minute)
	s.wantSent(MessageHELLO)
	for range 20 {
		s.advance(20 * time.Second)
		s.e.Alive(s.now, client)
	}
	if len(s.events) != 0 {
		t.Fatalf("%+v", s.events[0])
	}
	s.advance(3 * time.Minute)
	wantEvent[CallDown](s)
	if down := wantEvent[TunnelDown](s); down.Reason.Cause != CauseTimeout {
		t.Fatalf("%+v", down)
	}
	s.wantGone()
	s.e.Alive(s.now, client)
}

// TestHelloReceived: HELLO is acknowledged with a ZLB (section 6.5).
func TestHelloReceived(t *testing.T) {
	s := newStation(t, testConfig())
	local := s.serve(9)
	s.input(message(Header{local, 0, 2, 1}, MessageHELLO))
	s.wantBytes(zlb(Header{9, 0, 1, 3}))
}

// TestDuplicate: a duplicate is acknowledged and nothing else (section 5.8).
func TestDuplicate(t *testing.T) {
	s := newStation(t, testConfig())
	local := s.serve(9)
	icrq := message(Header{local, 0, 2, 1}, MessageICRQ, u16(AttrAssignedCall, 5), u32(AttrCallSerial, 1))
	s.input(icrq)
	s.wantSent(MessageICRP)
	s.input(icrq)
	s.wantBytes(zlb(Header{9, 0, 2, 3}))
	// 32,768 back is still a duplicate.
	s.input(message(Header{local, 0, 0x8003, 1}, MessageHELLO))
	s.wantBytes(zlb(Header{9, 0, 2, 3}))
	if st := s.e.Stats(); st.Calls != 1 || st.Duplicates != 2 {
		t.Fatalf("%+v", st)
	}
}

// TestOutOfOrder: messages within the window wait for those before them.
func TestOutOfOrder(t *testing.T) {
	s := newStation(t, testConfig())
	local := s.serve(9)
	for ns := uint16(9); ns > 2; ns-- {
		s.input(message(Header{local, 0, ns, 1}, MessageICRQ, u16(AttrAssignedCall, ns), u32(AttrCallSerial, uint32(ns))))
		s.wantBytes(zlb(Header{9, 0, 1, 2}))
	}
	if held := len(s.e.peers[client].tunnels[0].ch.held); held != 7 {
		t.Fatalf("%d messages held", held)
	}
	if err := s.e.Input(s.now, client, message(Header{local, 0, 10, 1}, MessageHELLO)); err != ErrSequence {
		t.Fatalf("beyond the window: %v", err)
	}
	s.drain()
	s.wantSent(0)
	s.input(message(Header{local, 0, 2, 1}, MessageHELLO))
	for ns := uint16(3); ns <= 9; ns++ {
		if len(s.sent) == 0 {
			s.input(zlb(Header{local, 0, 10, ns - 2}))
		}
		if m := s.wantSent(MessageICRP); m.Call != CallID(ns) || m.Nr != 10 {
			t.Fatalf("%+v", m.Header)
		}
	}
	if s.e.peers[client].tunnels[0].ch.held != nil {
		t.Error("messages are still held")
	}
}

// TestReceiveWindow: no more messages are in flight than the peer has room for, and the
// window opens by slow start (appendix A).
func TestReceiveWindow(t *testing.T) {
	for _, window := range []uint16{0, 1, 2, 8} {
		s := newStation(t, testConfig())
		s.input(sccrq(9, u16(AttrReceiveWindow, window)))
		local := assignedTunnel(t, s.wantSent(MessageSCCRP))
		s.input(message(Header{local, 0, 1, 1}, MessageSCCCN))
		s.wantSent(0)
		for i := range uint16(8) {
			s.input(message(Header{local, 0, 2 + i, 1}, MessageICRQ, u16(AttrAssignedCall, 1+i), u32(AttrCallSerial, 1)))
		}
		most := 0
		for acked := uint16(1); acked < 9; {
			n := 0
			for _, b := range s.sent {
				if m, _ := ParseMessage(b, nil); !m.ZLB() {
					n++
				}
			}
			most = max(most, n)
			acked += uint16(n)
			s.sent = nil
			s.input(zlb(Header{local, 0, 10, acked}))
		}
		if want := max(int(window), 1); most > want || (want < 8 && most != want) {
			t.Errorf("window %d: %d in flight", window, most)
		}
	}
}

// TestWindowAfterLoss: after a timeout one message is sent, and the window opens anew.
func TestWindowAfterLoss(t *testing.T) {
	c := newChannel(8, 8)
	r := Retransmit{time.Second, 8 * time.Second, 9}
	for range 20 {
		c.push(MessageHELLO, make([]byte, controlHeaderSize))
	}
	flight := func() (n int) {
		for {
			if _, ok := c.next(start, r); !ok {
				return n
			}
			n++
		}
	}
	for round, want := range []int{1, 2, 4, 8} {
		if n := flight(); n != want {
			t.Fatalf("round %d: %d sent, want %d", round, n, want)
		}
		if round < 3 {
			c.acknowledge(start, c.ns, r)
		}
	}
	if !c.expire(r) {
		t.Fatal("gave up at once")
	}
	if n := flight(); n != 1 || c.ssthresh != 4 || c.cwnd != 1 || c.high != 8 {
		t.Fatalf("after the loss: %d sent, %+v", n, c)
	}
	c.acknowledge(start, c.ns-7, r)
	if n := flight(); n != 2 {
		t.Fatalf("after one acknowledgement: %d sent", n)
	}
}

// TestWraparound: numbers are modulo 65,536.
func TestWraparound(t *testing.T) {
	s := newStation(t, testConfig())
	local := s.serve(9)
	for i := range 70_000 {
		s.input(message(Header{local, 0, uint16(2 + i), 1}, MessageHELLO))
		if m := s.wantSent(0); m.Nr != uint16(3+i) {
			t.Fatalf("%d: Nr %d", i, m.Nr)
		}
	}
}

// TestFalseAck: an acknowledgement of what was never sent is not believed.
func TestFalseAck(t *testing.T) {
	s := newStation(t, testConfig())
	s.input(sccrq(9))
	local := assignedTunnel(t, s.wantSent(MessageSCCRP))
	for _, nr := range []uint16{2, 3, 1000, 0xffff} {
		s.input(zlb(Header{local, 0, 1, nr}))
	}
	s.wantNothing()
	s.advance(time.Second)
	s.wantSent(MessageSCCRP)
}
