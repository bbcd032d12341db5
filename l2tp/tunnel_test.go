package l2tp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// wantStop checks the StopCCN that was sent and the event that tells of it.
func (s *station) wantStop(code uint16, e ErrorCode, cause Cause) TunnelDown {
	s.t.Helper()
	f, _ := readFields(s.wantSent(MessageStopCCN), nil)
	if r := parseResult(f.resultCode); r.Code != code || (r.Error != e && code != StopVersion) {
		s.t.Fatalf("StopCCN %+v, want %d error %d", r, code, e)
	}
	down := wantEvent[TunnelDown](s)
	if down.Reason.Cause != cause {
		s.t.Fatalf("%+v, want cause %v", down, cause)
	}
	return down
}

// TestRefusals: what is wrong with an SCCRQ is answered with a StopCCN, which is repeated
// until it is acknowledged.
func TestRefusals(t *testing.T) {
	tests := []struct {
		name   string
		packet []byte
		code   uint16
		err    ErrorCode
		cause  Cause
	}{
		{"unknown mandatory AVP", sccrq(9, u16(77, 1)), StopError, ErrorUnknownAVP, CauseProtocol},
		{"mandatory AVP of a vendor", sccrq(9, AVP{Mandatory: true, Vendor: 9, Type: 1}), StopError, ErrorUnknownAVP, CauseProtocol},
		{"mandatory AVP with a reserved bit", sccrq(9, AVP{Mandatory: true, Reserved: 1, Type: AttrReceiveWindow, Value: []byte{0, 1}}), StopError, ErrorUnknownAVP, CauseProtocol},
		{"mandatory hidden AVP without a secret", sccrq(9, AVP{Mandatory: true, Hidden: true, Type: AttrBearerCapabilities, Value: make([]byte, 16)}), StopError, ErrorUnknownAVP, CauseProtocol},
		{"mandatory AVP of a wrong length", sccrq(9, octets(AttrReceiveWindow, "1")), StopError, ErrorLength, CauseProtocol},
		{"challenge without a secret", sccrq(9, octets(AttrChallenge, "1234")), StopUnauthorized, 0, CauseAuth},
		{"no protocol version", message(Header{}, MessageSCCRQ, u16(AttrAssignedTunnel, 9)), StopVersion, 0, CauseProtocol},
		{"wrong protocol version", message(Header{}, MessageSCCRQ, u16(AttrProtocolVersion, 0x0200), u16(AttrAssignedTunnel, 9)), StopVersion, 0, CauseProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStation(t, testConfig())
			s.input(tt.packet)
			down := s.wantStop(tt.code, tt.err, tt.cause)
			if down.Up {
				t.Error("was never up")
			}
			s.advance(time.Second)
			m := s.wantSent(MessageStopCCN)
			s.input(zlb(Header{assignedTunnel(t, m), 0, 1, 1}))
			s.wantNothing()
			s.wantGone()
		})
	}
}

func TestNotAccepting(t *testing.T) {
	cfg := testConfig()
	cfg.Accept = false
	s := newStation(t, cfg)
	s.input(sccrq(9))
	s.wantStop(StopUnauthorized, 0, CauseRefused)
	s.advance(linger)
	s.wantGone()
}

// TestTolerated: what is no reason to refuse.
func TestTolerated(t *testing.T) {
	for name, packet := range map[string][]byte{
		"unknown optional AVP":        sccrq(9, AVP{Type: 77}),
		"optional vendor AVP":         sccrq(9, AVP{Vendor: 311, Type: AttrAssignedTunnel, Value: []byte("0123456789abcdef")}),
		"optional AVP, reserved bit":  sccrq(9, AVP{Reserved: 8, Type: AttrReceiveWindow, Value: []byte{0, 1}}),
		"optional AVP, wrong length":  sccrq(9, AVP{Type: AttrReceiveWindow}),
		"bearer capabilities, M set":  sccrq(9, u32(AttrBearerCapabilities, 0)),
		"an AVP of another message":   sccrq(9, u32(AttrTxSpeed, 1)),
		"an AVP twice":                sccrq(9, u16(AttrAssignedTunnel, 10)),
		"a random vector for nothing": sccrq(9, octets(AttrRandomVector, "0123456789abcdef")),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStation(t, testConfig())
			s.input(packet)
			if m := s.wantSent(MessageSCCRP); m.Tunnel != 9 {
				t.Errorf("answered tunnel %d", m.Tunnel)
			}
		})
	}
}

