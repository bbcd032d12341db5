package policy

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// segment is a TCP segment of IPv4.
func segment(t testing.TB, from, to string, flags byte) *ipkt.Packet {
	t.Helper()
	src, dst := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	up := make([]byte, 20)
	binary.BigEndian.PutUint16(up, src.Port())
	binary.BigEndian.PutUint16(up[2:], dst.Port())
	up[12], up[13] = 5<<4, flags
	ip, err := ipkt.Parse(frame(src.Addr(), dst.Addr(), ipkt.ProtocolTCP, up, 0, 0, false, nil))
	if err != nil {
		t.Fatal(err)
	}
	return &ip
}

func client(addr string, who *Identity) *Party {
	s, p := new(Subject), new(Party)
	s.SetAddress(netip.MustParseAddr(addr))
	p.SetAddresses(s)
	p.SetIdentity(who, nil)
	return p
}

// compile makes rules of one set.
func compile(t testing.TB, sets ...Set) *Rules {
	t.Helper()
	r, err := Compile(Config{Sets: sets})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tcp(port uint16) []Ports { return []Ports{{Protocol: 6, First: port, Last: port}} }

func target(network string, ports ...Ports) []Target {
	return []Target{{Peer{Kind: InNetwork, Network: netip.MustParsePrefix(network)}, ports}}
}

// web lets everybody reach web servers, and nobody anything else.
func web() Set {
	return Set{Name: "tenant", Rules: []Rule{{Name: "web", To: target("10.20.0.0/16"), Ports: tcp(80), Allow: true}}}
}

const (
	syn, ack, synAck = tcpSYN, tcpACK, tcpSYN | tcpACK
	annWeb, webAnn   = "10.1.0.7:1000", "10.20.0.5:80"
)

// TestFlow: the first packet decides, its answers pass, and nothing else does.
func TestFlow(t *testing.T) {
	ann, now := client("10.1.0.7", &Identity{User: "ann"}), Now{Wall: 1, Up: 1}
	f := NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, web()))
	for i, c := range []struct {
		down     bool
		from, to string
		flags    byte
		allow    bool
		why      Why
	}{
		{true, webAnn, annWeb, synAck, false, NoFlow},
		{true, webAnn, annWeb, syn, false, ByDefault},
		{false, annWeb, webAnn, syn, true, ByRule},
		{true, webAnn, annWeb, synAck, true, ByFlow},
		{false, annWeb, webAnn, ack, true, ByFlow},
		{true, webAnn, annWeb, syn, false, ByDefault}, // a connection of its own between the same ports
		{true, "10.20.0.6:80", annWeb, ack, false, ByDefault},
		{false, annWeb, "10.20.0.5:22", syn, false, ByDefault},
		{false, annWeb, webAnn, syn | tcpFIN, false, Crafted},
	} {
		from, to := ann, (*Party)(nil)
		if c.down {
			from, to = to, from
		}
		if d := f.Judge(now, from, to, segment(t, c.from, c.to, c.flags)); d.Allow != c.allow || d.Why != c.why {
			t.Errorf("%d: %+v", i, d)
		}
	}
	want := Counts{Live: 1, Begun: 1, Denied: 4, Stray: 1, Forged: 1}
	if got := f.Counts(); got != want {
		t.Errorf("%+v", got)
	}
	all, n := f.List(now, Query{User: "ann", Most: 10})
	if n != 1 || len(all) != 1 || all[0].Rule != "web" || all[0].Up != 80 || all[0].Down != 40 || all[0].State != Answered || all[0].Source.String() != annWeb {
		t.Errorf("%+v", all)
	}
}

