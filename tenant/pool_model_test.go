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

// modelPool is a Pool that looks through all it has for each answer.
type modelPool struct {
	hosts    []netip.Addr // in the order in which they are given
	reserved netip.Addr
	remember int
	static   map[string]netip.Addr
	leased   map[netip.Addr]Lease
	free     []Lease // the longest free first
	known    map[netip.Addr]bool
}

func newModelPool(cfg PoolConfig) *modelPool {
	m := &modelPool{remember: cfg.Remember, static: map[string]netip.Addr{}, leased: map[netip.Addr]Lease{}, known: map[netip.Addr]bool{}}
	for _, p := range cfg.Prefixes {
		for a := p.Addr(); p.Contains(a); a = a.Next() {
			if isHost(cfg.Prefixes, a) {
				m.hosts = append(m.hosts, a)
			}
		}
	}
	if !cfg.NoGateway {
		m.reserved = m.hosts[0]
		m.known[m.reserved] = true
	}
	return m
}

func (m *modelPool) size() int {
	if m.reserved.IsValid() {
		return len(m.hosts) - 1
	}
	return len(m.hosts)
}

func (m *modelPool) ownerOf(a netip.Addr) string {
	for owner, s := range m.static {
		if s == a {
			return owner
		}
	}
	return ""
}

func (m *modelPool) unfree(a netip.Addr) {
	m.free = slices.DeleteFunc(m.free, func(l Lease) bool { return l.Addr == a })
}

// next is what owner is to get.
func (m *modelPool) next(owner string) netip.Addr {
	if a, ok := m.static[owner]; ok && m.leased[a] == (Lease{}) {
		return a
	}
	for _, l := range slices.Backward(m.free) {
		if l.Owner == owner {
			return l.Addr
		}
	}
	return m.nextFree()
}

func (m *modelPool) nextFree() netip.Addr {
	if len(m.free) < m.remember {
		for _, a := range m.hosts {
			if !m.known[a] {
				return a
			}
		}
	}
	if len(m.free) > 0 {
		return m.free[0].Addr
	}
	return netip.Addr{}
}

func (m *modelPool) lease(owner string, a netip.Addr, now time.Time) {
	m.unfree(a)
	m.known[a] = true
	m.leased[a] = Lease{owner, a, now}
}

func (m *modelPool) release(a netip.Addr, now time.Time) {
	l := m.leased[a]
	delete(m.leased, a)
	if m.ownerOf(a) == "" {
		m.free = append(m.free, Lease{l.Owner, a, now})
	}
}

// setStatic reports whether owner can have a, which is invalid for none.
func (m *modelPool) setStatic(owner string, a netip.Addr, now time.Time) bool {
	had, has := m.static[owner]
	if has && had == a {
		return true
	}
	if a.IsValid() {
		l := m.leased[a]
		if !slices.Contains(m.hosts, a) || a == m.reserved || m.ownerOf(a) != "" || l.Owner != "" && l.Owner != owner {
			return false
		}
		m.unfree(a)
		m.known[a] = true
	}
	if has {
		delete(m.static, owner)
		if m.leased[had] == (Lease{}) {
			m.free = append(m.free, Lease{Owner: owner, Addr: had})
		}
	}
	if a.IsValid() {
		m.static[owner] = a
	}
	return true
}

// idle is how many static addresses are not leased.
func (m *modelPool) idle() (n int) {
	for _, a := range m.static {
		if m.leased[a] == (Lease{}) {
			n++
		}
	}
	return n
}

// become takes what another pool had. It returns what that leased and this one cannot.
func (m *modelPool) become(was *modelPool) (outside []netip.Addr) {
	for a, l := range was.leased {
		owner := m.ownerOf(a)
		if !slices.Contains(m.hosts, a) || a == m.reserved || owner != "" && owner != l.Owner {
			outside = append(outside, a)
			continue
		}
		m.lease(l.Owner, a, l.Since)
	}
	var keep []Lease
	for _, l := range was.free {
		if slices.Contains(m.hosts, l.Addr) && !m.known[l.Addr] {
			keep = append(keep, l)
		}
	}
	for _, l := range keep[max(0, len(keep)-m.remember):] {
		m.known[l.Addr] = true
		m.free = append(m.free, l)
	}
	return outside
}

