package ike

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/v1"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// inGroups is a Candidates of a tenant that has groups, beside one that has none.
func inGroups(groups ...string) func(netip.Addr, netip.Addr) []Candidate {
	list := []Candidate{{Tenant: "main", PSK: []byte("another"), Policy: fast()},
		{Tenant: "acme", PSK: []byte("secret"), Policy: fast(), Groups: groups}}
	return func(netip.Addr, netip.Addr) []Candidate { return list }
}

func dialGroup(group, key string) DialConfig {
	d := dialConfig(key)
	d.Group = group
	return d
}

func TestAggressive(t *testing.T) {
	for name, x := range map[string]struct {
		dial    DialConfig
		persona string
		tenant  string // empty: not up
		cause   Cause  // of the server
		heard   Cause  // of the client
	}{
		"a group's key":      {dial: dialGroup("sales", "secret"), tenant: "acme"},
		"as Android, a name": {dial: dialGroup("field.example", "secret"), persona: "android", tenant: "acme"},
		"as Android, a mail": {dial: dialGroup("a@field.example", "secret"), persona: "android", tenant: "acme"},
		"wrong key":          {dial: dialGroup("sales", "secret?"), heard: CauseWrongPSK},
		"unknown group":      {dial: dialGroup("Sales", "secret"), cause: CauseNoGroup, heard: CauseWrongPSK},
		"another tenant's":   {dial: dialGroup("sales", "another"), heard: CauseWrongPSK},
		"main mode, by its":  {dial: dialConfig("another"), tenant: "main"},
		"main mode, group's": {dial: dialConfig("secret"), cause: CauseWrongPSK, heard: CauseWrongPSK},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, 1, Config{Candidates: inGroups("sales", "field.example", "a@field.example")})
			if x.persona != "" {
				x.dial.Persona = client(x.persona)
			}
			id := p.dial(x.dial)
			if up := len(p.usable()) == 1; up != (x.tenant != "") {
				t.Fatalf("up is %v: %+v %+v", up, p.server.failed, p.client.closed)
			}
			for _, up := range p.server.up {
				if up.Tenant != x.tenant || !up.Path.NATT {
					t.Errorf("%+v", up)
				}
			}
			if e := p.client.closed[id]; e.Cause != x.heard {
				t.Errorf("the client says %+v", e)
			}
			if x.cause != CauseNone && (len(p.server.failed) == 0 || p.server.failed[0].Cause != x.cause) {
				t.Errorf("the server says %+v", p.server.failed)
			}
			p.run(time.Minute, nil)
			p.closeAll()
		})
	}
}

// TestAggressiveSeeds dials over bad roads, and the client renews both phases there.
func TestAggressiveSeeds(t *testing.T) {
	list := inGroups("sales")(netip.Addr{}, netip.Addr{})
	list[1].Policy = lifetimes(fast(), time.Hour, time.Hour, true)
	for seed := range uint64(60) {
		p := newPair(t, seed, Config{Candidates: func(netip.Addr, netip.Addr) []Candidate { return list }})
		p.loss, p.dup, p.spread = float64(seed%3)/10, 0.1, 50*time.Millisecond
		id := p.dial(dialGroup("sales", "secret"))
		if len(p.usable()) != 1 {
			t.Fatalf("seed %d: not up: %+v %+v", seed, p.client.closed, p.server.failed)
		}
		for remote, peer := range p.server.s.peers { // which the server cannot
			_ = p.server.s.Rekey(p.now, remote, Phase1)
			if cur := peer.current(); !cur.rekeyAt.IsZero() || peer.mainUnderWay() {
				t.Fatal("the server would renew phase 1")
			}
		}
		if err := p.renew(id); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		p.loss = 0
		p.closeAll()
	}
}

// TestAggressiveXAUTH is what macOS and iOS call IPsec with a group name.
func TestAggressiveXAUTH(t *testing.T) {
	list := []Candidate{{Tenant: "acme", PSK: []byte("group key"), Policy: fast(), Groups: []string{"sales"}, XAUTH: true}}
	for seed := range uint64(20) {
		p := newXAUTH(t, seed, fast())
		p.server.s.config.Candidates = func(netip.Addr, netip.Addr) []Candidate { return list }
		p.loss, p.spread = float64(seed%3)/10, 50*time.Millisecond
		d := dialXAUTH("alice's")
		d.Group = "sales"
		p.dial(d)
		wantTunnel(t, p)
		p.loss = 0
		p.closeAll()
	}
}