// TestSwap: other rules keep what they allow, end what they do not, and go on counting.
func TestSwap(t *testing.T) {
	ann, now := client("10.1.0.7", nil), Now{Wall: 5, Up: 1}
	f := NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, web()))
	ssh := Rule{Name: "ssh", To: target("10.20.0.0/16"), Ports: tcp(22), Allow: true}
	both := web()
	both.Rules = append([]Rule{ssh}, both.Rules...)
	f.SetRules(compile(t, both))
	f.Judge(now, ann, nil, segment(t, annWeb, webAnn, syn))
	f.Judge(now, ann, nil, segment(t, annWeb, "10.20.0.5:22", syn))
	f.SetRules(compile(t, web()))
	if d := f.Judge(now, nil, ann, segment(t, webAnn, annWeb, ack)); !d.Allow || d.Rule != 0 {
		t.Errorf("what is still allowed: %+v", d)
	}
	if d := f.Judge(now, nil, ann, segment(t, "10.20.0.5:22", annWeb, ack)); d.Allow {
		t.Errorf("what is not any more: %+v", d)
	}
	if c := f.Counts(); c.Live != 1 || c.Lost != 1 {
		t.Errorf("%+v", c)
	}
	hits := f.force.Load().rules.Hits(time.Unix(5, 0))[0]
	if hits.Rules[0].Name != "web" || hits.Hits[0].Flows != 1 || hits.Hits[0].Last.Unix() != 5 || hits.Hits[1].Flows != 0 {
		t.Errorf("%+v", hits)
	}
}

// TestSilence: a flow is over after a time that depends on how far it got.
func TestSilence(t *testing.T) {
	for name, c := range map[string]struct {
		flags []byte // from the client, then from the server, in turn
		after uint32
	}{
		"opening": {[]byte{syn}, idleOpening}, "open": {[]byte{syn, synAck, ack}, idleTCP}, "reset": {[]byte{syn, tcpRST | ack}, idleReset},
		"half closed": {[]byte{syn, synAck, tcpFIN | ack}, idleTCP}, "closed": {[]byte{syn, synAck, tcpFIN | ack, tcpFIN | ack}, idleClosing},
	} {
		for _, over := range []bool{false, true} {
			ann := client("10.1.0.7", nil)
			f := NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, web()))
			for i, flags := range c.flags {
				if i%2 == 0 {
					f.Judge(Now{1, 1}, ann, nil, segment(t, annWeb, webAnn, flags))
				} else {
					f.Judge(Now{1, 1}, nil, ann, segment(t, webAnn, annWeb, flags))
				}
			}
			now := Now{1, 1 + c.after}
			if over {
				now.Up++
			}
			if d := f.Judge(now, nil, ann, segment(t, webAnn, annWeb, ack)); d.Allow == over {
				t.Errorf("%s, over %v: %+v", name, over, d)
			}
		}
	}
}

// TestFirstRulesTakeFlowsOver: where there were no rules, who only receives keeps what he
// receives, and nobody begins anything that he may not. A minute later that is over.
func TestFirstRulesTakeFlowsOver(t *testing.T) {
	ann, none := client("10.1.0.7", nil), New(Config{})
	for _, c := range []struct {
		from, to string
		flags    byte
		after    uint32
		allow    bool
	}{
		{webAnn, annWeb, ack, 0, true},
		{webAnn, annWeb, synAck, 59, true},
		{webAnn, annWeb, ack, 60, false},
		{webAnn, annWeb, syn, 0, false},
		{webAnn, annWeb, tcpRST, 0, false},
		{"10.20.0.5:22", annWeb, ack, 0, false},
	} {
		f := NewFlows(Bounds{Session: 10, Tenant: 10}, none)
		f.Judge(Now{1, 100}, nil, ann, segment(t, webAnn, annWeb, ack))
		f.SetRules(compile(t, web()))
		f.Judge(Now{1, 100}, nil, ann, segment(t, "10.20.0.9:9", "10.1.0.7:9", ack))
		if d := f.Judge(Now{1, 100 + c.after}, nil, ann, segment(t, c.from, c.to, c.flags)); d.Allow != c.allow {
			t.Errorf("%s, flags %x, after %d: %+v", c.from, c.flags, c.after, d)
		}
		ann.Leave()
		ann = client("10.1.0.7", nil)
	}
}

