package ike

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// eapServer asks everybody by EAP, and never has enough.
func eapServer(t testing.TB, l Limits) *node {
	ca := newAuthority(t, "ca")
	cert := ca.issue(t, "vpn", x509.ExtKeyUsageServerAuth, 0)
	n := newNode(t, "server", Config{V2: true, Limits: l, Candidates: only(Candidate{Tenant: "acme", PSK: []byte("secret"), Certificate: cert, EAP: true})})
	n.eap = func(EAP) EAPReply { return EAPReply{Packet: []byte{1, 1, 0, 5, 1}} }
	return n
}

// stranger2 is one of many initiators at a server.
func stranger2(t testing.TB, n *node, k int, from netip.Addr, now time.Time) *rogue {
	u, err := suite.ParseIKE2Suite(rogueSuite)
	if err != nil {
		t.Fatal(err)
	}
	r := &rogue{t: t, n: n, now: now, offer: u, ni: bytes.Repeat([]byte{7}, 32),
		path: Path{Local: serverNATT, Remote: netip.AddrPortFrom(from, 4500), NATT: true}}
	binary.BigEndian.PutUint64(r.i[:], uint64(k)+1)
	return r
}

// beginEAP goes as far as whoever is nobody can.
func (r *rogue) beginEAP() bool {
	if r.begin(); r.keys == nil {
		return false
	}
	return r.ask(wire.ExchangeAuth, wire.ID2{Type: wire.IDFQDN, Data: []byte("x")}) != nil
}

// TestOneNetworkLocksNobodyOut: all addresses of one customer's /60 hold as many
// exchanges as they can, all the time, and go as far as whoever knows nothing can. An
// honest client from elsewhere, by either version, is in within 2 s whenever it comes,
// and so is a neighbour of theirs.
func TestOneNetworkLocksNobodyOut(t *testing.T) {
	n := eapServer(t, Limits{HalfOpen: 512, HalfOpenPerSource: 32, BeginsPerSource: 32})
	k, now := 0, start
	attack := func(times int) {
		for range times {
			k++
			from := netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::1", k%16))
			stranger2(t, n, k, from, now).beginEAP()
		}
	}
	attack(600)
	if have := n.s.stats.HalfOpen; have < n.s.config.Limits.HalfOpen*3/4 {
		t.Fatalf("the attack holds no more than %d", have)
	}
	for k, from := range []string{"192.0.2.77", "2001:db8:0:20::1", "2001:db8:0:1f::1", "192.0.2.78", "2001:db8:ffff::1"} {
		h := stranger2(t, n, 1<<20+k, netip.MustParseAddr(from), now)
		if h.begin(); h.keys == nil {
			t.Fatalf("%s at +%v: no answer: %+v", from, now.Sub(start), n.failed[len(n.failed)-1])
		}
		for range 4 { // within 2 s, between its first message and its second, 80 others
			h.wait(500 * time.Millisecond)
			now = h.now
			attack(20)
		}
		if h.login("secret") == nil || len(n.up) != k+1 {
			t.Errorf("%s at +%v: not in: %+v", from, now.Sub(start), n.failed[len(n.failed)-1])
		}
		h.wait(28 * time.Second)
		now = h.now
		attack(200)
	}
	// And by IKEv1, which has no cookies.
	p := newPair(t, 1, Config{})
	p.server, p.now = n, now
	had := len(n.up)
	p.filter = func(from *node, _ []byte) bool {
		if from == p.client {
			now = p.now
			attack(20)
		}
		return true
	}
	if _, err := p.client.s.Dial(p.now, dialConfig("secret")); err != nil {
		t.Fatal(err)
	}
	p.drain(p.client)
	p.run(2*time.Second, nil)
	if len(n.up) != had+1 {
		t.Errorf("by IKEv1 not in within 2 s: %+v", n.failed[len(n.failed)-1])
	}
}

