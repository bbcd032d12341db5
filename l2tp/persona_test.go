package l2tp

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// dial starts a persona with pinned identifiers.
func dial(t *testing.T, name, host string, tunnel TunnelID, call CallID) *station {
	t.Helper()
	p, ok := Personas(name)
	if !ok {
		t.Fatalf("no persona %q", name)
	}
	s := newStation(t, testConfig())
	d := DialConfig{
		Persona: p, HostName: host, TunnelID: tunnel, CallID: call,
		Correlation: [16]byte(unhex(t, "57828bf3c66c04a9dd96d9335d432b31")),
	}
	if name != "windows10" {
		d.Correlation = [16]byte{}
	}
	got, err := s.e.Dial(s.now, client, d)
	if err != nil || got != (Call{client, tunnel, call}) {
		t.Fatalf("Dial: %v %v", got, err)
	}
	s.drain()
	return s
}

// sccrp answers as a plain LNS.
func sccrp(to TunnelID, remote uint16, window uint16) []byte {
	return message(Header{Tunnel: to, Nr: 1}, MessageSCCRP,
		u16(AttrProtocolVersion, 0x0100), u32(AttrFramingCapabilities, 3), octets(AttrHostName, "lns"),
		u16(AttrAssignedTunnel, remote), u16(AttrReceiveWindow, window))
}

func TestPersonaSCCRQ(t *testing.T) {
	tests := []struct {
		persona, host, packet string
		tunnel                TunnelID
	}{
		{"windows10", "RWB-LAPTOP-DELL", "windows10-sccrq", 1},
		{"android", "", "android-sccrq", 0x0d6a},
		{"chromeos", "beta.ok", "xl2tpd-sccrq", 0x8371},
		{"kl2tpd", "ubuntu", "kl2tpd-sccrq", 0x1267},
	}
	all := packets(t)
	for _, tt := range tests {
		t.Run(tt.persona, func(t *testing.T) {
			dial(t, tt.persona, tt.host, tt.tunnel, 1).wantBytes(all[tt.packet])
		})
	}
}

// TestPersonaVariants: the differences that are known without a whole packet.
func TestPersonaVariants(t *testing.T) {
	firmware := func(name string) uint16 {
		f, _ := readFields(dial(t, name, "PC", 1, 1).wantSent(MessageSCCRQ), nil)
		return f.firmware
	}
	if firmware("windows7") != 0x0601 || firmware("mikrotik") != 1 || firmware("networkmanager") != 0x0690 {
		t.Error("firmware revision")
	}
	m := dial(t, "networkmanager", "pc", 1, 1).wantSent(MessageSCCRQ)
	if f, _ := readFields(m, nil); f.window != 8 {
		t.Error("NetworkManager configures a window of 8")
	}
	m = dial(t, "mikrotik", "", 0x0c1d, 1).wantSent(MessageSCCRQ)
	f, _ := readFields(m, nil)
	if string(f.host) != "MikroTik" || string(f.vendor) != "MikroTik" || f.window != 4 || f.tunnel != 0x0c1d {
		t.Errorf("mikrotik: %+v", f)
	}
	if _, ok := Personas("beos"); ok {
		t.Error("a persona that is not known")
	}
	for _, name := range PersonaNames() {
		if p, ok := Personas(name); !ok || (p == nil) != (name == "culvert") {
			t.Errorf("persona %q", name)
		}
	}
}

// TestWindowsLAC: a whole session, byte for byte.
func TestWindowsLAC(t *testing.T) {
	all := packets(t)
	s := dial(t, "windows10", "RWB-LAPTOP-DELL", 1, 1)
	s.e.peers[client].tunnels[0].calls[0].dial.Correlation = [16]byte(all["windows-icrq"][54:])
	s.wantBytes(all["windows10-sccrq"])
	s.input(sccrp(1, 0x6fe9, 8))
	s.wantBytes(all["windows-scccn"])
	s.wantBytes(all["windows-icrq"])
	wantEvent[TunnelUp](s)
	s.input(message(Header{1, 1, 1, 3}, MessageICRP, u16(AttrAssignedCall, 0xa3d6)))
	s.wantBytes(all["windows-iccn"])
	wantEvent[CallUp](s)
	s.input(zlb(Header{1, 0, 2, 4}))
	if err := s.e.CloseCall(s.now, Call{client, 1, 1}, Result{}); err != nil {
		t.Fatal(err)
	}
	s.drain()
	s.wantBytes(all["windows-cdn"])
	s.wantBytes(all["windows-stopccn"])
	wantEvent[CallDown](s)
	wantEvent[TunnelDown](s)
	s.input(zlb(Header{1, 0, 2, 6}))
	s.wantNothing()
	s.wantGone()
}