// TestEverySetMustAllow: of the tenant, a group, a user and the other side of an export.
func TestEverySetMustAllow(t *testing.T) {
	sets := []Set{
		{Name: "tenant", Allow: true},
		{Name: "guests", Who: []Peer{{Kind: InGroup, Name: "guests"}}, Rules: []Rule{{To: target("10.20.0.5/32"), Allow: true}}},
		{Name: "bob", Who: []Peer{{Kind: IsUser, Name: "bob"}}, Allow: true, Rules: []Rule{{Ports: tcp(22)}}},
		{Name: "export", Between: prefixes("10.30.0.0/16"), Rules: []Rule{{Ports: tcp(80), Allow: true}}},
	}
	f := NewFlows(Bounds{Session: 100, Tenant: 100}, compile(t, sets...))
	ann, bob := client("10.1.0.7", &Identity{User: "ann"}), client("10.1.0.8", &Identity{User: "bob", Groups: []string{"guests"}})
	for _, c := range []struct {
		who   *Party
		to    string
		allow bool
	}{
		{ann, "10.20.0.9:22", true}, {bob, "10.20.0.9:80", false}, {bob, "10.20.0.5:80", true}, {bob, "10.20.0.5:22", false},
		{ann, "10.30.0.1:80", true}, {ann, "10.30.0.1:81", false}, {bob, "10.30.0.1:80", false},
	} {
		from := map[*Party]string{ann: "10.1.0.7:9", bob: "10.1.0.8:9"}[c.who]
		if d := f.Judge(Now{1, 1}, c.who, nil, segment(t, from, c.to, syn)); d.Allow != c.allow {
			t.Errorf("%s to %s: %+v", from, c.to, d)
		}
	}
}

// TestNotes: what is denied is told, and what is allowed with a log, each once; a flood
// costs a count.
func TestNotes(t *testing.T) {
	set := web()
	set.Rules[0].Log = LogFirst
	ann := client("10.1.0.7", &Identity{User: "ann"})
	f := NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, set, Set{Name: "more", Allow: true}))
	denied := func(to string) { f.Judge(Now{1, 1}, nil, ann, segment(t, "10.20.0.5:7", to, syn)) }
	f.Judge(Now{1, 1}, ann, nil, segment(t, annWeb, webAnn, syn))
	f.Judge(Now{1, 1}, ann, nil, segment(t, annWeb, webAnn, syn))
	denied("10.1.0.7:22")
	denied("10.1.0.7:22")
	f.Judge(Now{1, 1}, ann, nil, segment(t, annWeb, "224.0.0.251:5353", syn))
	told, untold := f.Notes(false)
	if len(told) != 2 || untold != 0 {
		t.Fatalf("%+v, %d untold", told, untold)
	}
	if n := told[0]; !n.Allow || n.User != "ann" || n.Rule != "web" || n.Set != "tenant" || n.Destination.String() != webAnn {
		t.Errorf("%+v", n)
	}
	if n := told[1]; n.Allow || n.User != "ann" || n.Rule != "" || n.Source.String() != "10.20.0.5:7" || n.Protocol != 6 {
		t.Errorf("%+v", n)
	}
	for port := range 100 {
		denied(fmt.Sprint("10.1.0.7:", 100+port))
	}
	if told, untold = f.Notes(false); len(told) != maxNotes-2 || untold != 0 {
		t.Errorf("%d told, %d untold", len(told), untold)
	}
	if told, untold = f.Notes(true); len(told) != 0 || untold != 100-(maxNotes-2) {
		t.Errorf("%d told, %d untold", len(told), untold)
	}
	denied("10.1.0.7:22")
	if told, untold = f.Notes(true); len(told) != 1 || untold != 0 {
		t.Errorf("a minute later: %d told, %d untold", len(told), untold)
	}
}

