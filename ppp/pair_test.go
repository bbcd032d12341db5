package ppp

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// seeded is randomness by seed.
type seeded struct{ *rand.ChaCha8 }

func newSeeded(seed uint64) seeded {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return seeded{rand.NewChaCha8(key)}
}

var (
	gatewayAddr = netip.MustParseAddr("10.100.0.1")
	clientAddr  = netip.MustParseAddr("10.100.0.7")
	dnsAddr     = netip.MustParseAddr("10.100.0.53")
	dns2Addr    = netip.MustParseAddr("10.100.0.54")
)

// admission is what the owner of a test's server answers.
type admission struct {
	password string
	retry    bool
	verdict  Verdict
}

func (a admission) judge(e Authenticate) Verdict {
	success, ok := e.VerifyPassword([]byte(a.password))
	v := a.verdict
	v.OK, v.Success, v.Retry = ok, success, a.retry
	if ok {
		v.Local, v.Peer = gatewayAddr, clientAddr
		v.DNS = []netip.Addr{dnsAddr, dns2Addr}
	}
	return v
}

// arrival is a frame under way.
type arrival struct {
	at    time.Time
	to    *end
	frame []byte
}

// end is one side of a pair.
type end struct {
	link   *Link
	other  *end
	events []Event // without Send
}

func (e *end) up() (Up, bool) {
	var up Up
	ok := false
	for _, ev := range e.events {
		switch ev := ev.(type) {
		case Up:
			up, ok = ev, true
		case Down:
			ok = false
		}
	}
	return up, ok
}

func (e *end) closed() (Reason, bool) {
	if n := len(e.events); n > 0 {
		if c, ok := e.events[n-1].(Closed); ok {
			return c.Reason, true
		}
	}
	return Reason{}, false
}

// pair is a server and a client with a network between them.
type pair struct {
	t              testing.TB
	now            time.Time
	server, client *end
	admission      admission
	rand           *rand.Rand
	fault          float64 // of a frame: lost, and of one that is not: twice, and late
	flight         []arrival
	sent           int
	owner          func(e *end, ev Event) bool // takes an event before the pair does
}

func newPair(t testing.TB, seed uint64, server, client Config, a admission) *pair {
	t.Helper()
	server.Rand, client.Rand = newSeeded(2*seed), newSeeded(2*seed+1)
	server.Role, client.Role = Server, Client
	p := &pair{t: t, now: epoch, admission: a, rand: rand.New(rand.NewPCG(seed, 0))}
	p.server, p.client = p.newEnd(server), p.newEnd(client)
	p.server.other, p.client.other = p.client, p.server
	return p
}

func (p *pair) newEnd(c Config) *end {
	l, err := NewLink(c)
	if err != nil {
		p.t.Fatal(err)
	}
	return &end{link: l}
}

func (p *pair) start() {
	p.server.link.Start(p.now)
	p.client.link.Start(p.now)
	p.drain()
}

// drain carries out events until there are none.
func (p *pair) drain() {
	for _, e := range []*end{p.server, p.client} {
		for {
			ev, ok := e.link.Next()
			if !ok {
				break
			}
			p.event(e, ev)
		}
	}
}

func (p *pair) event(e *end, ev Event) {
	if p.owner != nil && p.owner(e, ev) {
		return
	}
	switch ev := ev.(type) {
	case Send:
		p.send(e.other, ev.Frame)
	case Authenticate:
		e.events = append(e.events, ev)
		if err := e.link.Authenticated(p.now, ev.ID, p.admission.judge(ev)); err != nil {
			p.t.Fatal(err)
		}
	default:
		e.events = append(e.events, ev)
	}
}

func (p *pair) send(to *end, frame []byte) {
	if p.sent++; p.sent > 20000 {
		p.t.Fatal("a storm of frames")
	}
	if p.rand.Float64() < p.fault {
		return
	}
	p.fly(to, frame)
	if p.rand.Float64() < p.fault {
		p.fly(to, slices.Clone(frame))
	}
}

