package l2tp

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// lns is a station whose tunnel and call IDs are those that the recorded client uses.
func lns(t *testing.T, ids string) *station {
	cfg := testConfig()
	cfg.Rand = io.MultiReader(bytes.NewReader(unhex(t, ids)), cfg.Rand)
	return newStation(t, cfg)
}

func TestReplayWindows(t *testing.T) {
	all := packets(t)
	s := lns(t, "6fe9 a3d6")
	s.input(all["windows10-sccrq"])
	s.wantBytes(unhex(t, "c802 0066 0001 0000 0000 0001 8008 0000 0000 0002 8008 0000 0002 0100 800a 0000 0003 0000 0003"+
		"800a 0000 0004 0000 0000 0008 0000 0006 0100 8011 0000 0007 6c6e 732e 6578 616d 706c 65 000d 0000 0008 6375 6c76 6572 74"+
		"8008 0000 0009 6fe9 8008 0000 000a 0008"))
	// Windows repeats SCCRQ: the answer comes again, and no second tunnel.
	s.input(all["windows10-sccrq"])
	s.wantSent(MessageSCCRP)
	if st := s.e.Stats(); st.Tunnels != 1 || st.Duplicates != 1 || st.Repeated != 1 {
		t.Fatalf("%+v", st)
	}
	s.input(all["windows-scccn"])
	s.wantBytes(zlb(Header{1, 0, 1, 2}))
	up := wantEvent[TunnelUp](s)
	if up.HostName != "RWB-LAPTOP-DELL" || up.Vendor != "Microsoft" || up.Firmware != 0x0a00 || up.Window != 8 || up.Initiator {
		t.Fatalf("%+v", up)
	}
	// The vendor AVP of Microsoft has the type of a Result Code: it is skipped.
	s.input(all["windows-icrq"])
	s.wantBytes(message(Header{1, 1, 1, 3}, MessageICRP, u16(AttrAssignedCall, 0xa3d6)))
	s.input(all["windows-iccn"])
	s.wantBytes(zlb(Header{1, 0, 2, 4}))
	call := wantEvent[CallUp](s)
	if call.Call != (Call{client, 0x6fe9, 0xa3d6}) || call.RemoteTunnel != 1 || call.RemoteCall != 1 ||
		call.TxSpeed != 100_000_000 || call.RxSpeed != 100_000_000 || call.LAC || call.Sequencing {
		t.Fatalf("%+v", call)
	}
	s.input(all["windows-cdn"])
	s.wantSent(0)
	if down := wantEvent[CallDown](s); !down.Up || !strings.Contains(down.Reason.String(), "administrative") {
		t.Fatalf("%+v", down)
	}
	s.input(all["windows-stopccn"])
	s.wantBytes(zlb(Header{1, 0, 2, 6}))
	if down := wantEvent[TunnelDown](s); !down.Up || down.Reason.Result.Code != StopClear || down.Reason.Cause != CausePeer {
		t.Fatalf("%+v", down)
	}
	// A repetition of it is acknowledged for as long as one can come (section 5.7).
	s.advance(linger - 1)
	s.input(all["windows-stopccn"])
	s.wantSent(0)
	s.advance(1)
	s.wantNothing()
	s.wantGone()
}

func TestReplayApple(t *testing.T) {
	all := packets(t)
	s := lns(t, "b228 1e23")
	for range 11 {
		s.input(all["apple-hello"])
	}
	s.wantNothing()
	s.wantGone()
	if n := s.e.Stats().StrayHellos; n != 11 {
		t.Fatalf("%d stray HELLOs", n)
	}
	s.input(all["apple-sccrq"])
	s.wantSent(MessageSCCRP)
	s.input(all["apple-scccn"])
	s.wantSent(0)
	if up := wantEvent[TunnelUp](s); up.HostName != "Johns-MBP.local" || up.Window != 4 {
		t.Fatalf("%+v", up)
	}
	s.input(all["apple-icrq"])
	s.wantSent(MessageICRP)
	s.input(all["apple-iccn"])
	s.wantSent(0)
	if up := wantEvent[CallUp](s); up.RemoteCall != 0x017c || up.Serial != 1 {
		t.Fatalf("%+v", up)
	}
	s.input(all["apple-cdn"])
	s.wantSent(0)
	if down := wantEvent[CallDown](s); down.Reason.Result.Code != ClearAdministrative {
		t.Fatalf("%+v", down)
	}
	s.input(all["apple-stopccn"])
	s.wantSent(0)
	if down := wantEvent[TunnelDown](s); down.Reason.Result.Code != StopClear {
		t.Fatalf("%+v", down)
	}
}

// TestReplayEarly: Apple sends ICRQ without waiting, so it may come before SCCCN.
func TestReplayEarly(t *testing.T) {
	all := packets(t)
	s := lns(t, "b228 1e23")
	s.input(all["apple-sccrq"])
	s.wantSent(MessageSCCRP)
	s.input(all["apple-icrq"])
	s.wantBytes(zlb(Header{9, 0, 1, 1}))
	s.wantNothing()
	s.input(all["apple-scccn"])
	s.wantSent(0)
	wantEvent[TunnelUp](s)
	s.wantSent(MessageICRP)
}

func TestReplayOthers(t *testing.T) {
	all := packets(t)
	tests := []struct {
		packet, host, vendor string
		window               uint16
		remote               TunnelID
	}{
		{"android-sccrq", "anonymous", "", 1, 0x0d6a},
		{"xl2tpd-sccrq", "beta.ok", "xelerance.com", 4, 0x8371},
		{"kl2tpd-sccrq", "ubuntu", "", 4, 0x1267},
	}
	for _, tt := range tests {
		t.Run(tt.packet, func(t *testing.T) {
			s := newStation(t, testConfig())
			s.input(all[tt.packet])
			m := s.wantSent(MessageSCCRP)
			if m.Tunnel != tt.remote {
				t.Errorf("answered tunnel %d", m.Tunnel)
			}
			s.input(message(Header{Tunnel: assignedTunnel(t, m), Ns: 1, Nr: 1}, MessageSCCCN))
			if up := wantEvent[TunnelUp](s); up.HostName != tt.host || up.Vendor != tt.vendor || up.Window != tt.window {
				t.Errorf("%+v", up)
			}
		})
	}
}