// TestFailedExchangesCount: one address fails 20,000 handshakes at one instant, each of
// which is kept for a while to answer repetitions. It is refused by its rate, and what is
// kept of it is bounded; a client from elsewhere notices nothing.
func TestFailedExchangesCount(t *testing.T) {
	n := eapServer(t, Limits{})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, failed, most := heap(), 0, 0
	from := netip.MustParseAddr("198.51.100.9")
	handshakes := func(now time.Time, times int) {
		for range times {
			failed++
			r := stranger2(t, n, failed, from, now)
			if r.begin(); r.keys != nil {
				_ = r.give(r.sealed(wire.ExchangeAuth, 1, wire.Nonce2(bytes.Repeat([]byte{1}, 16))))
			}
			n.events, n.failed = nil, nil
			most = max(most, len(n.s.spis))
		}
	}
	handshakes(start, 20000)
	kept := heap() - min(before, heap())
	t.Logf("20000 failed handshakes: %d kept at most, %d bytes", most, kept)
	if limit := n.s.config.Limits.HalfOpenPerSource; most > limit || n.s.stats.HalfOpen != len(n.s.spis) || kept > 8<<20 {
		t.Errorf("%d are kept, %d counted, %d bytes", most, n.s.stats.HalfOpen, kept)
	}
	for k := range 100 { // and on, as fast as it may
		handshakes(start.Add(time.Duration(k)*100*time.Millisecond), 50)
	}
	if limit := n.s.config.Limits.HalfOpenPerSource; most > limit {
		t.Errorf("%d are kept", most)
	}
	h := stranger2(t, n, 1<<20, netip.MustParseAddr("192.0.2.1"), start.Add(10*time.Second))
	if h.begin(); h.keys == nil || h.login("secret") == nil || len(n.up) != 1 {
		t.Errorf("a client from elsewhere: %+v", n.failed)
	}
	h.wait(time.Hour)
	if n.s.stats.HalfOpen != 0 || len(n.s.halfOpen.known) != 0 {
		t.Errorf("%d are left, %d networks", n.s.stats.HalfOpen, len(n.s.halfOpen.known))
	}
}

// TestWrongPasswordsMakeRoom: failed logins behind one address do not use up its share:
// those who can log in get in beside them.
func TestWrongPasswordsMakeRoom(t *testing.T) {
	n := eapServer(t, Limits{HalfOpenPerSource: 10, BeginsPerSource: 1000})
	from := netip.MustParseAddr("198.51.100.9")
	for k := range 200 {
		r := stranger2(t, n, k, from, start)
		if r.begin(); r.keys == nil {
			t.Fatalf("%d: refused: %+v", k, n.failed)
		}
		key := "wrong"
		if k%10 == 9 {
			key = "secret"
		}
		if r.login(key) == nil {
			t.Fatalf("%d: no answer", k)
		}
	}
	if len(n.up) != 20 {
		t.Errorf("%d are in", len(n.up))
	}
}

// TestLoginsAreNotAttempts: a source may have any number of clients that log in, however
// fast they come.
func TestLoginsAreNotAttempts(t *testing.T) {
	n := eapServer(t, Limits{BeginsPerSource: 3})
	for k := range 50 {
		r := stranger2(t, n, k, netip.MustParseAddr("198.51.100.9"), start)
		if r.begin(); r.keys == nil || r.login("secret") == nil {
			t.Fatalf("%d: %+v", k, n.failed)
		}
	}
	for k := range 8 { // three in its name, and three that bring a cookie back
		r := stranger2(t, n, 100+k, netip.MustParseAddr("198.51.100.9"), start)
		if r.begin(); (r.keys != nil) != (k < 6) {
			t.Errorf("%d without a login", k)
		}
	}
}

// TestEAPHasItsTime: who does not answer a question of EAP is let go after 30 s, and who
// has named a user, and may be typing a password, after two minutes; however many
// questions there are.
func TestEAPHasItsTime(t *testing.T) {
	for _, tt := range []struct {
		answer []byte
		waits  time.Duration
	}{{nil, 30 * time.Second}, {[]byte{2, 1, 0, 6, 3, 26}, 30 * time.Second}, {[]byte{2, 1, 0, 6, 1, 'x'}, 120 * time.Second}} {
		n := eapServer(t, Limits{})
		r := stranger2(t, n, 1, netip.MustParseAddr("198.51.100.9"), start)
		if !r.beginEAP() {
			t.Fatal(n.failed)
		}
		if tt.answer != nil {
			r.wait(20 * time.Second)
			if r.ask(wire.ExchangeAuth, wire.EAP(tt.answer)) == nil {
				t.Fatal("no answer")
			}
		}
		r.wait(tt.waits - time.Second)
		if len(n.failed) != 0 {
			t.Errorf("%x: given up before %v", tt.answer, tt.waits)
		}
		if r.wait(2 * time.Second); len(n.failed) != 1 || n.failed[0].Cause != CauseTimeout {
			t.Errorf("%x: not given up after %v: %+v", tt.answer, tt.waits, n.failed)
		}
	}
}