// TestDropped: messages that leave no state.
func TestDropped(t *testing.T) {
	tests := []struct {
		name   string
		packet []byte
		want   error
	}{
		{"SCCRQ without Assigned Tunnel ID", message(Header{}, MessageSCCRQ, u16(AttrProtocolVersion, 0x0100)), ErrMissing},
		{"SCCRQ with Assigned Tunnel ID 0", sccrq(0), ErrMissing},
		{"SCCRQ out of sequence", message(Header{Ns: 1}, MessageSCCRQ, u16(AttrProtocolVersion, 0x0100), u16(AttrAssignedTunnel, 9)), ErrSequence},
		{"SCCCN on tunnel 0", message(Header{}, MessageSCCCN), ErrUnknownTunnel},
		{"ZLB on tunnel 0", zlb(Header{}), ErrUnknownTunnel},
		{"StopCCN on tunnel 0", message(Header{}, MessageStopCCN, u16(AttrAssignedTunnel, 9)), ErrUnknownTunnel},
		{"HELLO on an unknown tunnel", message(Header{Tunnel: 4}, MessageHELLO), ErrUnknownTunnel},
		{"data", unhex(t, "00020102030421"), ErrNotControl},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStation(t, testConfig())
			if err := s.e.Input(s.now, client, tt.packet); !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			s.drain()
			s.wantNothing()
			s.wantGone()
			if s.e.Stats().Dropped != 1 {
				t.Error("not counted")
			}
		})
	}
}

// TestStrayStopCCN: one who closes a tunnel from before our start is acknowledged, so that
// it does not repeat itself before it dials again.
func TestStrayStopCCN(t *testing.T) {
	s := newStation(t, testConfig())
	stop := message(Header{Tunnel: 4, Ns: 7, Nr: 5}, MessageStopCCN, u16(AttrAssignedTunnel, 9), octets(AttrResultCode, "\x00\x06"))
	if err := s.e.Input(s.now, client, stop); !errors.Is(err, ErrUnknownTunnel) {
		t.Fatalf("error %v", err)
	}
	e, ok := s.e.Next()
	sent, isSend := e.(Send)
	if want := zlb(Header{Tunnel: 9, Ns: 5, Nr: 8}); !ok || !isSend || sent.To != client || !bytes.Equal(sent.Data, want) {
		t.Errorf("sent %v, want %x", e, want)
	}
	s.wantGone()
}

// TestStateTable: section 7.2.1: these messages clear the tunnel.
func TestStateTable(t *testing.T) {
	for _, kind := range []MessageType{MessageSCCRQ, MessageSCCRP, MessageSCCCN} {
		s := newStation(t, testConfig())
		local := s.serve(9)
		s.input(message(Header{local, 0, 2, 1}, kind))
		s.wantStop(StopFSM, 0, CauseProtocol)
	}
	s := newStation(t, testConfig())
	s.input(sccrq(9))
	local := assignedTunnel(t, s.wantSent(MessageSCCRP))
	s.input(message(Header{local, 0, 1, 1}, MessageSCCRP))
	s.wantStop(StopFSM, 0, CauseProtocol)
}

// TestUnknownMessage: section 4.4.1: the M bit of the message type decides.
func TestUnknownMessage(t *testing.T) {
	s := newStation(t, testConfig())
	local := s.serve(9)
	optional := Message{Header{local, 0, 2, 1}, []AVP{{Type: AttrMessageType, Value: []byte{0, 99}}}}
	s.input(optional.Append(nil))
	s.wantSent(0)
	s.wantNothing()
	s.input(message(Header{local, 0, 3, 1}, 99))
	s.wantStop(StopError, ErrorUnknownAVP, CauseProtocol)
}