// TestErrors: an ICMP error passes if it quotes a packet of a flow of whom it is for.
func TestErrors(t *testing.T) {
	ann, bob, now := client("10.1.0.7", nil), client("10.1.0.8", nil), Now{1, 1}
	f := NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, web()))
	sent := segment(t, annWeb, webAnn, syn)
	f.Judge(now, ann, nil, sent)
	f.Judge(now, bob, nil, segment(t, "10.1.0.8:1", "10.20.0.5:80", syn))
	complain := func(from, to string, about *ipkt.Packet) *ipkt.Packet {
		up := append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, about.Bytes[:28]...)
		ip, err := ipkt.Parse(frame(netip.MustParseAddr(from), netip.MustParseAddr(to), 1, up, 0, 0, false, nil))
		if err != nil {
			t.Fatal(err)
		}
		return &ip
	}
	answer := segment(t, webAnn, annWeb, ack)
	for name, c := range map[string]struct {
		from, to *Party
		ip       *ipkt.Packet
		allow    bool
	}{
		"a router of the network":          {nil, ann, complain("192.0.2.1", "10.1.0.7", sent), true},
		"the client, of an answer":         {ann, nil, complain("10.1.0.7", "10.20.0.5", answer), true},
		"of nothing that was sent":         {nil, ann, complain("192.0.2.1", "10.1.0.7", segment(t, annWeb, "10.20.0.6:80", ack)), false},
		"to another than the sender":       {nil, bob, complain("192.0.2.1", "10.1.0.8", sent), false},
		"another client, of her flow":      {bob, ann, complain("10.1.0.8", "10.1.0.7", sent), false},
		"another client, of her answers":   {bob, nil, complain("10.1.0.8", "10.20.0.5", answer), false},
		"a client, of what it sent itself": {ann, nil, complain("10.1.0.7", "10.20.0.5", sent), false},
	} {
		if d := f.Judge(now, c.from, c.to, c.ip); d.Allow != c.allow {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestBounds: a session's flood costs its own oldest flow, and a tenant's flood the
// tenant's; others keep what they have of the budget.
func TestBounds(t *testing.T) {
	rules := compile(t, web())
	budget := NewBudget(5)
	ann, bob := client("10.1.0.7", nil), client("10.1.0.8", nil)
	f := NewFlows(Bounds{Session: 4, Tenant: 100, Budget: budget, Reserve: 2}, rules)
	g := NewFlows(Bounds{Session: 100, Tenant: 100, Budget: budget, Reserve: 2}, rules)
	for port := 1; port <= 50; port++ {
		f.Judge(Now{1, uint32(port)}, ann, nil, segment(t, fmt.Sprint("10.1.0.7:", port), webAnn, syn))
	}
	if c := f.Counts(); c.Live != 4 || c.PushedBySession != 46 {
		t.Errorf("a session: %+v", c)
	}
	if d := f.Judge(Now{1, 50}, nil, ann, segment(t, webAnn, "10.1.0.7:47", synAck)); !d.Allow {
		t.Error("not the oldest went")
	}
	for port := 1; port <= 50; port++ {
		g.Judge(Now{1, uint32(port)}, bob, nil, segment(t, fmt.Sprint("10.1.0.8:", port), webAnn, syn))
	}
	if c := g.Counts(); c.Live != 5 || f.Counts().Live != 4 { // 2 of its own, 3 left of the budget
		t.Errorf("all: %+v", c)
	}
	f.SetMost(2)
	if f.Judge(Now{1, 51}, ann, nil, segment(t, "10.1.0.7:99", webAnn, syn)); f.Counts().Live != 2 {
		t.Errorf("fewer a session: %+v", f.Counts())
	}
	ann.Leave()
	if f.Counts().Live != 0 || budget.left.Load() != 2 {
		t.Errorf("%+v, %d left", f.Counts(), budget.left.Load())
	}
	if d := f.Judge(Now{1, 60}, ann, nil, segment(t, annWeb, webAnn, syn)); d.Allow || d.Why != Full {
		t.Errorf("a session that is over: %+v", d)
	}
	if d := f.Judge(Now{1, 60}, bob, nil, segment(t, "10.1.0.8:1", webAnn, syn)); d.Allow {
		t.Errorf("a session of another tenant: %+v", d)
	}
	bob.Leave()
	if budget.left.Load() != 5 {
		t.Errorf("%d left", budget.left.Load())
	}
}

// TestManyAtOnce: sessions come, send, talk to each other and go while rules are swapped.
func TestManyAtOnce(t *testing.T) {
	budget := NewBudget(50)
	f := NewFlows(Bounds{Session: 20, Tenant: 60, Budget: budget, Reserve: 10, Shards: 4}, compile(t, web()))
	open := Set{Name: "tenant", Allow: true}
	peer := client("10.1.0.200", nil)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for round := range 20 {
				who := client(fmt.Sprint("10.1.0.", 10+n), nil)
				for port := 1; port < 40; port++ {
					now := Now{1, uint32(round*10 + port/8)}
					to := fmt.Sprint("10.1.0.", 10+n, ":", port)
					f.Judge(now, who, nil, segment(t, to, webAnn, syn))
					f.Judge(now, nil, who, segment(t, webAnn, to, synAck))
					f.Judge(now, who, peer, segment(t, to, "10.1.0.200:80", syn))
					f.Judge(now, peer, who, segment(t, "10.1.0.200:80", to, synAck))
				}
				who.Leave()
				if n == 0 {
					f.SetRules(compile(t, []Set{open, web()}[round%2]))
				}
			}
		})
	}
	all.Wait()
	peer.Leave()
	if c := f.Counts(); c.Live != 0 || budget.left.Load() != 50 {
		t.Errorf("%+v, %d left", c, budget.left.Load())
	}
	for _, s := range f.shards {
		if s.oldest != 0 || s.newest != 0 || s.count != 0 || len(s.freed) != len(s.seats)-1 {
			t.Errorf("%d flows, oldest %d, newest %d, %d of %d seats free", s.count, s.oldest, s.newest, len(s.freed), len(s.seats))
		}
	}
}

