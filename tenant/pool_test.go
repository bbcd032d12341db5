package tenant

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// then is when it is, where that does not matter.
var then = time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)

func newPool(t testing.TB, cfg PoolConfig) *Pool {
	t.Helper()
	p, err := NewPool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// drain leases until the pool is exhausted.
func drain(t testing.TB, p *Pool) []string {
	t.Helper()
	var all []string
	for i := range p.Size() + 1 {
		addr, err := p.Lease(fmt.Sprint("owner", i), then)
		if errors.Is(err, ErrExhausted) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, addr.String())
	}
	t.Fatal("leased more than the pool's size")
	return nil
}

func TestPoolAddresses(t *testing.T) {
	for _, tc := range []struct {
		prefixes []string
		gateway  string
		want     []string
	}{
		{[]string{"10.0.0.0/29"}, "10.0.0.1", []string{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}},
		{[]string{"10.0.0.0/30", "10.0.1.0/30"}, "10.0.0.1", []string{"10.0.0.2", "10.0.1.1", "10.0.1.2"}},
		{[]string{"10.0.0.4/31"}, "10.0.0.4", []string{"10.0.0.5"}},
		{[]string{"10.0.0.1/32", "10.0.0.9/32"}, "10.0.0.1", []string{"10.0.0.9"}},
		{[]string{"255.255.255.248/29"}, "255.255.255.249", []string{"255.255.255.250", "255.255.255.251", "255.255.255.252", "255.255.255.253", "255.255.255.254"}},
		{[]string{"fd00::/126"}, "fd00::1", []string{"fd00::2", "fd00::3"}},
	} {
		p := newPool(t, PoolConfig{Prefixes: prefixes(tc.prefixes...)})
		if p.gateway.String() != tc.gateway || p.Size() != len(tc.want) {
			t.Errorf("%v: gateway %v, size %d", tc.prefixes, p.gateway, p.Size())
		}
		if got := drain(t, p); !slices.Equal(got, tc.want) {
			t.Errorf("%v: leased %v, want %v", tc.prefixes, got, tc.want)
		}
	}
}