// TestOnlyAuthenticMessagesCount: a message that only looks protected does not give its
// sender a better place.
func TestOnlyAuthenticMessagesCount(t *testing.T) {
	n := eapServer(t, Limits{})
	r := stranger2(t, n, 1, netip.MustParseAddr("198.51.100.9"), start)
	if r.begin(); r.keys == nil {
		t.Fatal(n.failed)
	}
	waits := func() int { return n.s.halfOpen.turns[waiting].Len() }
	login := r.sealed(wire.ExchangeAuth, 1, wire.ID2{Type: wire.IDFQDN, Data: []byte("x")})
	forged := bytes.Clone(login)
	forged[len(forged)-1] ^= 1
	if _ = r.give(forged); waits() != 1 {
		t.Error("a forged message is believed")
	}
	if _ = r.give(login); waits() != 0 {
		t.Error("an authentic message is not believed")
	}
}

// TestReserve: the last eighth of the room is for sources that have nothing.
func TestReserve(t *testing.T) {
	n := newNode(t, "s", Config{Candidates: psk("acme", "secret", nil), Limits: Limits{HalfOpen: 16, HalfOpenPerSource: 20}})
	for k := range 20 {
		_ = n.s.Input(start, pathFrom("198.51.100.1:500"), message1(t, k))
	}
	if have := n.s.Stats().HalfOpen; have != 14 {
		t.Errorf("one source has %d of 16", have)
	}
	for k, from := range []string{"192.0.2.1:500", "192.0.3.1:500"} {
		if err := n.s.Input(start, pathFrom(from), message1(t, 100+k)); err != nil {
			t.Error(err)
		}
	}
	if have := n.s.Stats().HalfOpen; have != 16 {
		t.Errorf("%d of 16", have)
	}
	if err := n.s.Input(start, pathFrom("192.0.4.1:500"), message1(t, 200)); err != nil || n.s.halfOpen.count(netip.MustParsePrefix("198.51.100.1/32")) != 13 {
		t.Errorf("who holds most has not given way: %v", err)
	}
}

// TestNobodyGivesWayToHisLike: where all who are half open have come as far, and hold as
// much, one more waits outside. Otherwise a power cut after which everybody dials at once
// would have each push out who is nearly in.
func TestNobodyGivesWayToHisLike(t *testing.T) {
	n := newNode(t, "s", Config{Candidates: psk("acme", "secret", nil), Limits: Limits{HalfOpen: 64}})
	var all []*held
	for k := range 64 {
		h, source := &held{s: n.s}, netip.AddrFrom4([4]byte{192, 0, byte(k % 4), byte(k)})
		if !n.s.admit(start, source, proven) {
			t.Fatal(k)
		}
		n.s.enter(start, h, &h.stranger, source, proven)
		all = append(all, h)
	}
	if n.s.admit(start, netip.MustParseAddr("192.0.1.200"), proven) || have(all) != 64 {
		t.Error("somebody has given way to one more like him")
	}
	if !n.s.admit(start, netip.MustParseAddr("198.51.100.1"), proven) || have(all) != 63 {
		t.Error("nobody gives way to one of a network that has nothing")
	}
}

// TestTablesForgetTheOldest: a flood of sources does not empty what is remembered of all.
func TestTablesForgetTheOldest(t *testing.T) {
	n := newNode(t, "s", Config{Candidates: psk("acme", "secret", nil)})
	known := netip.MustParseAddr("192.0.2.1")
	for k := range 3 * maxWinners {
		n.s.remember(netip.AddrFrom4([4]byte{10, byte(k >> 16), byte(k >> 8), byte(k)}), Candidate{Tenant: "x"})
		if k%1000 == 0 {
			n.s.remember(known, Candidate{Tenant: "acme", PSK: []byte("secret")})
		}
	}
	if n.s.winners.Len() > maxWinners || n.s.winner(known, []candidate{{Candidate: Candidate{Tenant: "acme", PSK: []byte("secret")}}}) != 0 {
		t.Errorf("%d are remembered", n.s.winners.Len())
	}
	list := make([][]Candidate, maxDirectories+10)
	n.s.config.Candidates = func(local, _ netip.Addr) []Candidate {
		b := local.As4()
		return list[int(b[2])<<8|int(b[3])]
	}
	for k := range list {
		list[k] = []Candidate{{Tenant: fmt.Sprint(k), PSK: []byte("x")}}
		at := func(k int) *directory {
			return n.s.directory(Path{Local: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(k >> 8), byte(k)}), 500)})
		}
		first := at(0)
		if at(k); at(0) != first {
			t.Fatalf("what was asked for just now is forgotten at the %d-th", k)
		}
	}
	if n.s.directories.Len() > maxDirectories {
		t.Errorf("%d lists", n.s.directories.Len())
	}
}