func (p *pair) fly(to *end, frame []byte) {
	delay := 20 * time.Millisecond
	if p.rand.Float64() < p.fault {
		delay += time.Duration(p.rand.IntN(4000)) * time.Millisecond
	}
	p.flight = append(p.flight, arrival{p.now.Add(delay), to, frame})
}

// next does what comes first and reports whether there was anything before until.
func (p *pair) next(until time.Time) bool {
	first, frame := until, -1
	for i, a := range p.flight {
		if a.at.Before(first) {
			first, frame = a.at, i
		}
	}
	var timer *end
	for _, e := range []*end{p.server, p.client} {
		if d := e.link.Deadline(); !d.IsZero() && d.Before(first) {
			first, frame, timer = d, -1, e
		}
	}
	if first.After(p.now) {
		p.now = first
	}
	switch {
	case timer != nil:
		timer.link.Advance(p.now)
	case frame >= 0:
		a := p.flight[frame]
		p.flight = slices.Delete(p.flight, frame, frame+1)
		a.to.link.Input(p.now, a.frame)
	default:
		return false
	}
	p.drain()
	return true
}

// run lets time pass.
func (p *pair) run(d time.Duration) {
	until := p.now.Add(d)
	for steps := 0; p.next(until); steps++ {
		if steps > 100000 {
			p.t.Fatal("no end of steps")
		}
	}
}

// Personas and PersonaNames are Named and Names of package persona: see TestMain.
var (
	Personas     func(name string) (*Persona, bool)
	PersonaNames func() []string
)

func clientConfig(t testing.TB, persona string) Config {
	t.Helper()
	p, ok := Personas(cmp.Or(persona, "culvert"))
	if !ok {
		t.Fatalf("no persona %q", persona)
	}
	return Config{User: `ACME\alice`, Password: []byte("secret"), Persona: p}
}

func (p *pair) wantUp(what string) (server, client Up) {
	p.t.Helper()
	server, ok1 := p.server.up()
	client, ok2 := p.client.up()
	if !ok1 || !ok2 {
		p.t.Fatalf("%s: not up: server %v, client %v", what, p.server.events, p.client.events)
	}
	return server, client
}

func TestEveryPersonaLogsIn(t *testing.T) {
	for _, name := range PersonaNames() {
		p := newPair(t, 1, Config{}, clientConfig(t, name), admission{password: "secret"})
		p.start()
		p.run(30 * time.Second)
		server, client := p.wantUp(name)
		if server.Local != gatewayAddr || server.Peer != clientAddr || client.Local != clientAddr || client.Peer != gatewayAddr {
			t.Errorf("%s: %+v %+v", name, server, client)
		}
		if name != "mikrotik" && !slices.Equal(client.DNS, []netip.Addr{dnsAddr, dns2Addr}) {
			t.Errorf("%s: DNS %v", name, client.DNS)
		}
		if server.PeerMRU != wantMRU(name) {
			t.Errorf("%s: MRU %d", name, server.PeerMRU)
		}
		p.client.link.Close(p.now, Reason{Detail: "enough"})
		p.drain()
		p.run(time.Minute)
		p.wantClosed(name)
	}
}

func wantMRU(name string) int {
	switch name {
	case "macos", "ios":
		return 1500
	case "chromeos":
		return 1410
	case "mikrotik":
		return 1450
	}
	return 1400
}

// wantClosed demands that both sides are through and want nothing any more.
func (p *pair) wantClosed(what string) (server, client Reason) {
	p.t.Helper()
	var ok1, ok2 bool
	server, ok1 = p.server.closed()
	client, ok2 = p.client.closed()
	if !ok1 || !ok2 {
		p.t.Fatalf("%s: not closed: server %v, client %v", what, p.server.events, p.client.events)
	}
	for _, e := range []*end{p.server, p.client} {
		if d := e.link.Deadline(); !d.IsZero() {
			p.t.Errorf("%s: a deadline is left", what)
		}
		if e.link.Input(p.now, []byte("\xff\x03\xc0\x21\x09\x01\x00\x08\x00\x00\x00\x00")) == nil {
			p.t.Errorf("%s: still takes frames", what)
		}
	}
	return server, client
}