// TestFlowsAreSmall: in under 128 bytes each, tables and all, without a pointer.
func TestFlowsAreSmall(t *testing.T) {
	const n = 20000
	f := NewFlows(Bounds{Session: n, Tenant: n, Shards: 1}, compile(t, web()))
	ann := client("10.1.0.7", nil)
	b := segment(t, annWeb, webAnn, syn)
	for i := range n {
		binary.BigEndian.PutUint32(b.Bytes[20:], uint32(i)<<16|80)
		binary.BigEndian.PutUint16(b.Bytes[18:], uint16(i>>16+5))
		ipkt.SetHeaderChecksum(b.Bytes[:20])
		f.Judge(Now{1, 1}, ann, nil, b)
	}
	s := f.shards[0]
	size := len(s.chunks)*int(unsafe.Sizeof(*s.chunks[0])+8) + cap(s.buckets)*4 + cap(s.seats)*int(unsafe.Sizeof(seat{}))
	if live := f.Counts().Live; live != n || size/n >= 128 {
		t.Errorf("%d flows of %d bytes", live, size/n)
	}
	if rest := chunkTakes() - int(unsafe.Sizeof(*s.chunks[0])); rest*100 > chunkTakes() {
		t.Errorf("of a chunk that takes %d bytes %d are of no use", chunkTakes(), rest)
	}
	t.Logf("%d bytes each", size/n)
}

