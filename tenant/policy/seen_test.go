package policy

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// many has a session begin n flows from ports of its own, to addresses of 10.20.0.0/16 in
// turn, all at one time.
func many(t testing.TB, f *Flows, now Now, who *Party, from string, n int) {
	b := segment(t, from+":1", webAnn, syn)
	for i := range n {
		binary.BigEndian.PutUint16(b.Bytes[20:], uint16(i%60000+1))
		binary.BigEndian.PutUint16(b.Bytes[18:], uint16(i/60000+5))
		ipkt.SetHeaderChecksum(b.Bytes[:20])
		if d := f.Judge(now, who, nil, b); !d.Allow {
			t.Fatalf("flow %d: %+v", i, d)
		}
	}
}

// TestListLooksAtFew: however many flows there are, a lock is held for no more of them than
// chunkFlows, and it is free between two looks.
func TestListLooksAtFew(t *testing.T) {
	const n = 200_000
	f := NewFlows(Bounds{Session: n, Tenant: n, Shards: 1}, compile(t, web()))
	ann := client("10.1.0.7", &Identity{User: "ann", Session: 7})
	many(t, f, Now{1, 1}, ann, "10.1.0.7", n)
	var look lookAt
	sum, looks := 0, uint32(0)
	for s := f.shards[0]; s.look(&look, looks, 1); looks++ {
		if sum += look.n; look.n > chunkFlows {
			t.Fatalf("%d at once", look.n)
		}
		if !s.mu.TryLock() {
			t.Fatal("the lock is held between two looks")
		}
		s.mu.Unlock()
	}
	if sum != n || looks < n/chunkFlows {
		t.Errorf("%d flows in %d looks", sum, looks)
	}
	list, all := f.List(Now{1, 1}, Query{Most: 10})
	if len(list) != 10 || all != n || list[0].User != "ann" || list[0].Session != 7 {
		t.Errorf("%d of %d: %+v", len(list), all, list)
	}
	if list, all := f.List(Now{1, 1 + idleOpening + 1}, Query{Most: 10}); len(list) != 0 || all != 0 {
		t.Errorf("%d flows that are over", all)
	}
}

// TestListAsksFor: whose flows, and where they lead; those that were in use last come first.
func TestListAsksFor(t *testing.T) {
	f := NewFlows(Bounds{Session: 100, Tenant: 100}, compile(t, web()))
	ann, bob := client("10.1.0.7", &Identity{User: "ann", Session: 1}), client("10.1.0.8", &Identity{User: "bob", Session: 2})
	for i, to := range []string{"10.20.0.5:80", "10.20.1.5:80", "10.20.2.5:80"} {
		f.Judge(Now{1, uint32(10 * i)}, ann, nil, segment(t, annWeb, to, syn))
		f.Judge(Now{1, uint32(10*i + 5)}, bob, nil, segment(t, "10.1.0.8:1000", to, syn))
	}
	for _, c := range []struct {
		q    Query
		want string
		all  int
	}{
		{Query{Most: 9}, "bob 10.20.2.5, ann 10.20.2.5, bob 10.20.1.5, ann 10.20.1.5, bob 10.20.0.5, ann 10.20.0.5, ", 6},
		{Query{Most: 2}, "bob 10.20.2.5, ann 10.20.2.5, ", 6},
		{Query{User: "ann", Most: 1}, "ann 10.20.2.5, ", 3},
		{Query{To: netip.MustParsePrefix("10.20.0.0/23"), User: "bob", Most: 5}, "bob 10.20.1.5, bob 10.20.0.5, ", 2},
		{Query{To: netip.MustParsePrefix("10.1.0.0/16"), Most: 5}, "", 0},
		{Query{User: "eve", Most: 5}, "", 0},
	} {
		list, all := f.List(Now{1, 25}, c.q)
		got := ""
		for _, s := range list {
			got += fmt.Sprintf("%s %s, ", s.User, s.Destination.Addr())
		}
		if got != c.want || all != c.all {
			t.Errorf("%+v: %q, %d in all", c.q, got, all)
		}
	}
}

// TestListWhileFlowsComeAndGo: a flow that is there all the time is seen once each time.
func TestListWhileFlowsComeAndGo(t *testing.T) {
	f := NewFlows(Bounds{Session: 4000, Tenant: 10000, Shards: 2}, compile(t, web()))
	ann := client("10.1.0.7", &Identity{User: "ann"})
	many(t, f, Now{1, 1}, ann, "10.1.0.7", 3000)
	var over atomic.Bool
	var all sync.WaitGroup
	for n := range 2 {
		all.Go(func() {
			for from := fmt.Sprint("10.1.0.", 10+n); !over.Load(); {
				who := client(from, nil)
				many(t, f, Now{1, 1}, who, from, 1000)
				who.Leave()
			}
		})
	}
	for range 20 {
		list, n := f.List(Now{1, 1}, Query{User: "ann", Most: 5000})
		seen := map[netip.AddrPort]bool{}
		for _, s := range list {
			seen[s.Source] = true
		}
		if n != 3000 || len(seen) != 3000 {
			t.Errorf("%d flows, %d of them different", n, len(seen))
		}
	}
	over.Store(true)
	all.Wait()
}

