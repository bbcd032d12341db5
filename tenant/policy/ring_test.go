package policy

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// ring is a tenant with two clients, compiled and plain.
type ring struct {
	m        maker
	clients  []*Party
	rules    *Rules
	compiled *Flows
	plain    *plain
	now      Now
	sent     [][]byte
}

var (
	ringPrefixes = prefixes("2001:db8:1:7::/64", "2001:db8:1:8::/64")
	ringClients  = prefixes("10.1.0.0/24", "2001:db8:1::/48")
	ringGateways = []netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("2001:db8:1::1")}
)

func newRing(t testing.TB, m maker) *ring {
	r := &ring{m: m, now: Now{1_700_000_000 + int64(m.IntN(14*86400)), 1000}, clients: make([]*Party, 2)}
	for i := range r.clients {
		r.clients[i] = new(Party)
		r.join(i)
	}
	budget := m.IntN(12)
	bounds := Bounds{Session: 2 + m.IntN(8), Tenant: 4 + m.IntN(10), Shards: 1, Reserve: m.IntN(6), Budget: NewBudget(budget)}
	r.plain = &plain{gateways: ringGateways, clients: ringClients, bounds: bounds, budget: budget, firsts: map[*Party][]plainFirst{}}
	r.swap(t)
	r.plain.began = false
	r.compiled = NewFlows(bounds, r.rules)
	return r
}

// join has somebody be the client with an address.
func (r *ring) join(i int) {
	s := new(Subject)
	s.SetAddress(netip.AddrFrom4([4]byte{10, 1, 0, byte(7 + i)}))
	s.SetPrefix(&ringPrefixes[i])
	r.clients[i].SetAddresses(s)
	r.clients[i].SetIdentity(of(r.m,
		&Identity{User: "ann", Groups: []string{"engineers"}}, &Identity{User: "bob", Groups: []string{"guests", "engineers"}, Site: "office", Pool: "vip"},
		&Identity{User: "ann", Filters: []string{"web-only"}}, &Identity{User: "carol"}, nil,
	), nil)
}

// swap makes other rules.
func (r *ring) swap(t testing.TB) {
	c := Config{Clients: ringClients, Gateways: ringGateways, ClientToClient: r.m.IntN(2) == 0}
	if r.m.IntN(10) > 0 {
		for i := range 1 + r.m.IntN(3) {
			c.Sets = append(c.Sets, r.m.set(i))
		}
		if r.m.IntN(4) > 0 { // else whoever is under it may do nothing
			filter := r.m.set(0)
			filter.Name, filter.Who = "filter", []Peer{{Kind: UnderFilter, Name: "web-only"}}
			c.Sets = append(c.Sets, filter)
		}
	}
	var deny, allow []netip.Prefix
	if r.m.IntN(3) == 0 {
		for range 1 + r.m.IntN(4) {
			deny = append(deny, r.m.network())
		}
		for range r.m.IntN(3) {
			allow = append(allow, r.m.network())
		}
		var err error
		if c.Closed, err = NewReach(deny, allow); err != nil {
			t.Fatal(err)
		}
	}
	rules, err := Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	r.rules = rules
	r.plain.swap(c.Sets, c.ClientToClient, deny, allow)
}

// owner is the client that has an address; nil: none.
func (r *ring) owner(a netip.Addr) *Party {
	for _, c := range r.clients {
		if c.owns(a) {
			return c
		}
	}
	return nil
}

// next is a packet that may follow what was sent, by chance.
func (r *ring) next() []byte {
	m := r.m
	if len(r.sent) > 0 && m.IntN(3) > 0 {
		b := of(m, r.sent...)
		switch m.IntN(6) {
		case 0, 1:
			return append([]byte(nil), b...)
		case 2, 3:
			return answer(b)
		case 4:
			return m.complaint(m.addr(b[0]>>4 == 6), of(m, b, answer(b)))
		case 5:
			return m.rest(b)
		}
	}
	six := m.IntN(2) == 0
	b := m.whole(m.addr(six), m.addr(six))
	if m.IntN(10) == 0 && len(b) > 40 { // crafted
		for range 1 + m.IntN(3) {
			b[m.IntN(len(b))] = byte(m.IntN(256))
		}
		if b[0]>>4 == 4 && int(b[0]&15)*4 <= len(b) && b[0]&15 >= 5 {
			ipkt.SetHeaderChecksum(b[:int(b[0]&15)*4])
		}
	}
	return b
}