// chunkTakes is how much memory is given out for a chunk of flows.
func chunkTakes() int {
	const n = 100
	var before, after runtime.MemStats
	kept := make([]*[chunkFlows]flow, n)
	runtime.ReadMemStats(&before)
	for i := range kept {
		kept[i] = new([chunkFlows]flow)
	}
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	return int(after.TotalAlloc-before.TotalAlloc) / n
}

// TestNoAllocations: neither for a packet of a flow nor for a new flow, once the table has
// its size; also not for fragments and errors.
func TestNoAllocations(t *testing.T) {
	f := NewFlows(Bounds{Session: 64, Tenant: 64}, compile(t, web(), Set{Name: "more", Allow: true}))
	ann, port := client("10.1.0.7", nil), uint16(0)
	opens, answers := segment(t, annWeb, webAnn, syn), segment(t, webAnn, annWeb, synAck)
	first := segment(t, annWeb, webAnn, ack)
	first.Bytes, first.Bytes[6] = first.Bytes[:40:40], 0x20
	step := func() {
		port++
		binary.BigEndian.PutUint16(opens.Bytes[20:], port)
		binary.BigEndian.PutUint16(answers.Bytes[22:], port)
		a, b := f.Judge(Now{1, uint32(port)}, ann, nil, opens), f.Judge(Now{1, uint32(port)}, nil, ann, answers)
		f.Judge(Now{1, uint32(port)}, ann, nil, first)
		if !a.Allow || !b.Allow {
			t.Fatalf("%+v, %+v", a, b)
		}
	}
	for range 300 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestTableGrows: the table finds every flow at every size.
func TestTableGrows(t *testing.T) {
	s := newShard(maphash.MakeSeed())
	at := s.sit(new(Party))
	var k key
	for i := range uint32(3000) {
		binary.BigEndian.PutUint32(k[:], i)
		s.add(&k, at, 1)
		for _, j := range []uint32{0, i / 2, i} {
			if binary.BigEndian.PutUint32(k[:], j); s.find(&k, at) == 0 {
				t.Fatalf("%d of %d is lost", j, i)
			}
		}
	}
	for i := range uint32(3000) {
		binary.BigEndian.PutUint32(k[:], i)
		s.remove(s.find(&k, at))
		if s.find(&k, at) != 0 {
			t.Fatalf("%d is still there", i)
		}
	}
}

// TestSchedule: by the clock on the wall, also where it is changed, and over midnight.
func TestSchedule(t *testing.T) {
	for _, c := range []struct {
		schedule, at string
		is           bool
		next         string
	}{
		{"mon-fri 08:00-18:00 Europe/Berlin", "2024-03-29T06:59:59Z", false, "2024-03-29T07:00:00Z"}, // a Friday
		{"mon-fri 08:00-18:00 Europe/Berlin", "2024-03-29T07:00:00Z", true, "2024-03-29T17:00:00Z"},
		{"mon-fri 08:00-18:00 Europe/Berlin", "2024-03-29T17:00:00Z", false, "2024-04-01T06:00:00Z"}, // in summer
		{"sat 22:00-06:00 UTC", "2024-03-31T05:00:00Z", true, "2024-03-31T06:00:00Z"},
		{"sat 22:00-06:00 UTC", "2024-03-30T05:00:00Z", false, "2024-03-30T22:00:00Z"},
		{"fri-mon,wed 00:00-24:00 UTC", "2024-04-02T05:00:00Z", false, "2024-04-03T00:00:00Z"},
	} {
		s, err := ParseSchedule(c.schedule)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if is, next := s.active(at); is != c.is || next.UTC().Format(time.RFC3339) != c.next {
			t.Errorf("%s at %s: %v until %s", c.schedule, c.at, is, next.UTC())
		}
	}
	for _, bad := range []string{"", "mon", "mon 8:00-18:00 UTC", "mon 08:00-08:00 UTC", "foo 08:00-18:00 UTC", "mon 08:00 UTC", "mon 08:00-25:00 UTC", "mon 08:00-18:00 Nowhere", "mon 08:00-18:00 Local"} {
		if _, err := ParseSchedule(bad); err == nil {
			t.Errorf("%q is a schedule", bad)
		}
	}
}

// TestScheduleEndsFlows: what a rule allows at times ends when they do.
func TestScheduleEndsFlows(t *testing.T) {
	when, err := ParseSchedule("thu 00:00-01:00 UTC")
	if err != nil {
		t.Fatal(err)
	}
	set := web()
	set.Rules[0].When = &when
	ann := client("10.1.0.7", nil)
	f := NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, set))
	for wall, allow := range map[int64]bool{10: true, 3599: true} { // 1970 began on a Thursday
		if d := f.Judge(Now{wall, 1}, ann, nil, segment(t, annWeb, webAnn, syn)); d.Allow != allow {
			t.Errorf("at %d: %+v", wall, d)
		}
	}
	if d := f.Judge(Now{3600, 2}, nil, ann, segment(t, webAnn, annWeb, ack)); d.Allow {
		t.Errorf("behind its end: %+v", d)
	}
}