// TestAggressiveNoOracle: an unknown group is answered as a known one is.
func TestAggressiveNoOracle(t *testing.T) {
	shape := func(group string) string {
		p := newPair(t, 1, Config{Candidates: inGroups("sales")})
		p.dial(dialGroup(group, "not the key"))
		h, body, err := wire.ConsumeHeader(p.server.sent[0])
		if err != nil {
			t.Fatal(err)
		}
		chain, err := wire.ParsePayloads(nil, h.Version, h.Next, body)
		if err != nil {
			t.Fatal(err)
		}
		s := fmt.Sprint(h.Exchange, h.Flags)
		for _, x := range chain {
			s += fmt.Sprint(" ", x.Type, len(x.Body))
			if x.Type == wire.PayloadSA || x.Type == wire.PayloadID || x.Type == wire.PayloadVendorID {
				s += fmt.Sprintf("=%x", x.Body)
			}
		}
		return s + fmt.Sprint(" after ", len(p.server.sent))
	}
	if known, unknown := shape("sales"), shape("nobody"); known != unknown {
		t.Errorf("known:   %s\nunknown: %s", known, unknown)
	}
}

// TestAggressiveNobodysKey: the answer to an unknown group is made with a key, and not
// with an empty one.
func TestAggressiveNobodysKey(t *testing.T) {
	d, err := newDialler(dialGroup("nobody", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	d.applyPolicy(Policy{})
	c := v1.InitiatorConfig{Rand: stream("c")}
	d.introduce(&c)
	client, out, err := v1.StartAggressive(c)
	if err != nil {
		t.Fatal(err)
	}
	if out, err = client.Computed(out.Compute()); err != nil {
		t.Fatal(err)
	}
	p := newPair(t, 1, Config{Candidates: inGroups("sales")})
	_ = p.server.s.Input(p.now, Path{Local: serverIKE, Remote: clientIKE}, bytes.Clone(out.Send))
	p.run(100*time.Millisecond, func() bool { return len(p.server.sent) > 0 })
	h, body, err := wire.ConsumeHeader(p.server.sent[0])
	if err != nil {
		t.Fatal(err)
	}
	if out, err = client.Input(h, body, v1.Ends{}); err != nil {
		t.Fatal(err)
	}
	if _, err = client.Computed(out.Compute()); !errors.Is(err, v1.ErrAuth) {
		t.Error(err)
	}
}

// aggressive1 is a message 1 of aggressive mode.
func aggressive1(t testing.TB, n int) []byte {
	t.Helper()
	c := newNode(t, "c", Config{Rand: stream(fmt.Sprint("c", n))})
	if _, err := c.s.Dial(start, dialGroup("sales", "secret")); err != nil {
		t.Fatal(err)
	}
	e, _ := c.s.Next()
	compute := e.(Compute)
	c.s.Computed(start, compute.ID, compute.Do())
	e, _ = c.s.Next()
	return e.(Send).Data
}

// TestAggressiveBounds: what strangers begin is bounded before it costs anything, by
// rate, by computations and by what is half open.
func TestAggressiveBounds(t *testing.T) {
	first := aggressive1(t, 1)
	for name, x := range map[string]struct {
		limits Limits
		most   int
	}{
		"by rate":         {Limits{Aggressive: 40}, 5},
		"by computations": {Limits{Computations: 3}, 3},
		"by source":       {Limits{HalfOpenPerSource: 4}, 4},
	} {
		n := newNode(t, "s", Config{Candidates: inGroups("sales"), Limits: x.limits})
		computes := 0
		for k := range 20 {
			b := bytes.Clone(first)
			copy(b, fmt.Sprintf("%08d", k))
			_ = n.s.Input(start, pathFrom("198.51.100.1:500"), b)
			_, c := drainAll(n)
			computes += c
		}
		if computes != x.most || n.s.stats.HalfOpen != x.most {
			t.Errorf("%s: %d computations, %d half open", name, computes, n.s.stats.HalfOpen)
		}
	}
	n := newNode(t, "s", Config{Candidates: inGroups("sales"), Limits: Limits{HalfOpen: 10, Aggressive: 1e6, Computations: 1e6}})
	for k := range 1000 {
		b := bytes.Clone(first)
		copy(b, fmt.Sprintf("%08d", k))
		_ = n.s.Input(start, netipPath(k), b)
		drainAll(n)
	}
	if h := n.s.stats.HalfOpen; h > 10 || len(n.s.sas) > 10 || n.s.alarms.Len() > 10 {
		t.Errorf("%d half open, %d kept", h, len(n.s.sas))
	}
}

// netipPath is a path from one of many sources.
func netipPath(n int) Path {
	return Path{Local: serverIKE, Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}), 500)}
}