// TestAuthentication: both sides prove the secret, or the tunnel does not come up.
func TestAuthentication(t *testing.T) {
	tests := []struct {
		name     string
		lac, lns string
		hide     bool
		up       bool
	}{
		{"same secret", "secret", "secret", false, true},
		{"same secret, hidden AVPs", "secret", "secret", true, true},
		{"none", "", "", true, true},
		{"different secrets", "secret", "other", false, false},
		{"different secrets, hidden AVPs", "secret", "other", true, false},
		{"LAC has none", "", "secret", false, false},
		{"LNS has none", "secret", "", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 1, func(lac, lns *Config) {
				lac.Secret = func(Peer) []byte { return []byte(tt.lac) }
				lns.Secret = func(Peer) []byte { return []byte(tt.lns) }
				lac.Hide, lns.Hide = tt.hide, tt.hide
			})
			w.dial(DialConfig{})
			w.run(5 * time.Second)
			if up := w.lac.up > 0 && w.lns.up > 0; up != tt.up {
				t.Fatalf("up: %v; %v %v", up, w.lac.reasons, w.lns.reasons)
			}
			if proven := tt.up && tt.lac != ""; w.lac.proven != proven || w.lns.proven != proven {
				t.Errorf("authenticated: %v %v", w.lac.proven, w.lns.proven)
			}
			w.run(5 * time.Minute)
			if !tt.up {
				w.wantGone()
			}
		})
	}
}

// TestHiddenOnTheWire: with Hide no assigned ID is in the clear.
func TestHiddenOnTheWire(t *testing.T) {
	cfg := testConfig()
	cfg.Secret, cfg.Hide = func(Peer) []byte { return []byte("secret") }, true
	s := newStation(t, cfg)
	if _, err := s.e.Dial(s.now, client, DialConfig{TunnelID: 0x1234}); err != nil {
		t.Fatal(err)
	}
	s.drain()
	m := s.wantSent(MessageSCCRQ)
	if m.AVPs[1].Type != AttrRandomVector {
		t.Errorf("the second AVP is %v", m.AVPs[1].Type)
	}
	for _, a := range m.AVPs {
		if known, _ := a.Type.lookup(); a.Hidden != known.hideable {
			t.Errorf("%v: hidden %v", a.Type, a.Hidden)
		}
	}
	if f, v := readFields(m, []byte("secret")); v != nil || f.tunnel != 0x1234 {
		t.Errorf("revealed %+v %v", f, v)
	}
}

// TestRedial: a peer that dials again is served at once, whatever is left of it.
func TestRedial(t *testing.T) {
	s := newStation(t, testConfig())
	first := s.serve(9)
	s.serveCall(first, 5)
	second := s.serve(10)
	s.serveCall(second, 5)
	if first == second || s.e.Stats().Tunnels != 2 {
		t.Fatal("the second tunnel does not stand beside the first")
	}
	// The old one is noticed to be silent although the new one is alive.
	for range 40 {
		s.advance(5 * time.Second)
		s.e.Alive(s.now, client)
		s.sent = nil
	}
	if down := wantEvent[CallDown](s); down.Call.Tunnel != first || down.Reason.Cause != CauseTimeout {
		t.Fatalf("%+v", down)
	}
}

// TestRedialSameID: a peer that restarted uses the same ID with Ns 0. A late repetition
// of the first SCCRQ is something else.
func TestRedialSameID(t *testing.T) {
	s := newStation(t, testConfig())
	first := s.serve(1)
	s.serveCall(first, 5)
	s.now = s.now.Add(stale - 1)
	if err := s.e.Input(s.now, client, sccrq(1)); !errors.Is(err, ErrStale) {
		t.Fatalf("late repetition: %v", err)
	}
	s.drain()
	s.wantNothing()
	s.now = s.now.Add(1)
	s.input(sccrq(1))
	if down := wantEvent[CallDown](s); down.Call.Tunnel != first || down.Reason.Cause != CauseReplaced {
		t.Fatalf("%+v", down)
	}
	wantEvent[TunnelDown](s)
	s.wantSent(MessageSCCRP)
	s.wantNothing()
}

