package ike

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// tried is a login in the model of the budget: right or wrong, for as long as a
// half-open exchange lives.
type tried struct {
	s      *Server
	source netip.Addr
	n      int // tenants
	right  bool
	began  time.Time
	now    *time.Time
	ended  time.Time // when keys were tried for it
}

func (x *tried) searching() bool { return x.ended.IsZero() && x.now.Sub(x.began) < queueTime }

func (x *tried) searchNow(now time.Time) {
	x.ended = now
	took := x.n
	if x.right {
		took /= 2
	}
	x.s.tried(now, x.source, x.n, took, x.right)
}

func (x *tried) begin() {
	if x.s.mayTry(*x.now, x.source, x.n, x) {
		x.searchNow(*x.now)
	}
}

// TestEveryHonestLoginIsTried: whatever wrong logins cost, from a thousand networks and
// with a thousand tenants, every right one from elsewhere gets its trial, late at most.
func TestEveryHonestLoginIsTried(t *testing.T) {
	for _, tenants := range []int{10, 100, 1000} {
		for _, rate := range []int{100, 1000, 3000} {
			n := newNode(t, "server", Config{V2: true, Candidates: psk("a", "b", nil)})
			r := rand.New(rand.NewPCG(1, 2))
			now, next := start, start
			var honest []*tried
			longest := 0
			for k := range rate * 70 {
				now = start.Add(time.Duration(k) * time.Second / time.Duration(rate))
				n.s.Advance(now)
				wrong := &tried{s: n.s, n: tenants, began: now, now: &now, source: netip.AddrFrom4([4]byte{198, byte(k >> 8 & 3), byte(k), 1})}
				wrong.begin()
				longest = max(longest, n.s.trials.lines[0].Len()+n.s.trials.lines[1].Len())
				if k < rate*30 && !next.After(now) {
					next = now.Add(time.Duration(r.Int64N(int64(60 * time.Millisecond))))
					h := &tried{s: n.s, n: tenants, right: true, began: now, now: &now, source: netip.AddrFrom4([4]byte{100, byte(len(honest) >> 8), byte(len(honest)), 1})}
					h.begin()
					honest = append(honest, h)
				}
				drainAll(n)
			}
			in, latest, late := 0, time.Duration(0), 0
			for _, h := range honest {
				if h.ended.IsZero() {
					continue
				}
				in++
				if d := h.ended.Sub(h.began); d > 0 {
					late++
					latest = max(latest, d)
				}
			}
			t.Logf("%4d tenants, %4d wrong logins/s: %d of %d honest logins are tried, %d of them late, by %v at most; %d waited at once",
				tenants, rate, in, len(honest), late, latest, longest)
			if in != len(honest) || latest > 50*time.Second || longest > 2*maxTrials {
				t.Errorf("%d tenants, %d wrong/s: %d of %d honest logins, %v late", tenants, rate, in, len(honest), latest)
			}
		}
	}
}

// usedUp has others use up the trials of the next while.
func usedUp(s *Server, now time.Time, d time.Duration) {
	s.sources.total.has(now, s.config.Limits.Tries)
	s.sources.total.tokens = -d.Seconds() * float64(s.config.Limits.Tries)
}

// TestLateRatherThanRefused: who logs in while others use up all trials is let in when it
// is its turn, by both versions; nobody is told that its key is wrong.
func TestLateRatherThanRefused(t *testing.T) {
	list := many(50)
	for name, d := range map[string]DialConfig{"IKEv1": dialConfig("key of tenant 40"), "IKEv2": dialV2("key of tenant 40")} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, 1, Config{V2: true, Candidates: lookUp(list)})
			usedUp(p.server.s, p.now, 1500*time.Millisecond)
			began := p.now
			p.dial(d)
			wantOneChild(t, p)
			if took := p.now.Sub(began); took < 1400*time.Millisecond || took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
			if len(p.client.closed)+len(p.client.failed) != 0 {
				t.Errorf("%+v %+v", p.client.closed, p.client.failed)
			}
			p.closeAll()
		})
	}
}