// happen has something be other than before, now and then.
func (r *ring) happen(t testing.TB) {
	switch n := r.m.IntN(200); {
	case n < 2:
		r.swap(t)
		r.compiled.SetRules(r.rules)
	case n < 5:
		n := of(r.m, 31, 31, 31, 61, 250, 301, 601, 3600, 7500)
		r.now.Up, r.now.Wall = r.now.Up+uint32(n), r.now.Wall+int64(n)
	case n < 25:
		r.now.Up, r.now.Wall = r.now.Up+1, r.now.Wall+1
	case n == 25: // a session ends, and another one has its address
		i := r.m.IntN(len(r.clients))
		r.clients[i].Leave()
		r.plain.leave(r.clients[i])
		r.clients[i] = new(Party)
		r.join(i)
	case n == 26: // a session is somebody else's, as when its groups change
		r.join(r.m.IntN(len(r.clients)))
	case n == 27:
		r.plain.bounds.Session = 1 + r.m.IntN(8)
		r.compiled.SetMost(r.plain.bounds.Session)
	case n == 28: // another tenant takes of what all have, or gives back
		if r.plain.others > 0 && r.m.IntN(2) == 0 {
			r.plain.bounds.Budget.left.Add(1)
			r.plain.others--
		} else if r.plain.bounds.Budget.take() {
			r.plain.others++
		}
	}
}

// step has one packet judged by both.
func (r *ring) step(t testing.TB) (judged bool) {
	r.happen(t)
	b := r.next()
	ip, err := ipkt.Parse(b)
	if err != nil {
		return false
	}
	from, to := r.owner(ip.Source()), r.owner(ip.Destination())
	if from == to { // of nobody, or to itself, which goes nowhere before rules are asked
		return false
	}
	r.goes(t, from, &ip)
	before := append([]byte(nil), ip.Bytes...)
	want := r.plain.judge(r.now, from, to, before)
	got := r.compiled.Judge(r.now, from, to, &ip)
	if !got.Allow || got.Why == ByFlow { // of what has no say the log asks nothing
		got.Log, got.New, want.Log, want.New = false, false, false, false
	}
	if got != want {
		t.Fatalf("%x: %+v, want %+v", b, got, want)
	}
	counts := r.plain.counts
	counts.Live = int64(len(r.plain.flows))
	if has := r.compiled.Counts(); has != counts {
		t.Fatalf("%x: %+v, want %+v", b, has, counts)
	}
	if got.Allow && len(r.sent) < 64 {
		r.sent = append(r.sent, before)
	}
	return true
}

// goes compares where a packet may go before flows are asked about.
func (r *ring) goes(t testing.TB, from *Party, ip *ipkt.Packet) {
	dir, who := Down, (*Subject)(nil)
	if from != nil && (r.m.IntN(4) > 0) {
		dir, who = Up, of(r.m, r.clients...).addresses.Load()
	}
	party := &Party{}
	party.addresses.Store(who)
	want := r.plain.goes(dir, party, ip.Source(), ip.Destination())
	if got := r.rules.Judge(dir, who, ip); got != want {
		t.Fatalf("%x: verdict %d, want %d", ip.Bytes, got, want)
	}
}

// end compares what rules were asked.
func (r *ring) end(t testing.TB) {
	want := maps.Clone(r.plain.hits)
	for _, s := range r.rules.Hits(time.Unix(r.now.Wall, 0)) {
		for i, h := range s.Hits {
			of := [2]string{s.Name, ""}
			if i < len(s.Rules) {
				of[1] = s.Rules[i].Name
			}
			if want[of] != h.Flows {
				t.Fatalf("%s, rule %q: %d flows, want %d", of[0], of[1], h.Flows, want[of])
			}
		}
	}
}