// TestStates: how far a flow has got is seen.
func TestStates(t *testing.T) {
	for want, flags := range map[State][]byte{ // from the client, then from the server, in turn
		Unanswered: {syn}, Answered: {syn, synAck, ack}, HalfClosed: {syn, synAck, tcpFIN | ack}, BothClosed: {syn, synAck, tcpFIN | ack, tcpFIN | ack}, Reset: {syn, tcpRST | ack},
	} {
		f, ann := NewFlows(Bounds{Session: 9, Tenant: 9}, compile(t, web())), client("10.1.0.7", nil)
		for i, b := range flags {
			if i%2 == 0 {
				f.Judge(Now{1, 1}, ann, nil, segment(t, annWeb, webAnn, b))
			} else {
				f.Judge(Now{1, 1}, nil, ann, segment(t, webAnn, annWeb, b))
			}
		}
		if list, _ := f.List(Now{1, 1}, Query{Most: 9}); len(list) != 1 || list[0].State != want {
			t.Errorf("want %d: %+v", want, list)
		}
	}
}

// TestReached: a limit that was reached is told of once in a turn, with all that came of it
// by the end of that, and no more sessions than there is room for.
func TestReached(t *testing.T) {
	f := NewFlows(Bounds{Session: 4, Tenant: 1000}, compile(t, web()))
	var parties []*Party
	for n := range maxNotes + 4 {
		who := client(fmt.Sprint("10.1.1.", n+1), &Identity{User: fmt.Sprint("user", n), Session: uint64(n + 1)})
		parties = append(parties, who)
		if n == 0 {
			many(t, f, Now{1, 1}, who, "10.1.1.1", 9)
		}
	}
	want := func(when string, room bool, wanted string) {
		t.Helper()
		got := ""
		for _, r := range f.Reached(room) {
			got += fmt.Sprintf("%d %s %d: %d, %d; ", r.Scope, r.User, r.Most, r.Pushed, r.Full)
		}
		if got != wanted {
			t.Errorf("%s: %q, want %q", when, got, wanted)
		}
	}
	want("at once", false, "0 user0 4: 5, 0; ")
	many(t, f, Now{1, 1}, parties[0], "10.1.1.1", 14)
	want("in the same turn", false, "")
	want("at its end", true, "0 user0 4: 14, 0; ")
	want("nothing since", true, "")
	for n, who := range parties {
		many(t, f, Now{1, 1}, who, fmt.Sprint("10.1.1.", n+1), 8)
	}
	if told := f.Reached(false); len(told) != maxNotes {
		t.Errorf("%d told of: %+v", len(told), told)
	}
	want("of others", true, "0  4: 16, 0; ")
	many(t, f, Now{1, 1}, parties[maxNotes+3], fmt.Sprint("10.1.1.", maxNotes+4), 8)
	want("who was not told of", true, fmt.Sprintf("0 user%d 4: 8, 0; ", maxNotes+3))
}

// TestReachedByAll: limits of a tenant and of all are told apart, and so is who found no room.
func TestReachedByAll(t *testing.T) {
	budget := NewBudget(3)
	f := NewFlows(Bounds{Session: 100, Tenant: 6, Budget: budget, Reserve: 2}, compile(t, web()))
	g := NewFlows(Bounds{Session: 100, Tenant: 4, Budget: budget, Reserve: 2}, compile(t, web()))
	ann, bob := client("10.1.0.7", nil), client("10.1.0.8", nil)
	many(t, f, Now{1, 1}, ann, "10.1.0.7", 7) // 2 and 3
	if r := f.Reached(false); len(r) != 1 || r[0] != (Reached{Scope: OfAll, Most: 3, Pushed: 2}) {
		t.Errorf("%+v", r)
	}
	ann.Leave()
	many(t, g, Now{1, 1}, bob, "10.1.0.8", 7)
	if r := g.Reached(false); len(r) != 1 || r[0] != (Reached{Scope: OfTenant, Most: 4, Pushed: 3}) {
		t.Errorf("%+v", r)
	}
	if c := g.Counts(); c.PushedByTenant != 3 || c.PushedByAll != 0 || c.Full != 0 || f.Counts().PushedByAll != 2 {
		t.Errorf("%+v", c)
	}
	budget.left.Store(0)
	none := NewFlows(Bounds{Session: 9, Tenant: 9, Budget: budget}, compile(t, web()))
	if d := none.Judge(Now{1, 1}, client("10.1.0.9", nil), nil, segment(t, "10.1.0.9:1", webAnn, syn)); d.Why != Full {
		t.Errorf("%+v", d)
	}
	if r, c := none.Reached(true), none.Counts(); len(r) != 1 || r[0] != (Reached{Scope: OfAll, Most: 3, Full: 1}) || c.Full != 1 || c.Denied != 0 {
		t.Errorf("%+v, %+v", r, c)
	}
}
