package l2tp

import (
	"errors"
	"testing"
	"time"
)

// wantCDN checks the CDN that was sent and the event that tells of it.
func (s *station) wantCDN(code uint16, e ErrorCode, cause Cause) {
	s.t.Helper()
	f, _ := readFields(s.wantSent(MessageCDN), nil)
	if r := parseResult(f.resultCode); r.Code != code || r.Error != e {
		s.t.Fatalf("CDN %+v, want %d error %d", r, code, e)
	}
	if down := wantEvent[CallDown](s); down.Reason.Cause != cause {
		s.t.Fatalf("%+v, want cause %v", down, cause)
	}
}

func TestCallRefusals(t *testing.T) {
	tests := []struct {
		name  string
		kind  MessageType
		more  AVP
		code  uint16
		err   ErrorCode
		cause Cause
	}{
		{"unknown mandatory AVP", MessageICRQ, u16(77, 1), ClearError, ErrorUnknownAVP, CauseProtocol},
		{"mandatory AVP of a wrong length", MessageICRQ, octets(AttrCallSerial, "1"), ClearError, ErrorLength, CauseProtocol},
		{"outgoing call", MessageOCRQ, u32(AttrMinimumBPS, 1), ClearNoFacilities, 0, CauseRefused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStation(t, testConfig())
			local := s.serve(9)
			s.input(message(Header{local, 0, 2, 1}, tt.kind, u16(AttrAssignedCall, 5), tt.more))
			if m, _ := ParseMessage(s.sent[0], nil); m.Call != 5 {
				t.Errorf("CDN for call %d", m.Call)
			}
			s.wantCDN(tt.code, tt.err, tt.cause)
			s.wantNothing()
			if st := s.e.Stats(); st.Tunnels != 1 || st.Calls != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestCallLimit: calls of a tunnel are bounded, and their IDs differ.
func TestCallLimit(t *testing.T) {
	cfg := testConfig()
	cfg.MaxCalls = 3
	s := newStation(t, cfg)
	local := s.serve(9)
	ids := make(map[CallID]bool)
	for i := range uint16(3) {
		s.input(message(Header{local, 0, 2 + i, 1 + i}, MessageICRQ, u16(AttrAssignedCall, 1+i), u32(AttrCallSerial, 1)))
		f, _ := readFields(s.wantSent(MessageICRP), nil)
		ids[f.call] = true
	}
	s.input(message(Header{local, 0, 5, 4}, MessageICRQ, u16(AttrAssignedCall, 4), u32(AttrCallSerial, 1)))
	s.wantCDN(ClearBusyFacilities, ErrorResources, CauseRefused)
	if len(ids) != 3 || s.e.Stats().Calls != 3 {
		t.Fatalf("%v %+v", ids, s.e.Stats())
	}
}

// TestCallIgnored: what is acknowledged and has no other effect.
func TestCallIgnored(t *testing.T) {
	for name, tt := range map[string]struct {
		kind MessageType
		call CallID
		avps []AVP
	}{
		"ICRQ without Assigned Session ID": {MessageICRQ, 0, nil},
		"ICCN for an unknown call":         {MessageICCN, 99, nil},
		"CDN for an unknown call":          {MessageCDN, 99, []AVP{u16(AttrAssignedCall, 99)}},
		"SLI":                              {MessageSLI, 0xffff, []AVP{octets(AttrACCM, "\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff")}},
		"WEN":                              {MessageWEN, 0xffff, []AVP{octets(AttrCallErrors, "12345678901234567890123456")}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStation(t, testConfig())
			local := s.serve(9)
			call := s.serveCall(local, 5)
			if tt.call == 0xffff {
				tt.call = call
			}
			s.input(message(Header{local, tt.call, 4, 2}, tt.kind, tt.avps...))
			s.wantBytes(zlb(Header{9, 0, 2, 5}))
			s.wantNothing()
		})
	}
}

// TestCallStateTable: section 7.4: these clear the call and leave the tunnel.
func TestCallStateTable(t *testing.T) {
	for _, kind := range []MessageType{MessageICRP, MessageICCN, MessageOCRP, MessageOCCN} {
		s := newStation(t, testConfig())
		local := s.serve(9)
		call := s.serveCall(local, 5)
		s.input(message(Header{local, call, 4, 2}, kind, u16(AttrAssignedCall, 5)))
		s.wantCDN(ClearError, ErrorValue, CauseProtocol)
		s.wantNothing()
	}
}

// TestClearings: the CDNs of clients.
func TestClearings(t *testing.T) {
	result := octets(AttrResultCode, "\x00\x03\x00\x00")
	for name, tt := range map[string]struct {
		right bool // the header names the call
		avps  []AVP
	}{
		"RFC":                        {true, []AVP{result, u16(AttrAssignedCall, 5)}},
		"no Assigned Session ID":     {true, []AVP{result}},
		"no Result Code":             {true, []AVP{u16(AttrAssignedCall, 5)}},
		"nothing in the header":      {false, []AVP{result, u16(AttrAssignedCall, 5)}},
		"nothing at all":             {false, nil},
		"an unknown mandatory AVP":   {true, []AVP{result, u16(77, 1)}},
		"Result Code of two octets":  {true, []AVP{octets(AttrResultCode, "\x00\x03")}},
		"Result Code in wrong order": {true, []AVP{octets(AttrResultCode, "\x03\x00\x00\x00\x00\x00\x00\x00")}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStation(t, testConfig())
			local := s.serve(9)
			call := s.serveCall(local, 5)
			if !tt.right {
				call = 0
			}
			s.input(message(Header{local, call, 4, 2}, MessageCDN, tt.avps...))
			s.wantBytes(zlb(Header{9, 0, 2, 5}))
			wantEvent[CallDown](s)
			s.wantNothing()
		})
	}
}

// TestStrayCDN: a CDN with a wrong tunnel ID is matched by the call's.
func TestStrayCDN(t *testing.T) {
	s := newStation(t, testConfig())
	local := s.serve(9)
	call := s.serveCall(local, 5)
	s.input(message(Header{local + 1, call, 4, 2}, MessageCDN, u16(AttrAssignedCall, 5)))
	s.wantSent(0)
	wantEvent[CallDown](s)
}

// TestCallReplaced: an ICRQ under the ID of a call that is up: the peer lost that one.
func TestCallReplaced(t *testing.T) {
	s := newStation(t, testConfig())
	local := s.serve(9)
	s.serveCall(local, 5)
	s.input(message(Header{local, 0, 4, 2}, MessageICRQ, u16(AttrAssignedCall, 5), u32(AttrCallSerial, 2)))
	if down := wantEvent[CallDown](s); down.Reason.Cause != CauseReplaced {
		t.Fatalf("%+v", down)
	}
	s.wantSent(MessageICRP)
}

// TestCallSetupExpires: ICCN never comes.
func TestCallSetupExpires(t *testing.T) {
	s := newStation(t, testConfig())
	local := s.serve(9)
	s.input(message(Header{local, 0, 2, 1}, MessageICRQ, u16(AttrAssignedCall, 5), u32(AttrCallSerial, 1)))
	s.wantSent(MessageICRP)
	s.input(zlb(Header{local, 0, 3, 2}))
	s.advance(time.Minute)
	s.wantCDN(ClearTimeout, 0, CauseSetup)
}

// TestSequencingRequired: the demand of the LAC is passed on.
func TestSequencingRequired(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.dial(DialConfig{Sequencing: true})
	w.run(time.Second)
	if !w.lac.sequencing || !w.lns.sequencing {
		t.Fatalf("LAC %v, LNS %v", w.lac.sequencing, w.lns.sequencing)
	}
}

// TestJoin: a second call in the same tunnel.
func TestJoin(t *testing.T) {
	w := newWorld(t, 1, nil)
	first := w.dial(DialConfig{})
	w.run(time.Second)
	second := w.dial(DialConfig{Join: first.Tunnel})
	w.run(time.Second)
	if w.lns.up != 2 || w.lac.up != 2 || w.lns.e.Stats().Tunnels != 1 || first.Call == second.Call {
		t.Fatalf("LNS %+v", w.lns.e.Stats())
	}
	for i, call := range []Call{first, second} {
		if err := w.lac.e.CloseCall(w.now, call, Result{}); err != nil {
			t.Fatal(err)
		}
		w.run(time.Second)
		if n := w.lns.e.Stats().Tunnels; n != 1 {
			t.Fatalf("%d tunnels after %d calls", n, i)
		}
	}
	w.run(time.Minute)
	w.wantGone()
	if _, err := w.lac.e.Dial(w.now, client, DialConfig{Join: 5}); !errors.Is(err, ErrUnknownTunnel) {
		t.Error(err)
	}
}

func TestDialErrors(t *testing.T) {
	s := newStation(t, testConfig())
	if _, err := s.e.Dial(s.now, client, DialConfig{Timeout: -1}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	for i := range TunnelID(4) {
		if _, err := s.e.Dial(s.now, client, DialConfig{TunnelID: i + 1}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.e.Dial(s.now, client, DialConfig{}); !errors.Is(err, ErrTooMany) {
		t.Error(err)
	}
	if _, err := s.e.Dial(s.now, 8, DialConfig{TunnelID: 1}); err != nil {
		t.Error("IDs are those of one peer:", err)
	}
	if _, err := s.e.Dial(s.now, 8, DialConfig{TunnelID: 1}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	if _, err := s.e.Dial(s.now, 8, DialConfig{CallID: 1}); err != nil {
		t.Error(err)
	}
	if _, err := s.e.Dial(s.now, 8, DialConfig{CallID: 1}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	if n := s.e.Stats().Tunnels; n != 6 {
		t.Errorf("%d tunnels", n)
	}
}

// TestDialOverRemains: what still waits for a dead peer does not hinder a new dial.
func TestDialOverRemains(t *testing.T) {
	s := newStation(t, testConfig())
	for range 20 {
		call, err := s.e.Dial(s.now, client, DialConfig{})
		if err != nil {
			t.Fatal(err)
		}
		s.advance(time.Second)
		if err := s.e.CloseCall(s.now, call, Result{}); err != nil {
			t.Fatal(err)
		}
	}
	s.drain()
	s.advance(linger)
	s.wantGone()
}
