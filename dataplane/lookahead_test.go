package dataplane

import (
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/l2tp"
)

// prophet is a source that foretells the packets of its batches, rightly or not.
type prophet struct {
	batches [][][]byte
	told    [][]byte // of the batch that is lent
	lent    [][]byte
	tell    func(batch [][]byte) [][]byte
}

func (p *prophet) Read() error {
	if len(p.batches) == 0 {
		return io.EOF
	}
	p.lent, p.batches = p.batches[0], p.batches[1:]
	p.told = p.tell(p.lent)
	return nil
}

func (p *prophet) Next() (buf []byte, off int, ok bool) {
	if len(p.lent) == 0 {
		return nil, 0, false
	}
	buf, off = lend(p.lent[0])
	p.lent = p.lent[1:]
	return buf, off, true
}

// Peek implements tenant.Peeker.
func (p *prophet) Peek(i int) []byte {
	if i >= len(p.told) {
		return nil
	}
	return p.told[i]
}

// TestProphets: packets reach those whom they are for, whatever their source has
// told of them.
func TestProphets(t *testing.T) {
	pick := rand.New(rand.NewPCG(5, 6))
	for name, tell := range map[string]func(batch [][]byte) [][]byte{
		"the truth": func(batch [][]byte) [][]byte { return batch },
		"nothing":   func([][]byte) [][]byte { return nil },
		"one":       func(batch [][]byte) [][]byte { return batch[:1] },
		"half":      func(batch [][]byte) [][]byte { return batch[len(batch)/2:] },
		"some": func(batch [][]byte) (some [][]byte) {
			for _, pkt := range batch {
				if pick.IntN(3) > 0 {
					some = append(some, pkt)
				}
			}
			return some
		},
		"disorder": func(batch [][]byte) [][]byte {
			mixed := append([][]byte(nil), batch...)
			pick.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
			return mixed
		},
		"nonsense": func(batch [][]byte) [][]byte {
			return append([][]byte{{}, {0x45}, {0x60, 1, 2}, batch[0][:20], make([]byte, 40)}, batch...)
		},
	} {
		t.Run(name, func(t *testing.T) { wantDelivered(t, tell) })
	}
}

func wantDelivered(t *testing.T, tell func([][]byte) [][]byte) {
	c := newCrowd(t)
	c.wire.discard = true
	pick := rand.New(rand.NewPCG(7, 8))
	want, unknown := make(map[*member]uint64), uint64(0)
	p := &prophet{tell: tell}
	for range 60 {
		var batch [][]byte
		for range 1 + pick.IntN(40) {
			to := netip.AddrFrom4([4]byte{10, 100, 3, byte(pick.IntN(9))})
			if m := c.members[pick.IntN(len(c.members))]; pick.IntN(8) > 0 {
				to = m.addr
				want[m]++
			} else {
				unknown++
			}
			batch = append(batch, ipPacket(internet, to, 100))
		}
		p.batches = append(p.batches, batch)
	}
	c.plane.newDownlink(c.link.port, p, c.device.Writer(), 0).run()
	for _, m := range c.members {
		if got := m.session.Down.Packets(); got != want[m] || got == 0 {
			t.Errorf("%d packets to %v, want %d", got, m.addr, want[m])
		}
	}
	if got := c.plane.Drops()[DropNoRoute]; got != unknown {
		t.Errorf("%d without a route, want %d", got, unknown)
	}
}

// TestLookAheadOfLittle: an SA may be used before there is a way back, or a
// session, and among others too.
func TestLookAheadOfLittle(t *testing.T) {
	c := newCrowd(t)
	for i, m := range c.members {
		if i%2 == 0 {
			c.plane.RemoveSession(m.session)
			m.peer.route.Store(nil)
		}
	}
	var batch []udp.Message
	for range 5 {
		for _, m := range c.members {
			batch = append(batch, c.message(c.seal(m, 100)))
		}
	}
	c.worker.batch(batch)
	for i, m := range c.members {
		if got := m.session.Up.Packets(); got != uint64(5*(i%2)) {
			t.Errorf("%d packets of member %d", got, i)
		}
	}
}

// TestEndpointAsNumber: a packet from anywhere but where its peer's go to says that the
// peer has moved, of both families, and after a move too.
func TestEndpointAsNumber(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	ip := ipPacket(clientAddr, internet, 100)
	e, _ := r.peer.Encapsulation()
	for i, step := range []struct {
		route, from string
		moved       bool
	}{
		{"198.51.100.7:4500", "198.51.100.7:4500", false}, {"198.51.100.7:4500", "198.51.100.7:4501", true},
		{"198.51.100.8:1", "198.51.100.7:4500", true}, {"198.51.100.8:1", "198.51.100.8:1", false},
		{"[2001:db8::1]:9", "[2001:db8::1]:9", false}, {"[2001:db8::1]:9", "[2001:db8::2]:9", true},
		{"[2001:db8::1]:9", "198.51.100.8:1", true}, {"0.0.0.1:0", "[2001:db8::1]:9", true}, {"198.51.100.8:1", "198.51.100.8:1", false},
	} {
		e.Path.Remote = netip.MustParseAddrPort(step.route)
		e.InnerLocal, e.InnerRemote = e.Path.Local.Addr(), e.Path.Remote.Addr()
		if err := r.plane.Route(r.peer, e); err != nil {
			t.Fatal(err)
		}
		m := r.message(r.seal(ip))
		m.Remote = netip.MustParseAddrPort(step.from)
		r.worker.batch([]udp.Message{m})
		moved := len(r.plane.Inbox().Peers()) == 1
		if moved != step.moved {
			t.Errorf("step %d: moved is %v", i, moved)
		}
		if moved {
			(<-r.plane.Inbox().Peers()).Release()
			r.peer.Arrived()
		}
	}
}

// TestSessionsAreNotUsedAgain: a peer's sessions are different ones, one that was
// removed included.
func TestSessionsAreNotUsedAgain(t *testing.T) {
	r := newRig(t, esp.EncryptionGCM16, 256, 0)
	seen := map[*Session]bool{r.session: true}
	for call := range 3 {
		s := r.plane.NewSession(SessionConfig{Peer: r.peer, Tunnel: 7, Call: l2tp.CallID(20 + call)})
		if seen[s] {
			t.Fatal("a session came twice")
		}
		seen[s] = true
		r.plane.RemoveSession(s)
	}
}