// TestRedialOtherMessage: another SCCRQ under the same ID is never a repetition.
func TestRedialOtherMessage(t *testing.T) {
	s := newStation(t, testConfig())
	s.input(sccrq(1))
	first := assignedTunnel(t, s.wantSent(MessageSCCRP))
	s.input(sccrq(1, u16(AttrReceiveWindow, 4)))
	second := assignedTunnel(t, s.wantSent(MessageSCCRP))
	if down := wantEvent[TunnelDown](s); first == second || down.Tunnel != first || down.Up {
		t.Fatalf("%d %d %+v", first, second, down)
	}
}

// TestMakeRoom: the tunnel that is silent longest, and has not answered HELLO, gives way
// to a new one.
func TestMakeRoom(t *testing.T) {
	cfg := testConfig()
	cfg.Idle = -1 // they have no calls
	s := newStation(t, cfg)
	var locals []TunnelID
	for i := range uint16(4) {
		locals = append(locals, s.serve(10+i))
		s.advance(time.Second)
	}
	s.advance(71 * time.Second)
	s.sent = nil
	s.input(message(Header{locals[0], 0, 2, 1}, MessageHELLO))
	s.wantSent(0)
	s.input(sccrq(20))
	if m := s.wantSent(MessageStopCCN); m.Tunnel != 11 {
		t.Fatalf("StopCCN for tunnel %d", m.Tunnel)
	}
	s.wantSent(MessageSCCRP)
	if down := wantEvent[TunnelDown](s); down.Tunnel != locals[1] || down.Reason.Cause != CauseReplaced {
		t.Fatalf("%+v", down)
	}
	if n := s.e.Stats().Tunnels; n != 4 {
		t.Fatalf("%d tunnels", n)
	}
}

// TestHalfOpenFlood: one peer cannot have more than its share.
func TestHalfOpenFlood(t *testing.T) {
	s := newStation(t, testConfig())
	for i := range uint16(1000) {
		s.input(sccrq(1 + i))
	}
	if st := s.e.Stats(); st.Tunnels != 4 || s.e.timers.Len() != 4 {
		t.Fatalf("%+v, %d timers", st, s.e.timers.Len())
	}
	s.advance(3 * time.Minute)
	s.wantGone()
}

// TestSetupExpires: a handshake that is acknowledged but never finished ends.
func TestSetupExpires(t *testing.T) {
	s := newStation(t, testConfig())
	s.input(sccrq(9))
	local := assignedTunnel(t, s.wantSent(MessageSCCRP))
	s.input(zlb(Header{local, 0, 1, 1}))
	s.advance(time.Minute)
	s.wantStop(StopClear, 0, CauseSetup)
	s.advance(linger)
	s.wantGone()
}

// TestIdleTunnel: a tunnel without calls is not kept for ever.
func TestIdleTunnel(t *testing.T) {
	cfg := testConfig()
	cfg.Hello = -1
	s := newStation(t, cfg)
	local := s.serve(9)
	s.advance(30 * time.Second)
	call := s.serveCall(local, 5)
	s.advance(time.Hour)
	s.wantNothing()
	s.input(message(Header{local, call, 4, 2}, MessageCDN, octets(AttrResultCode, "\x00\x01\x00\x00"), u16(AttrAssignedCall, 5)))
	s.wantSent(0)
	wantEvent[CallDown](s)
	s.advance(time.Minute)
	s.wantStop(StopClear, 0, CauseIdle)
}

// TestStrayStop: StopCCN with a wrong tunnel ID is matched by the ID that the peer
// assigned, and by nothing else if it names one.
func TestStrayStop(t *testing.T) {
	result := octets(AttrResultCode, "\x00\x01")
	for name, tt := range map[string]struct {
		avps []AVP
		hit  bool
	}{
		"right ID":    {[]AVP{u16(AttrAssignedTunnel, 9), result}, true},
		"ID of old":   {[]AVP{u16(AttrAssignedTunnel, 8), result}, false},
		"no ID":       {[]AVP{result}, true},
		"nothing":     {nil, true},
		"zero ID":     {[]AVP{u16(AttrAssignedTunnel, 0), result}, false},
		"result only": {[]AVP{octets(AttrResultCode, "")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStation(t, testConfig())
			local := s.serve(9)
			err := s.e.Input(s.now, client, message(Header{local + 1, 0, 2, 1}, MessageStopCCN, tt.avps...))
			s.drain()
			if !tt.hit {
				if !errors.Is(err, ErrUnknownTunnel) {
					t.Fatalf("error %v", err)
				}
				return
			}
			s.wantBytes(zlb(Header{9, 0, 1, 3}))
			wantEvent[TunnelDown](s)
		})
	}
}