// TestPoolIsAsAModelSays: whatever owners come and go, get addresses of their own or lose
// them, and however the ranges grow and shrink under what is leased, a pool does what one does
// that is simple enough to be right.
func TestPoolIsAsAModelSays(t *testing.T) {
	ranges := [][]string{{"10.0.0.0/28"}, {"10.0.0.0/29"}, {"10.0.0.0/28", "10.0.1.0/29"}, {"10.0.1.0/30", "10.0.0.0/29"}, {"10.0.0.8/29"}}
	rapid.Check(t, func(t *rapid.T) {
		config := func() PoolConfig {
			return PoolConfig{
				Prefixes: prefixes(rapid.SampledFrom(ranges).Draw(t, "ranges")...), NoGateway: rapid.Bool().Draw(t, "no gateway"),
				Remember: rapid.IntRange(1, 20).Draw(t, "remember"),
			}
		}
		now := then
		first := config()
		p, err := NewPool(first)
		if err != nil {
			t.Fatal(err)
		}
		m := newModelPool(first)
		owners := []string{"a", "b", "c", "d", "e"}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			now = now.Add(time.Second)
			owner := rapid.SampledFrom(owners).Draw(t, "owner")
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1, 2, 3:
				want := m.next(owner)
				got, err := p.Lease(owner, now)
				if got != want || (err == nil) != want.IsValid() {
					t.Fatalf("%s gets %v, %v, and is to get %v", owner, got, err, want)
				}
				if want.IsValid() {
					m.lease(owner, want, now)
				}
			case 4, 5, 6:
				for _, a := range m.hosts {
					if m.leased[a].Owner == owner {
						m.release(a, now)
						if !p.Release(a, now) || p.Release(a, now) {
							t.Fatalf("%v is not released once", a)
						}
						break
					}
				}
			case 7:
				a := netip.AddrFrom4([4]byte{10, 0, byte(rapid.IntRange(0, 1).Draw(t, "range")), byte(rapid.IntRange(0, 16).Draw(t, "host"))})
				if rapid.IntRange(0, 3).Draw(t, "none") == 0 {
					a = netip.Addr{}
				}
				taken := m.leased[a].Owner != "" && m.leased[a].Owner != owner && m.ownerOf(a) == ""
				err := p.SetStatic(owner, a, now)
				if want := m.setStatic(owner, a, now); (err == nil) != want || err != nil && errors.Is(err, ErrTaken) != taken {
					t.Fatalf("%v is %s's alone: %v, want %v", a, owner, err, want)
				}
			case 8, 9:
				next := config()
				q, err := NewPool(next)
				if err != nil {
					t.Fatal(err)
				}
				n := newModelPool(next)
				for _, owner := range owners {
					if a, ok := m.static[owner]; ok {
						if err := q.SetStatic(owner, a, now); (err == nil) != n.setStatic(owner, a, now) {
							t.Fatal(err)
						}
					}
				}
				outside := n.become(m)
				for _, a := range m.hosts {
					if l := m.leased[a]; l.Owner != "" && q.Take(l.Owner, a, l.Since) == slices.Contains(outside, a) {
						t.Fatalf("%v of %s is taken over, or is not, against the model", a, l.Owner)
					}
				}
				q.Restore(p.Leases())
				p, m = q, n
			}
			same(t, p, m)
		}
	})
}