func TestPoolConfigErrors(t *testing.T) {
	static := func(owner, addr string) map[string]netip.Addr {
		return map[string]netip.Addr{owner: netip.MustParseAddr(addr)}
	}
	for name, tc := range map[string]struct {
		cfg  PoolConfig
		want error
	}{
		"none":             {PoolConfig{}, ErrPrefix},
		"invalid":          {PoolConfig{Prefixes: []netip.Prefix{{}}}, ErrPrefix},
		"host bits":        {PoolConfig{Prefixes: prefixes("10.0.0.1/24")}, ErrPrefix},
		"overlap":          {PoolConfig{Prefixes: prefixes("10.0.0.0/24", "10.0.0.128/25")}, ErrPrefix},
		"two families":     {PoolConfig{Prefixes: prefixes("10.0.0.0/24", "fd00::/64")}, ErrPrefix},
		"mapped":           {PoolConfig{Prefixes: prefixes("::ffff:10.0.0.0/120")}, ErrPrefix},
		"multicast":        {PoolConfig{Prefixes: prefixes("224.0.0.0/24")}, ErrPrefix},
		"loopback":         {PoolConfig{Prefixes: prefixes("127.0.0.0/24")}, ErrPrefix},
		"gateway only":     {PoolConfig{Prefixes: prefixes("10.0.0.1/32")}, ErrPrefix},
		"static outside":   {PoolConfig{Prefixes: prefixes("10.0.0.0/24"), Static: static("a", "10.0.1.1")}, ErrStatic},
		"static gateway":   {PoolConfig{Prefixes: prefixes("10.0.0.0/24"), Static: static("a", "10.0.0.1")}, ErrStatic},
		"static broadcast": {PoolConfig{Prefixes: prefixes("10.0.0.0/24"), Static: static("a", "10.0.0.255")}, ErrStatic},
		"static nobody":    {PoolConfig{Prefixes: prefixes("10.0.0.0/24"), Static: static("", "10.0.0.7")}, ErrStatic},
		"static twice": {PoolConfig{Prefixes: prefixes("10.0.0.0/24"), Static: map[string]netip.Addr{
			"a": netip.MustParseAddr("10.0.0.7"), "b": netip.MustParseAddr("10.0.0.7")}}, ErrStatic},
	} {
		if _, err := NewPool(tc.cfg); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
}

func TestPoolIsSticky(t *testing.T) {
	p := newPool(t, PoolConfig{Prefixes: prefixes("10.0.0.0/29")})
	lease := func(owner, want string) {
		t.Helper()
		if got, err := p.Lease(owner, then); err != nil || got.String() != want {
			t.Fatalf("%s got %v, %v, want %s", owner, got, err, want)
		}
	}
	release := func(addr string) {
		t.Helper()
		if !p.Release(netip.MustParseAddr(addr), then) {
			t.Fatalf("%s was not leased", addr)
		}
	}
	lease("alice", "10.0.0.2")
	lease("bob", "10.0.0.3")
	release("10.0.0.2")
	release("10.0.0.3")
	lease("carol", "10.0.0.4") // nobody had it
	lease("bob", "10.0.0.3")
	lease("alice", "10.0.0.2")
	lease("alice", "10.0.0.5") // a second device
	release("10.0.0.2")
	release("10.0.0.5")
	lease("alice", "10.0.0.5") // the one it had last
	lease("dave", "10.0.0.6")
	lease("eve", "10.0.0.2") // the longest free, though alice's
	if _, err := p.Lease("mallory", then); !errors.Is(err, ErrExhausted) {
		t.Errorf("got %v, want ErrExhausted", err)
	}
	if _, err := p.Lease("", then); !errors.Is(err, ErrOwner) {
		t.Errorf("got %v, want ErrOwner", err)
	}
	if p.Release(netip.MustParseAddr("10.0.0.1"), then) || p.Release(netip.MustParseAddr("9.9.9.9"), then) {
		t.Error("released what nobody leased")
	}
}

func TestPoolStatic(t *testing.T) {
	p := newPool(t, PoolConfig{
		Prefixes: prefixes("10.0.0.0/29"),
		Static:   map[string]netip.Addr{"alice": netip.MustParseAddr("10.0.0.3")},
		Exclude:  []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("192.0.2.1")},
	})
	for _, want := range []string{"10.0.0.3", "10.0.0.4"} { // the second one is not static
		if got, _ := p.Lease("alice", then); got.String() != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	p.Release(netip.MustParseAddr("10.0.0.3"), then)
	if got := drain(t, p); !slices.Equal(got, []string{"10.0.0.5", "10.0.0.6"}) {
		t.Errorf("others got %v", got)
	}
	if s := p.slots[netip.MustParseAddr("10.0.0.3")]; s != nil && s.leased {
		t.Errorf("10.0.0.3 is %s's", s.owner)
	}
}

func TestPoolRestore(t *testing.T) {
	cfg := PoolConfig{Prefixes: prefixes("10.0.0.0/28")}
	before := newPool(t, cfg)
	had := make(map[string]netip.Addr)
	for _, owner := range []string{"a", "b", "c", "d"} {
		had[owner], _ = before.Lease(owner, then)
	}
	before.Release(had["b"], then)
	after := newPool(t, cfg)
	leases := append(before.Leases(), Lease{Owner: "x", Addr: netip.MustParseAddr("10.0.0.1")}, Lease{Owner: "x", Addr: netip.MustParseAddr("11.0.0.1")}, Lease{Owner: "x", Addr: had["a"]}, Lease{Owner: "", Addr: netip.MustParseAddr("10.0.0.9")})
	if n := after.Restore(leases); n != 4 {
		t.Errorf("restored %d, want 4", n)
	}
	for _, owner := range []string{"d", "new", "a", "c", "b"} {
		got, err := after.Lease(owner, then)
		if err != nil || had[owner].IsValid() && got != had[owner] {
			t.Errorf("%s got %v, %v, had %v", owner, got, err, had[owner])
		}
	}
}

// The pool's memory follows what it remembers, not the prefix.
func TestPoolIsBounded(t *testing.T) {
	p := newPool(t, PoolConfig{Prefixes: prefixes("fd00::/32"), Remember: 10})
	for i := range 1000 {
		addr, err := p.Lease(fmt.Sprint(i), then)
		if err != nil {
			t.Fatal(err)
		}
		p.Release(addr, then)
	}
	if len(p.slots) > 12 || len(p.byOwner) > 10 {
		t.Errorf("%d slots, %d owners", len(p.slots), len(p.byOwner))
	}
}

// Whatever happens: no address is leased twice, none that must not be, an
// owner gets a remembered address back, and nothing is lost.
func TestPoolProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := NewPool(PoolConfig{
			Prefixes: prefixes("10.0.0.0/28", "10.0.1.0/29"),
			Static:   map[string]netip.Addr{"s": netip.MustParseAddr("10.0.1.3")},
			Exclude:  []netip.Addr{netip.MustParseAddr("10.0.0.9")},
			Remember: rapid.IntRange(1, 30).Draw(t, "remember"),
		})
		if err != nil {
			t.Fatal(err)
		}
		leased := make(map[netip.Addr]string)
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			owner := rapid.SampledFrom([]string{"s", "a", "b", "c", "d", "e", "f", "g"}).Draw(t, "owner")
			if rapid.Bool().Draw(t, "release") {
				for addr, o := range leased {
					if o == owner {
						p.Release(addr, then)
						delete(leased, addr)
						break
					}
				}
				continue
			}
			checkLease(t, p, leased, owner)
		}
		if p.Leased() != len(leased) {
			t.Fatalf("leased %d, want %d", p.Leased(), len(leased))
		}
		for len(leased) < p.Size() {
			checkLease(t, p, leased, "s")
		}
	})
}

