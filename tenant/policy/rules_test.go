package policy

import (
	"net/netip"
	"testing"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// packet is an IP packet without a payload.
func packet(t testing.TB, from, to string) *ipkt.Packet {
	t.Helper()
	src, dst := netip.MustParseAddr(from), netip.MustParseAddr(to)
	b := make([]byte, 40)
	if src.Is4() {
		b = b[:20]
		b[0], b[3], b[8], b[9] = 0x45, 20, 64, 17
		copy(b[12:], src.AsSlice())
		copy(b[16:], dst.AsSlice())
		ipkt.SetHeaderChecksum(b)
	} else {
		b[0], b[6], b[7] = 0x60, 59, 64
		copy(b[8:], src.AsSlice())
		copy(b[24:], dst.AsSlice())
	}
	ip, err := ipkt.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return &ip
}

// world is a tenant with a client that has 10.1.0.7 and 2001:db8:1:7::/64.
func world(t testing.TB, open bool) (*Rules, *Subject) {
	t.Helper()
	closed, err := NewReach(prefixes("10.2.0.0/16", "2001:db8:2::/48"), prefixes("10.2.3.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	who := new(Subject)
	who.SetAddress(netip.MustParseAddr("10.1.0.7"))
	who.SetPrefix(&prefixes("2001:db8:1:7::/64")[0])
	return New(Config{
		Clients:  prefixes("10.1.0.0/16", "10.9.0.0/24", "2001:db8:1::/48"),
		Gateways: []netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("2001:db8:1::1")}, ClientToClient: open, Closed: closed,
	}), who
}

// TestJudge: both directions, both families, clients closed to each other and open.
func TestJudge(t *testing.T) {
	const me, me6, friend, friend6 = "10.1.0.7", "2001:db8:1:7::9", "10.9.0.8", "2001:db8:1:8::1"
	for name, c := range map[string]struct {
		dir          Direction
		from, to     string
		closed, open Verdict
	}{
		"the internet":             {Up, me, "192.0.2.1", Network, Network},
		"the internet 6":           {Up, me6, "2001:db8:ffff::1", Network, Network},
		"another's source":         {Up, friend, "192.0.2.1", Source, Source},
		"another's source 6":       {Up, friend6, "2001:db8:ffff::1", Source, Source},
		"of the link":              {Up, "fe80::1", "2001:db8:ffff::1", Network, Network},
		"without an address yet":   {Up, "::", "2001:db8:ffff::1", Network, Network},
		"the gateway":              {Up, me, "10.1.0.1", Network, Network},
		"the gateway 6":            {Up, me6, "2001:db8:1::1", Network, Network},
		"a friend":                 {Up, me, friend, Neighbour, Client},
		"a friend 6":               {Up, me6, friend6, Neighbour, Client},
		"another tenant":           {Up, me, "10.2.0.1", Denied, Denied},
		"another tenant 6":         {Up, me6, "2001:db8:2::1", Denied, Denied},
		"of it, what is opened":    {Up, me, "10.2.3.4", Network, Network},
		"from the internet":        {Down, "192.0.2.1", me, Deliver, Deliver},
		"from the internet 6":      {Down, "2001:db8:ffff::1", me6, Deliver, Deliver},
		"from the gateway":         {Down, "10.1.0.1", me, Deliver, Deliver},
		"from the gateway 6":       {Down, "2001:db8:1::1", me6, Deliver, Deliver},
		"brought back by a kernel": {Down, friend, me, Neighbour, Deliver},
		"brought back 6":           {Down, friend6, me6, Neighbour, Deliver},
	} {
		for open, want := range map[bool]Verdict{false: c.closed, true: c.open} {
			rules, who := world(t, open)
			if got := rules.Judge(c.dir, who, packet(t, c.from, c.to)); got != want {
				t.Errorf("%s, open %v: %d, want %d", name, open, got, want)
			}
		}
	}
}

// TestSubjects: who has no address of a family sends nothing of it, and a client's own
// end takes every source.
func TestSubjects(t *testing.T) {
	rules := New(Config{})
	var who Subject
	v4, v6 := packet(t, "0.0.0.0", "192.0.2.1"), packet(t, "fe80::1", "2001:db8::1")
	if rules.Judge(Up, &who, v4) != Source || rules.Judge(Up, &who, v6) != Source || who.Has4() || who.Has6() {
		t.Error("somebody without an address sends")
	}
	who.SetAddress(netip.MustParseAddr("10.0.0.1"))
	who.SetAddress(netip.Addr{})
	if rules.Judge(Up, &who, packet(t, "10.0.0.1", "192.0.2.1")) != Source {
		t.Error("the address that was taken away is still its own")
	}
	var own Subject
	own.Anybody(true)
	if rules.Judge(Up, &own, v4) != Network || !own.Has4() || !own.Has6() {
		t.Error("a client's own end does not take every source")
	}
	if rules.Judge(Down, nil, v4) != Deliver {
		t.Error("rules without clients close")
	}
}

func TestJudgeDoesNotAllocate(t *testing.T) {
	rules, who := world(t, true)
	for _, ip := range []*ipkt.Packet{packet(t, "10.1.0.7", "10.2.0.1"), packet(t, "2001:db8:1:7::9", "64:ff9b::10.2.0.1")} {
		if n := testing.AllocsPerRun(100, func() { rules.Judge(Up, who, ip); rules.Judge(Down, who, ip) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}