// TestRefusedLAC: an LNS that refuses before it has an ID of its own.
func TestRefusedLAC(t *testing.T) {
	for _, to := range []TunnelID{5, 0} {
		s := dial(t, "mikrotik", "", 5, 6)
		s.wantSent(MessageSCCRQ)
		s.input(message(Header{to, 0, 0, 1}, MessageStopCCN, u16(AttrAssignedTunnel, 23497),
			octets(AttrResultCode, "\x00\x02\x00\x00No cc config for Linux")))
		down := wantEvent[CallDown](s)
		if down.Up || !strings.Contains(down.Reason.String(), "No cc config") {
			t.Fatalf("%+v", down)
		}
	}
}

// TestTie: section 4.4.3: of two simultaneous tunnels the lower tie breaker wins.
func TestTie(t *testing.T) {
	tests := []struct {
		name         string
		ours, theirs string // tie breakers; empty: none
		keep, accept bool   // our tunnel, theirs
	}{
		{"ours is lower", "00000001", "00000002", true, false},
		{"theirs is lower", "00000002", "00000001", false, true},
		{"equal", "00000001", "00000001", false, false},
		{"only ours", "00000001", "", true, false},
		{"only theirs", "", "00000001", false, true},
		{"none", "", "", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStation(t, testConfig())
			if _, err := s.e.Dial(s.now, client, DialConfig{TieBreaker: tt.ours != ""}); err != nil {
				t.Fatal(err)
			}
			s.drain()
			f, _ := readFields(s.wantSent(MessageSCCRQ), nil)
			if f.has(AttrTieBreaker) != (tt.ours != "") {
				t.Fatal("tie breaker")
			}
			mine := s.e.peers[client].tunnels[0]
			var more []AVP
			if tt.ours != "" {
				f, _ = readFields(Message{AVPs: []AVP{{}, octets(AttrTieBreaker, tt.ours)}}, nil)
				mine.tie = f.tie
			}
			if tt.theirs != "" {
				more = append(more, octets(AttrTieBreaker, tt.theirs))
			}
			err := s.e.Input(s.now, client, sccrq(9, more...))
			s.drain()
			if (mine.state == tunnelGone) == tt.keep {
				t.Errorf("our tunnel: %v", mine.state)
			}
			if errors.Is(err, ErrTie) == tt.accept || len(s.sent) > 0 != tt.accept {
				t.Errorf("their tunnel: %v", err)
			}
			if !tt.keep {
				if down := wantEvent[CallDown](s); down.Reason.Cause != CauseTie {
					t.Errorf("%+v", down)
				}
			}
		})
	}
}

// TestForget: no message, but every event.
func TestForget(t *testing.T) {
	s := newStation(t, testConfig())
	s.serveCall(s.serve(9), 5)
	s.e.Forget(client)
	s.drain()
	if down := wantEvent[CallDown](s); down.Reason.Cause != CauseForgotten || !down.Up {
		t.Fatalf("%+v", down)
	}
	wantEvent[TunnelDown](s)
	s.wantNothing()
	s.wantGone()
	s.e.Forget(client)
	s.e.ClosePeer(s.now, client, Result{})
}