func checkLease(t *rapid.T, p *Pool, leased map[netip.Addr]string, owner string) {
	static := netip.MustParseAddr("10.0.1.3")
	room := p.Size() - len(leased)
	if _, taken := leased[static]; !taken && owner != "s" {
		room-- // kept for s
	}
	addr, err := p.Lease(owner, then)
	if (err == nil) != (room > 0) {
		t.Fatalf("%s got %v, %v with room for %d", owner, addr, err, room)
	}
	if err != nil {
		return
	}
	if other, taken := leased[addr]; taken {
		t.Fatalf("%v is %s's and given to %s", addr, other, owner)
	}
	if addr == p.gateway || !p.Contains(addr) || !isHost(p.prefixes, addr) || addr.String() == "10.0.0.9" || addr == static && owner != "s" {
		t.Fatalf("%s got %v", owner, addr)
	}
	leased[addr] = owner
}

// TestTake: another pool leases what its owner has already, and nothing that is not to be
// had.
func TestTake(t *testing.T) {
	p, err := NewPool(PoolConfig{
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/29")},
		Static:   map[string]netip.Addr{"alice": netip.MustParseAddr("10.0.0.6")},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Restore([]Lease{{Owner: "dave", Addr: netip.MustParseAddr("10.0.0.4")}})
	for _, c := range []struct {
		owner, addr string
		want        bool
	}{
		{"bob", "10.0.0.2", true}, {"carol", "10.0.0.2", false}, {"bob", "10.0.0.3", true},
		{"bob", "10.0.0.1", false}, {"bob", "10.0.0.7", false}, {"bob", "10.0.1.2", false}, {"", "10.0.0.5", false},
		{"bob", "10.0.0.6", false}, {"alice", "10.0.0.6", true}, {"alice", "10.0.0.6", false},
		{"carol", "10.0.0.4", true}, // which dave only had before
	} {
		if got := p.Take(c.owner, netip.MustParseAddr(c.addr), then); got != c.want {
			t.Errorf("%s of %q: %v", c.addr, c.owner, got)
		}
	}
	last, err := p.Lease("dave", then)
	if err != nil || last.String() != "10.0.0.5" || p.Leased() != 5 {
		t.Errorf("%v, %v; %d are leased", last, err, p.Leased())
	}
	if _, err := p.Lease("erin", then); err == nil {
		t.Error("an address is leased twice")
	}
	for _, addr := range []string{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"} {
		if !p.Release(netip.MustParseAddr(addr), then) {
			t.Errorf("%s was not leased", addr)
		}
	}
	six, err := NewPrefixPool(PrefixPoolConfig{Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/60")}})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]bool{"2001:db8:0:3::/64": true, "2001:db8::/64": false, "2001:db8:0:2::/63": false, "2001:db8:0:10::/64": false} {
		if got := six.Take("bob", netip.MustParsePrefix(prefix), then); got != want {
			t.Errorf("%s: %v", prefix, got)
		}
	}
}