// TestKnownFirst: who comes from an address, or under a name, that was in before has the
// key of then tried at once, whatever others cost; and if it has another one now, that
// gets its turn.
func TestKnownFirst(t *testing.T) {
	n := newNode(t, "server", Config{V2: true, Candidates: lookUp(many(1000))})
	login := func(k int, from, key string, now time.Time) bool {
		r := stranger2(t, n, k, netip.MustParseAddr(from), now)
		had := len(n.up)
		if r.begin(); r.keys == nil {
			t.Fatal(n.failed)
		}
		chain := r.login(key)
		if _, refused := notifyOf(chain, wire.Notify2AuthenticationFailed); refused {
			t.Errorf("%s is told that its key is wrong", from)
		}
		return len(n.up) > had
	}
	if !login(1, "198.51.100.9", "key of tenant 999", start) {
		t.Fatal("the first time", n.failed)
	}
	usedUp(n.s, start, 10*time.Second)
	if !login(2, "198.51.100.9", "key of tenant 999", start) {
		t.Error("from the same address it is not in at once")
	}
	if !login(3, "192.0.2.1", "key of tenant 999", start) {
		t.Error("under the same name it is not in at once")
	}
	if login(4, "192.0.2.1", "key of tenant 7", start) {
		t.Error("another key is free of charge")
	}
	r := &rogue{t: t, n: n, now: start}
	if r.wait(11 * time.Second); len(n.up) != 4 {
		t.Errorf("%d are in: another key had no turn: %+v", len(n.up), n.failed)
	}
}

// TestKnownFirstByIKEv1: the same, where a client's key has changed.
func TestKnownFirstByIKEv1(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: lookUp(many(50))})
	id := p.dial(dialConfig("key of tenant 40"))
	p.client.s.Close(p.now, id, ReasonLocal)
	p.run(time.Second, nil)
	usedUp(p.server.s, p.now, 2*time.Second)
	again := p.dial(dialConfig("key of tenant 7"))
	if up := p.client.up[again]; up.Peer != again {
		t.Fatalf("not up: %+v, %+v", p.client.closed, p.server.failed)
	}
	for _, up := range p.server.up {
		if up.Tenant != "40" && up.Tenant != "7" {
			t.Errorf("%+v", up)
		}
	}
	p.closeAll()
}

// waiter is a searcher that may give up.
type waiter struct {
	gone  bool
	turns int
}

func (w *waiter) searching() bool     { return !w.gone && w.turns == 0 }
func (w *waiter) searchNow(time.Time) { w.turns++ }

// FuzzTrials: whoever comes, and gives up or does not, has one turn and no more, in the
// end everybody has had one, and nothing is left.
func FuzzTrials(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 200, 100, 150, 250})
	f.Add([]byte{0, 0, 0, 0, 64, 64, 128, 128, 192, 1, 65, 129, 193})
	f.Fuzz(func(t *testing.T, script []byte) {
		n := newNode(t, "s", Config{Candidates: psk("acme", "secret", nil), Limits: Limits{Tries: 20, TriesPerSource: 10}})
		now := start
		var all []*waiter
		for _, b := range script[:min(len(script), 300)] {
			source := netip.AddrFrom4([4]byte{192, 0, b & 3, b >> 2 & 3})
			switch b >> 6 {
			case 0, 1:
				w := &waiter{}
				if all = append(all, w); n.s.mayTry(now, source, int(b>>4)+1, w) {
					w.searchNow(now)
				}
			case 2:
				n.s.tried(now, source, int(b>>4&3), 0, b&16 != 0)
				if len(all) > 0 {
					all[int(b)%len(all)].gone = true
				}
			default:
				now = now.Add(time.Duration(b&63) * 10 * time.Millisecond)
				n.s.Advance(now)
			}
		}
		for range 100_000 {
			at := n.s.Deadline()
			if at.IsZero() {
				break
			}
			now = at
			n.s.Advance(now)
		}
		for k, w := range all {
			if w.turns > 1 || w.turns == 0 && !w.gone {
				t.Fatalf("%d had %d turns, gone %v", k, w.turns, w.gone)
			}
		}
		if n.s.trials.nextLine() >= 0 || !n.s.trials.alarm.Deadline().IsZero() {
			t.Fatal("somebody is left in a line")
		}
	})
}