// same compares all that a pool says with a model.
func same(t *rapid.T, p *Pool, m *modelPool) {
	if p.Leased() != len(m.leased) || p.Remembered() != len(m.free) || p.Static() != len(m.static) || p.Idle() != m.idle() || p.Size() != m.size() {
		t.Fatalf("leased %d, remembered %d, static %d, idle %d, size %d; the model has %d, %d, %d, %d, %d", p.Leased(), p.Remembered(), p.Static(), p.Idle(), p.Size(),
			len(m.leased), len(m.free), len(m.static), m.idle(), m.size())
	}
	if next, ok := p.NextFree(); next != m.nextFree() || ok != next.IsValid() {
		t.Fatalf("next free is %v, and the model says %v", next, m.nextFree())
	}
	seen := map[netip.Addr]Held{}
	for from := 0; ; {
		list, next := p.Held(from, 3)
		for _, h := range list {
			if _, twice := seen[h.Addr]; twice || next > 0 && next <= from {
				t.Fatalf("%v is listed twice", h)
			}
			seen[h.Addr] = h
		}
		if from = next; from == 0 {
			break
		}
	}
	want := map[netip.Addr]string{}
	for _, l := range m.free {
		want[l.Addr] = fmt.Sprint(l.Owner, false, false)
	}
	for owner, a := range m.static {
		want[a] = fmt.Sprint(owner, false, true)
	}
	for a, l := range m.leased {
		want[a] = fmt.Sprint(l.Owner, true, m.ownerOf(a) != "")
		if !seen[a].Since.Equal(l.Since) {
			t.Fatalf("%v is leased since %v, not %v", a, seen[a].Since, l.Since)
		}
	}
	for a, h := range seen {
		if got := fmt.Sprint(h.Owner, h.Leased, h.Static); got != want[a] {
			t.Fatalf("%v: %s, and the model says %q", a, got, want[a])
		}
	}
	if len(seen) != len(want) {
		t.Fatalf("%d addresses are known, and %d to the model", len(seen), len(want))
	}
}

// TestStaticPrefixes: a prefix that is somebody's alone is given to him, also after a change of
// the ranges, and to nobody else; one that is none of the pool is refused.
func TestStaticPrefixes(t *testing.T) {
	ann, other := netip.MustParsePrefix("2001:db8:1:200::/56"), netip.MustParsePrefix("2001:db8:1:300::/56")
	p, err := NewPrefixPool(PrefixPoolConfig{Prefixes: prefixes("2001:db8:1::/52"), Bits: 56, Static: map[string]netip.Prefix{"ann": ann}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range p.Size() - 1 {
		got, err := p.Lease(fmt.Sprint("other", i), then)
		if err != nil || got == ann {
			t.Fatalf("lease %d: %v, %v", i, got, err)
		}
	}
	if _, err := p.Lease("bob", then); !errors.Is(err, ErrExhausted) {
		t.Errorf("what is kept is given away: %v", err)
	}
	if got, err := p.Lease("ann", then); got != ann || err != nil {
		t.Errorf("ann has %v, %v", got, err)
	}
	if err := p.SetStatic("bob", other, then); !errors.Is(err, ErrTaken) {
		t.Errorf("what another has: %v", err)
	}
	for _, bad := range []string{"2001:db8:1::/56", "2001:db8:1:200::/64", "2001:db8:2:200::/56", "2001:db8:1:200::/55"} {
		if _, err := NewPrefixPool(PrefixPoolConfig{Prefixes: prefixes("2001:db8:1::/52"), Bits: 56, Static: map[string]netip.Prefix{"ann": netip.MustParsePrefix(bad)}}); !errors.Is(err, ErrStatic) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestRestoreKeepsTheLatest: of more than a pool remembers those are kept that were there last.
func TestRestoreKeepsTheLatest(t *testing.T) {
	p := newPool(t, PoolConfig{Prefixes: prefixes("10.0.0.0/24"), Remember: 3})
	var all []Lease
	for i := range 9 {
		all = append(all, Lease{Owner: fmt.Sprint(i), Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + i)})})
	}
	if n := p.Restore(all); n != 3 {
		t.Errorf("restored %d", n)
	}
	for i := 6; i < 9; i++ {
		if got, err := p.Lease(fmt.Sprint(i), then); got != all[i].Addr || err != nil {
			t.Errorf("%d had %v and gets %v, %v", i, all[i].Addr, got, err)
		}
	}
}
