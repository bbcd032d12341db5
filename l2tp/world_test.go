package l2tp

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// world is a LAC and an LNS with a network between them that loses, repeats and delays.
type world struct {
	t        testing.TB
	rng      *rand.Rand
	now      time.Time
	lac, lns *end
	wire     flight
	serial   int
	loss     float64
	repeat   float64
	delay    time.Duration // the most
}

// end is one side and what it told.
type end struct {
	e          *Endpoint
	up, down   int
	proven     bool
	sequencing bool
	calls      []Call
	reasons    []Reason
}

type packet struct {
	at     time.Time
	serial int
	to     *end
	data   []byte
}

type flight []packet

func (f flight) Len() int { return len(f) }
func (f flight) Less(i, j int) bool {
	if f[i].at.Equal(f[j].at) {
		return f[i].serial < f[j].serial
	}
	return f[i].at.Before(f[j].at)
}
func (f flight) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flight) Push(x any)   { *f = append(*f, x.(packet)) }
func (f *flight) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

func newWorld(t testing.TB, seed uint64, change func(lac, lns *Config)) *world {
	t.Helper()
	a, b := testConfig(), testConfig()
	a.HostName, a.Accept = "lac.example", false
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	a.Rand = rand.NewChaCha8(key)
	key[31] = 1
	b.Rand = rand.NewChaCha8(key)
	if change != nil {
		change(&a, &b)
	}
	return &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: start, delay: time.Millisecond,
		lac: &end{e: newStation(t, a).e}, lns: &end{e: newStation(t, b).e},
	}
}

func (w *world) dial(d DialConfig) Call {
	w.t.Helper()
	call, err := w.lac.e.Dial(w.now, client, d)
	if err != nil {
		w.t.Fatal(err)
	}
	w.drain()
	return call
}

func (w *world) drain() {
	w.take(w.lac, w.lns)
	w.take(w.lns, w.lac)
	for _, side := range []*end{w.lac, w.lns} {
		for _, p := range side.e.peers {
			for _, t := range p.tunnels {
				if t.ch.high > int(t.ch.window) {
					w.t.Fatalf("%d messages in flight to a window of %d", t.ch.high, t.ch.window)
				}
			}
		}
	}
}

// take drains one side; its messages go to the other.
func (w *world) take(from, to *end) {
	for {
		ev, ok := from.e.Next()
		if !ok {
			return
		}
		switch ev := ev.(type) {
		case Send:
			w.send(to, ev.Data)
		case TunnelUp:
			from.proven = ev.Authenticated
		case CallUp:
			from.up++
			from.sequencing = ev.Sequencing
			from.calls = append(from.calls, ev.Call)
		case CallDown:
			if ev.Up {
				from.up--
			}
			from.down++
			from.reasons = append(from.reasons, ev.Reason)
		case TunnelDown:
			if from == w.lns {
				from.reasons = append(from.reasons, ev.Reason)
			}
		}
	}
}

func (w *world) send(to *end, data []byte) {
	for copies := 0; copies < 2; copies++ {
		if w.rng.Float64() >= w.loss {
			w.serial++
			at := w.now.Add(1 + time.Duration(w.rng.Int64N(int64(w.delay))))
			heap.Push(&w.wire, packet{at, w.serial, to, data})
		}
		if w.rng.Float64() >= w.repeat {
			return
		}
	}
}

// step lets the next thing happen, if it does before end.
func (w *world) step(end time.Time) bool {
	at := deadline.Earliest(w.lac.e.Deadline(), w.lns.e.Deadline())
	if len(w.wire) > 0 {
		at = deadline.Earliest(at, w.wire[0].at)
	}
	if at.IsZero() || at.After(end) {
		return false
	}
	if at.After(w.now) {
		w.now = at
	}
	for len(w.wire) > 0 && !w.wire[0].at.After(w.now) {
		p := heap.Pop(&w.wire).(packet)
		_ = p.to.e.Input(w.now, client, p.data) // late messages of closed tunnels are errors
		w.drain()
	}
	w.lac.e.Advance(w.now)
	w.lns.e.Advance(w.now)
	w.drain()
	return true
}