// FuzzStrangers: whatever comes and goes, what is counted is what there is, nobody holds
// more than he may, and who gives way is of the network that holds most.
func FuzzStrangers(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 200, 201, 202, 100, 150})
	f.Add(bytes.Repeat([]byte{7, 16, 33, 250, 128, 65}, 40))
	f.Fuzz(func(t *testing.T, script []byte) {
		n := newNode(t, "s", Config{Candidates: psk("acme", "secret", nil), Limits: Limits{HalfOpen: 24, HalfOpenPerSource: 6, BeginsPerSource: 1000}})
		var all []*held
		for k, b := range script {
			switch x := int(b>>6) & 3; {
			case x < 2:
				h := &held{s: n.s}
				source := sourceOf(b & 31)
				if how := payment(b>>5&1) * proven; n.s.admit(start, source, how) {
					n.s.enter(start, h, &h.stranger, source, how)
					all = append(all, h)
				} else if own := n.s.halfOpen.count(narrow(source)); own < 6 && (own == 0 || have(all) < 21) && n.s.halfOpen.count(wide(source)) == 0 {
					t.Fatalf("step %d: one that holds %d is refused, of %d", k, own, have(all))
				}
			case len(all) == 0:
			case x == 2:
				n.s.believe(&all[int(b&63)%len(all)].stranger)
			case b&32 != 0:
				n.s.over(&all[int(b&31)%len(all)].stranger)
			default:
				n.s.release(&all[int(b&31)%len(all)].stranger)
			}
			checkStrangers(t, n.s, all)
		}
		for _, h := range all {
			n.s.release(&h.stranger)
		}
		if checkStrangers(t, n.s, all); len(n.s.halfOpen.known) != 0 {
			t.Fatalf("%d networks are left", len(n.s.halfOpen.known))
		}
	})
}

// have is how many are still there.
func have(all []*held) (n int) {
	for _, h := range all {
		if h.home != nil {
			n++
		}
	}
	return n
}

// held is an exchange of nothing.
type held struct {
	s *Server
	stranger
}

func (h *held) forget() { h.s.release(&h.stranger) }

func sourceOf(b byte) netip.Addr {
	if b&16 != 0 {
		return netip.AddrFrom4([4]byte{198, 51, b >> 2 & 3, b & 3})
	}
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, b >> 3 & 1, b >> 2 & 1, b >> 1 & 1, b & 1})
}

func checkStrangers(t *testing.T, s *Server, all []*held) {
	t.Helper()
	want, have := map[netip.Prefix]int{}, 0
	for _, h := range all {
		if h.home != nil {
			have++
			of := prefixesOf(h.source)
			for _, p := range of.all() {
				want[p]++
			}
		}
	}
	if have != s.stats.HalfOpen || have != s.halfOpen.root.n || have > 24 {
		t.Fatalf("%d there, %d counted, %d in the root", have, s.stats.HalfOpen, s.halfOpen.root.n)
	}
	if len(want) != len(s.halfOpen.known) {
		t.Fatalf("%d networks of %d", len(s.halfOpen.known), len(want))
	}
	for p, n := range want {
		at := s.halfOpen.known[p]
		if at == nil || at.n != n || at.within.parts[at.index] != at || at.within.parts[0].n < n {
			t.Fatalf("%v: %+v, want %d", p, at, n)
		}
	}
}

// TestTooManyIsALimit: what is refused for want of room is told as such.
func TestTooManyIsALimit(t *testing.T) {
	n := eapServer(t, Limits{BeginsPerSource: 1})
	for k := range 3 { // one in its name, one that brings a cookie back, and one too many
		stranger2(t, n, k, netip.MustParseAddr("198.51.100.9"), start).begin()
	}
	if len(n.failed) != 1 || n.failed[0].Cause != CauseTooMany || n.s.stats.Dropped[ErrLimit.Error()] != 1 {
		t.Errorf("%+v, %v", n.failed, n.s.stats.Dropped)
	}
}

// narrow and wide are the smallest and the largest network that a source counts for.
func narrow(a netip.Addr) netip.Prefix { of := prefixesOf(a); return of.own() }

func wide(a netip.Addr) netip.Prefix { of := prefixesOf(a); return of.widest() }
