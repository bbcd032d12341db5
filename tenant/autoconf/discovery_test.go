package autoconf

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/ndp"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// TestOthersReadAdvertisements: a reader of another's finds in a router advertisement what
// the tenant is to tell, for every kind of route and whatever the link carries.
func TestOthersReadAdvertisements(t *testing.T) {
	routes := prefixes("2001:db8:2::/48", "2001:db8:3::/64", "2001:db8:4::/72", "2001:db8:5::1/128")
	r := wantResponder(t, func(c *Config) { c.Routes = routes })
	want := &ndp.RouterAdvertisement{CurrentHopLimit: 64, OtherConfiguration: true, Options: []ndp.Option{
		ndp.NewMTU(1400),
		&ndp.PrefixInformation{PrefixLength: 64, OnLink: true, AutonomousAddressConfiguration: true, ValidLifetime: 24 * time.Hour, PreferredLifetime: 4 * time.Hour, Prefix: client().Prefix.Addr()},
		&ndp.RecursiveDNSServer{Lifetime: routerLifetime, Servers: addrs("2001:db8:1::1")},
		&ndp.DNSSearchList{Lifetime: routerLifetime, DomainNames: []string{"acme.example", "lab.acme.example"}},
	}}
	for _, p := range append(slices.Clone(routes), netip.MustParsePrefix("2001:db8:1::/48")) {
		want.Options = append(want.Options, &ndp.RouteInformation{PrefixLength: uint8(p.Bits()), RouteLifetime: routerLifetime, Prefix: p.Addr()})
	}
	got := readByOthers(t, wantAnswer(t, r, client(), solicitation(hostLocal)))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read  %+v\nwanted %+v", got, want)
	}
}

// TestOthersReadNeighbours: and that our address is ours.
func TestOthersReadNeighbours(t *testing.T) {
	router := client().Router
	for from, solicited := range map[netip.Addr]bool{hostLocal: true, unspecified: false} {
		got := readByOthers(t, wantAnswer(t, wantResponder(t, nil), client(), neighbourQuestion(from, netip.MustParseAddr("ff02::1:ff03:4"), router)))
		if want := (&ndp.NeighborAdvertisement{Router: true, Solicited: solicited, Override: true, TargetAddress: router}); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %+v", from, got)
		}
	}
}

func readByOthers(t *testing.T, p ipkt.Packet) ndp.Message {
	t.Helper()
	m, err := ndp.ParseMessage(p.Payload())
	if err != nil {
		t.Fatalf("%x: %v", p.Payload(), err)
	}
	return m
}
