package dataplane

import (
	"net/netip"
	"testing"

	"github.com/gaissmai/bart"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
)

// refusedOf bans networks, of which those of keep let who is in stay; feed is more of them.
func refusedOf(ban, keep, feed []string) *Refused {
	bans, lite := new(bart.Table[bool]), new(bart.Lite)
	for _, p := range ban {
		bans.Insert(netip.MustParsePrefix(p), false)
	}
	for _, p := range keep {
		bans.Insert(netip.MustParsePrefix(p), true)
	}
	for _, p := range feed {
		lite.Insert(netip.MustParsePrefix(p))
	}
	return &Refused{Bans: []*bart.Table[bool]{bans}, Feeds: []*bart.Lite{lite}}
}

func TestRefusedHas(t *testing.T) {
	r := refusedOf([]string{"192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32"}, []string{"198.51.100.0/24", "192.0.2.9/32"}, []string{"203.0.113.0/24"})
	for addr, want := range map[string][2]bool{
		"192.0.2.1": {true, false}, "192.0.2.9": {true, true}, "198.51.100.7": {true, false}, "198.51.100.8": {true, true},
		"203.0.113.1": {true, false}, "203.0.114.1": {}, "2001:db8::1": {true, false}, "2001:db9::1": {}, "::ffff:192.0.2.1": {true, false},
	} {
		if refused, stay := r.Has(netip.MustParseAddr(addr)); want != [2]bool{refused, stay} {
			t.Errorf("%s: refused %v, stays %v", addr, refused, stay)
		}
	}
	if refused, _ := (*Refused)(nil).Has(netip.MustParseAddr("192.0.2.1")); refused {
		t.Error("nobody is refused")
	}
	addr := netip.MustParseAddr("192.0.2.1")
	if n := testing.AllocsPerRun(100, func() { r.Has(addr) }); n != 0 {
		t.Errorf("a look allocates %v times", n)
	}
}

// TestRefusedSourcesReachNobody: an IKE message from a refused source is dropped and counted
// before it comes to the control loop, on either port; of one whose clients stay only those
// that begin an exchange are. ESP is not looked at for that.
func TestRefusedSourcesReachNobody(t *testing.T) {
	first, later := make([]byte, 28), make([]byte, 28)
	later[responderSPI+3] = 1
	natt := func(b []byte) []byte { return append(make([]byte, 4), b...) }
	for name, c := range map[string]struct {
		refused *Refused
		dropped int // of three messages on port 4500, of which the first and the short one begin something
	}{
		"nobody":       {nil, 0},
		"others":       {refusedOf([]string{"198.51.100.8/32"}, nil, nil), 0},
		"banned":       {refusedOf([]string{"198.51.100.0/24"}, nil, nil), 3},
		"in a feed":    {refusedOf(nil, nil, []string{"198.51.100.7/32"}), 3},
		"clients stay": {refusedOf(nil, []string{"198.51.100.7/32"}, nil), 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, esp.EncryptionGCM16, 256, 0)
			r.plane.Refuse(c.refused)
			r.worker.batch([]udp.Message{r.message(natt(first)), r.message(natt(later)), r.message(natt(first[:12])), r.message(r.seal(ipPacket(clientAddr, internet, 100)))})
			if n := r.plane.Drops()[DropBanned]; n != uint64(c.dropped) || len(r.plane.Inbox().Strangers()) != 3-c.dropped {
				t.Errorf("%d dropped, %d in the inbox; want %d dropped", n, len(r.plane.Inbox().Strangers()), c.dropped)
			}
			if len(r.device.got) != 1 {
				t.Error("a packet of who is in is lost")
			}
			port500 := r.plane.workers[1]
			port500.batch([]udp.Message{r.message(first)})
			want := c.dropped
			if want > 0 {
				want++
			}
			if n := r.plane.Drops()[DropBanned]; n != uint64(want) {
				t.Errorf("with port 500: %d dropped, want %d", n, want)
			}
		})
	}
}

// TestNobodyMovesToARefusedSource: authentic packets that come from a refused address in place
// of the client's move nobody there, and are dropped; another port of the client's own address
// is none.
func TestNobodyMovesToARefusedSource(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	r.plane.Refuse(refusedOf([]string{"192.0.2.66/32"}, []string{"198.51.100.7/32"}, nil))
	from := func(remote string) udp.Message {
		m := r.message(r.seal(ipPacket(clientAddr, internet, 100)))
		m.Remote = netip.MustParseAddrPort(remote)
		return m
	}
	r.worker.batch([]udp.Message{from("192.0.2.66:4500"), from("192.0.2.66:4501")})
	if n := r.plane.Drops()[DropBanned]; n != 2 || len(r.plane.Inbox().Peers()) != 0 || len(r.device.got) != 0 || r.peer.active.Load() {
		t.Errorf("%d dropped, %d moves, %d packets arrived", n, len(r.plane.Inbox().Peers()), len(r.device.got))
	}
	r.worker.batch([]udp.Message{from("198.51.100.7:1024")})
	if m := <-r.plane.Inbox().Peers(); m.Kind != Moved || len(r.device.got) != 1 {
		t.Errorf("%+v, %d packets arrived", m, len(r.device.got))
	}
}