// TestClosePeer: CDN and StopCCN go out at once, as far as the window allows.
func TestClosePeer(t *testing.T) {
	for _, window := range []uint16{1, 2, 8} {
		s := newStation(t, testConfig())
		s.input(sccrq(9, u16(AttrReceiveWindow, window)))
		local := assignedTunnel(t, s.wantSent(MessageSCCRP))
		s.input(message(Header{local, 0, 1, 1}, MessageSCCCN))
		s.wantSent(0)
		wantEvent[TunnelUp](s)
		s.serveCall(local, 5)
		s.input(zlb(Header{local, 0, 4, 2}))
		s.e.ClosePeer(s.now, client, Result{Code: StopShutdown})
		s.drain()
		if window > 1 {
			s.wantSent(MessageCDN)
		}
		wantEvent[CallDown](s)
		if down := s.wantStop(StopShutdown, 0, CauseLocal); !strings.Contains(down.Reason.String(), "shut down") {
			t.Fatalf("%v", down.Reason)
		}
		s.advance(linger)
		s.wantGone()
	}
}

// TestOrder: a message leaves before the event that may take the way to the peer down, and
// before PPP begins.
func TestOrder(t *testing.T) {
	kinds := func(s *station) (order []string) {
		for {
			switch ev, ok := s.e.Next(); ev := ev.(type) {
			case Send:
				m, _ := ParseMessage(ev.Data, nil)
				if m.ZLB() {
					order = append(order, "ZLB")
				} else {
					order = append(order, m.Type().String())
				}
			default:
				if !ok {
					return order
				}
				order = append(order, strings.TrimPrefix(fmt.Sprintf("%T", ev), "l2tp."))
			}
		}
	}
	want := func(s *station, want string) {
		t.Helper()
		if got := strings.Join(kinds(s), " "); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	s := dial(t, "culvert", "", 5, 6)
	s.sent = nil
	_ = s.e.Input(s.now, client, sccrp(5, 9, 4))
	want(s, "TunnelUp SCCCN ICRQ")
	_ = s.e.Input(s.now, client, message(Header{5, 6, 1, 3}, MessageICRP, u16(AttrAssignedCall, 7)))
	want(s, "ICCN CallUp")
	_ = s.e.Input(s.now, client, zlb(Header{5, 0, 2, 4}))
	_ = s.e.CloseCall(s.now, Call{client, 5, 6}, Result{})
	want(s, "CDN CallDown StopCCN TunnelDown")

	s = newStation(t, testConfig())
	local := s.serve(9)
	call := s.serveCall(local, 5)
	_ = s.e.Input(s.now, client, message(Header{local, call, 4, 2}, MessageCDN, u16(AttrAssignedCall, 5)))
	want(s, "ZLB CallDown")
	_ = s.e.Input(s.now, client, message(Header{local, 0, 5, 2}, MessageStopCCN, u16(AttrAssignedTunnel, 9)))
	want(s, "ZLB TunnelDown")
}

func TestCloseErrors(t *testing.T) {
	s := newStation(t, testConfig())
	if err := s.e.CloseTunnel(s.now, client, 1, Result{}); !errors.Is(err, ErrUnknownTunnel) {
		t.Error(err)
	}
	if err := s.e.CloseCall(s.now, Call{client, 1, 1}, Result{}); !errors.Is(err, ErrUnknownTunnel) {
		t.Error(err)
	}
	local := s.serve(9)
	if err := s.e.CloseCall(s.now, Call{client, local, 1}, Result{}); !errors.Is(err, ErrUnknownCall) {
		t.Error(err)
	}
	if err := s.e.CloseTunnel(s.now, client, local, Result{}); err != nil {
		t.Error(err)
	}
	if err := s.e.CloseTunnel(s.now, client, local, Result{}); !errors.Is(err, ErrUnknownTunnel) {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no Rand":        func(c *Config) { c.Rand = nil },
		"no HostName":    func(c *Config) { c.HostName = "" },
		"long HostName":  func(c *Config) { c.HostName = strings.Repeat("x", 256) },
		"window":         func(c *Config) { c.ReceiveWindow = 65 },
		"tries":          func(c *Config) { c.Retransmit = Retransmit{1, 1, 0} },
		"limit":          func(c *Config) { c.Retransmit = Retransmit{2, 1, 1} },
		"negative setup": func(c *Config) { c.Setup = -1 },
		"calls":          func(c *Config) { c.MaxTunnels, c.MaxCalls = 101, 100 },
		"tunnels":        func(c *Config) { c.MaxTunnels = -1 },
	} {
		cfg := testConfig()
		change(&cfg)
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