// TestAggressiveAnswersLittle: a stranger gets message 2 three times at most, and never
// more than three times what asked for it.
func TestAggressiveAnswersLittle(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: inGroups("sales")})
	first := aggressive1(t, 1)
	_ = p.server.s.Input(p.now, Path{Local: serverIKE, Remote: clientIKE}, bytes.Clone(first))
	p.filter = func(*node, []byte) bool { return false }
	p.run(5*time.Minute, nil)
	if n := len(p.server.sent); n == 0 || n > 1+maxAM2 {
		t.Errorf("%d messages", n)
	}
	if n := len(slices.Concat(p.server.sent...)); n > 3*len(first) {
		t.Errorf("%d bytes for %d", n, len(first))
	}
	wantEmpty(t, p.server)
}

// TestAggressiveGuessing: message 3 may be tried a few times, and each is refused.
func TestAggressiveGuessing(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: inGroups("sales")})
	var third []byte
	p.filter = func(from *node, b []byte) bool {
		if exchange, _ := exchangeOf(b); from != p.client || exchange != byte(wire.ExchangeAggressive) || len(third) > 0 || wire.Cookie(b[8:]).IsZero() {
			return true
		}
		third = bytes.Clone(b)
		for n := range maxBadKeys {
			bad := bytes.Clone(b)
			bad[wire.HeaderLen+76+n] ^= 1 // within HASH_I
			if err := p.server.s.Input(p.now, Path{Local: serverNATT, Remote: clientNATT, NATT: true}, bad); err == nil {
				t.Error("a changed message 3 is taken")
			}
		}
		return true
	}
	if _, err := p.client.s.Dial(p.now, dialGroup("sales", "secret")); err != nil {
		t.Fatal(err)
	}
	p.run(time.Second, nil)
	if third == nil || len(p.server.up) != 0 && len(p.server.failed) > 1 {
		t.Errorf("%+v", p.server.failed)
	}
	p.filter = nil
	p.run(2*time.Minute, nil)
	p.closeAll()
}

// TestAggressiveTruncated cuts every message of a handshake at every length.
func TestAggressiveTruncated(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: inGroups("sales")})
	p.filter = p.cut
	p.dial(dialGroup("sales", "secret"))
	if len(p.usable()) != 1 {
		t.Error("not up")
	}
	p.filter = nil
	p.closeAll()
}

// TestAggressiveSuites: only what has the group of the public value is chosen, however
// much better something else would be.
func TestAggressiveSuites(t *testing.T) {
	list := []Candidate{{Tenant: "acme", PSK: []byte("secret"), Groups: []string{"sales"}, Policy: &Policy{Legacy: true}}}
	for persona, want := range map[string]suite.Group{"culvert": suite.GroupMODP2048, "macos": suite.GroupMODP2048, "android": suite.GroupMODP1024} {
		p := newPair(t, 1, Config{Candidates: func(netip.Addr, netip.Addr) []Candidate { return list }})
		d := dialGroup("sales", "secret")
		d.Persona, d.IKE = client(persona), nil
		id := p.dial(d)
		if len(p.usable()) != 1 {
			t.Fatalf("%s: not up: %+v", persona, p.server.failed)
		}
		if got := p.client.s.peers[id].lastIKE.Group; got != want {
			t.Errorf("%s: %v", persona, got)
		}
		p.closeAll()
	}
	strict := newPair(t, 1, Config{Candidates: inGroups("sales")})
	d := dialGroup("sales", "secret")
	d.Persona, d.IKE = client("android"), nil
	id := strict.dial(d)
	if e := strict.client.closed[id]; e.Cause != CauseNoProposal {
		t.Errorf("%+v", e)
	}
	strict.closeAll()
}

func TestGroupNeedsKey(t *testing.T) {
	d := dialGroup("sales", "")
	d.PSK = nil
	if _, err := newNode(t, "c", Config{}).s.Dial(start, d); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}

// TestAggressiveRefusedIsHeard: a client learns that the server does not do it.
func TestAggressiveRefusedIsHeard(t *testing.T) {
	p := newPair(t, 1, Config{Candidates: psk("acme", "secret", fast())})
	id := p.dial(dialGroup("sales", "secret"))
	if e := p.client.closed[id]; e.Cause != CauseRefused || p.now.Sub(start) > time.Second {
		t.Errorf("%+v after %v", e, p.now.Sub(start))
	}
	p.closeAll()
}

func FuzzAggressive(f *testing.F) {
	f.Add(aggressive1(f, 1))
	n := newNode(f, "s", Config{Candidates: inGroups("sales"), Limits: Limits{HalfOpen: 8, Aggressive: 1e9}})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 18 {
			b[18] = byte(wire.ExchangeAggressive)
		}
		_ = n.s.Input(start, pathFrom("198.51.100.1:500"), bytes.Clone(b))
		for e, ok := n.s.Next(); ok; e, ok = n.s.Next() {
			if c, is := e.(Compute); is {
				n.s.Computed(start, c.ID, c.Do())
			}
		}
		if len(n.s.peers) > 0 {
			t.Fatal("a peer without a key")
		}
	})
}