// TestTooManyRules: what is too much to be compiled is refused.
func TestTooManyRules(t *testing.T) {
	for name, sets := range map[string][]Set{
		"rules": {{Rules: make([]Rule, MaxRules+1)}},
		"sets":  make([]Set, MaxSets+1),
	} {
		if _, err := Compile(Config{Sets: sets}); err == nil {
			t.Errorf("too many %s are compiled", name)
		}
	}
}

func BenchmarkNewFlow(b *testing.B) {
	set := Set{Name: "tenant"}
	for i := range 99 {
		set.Rules = append(set.Rules, Rule{To: target(fmt.Sprintf("10.%d.0.0/16", 100+i)), Ports: tcp(uint16(i)), Allow: true})
	}
	set.Rules = append(set.Rules, web().Rules...)
	f := NewFlows(Bounds{Session: 4096, Tenant: 1 << 20}, compile(b, set))
	ann, ip := client("10.1.0.7", nil), segment(b, annWeb, webAnn, syn)
	for n := 0; b.Loop(); n++ {
		binary.BigEndian.PutUint16(ip.Bytes[20:], uint16(n))
		f.Judge(Now{1, uint32(n >> 16)}, ann, nil, ip)
	}
}

func BenchmarkKnownFlow(b *testing.B) {
	f := NewFlows(Bounds{Session: 4096, Tenant: 1 << 20}, compile(b, web()))
	ann, ip := client("10.1.0.7", nil), segment(b, annWeb, webAnn, syn)
	f.Judge(Now{1, 1}, ann, nil, ip)
	ip.Bytes[33] = ack
	for b.Loop() {
		f.Judge(Now{1, 1}, ann, nil, ip)
	}
}

// TestSchedulesWhenTheClockIsSet: rules follow the clock also where it is set back.
func TestSchedulesWhenTheClockIsSet(t *testing.T) {
	office, err := ParseSchedule("mon-fri 08:00-18:00 UTC")
	if err != nil {
		t.Fatal(err)
	}
	set := web()
	set.Rules[0].When = &office
	noon := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) // a Wednesday
	ann, f := client("10.1.0.7", nil), NewFlows(Bounds{Session: 10, Tenant: 10}, compile(t, set))
	for i, c := range []struct {
		at    time.Time
		allow bool
	}{
		{noon.AddDate(30, 0, 2).Add(11 * time.Hour), false}, // the clock was wrong at first
		{noon, true},
		{noon.Add(-5 * time.Hour), false},
		{noon, true},
		{noon.Add(8 * time.Hour), false},
	} {
		if d := f.Judge(Now{c.at.Unix(), uint32(10 + i)}, ann, nil, segment(t, annWeb, webAnn, syn)); d.Allow != c.allow {
			t.Errorf("%d, %v: %+v", i, c.at, d)
		}
	}
}