func (w *world) run(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	for steps := 0; w.step(end); steps++ {
		if steps > 100_000 {
			w.t.Fatal("does not come to rest")
		}
	}
	w.now = end
}

func (w *world) wantGone() {
	w.t.Helper()
	for _, side := range []*end{w.lac, w.lns} {
		if st := side.e.Stats(); st.Peers != 0 || st.Tunnels != 0 || st.Calls != 0 || side.e.timers.Len() != 0 {
			w.t.Fatalf("state is left: %+v", st)
		}
		if side.up != 0 {
			w.t.Fatalf("%d calls never went down", side.up)
		}
	}
}

// TestWorlds: every dial comes up, or goes down with a reason; every close, by either
// side or by silence, leaves nothing; under loss, repetition and disorder.
func TestWorlds(t *testing.T) {
	names := PersonaNames()
	up := 0
	for seed := range uint64(1000) {
		name := names[seed%uint64(len(names))]
		t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
			w := newWorld(t, seed, func(_, lns *Config) { lns.Secret = secretOf(name, seed) })
			w.lac.e.cfg.Secret = w.lns.e.cfg.Secret
			w.loss, w.repeat, w.delay = 0.2, 0.1, 300*time.Millisecond
			persona, _ := Personas(name)
			call := w.dial(DialConfig{Persona: persona, TieBreaker: seed%2 == 0})
			w.run(90 * time.Second)
			if w.lac.up+w.lac.down != 1 {
				t.Fatalf("the dial hangs: %d up, %d down", w.lac.up, w.lac.down)
			}
			up += w.lac.up
			w.close(call, w.rng.IntN(6))
			w.run(15 * time.Minute)
			w.wantGone()
			if w.lac.down != 1 || w.lac.reasons[0].Cause == 0 {
				t.Fatalf("%d ends, reasons %v", w.lac.down, w.lac.reasons)
			}
		})
	}
	t.Logf("%d of 1000 dials came up", up)
	if up < 900 {
		t.Errorf("only %d of 1000 dials came up", up)
	}
}

// secretOf gives half of the worlds tunnel authentication, if the client can do it.
func secretOf(name string, seed uint64) func(Peer) []byte {
	if name == "macos" || name == "ios" || name == "kl2tpd" || seed/16%2 == 0 {
		return nil
	}
	return func(Peer) []byte { return []byte("secret") }
}

// close ends a call in one of the ways there are.
func (w *world) close(call Call, how int) {
	switch how {
	case 0:
		_ = w.lac.e.CloseCall(w.now, call, Result{})
	case 1:
		w.lns.e.ClosePeer(w.now, client, Result{Code: StopShutdown})
	case 2:
		for _, c := range w.lns.calls {
			_ = w.lns.e.CloseCall(w.now, c, Result{})
		}
	case 3:
		w.lac.e.Forget(client) // without a word: the LNS has to notice
	case 4:
		w.lns.e.Forget(client)
		w.lac.e.ClosePeer(w.now, client, Result{})
	case 5: // both at once
		_ = w.lac.e.CloseTunnel(w.now, client, call.Tunnel, Result{})
		w.lns.e.ClosePeer(w.now, client, Result{})
	}
	w.drain()
}

// TestStorm: redials over the remains of old ones, with the same IDs, end well too.
func TestStorm(t *testing.T) {
	for seed := range uint64(100) {
		w := newWorld(t, seed, nil)
		w.loss, w.repeat, w.delay = 0.2, 0.1, 300*time.Millisecond
		persona, _ := Personas("windows10")
		for range 8 {
			d := DialConfig{Persona: persona, TunnelID: 1 + TunnelID(w.rng.IntN(2)), CallID: 1}
			w.dial(d)
			w.run(time.Duration(w.rng.IntN(20)) * time.Second)
			w.lac.e.Forget(client)
			w.drain()
		}
		d := DialConfig{Persona: persona, TunnelID: 1, CallID: 1}
		w.dial(d)
		w.run(40 * time.Second)
		if w.lac.up+w.lac.down != 9 {
			t.Fatalf("seed %d: a dial hangs: %d up, %d down", seed, w.lac.up, w.lac.down)
		}
		w.lac.e.ClosePeer(w.now, client, Result{})
		w.run(15 * time.Minute)
		w.wantGone()
	}
}