// cases is how many packets are judged: those of CULVERT_POLICY_CASES, or some.
func cases(t *testing.T) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("CULVERT_POLICY_CASES"), "200000"))
	if err != nil || n <= 0 {
		t.Fatalf("CULVERT_POLICY_CASES: %v", err)
	}
	return n
}

// TestCompiledIsPlain: whatever the rules, whatever the packets. Rules come and go, also
// where there were none, sessions end and are somebody else's, schedules begin, flows grow
// old, and there is room for few.
func TestCompiledIsPlain(t *testing.T) {
	const packets = 500
	var turn, judged, begun, adopted atomic.Int64
	most := int64(cases(t))
	t.Run("all", func(t *testing.T) {
		for n := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				for judged.Load() < most {
					seed := uint64(turn.Add(1))
					r := newRing(t, maker{rand.New(rand.NewPCG(seed, 7))})
					for range packets {
						if r.step(t) {
							judged.Add(1)
						}
					}
					r.end(t)
					begun.Add(int64(r.plain.counts.Begun))
					if r.plain.adopts > 0 {
						adopted.Add(1)
					}
				}
			})
		}
	})
	t.Logf("%d packets judged of %d tenants, %d flows begun, %d tenants had no rules before", judged.Load(), turn.Load(), begun.Load(), adopted.Load())
	if judged.Load() < turn.Load()*packets/4 || begun.Load() < judged.Load()/100 || adopted.Load() == 0 {
		t.Error("the packets are too dull")
	}
}

// FuzzCompiledIsPlain is TestCompiledIsPlain from any seed.
func FuzzCompiledIsPlain(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := newRing(t, maker{rand.New(rand.NewPCG(a, b))})
		for range 200 {
			r.step(t)
		}
		r.end(t)
	})
}

// TestAskIsJudge: what is said of a flow that nobody has sent becomes of one that is.
func TestAskIsJudge(t *testing.T) {
	allowed := 0
	for i := range 10000 {
		m := maker{rand.New(rand.NewPCG(uint64(i), 11))}
		r := newRing(t, m)
		q, up := m.question()
		if q.Source == q.Destination {
			continue
		}
		q.At = time.Unix(r.now.Wall, 0)
		q.From, q.To = r.owner(q.Source), r.owner(q.Destination)
		if q.From == nil && q.To == nil {
			continue
		}
		ip, err := ipkt.Parse(frame(q.Source, q.Destination, q.Protocol, up, 0, 0, false, nil))
		if err != nil {
			t.Fatal(err)
		}
		verdict := r.rules.Judge(q.direction(), &Subject{any: true}, &ip)
		judged := r.plain.judge(r.now, q.From, q.To, ip.Bytes)
		want := verdict != Neighbour && verdict != Denied && (judged.Allow || judged.Why == Full)
		if got := r.rules.Ask(q); got.Allow != want {
			t.Fatalf("%+v: asked %+v, judged %v", q, got, want)
		}
		if want {
			allowed++
		}
	}
	if allowed < 500 {
		t.Errorf("only %d are allowed", allowed)
	}
}

// question is a flow that nobody has sent, and the first of it above IP.
func (m maker) question() (q Question, up []byte) {
	six := m.IntN(2) == 0
	q = Question{Source: m.addr(six), Destination: m.addr(six), Protocol: of[uint8](m, 6, 17, 1, 58, 47, 132), Port: m.port()}
	up = make([]byte, 32)
	binary.BigEndian.PutUint16(up, 999)
	binary.BigEndian.PutUint16(up[2:], q.Port)
	up[12], up[13] = 5<<4, tcpSYN
	switch {
	case q.Protocol == 1 && !six:
		q.Port, up[0] = 8, 8
	case q.Protocol == 58 && six:
		q.Port, up[0] = 128, 128
	case q.Protocol == 1, q.Protocol == 58, q.Protocol == 47:
		q.Port = 0
	}
	return q, up
}