// TestAppleLAC: the same, with the burst of HELLOs before and ICRQ right behind SCCCN.
func TestAppleLAC(t *testing.T) {
	all := packets(t)
	s := dial(t, "macos", "Johns-MBP.local", 9, 0x017c)
	for range 11 {
		s.wantBytes(all["apple-hello"])
	}
	s.wantBytes(all["apple-sccrq"])
	s.input(sccrp(9, 0xb228, 4))
	s.wantBytes(all["apple-scccn"])
	s.wantBytes(all["apple-icrq"])
	s.input(message(Header{9, 0x017c, 1, 3}, MessageICRP, u16(AttrAssignedCall, 0x1e23)))
	s.wantBytes(all["apple-iccn"])
	s.input(zlb(Header{9, 0, 2, 4}))
	s.e.ClosePeer(s.now, client, Result{})
	s.drain()
	s.wantBytes(all["apple-cdn"])
	s.wantBytes(all["apple-stopccn"])
}

// TestAndroidLAC: mtpd sends the next message when the last one is acknowledged, repeats
// every two seconds, and closes with StopCCN 6 alone.
func TestAndroidLAC(t *testing.T) {
	s := dial(t, "android", "", 5, 6)
	for range 4 {
		s.wantSent(MessageSCCRQ)
		s.wantNothing()
		s.advance(2 * time.Second)
	}
	s.wantSent(MessageSCCRQ)
	s.input(sccrp(5, 77, 8))
	s.wantSent(MessageSCCCN)
	wantEvent[TunnelUp](s)
	s.wantNothing()
	s.input(zlb(Header{5, 0, 1, 2}))
	s.wantSent(MessageICRQ)
	s.input(message(Header{5, 6, 1, 3}, MessageICRP, u16(AttrAssignedCall, 78)))
	s.wantSent(MessageICCN)
	s.wantNothing()
	s.input(zlb(Header{5, 0, 2, 4}))
	if up := wantEvent[CallUp](s); up.RemoteTunnel != 77 || up.RemoteCall != 78 || !up.LAC {
		t.Fatalf("%+v", up)
	}
	s.wantNothing()
	if err := s.e.CloseCall(s.now, Call{client, 5, 6}, Result{}); err != nil {
		t.Fatal(err)
	}
	s.drain()
	m := s.wantSent(MessageStopCCN)
	if !bytes.Equal(m.Append(nil), unhex(t, "c802 0024 004d 0000 0004 0002 8008 0000 0000 0004 8008 0000 0009 0005 8008 0000 0001 0006")) {
		t.Errorf("StopCCN %x", m.Append(nil))
	}
}

// TestPersonaIDs: Windows counts from 1, Apple's calls are process numbers.
func TestPersonaIDs(t *testing.T) {
	s := newStation(t, testConfig())
	windows, _ := Personas("windows10")
	apple, _ := Personas("ios")
	for i := range 3 {
		call, err := s.e.Dial(s.now, Peer(i), DialConfig{Persona: windows})
		if err != nil || call.Tunnel != TunnelID(i+1) || call.Call != CallID(i+1) {
			t.Errorf("windows dial %d: %+v %v", i, call, err)
		}
	}
	call, err := s.e.Dial(s.now, 9, DialConfig{Persona: apple})
	if err != nil || call.Tunnel != 4 || call.Call < 300 {
		t.Errorf("ios: %+v %v", call, err)
	}
}

// TestPersonaRetransmission: when SCCRQ is sent again, in seconds since the first.
func TestPersonaRetransmission(t *testing.T) {
	for name, want := range map[string][]int{
		"windows10":      {1, 3, 7, 15, 23},
		"macos":          {1, 3, 7, 11, 15, 19},
		"android":        {2, 4, 6, 8, 10, 12, 14, 16, 18},
		"networkmanager": {1, 3, 7, 15},
		"kl2tpd":         {1, 3, 7},
		"culvert":        {1, 3, 7, 15, 23},
	} {
		s := dial(t, name, "pc", 1, 2)
		var got []int
		s.sent = nil
		for second := 1; second < 20 || len(got) < len(want) && second < 30; second++ {
			s.advance(time.Second)
			for _, b := range s.sent {
				if m, _ := ParseMessage(b, nil); m.Type() == MessageSCCRQ {
					got = append(got, second)
				}
			}
			s.sent = nil
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// TestPersonaTimeouts: a dial that nobody answers ends, in the time of the client.
func TestPersonaTimeouts(t *testing.T) {
	for _, name := range PersonaNames() {
		t.Run(name, func(t *testing.T) {
			s := dial(t, name, "pc", 1, 2)
			s.advance(61 * time.Second)
			down := wantEvent[CallDown](s)
			if down.Up || (down.Reason.Cause != CauseSetup && down.Reason.Cause != CauseTimeout) {
				t.Fatalf("%+v", down)
			}
			wantEvent[TunnelDown](s)
			s.advance(linger)
			s.wantGone()
		})
	}
}
