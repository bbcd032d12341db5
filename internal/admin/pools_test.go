package admin

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestPools: pools come as they are, and leases whole, page by page, also when the pools
// change meanwhile; and a pool that there is not is no pool.
func TestPools(t *testing.T) {
	vip := Pool{Tenant: "acme", Name: "vip", IPv6: true, Ranges: []netip.Prefix{netip.MustParsePrefix("2001:db8:9::/48")}, Bits: 64, Size: 10, Used: 3, Static: 2, Idle: 1,
		Remembered: 4, Next: netip.MustParsePrefix("2001:db8:9:5::/64")}
	h := &house{pools: PoolList{Pools: []Pool{{Tenant: "acme", Name: "default"}, vip}, Outside: []Outside{{"acme", 2}}}, turn: 4}
	for i := range 7 {
		h.leases = append(h.leases, Lease{Tenant: "acme", Pool: "vip", User: fmt.Sprint(i)})
	}
	state := filepath.Join(t.TempDir(), "state")
	serve(t, state, h)
	c := NewClient(state)
	list, err := c.Pools(t.Context())
	if err != nil || !reflect.DeepEqual(list, h.pools) || list.Pools[1].Percent() != 40 {
		t.Errorf("%+v, %v", list, err)
	}
	leases, err := c.Leases(t.Context(), vip)
	if err != nil || !reflect.DeepEqual(leases, h.leases) || h.turn != 0 {
		t.Errorf("%+v, %v", leases, err)
	}
	if _, err := c.Leases(t.Context(), Pool{Tenant: "acme", Name: "none"}); err == nil {
		t.Error("leases of no pool")
	}
	h.turn = 1 << 40
	if _, err := c.Leases(t.Context(), vip); err == nil {
		t.Error("pages that do not fit")
	}
	if p := (Pool{}); p.Percent() != 0 {
		t.Error(p.Percent())
	}
}

// TestReload: what a reload did, and every word of why it did nothing.
func TestReload(t *testing.T) {
	h := &house{}
	state := filepath.Join(t.TempDir(), "state")
	serve(t, state, h)
	c := NewClient(state)
	for _, now := range []bool{false, true} {
		done, err := c.Reload(t.Context(), now)
		if err != nil || done.Outside[0].Sessions != 3 || done.Changed[0] != "acme" || done.Warnings[0] != "so so" {
			t.Errorf("%+v, %v", done, err)
		}
	}
	if !reflect.DeepEqual(h.reloaded, []bool{false, true}) {
		t.Error(h.reloaded)
	}
	h.refuses = errors.New("line 3: no\n" + strings.Repeat("more of it\n", 1000) + "the end")
	refused := Refused("")
	if _, err := c.Reload(t.Context(), false); !errors.As(err, &refused) || !strings.HasSuffix(err.Error(), "the end") || !strings.Contains(err.Error(), "line 3: no\n") {
		t.Error(err)
	}
}