func TestEveryMethod(t *testing.T) {
	for _, policy := range []AuthPolicy{{MSCHAPv2: true}, {CHAPMD5: true}, {PAP: true}, {MSCHAPv2: true, CHAPMD5: true, PAP: true}} {
		for _, password := range []string{"secret", "wrong"} {
			what := fmt.Sprintf("%+v %s", policy, password)
			c := clientConfig(t, "")
			c.Auth = policy
			p := newPair(t, 1, Config{Auth: policy}, c, admission{password: password})
			p.start()
			p.run(20 * time.Second)
			if password == "secret" {
				p.wantUp(what)
				continue
			}
			for _, r := range p.bothClosed(what) {
				if r.Cause != CauseAuthFailed || r.Code != 691 {
					t.Errorf("%s: %s", what, r)
				}
			}
		}
	}
}

func (p *pair) bothClosed(what string) []Reason {
	p.t.Helper()
	server, client := p.wantClosed(what)
	return []Reason{server, client}
}

// Whatever the network does, a login ends: it is up on both sides, or it is closed on
// both with a reason, and nothing is left to be done for it.
func TestLossDuplicationReordering(t *testing.T) {
	names := PersonaNames()
	ups := 0
	const seeds = 1000
	for seed := range uint64(seeds) {
		name := names[seed%uint64(len(names))]
		what := fmt.Sprintf("%s with seed %d", name, seed)
		a := admission{password: "secret"}
		if seed%10 == 9 {
			a.password = "wrong"
		}
		c := clientConfig(t, name)
		c.LoginTimeout, c.EchoInterval = 3*time.Minute, -1
		p := newPair(t, seed, Config{LoginTimeout: 3 * time.Minute, EchoInterval: -1}, c, a)
		p.fault = 0.2
		p.start()
		p.run(5 * time.Minute)
		if _, ok := p.server.closed(); ok {
			if s, c := p.wantClosed(what); s.Cause == CauseLocal || c.Cause == CauseLocal {
				t.Errorf("%s: closed without a reason: %s; %s", what, s, c)
			}
			continue
		}
		p.wantUp(what)
		ups++
		p.wantIdle(what)
		p.server.link.Close(p.now, Reason{Detail: "enough"})
		p.drain()
		p.run(5 * time.Minute)
		if _, ok := p.server.closed(); !ok {
			t.Fatalf("%s: the server does not end", what)
		}
	}
	t.Logf("%d of %d logins stand", ups, seeds)
	if ups < seeds*85/100 {
		t.Errorf("only %d of %d logins stand", ups, seeds)
	}
}

// A wrong password ends soon on both sides, though half of the frames are lost.
func TestWrongPasswordEnds(t *testing.T) {
	for seed := range uint64(100) {
		what := fmt.Sprint("seed ", seed)
		p := newPair(t, seed, Config{}, clientConfig(t, ""), admission{password: "other", retry: seed%2 == 0})
		p.fault = 0.5
		p.start()
		p.run(3 * time.Minute)
		server, client := p.wantClosed(what)
		for _, r := range []Reason{server, client} {
			if r.Cause == CauseLocal {
				t.Errorf("%s: %s; %s", what, server, client)
			}
		}
	}
}

// wantIdle demands that a link that is up and neither asks nor times anything has no deadline.
func (p *pair) wantIdle(what string) {
	p.t.Helper()
	for _, e := range []*end{p.server, p.client} {
		if d := e.link.Deadline(); !d.IsZero() && len(e.link.extras) == 0 {
			p.t.Errorf("%s: a deadline is left: %s", what, d.Sub(p.now))
		}
	}
}