// TestManyPeers: what an established session costs, and that deadlines stay cheap.
func TestManyPeers(t *testing.T) {
	const peers = 10_000
	s := newStation(t, testConfig())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range peers {
		s.establish(Peer(i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / peers
	t.Logf("%d octets for a session", each)
	if each > 2048 {
		t.Errorf("%d octets for a session", each)
	}
	if s.e.timers.Len() != peers {
		t.Errorf("%d deadlines", s.e.timers.Len())
	}
	for last := time.Time(start); s.e.timers.Len() > 0; {
		at := s.e.Deadline()
		if at.Before(last) {
			t.Fatal("deadlines out of order")
		}
		last = at
		first, _ := s.e.timers.Due(at)
		s.e.timers.Stop(first)
	}
}

// establish brings up a session of any peer, without checks.
func (s *station) establish(p Peer) {
	in := func(b []byte) Message {
		if err := s.e.Input(s.now, p, b); err != nil {
			s.t.Fatal(err)
		}
		s.sent = s.sent[:0]
		s.drain()
		s.events = s.events[:0]
		m, _ := ParseMessage(s.sent[0], nil)
		return m
	}
	f, _ := readFields(in(sccrq(1)), nil)
	local := f.tunnel
	in(message(Header{local, 0, 1, 1}, MessageSCCCN))
	f, _ = readFields(in(message(Header{local, 0, 2, 1}, MessageICRQ, u16(AttrAssignedCall, 1), u32(AttrCallSerial, 1))), nil)
	in(message(Header{local, f.call, 3, 2}, MessageICCN, u32(AttrTxSpeed, 1), u32(AttrFramingType, 1)))
	s.now = s.now.Add(time.Millisecond)
}

// FuzzInput: whatever a peer sends, in whatever state: no panic, bounded state, and all
// of it gone in the end.
func FuzzInput(f *testing.F) {
	all := packets(f)
	var session []byte
	for _, name := range []string{"windows10-sccrq", "windows-scccn", "windows-icrq", "windows-iccn", "windows-cdn", "windows-stopccn"} {
		f.Add(all[name])
		session = append(session, all[name]...)
	}
	f.Add(session)
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg := testConfig()
		cfg.Secret = func(p Peer) []byte { return []byte("secret")[:6*(p%2)] }
		s := newStation(t, cfg)
		s.e.lastTunnel, s.e.lastCall = 0, 0
		for i := 0; len(b) > 0 && i < 100; i++ {
			var one []byte
			one, b = split(b)
			s.retarget(one)
			_ = s.e.Input(s.now, client, one)
			s.advance(time.Duration(len(one)) * time.Millisecond)
		}
		if st := s.e.Stats(); st.Tunnels > 4 || st.Calls > 32 {
			t.Fatalf("%+v", st)
		}
		s.advance(20 * time.Minute)
		s.wantGone()
	})
}

// split cuts the first message off, by its length field.
func split(b []byte) (one, rest []byte) {
	n := len(b)
	if n > 4 {
		n = min(n, max(4, int(b[2])<<8|int(b[3])))
	}
	return append([]byte(nil), b[:n]...), b[n:]
}

// retarget turns the IDs of a recorded message to those that are there.
func (s *station) retarget(b []byte) {
	p := s.e.peers[client]
	if p == nil || len(b) < controlHeaderSize || b[4]|b[5] == 0 {
		return
	}
	t := p.tunnels[int(b[5])%len(p.tunnels)]
	b[4], b[5] = byte(t.local>>8), byte(t.local)
	if len(t.calls) > 0 && b[6]|b[7] != 0 {
		c := t.calls[int(b[7])%len(t.calls)]
		b[6], b[7] = byte(c.local>>8), byte(c.local)
	}
}
