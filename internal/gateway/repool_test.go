package gateway

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/admin"
	"github.com/culvert-vpn/culvert/internal/dialer"
)

// pooled is testConfig with other pools, and whatever stands behind them.
func pooled(pool string, rest ...string) string {
	return strings.Replace(testConfig, "pool: [10.100.1.0/24]", "pool: ["+pool+"]\n"+strings.Join(rest, "\n"), 1)
}

func bob(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" }

// applyNow applies a configuration, and ends sessions that are outside.
func (w *world) applyNow(yaml string) Changes {
	w.t.Helper()
	changes, err := w.server.ApplyNow(context.Background(), parsed(w.t, yaml))
	if err != nil {
		w.t.Fatal(err)
	}
	return changes
}

// TestPoolGrowsAndShrinks: whoever has an address keeps it when the tenant's pools grow, and
// when they shrink so that they have it no more, by L2TP and by IKEv2, and loses no packet;
// nobody else is given it. How many have one that they would not be given any more is told;
// when they are to end at once, they are told, and get others when they dial again.
func TestPoolGrowsAndShrinks(t *testing.T) {
	a := newAuthority(t, "a")
	lines, trusts := a.server(vpn), a.trusts(vpn)
	for name, c := range map[string]struct {
		yaml string
		edit func(*dialer.DialConfig)
	}{"L2TP": {testConfig, func(*dialer.DialConfig) {}}, "IKEv2": {eapConfig + lines, trusts}} {
		t.Run(name, func(t *testing.T) {
			const old = "pool: [10.100.1.0/24]"
			if !strings.Contains(c.yaml, old) {
				t.Fatal("no pool")
			}
			small := strings.Replace(c.yaml, old, "pool: [10.100.1.0/30]", 1) // one client
			grown := strings.Replace(c.yaml, old, "pool: [10.100.1.0/30, 10.100.9.0/24]", 1)
			inWorld(t, goodRoad, small, func(t *testing.T, w *world) {
				first, second := w.client(nil), w.client(nil)
				conn := first.mustDial(c.edit)
				stop := first.stream(conn)
				second.wantRefused(c.edit)
				if got, want := w.apply(grown), (Changes{Changed: []string{"acme"}}); !reflect.DeepEqual(got, want) {
					t.Errorf("%+v, want %+v", got, want)
				}
				other := second.mustDial(c.edit)
				if got := other.Local.String(); got != "10.100.9.1" && got != "10.100.9.2" {
					t.Errorf("an address of a pool that has grown: %s", got)
				}
				second.wantPing(other, "198.18.0.2")
				device, outside := w.nets["acme"], []admin.Outside{{Tenant: "acme", Sessions: 1}}
				stopOther := second.stream(other)
				if got := w.apply(small); !reflect.DeepEqual(got.Outside, outside) {
					t.Errorf("%+v, want %+v", got.Outside, outside)
				}
				w.wantLog("sessions-outside", "tenant", "acme")
				w.wantLog("sessions-outside", "sessions", "1")
				w.client(nil).wantRefused(c.edit)
				w.apply(grown) // and what it has is its own still
				third := w.client(nil).mustDial(c.edit)
				if third.Local == other.Local {
					t.Errorf("%s is given to two", third.Local)
				}
				third.Close(t.Context())
				<-third.Done()
				w.apply(small)
				if lost, sent := stopOther(); lost > 0 {
					t.Errorf("who is outside lost %d of %d packets", lost, sent)
				}
				began := time.Now()
				if got := w.applyNow(small); !reflect.DeepEqual(got.Outside, outside) {
					t.Errorf("%+v, want %+v", got.Outside, outside)
				}
				<-other.Done()
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("the client learned of it after %v", took)
				}
				w.wantLog("session-down", "reason", whyPool)
				second.wantRefused(c.edit)
				if device != w.nets["acme"] {
					t.Error("the device was opened anew")
				}
				if lost, sent := stop(); lost > 0 {
					t.Errorf("who kept his address lost %d of %d packets", lost, sent)
				}
			})
		})
	}
}

// TestPoolRemembers: who had which address is known to a pool that has changed.
func TestPoolRemembers(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c, other := w.client(nil), w.client(nil)
		first := c.mustDial()
		second := other.mustDial(bob)
		addr := second.Local
		second.Close(t.Context())
		<-second.Done()
		w.apply(pooled("10.100.1.0/28, 10.100.4.0/24"))
		c.wantPing(first, "198.18.0.2")
		if got := other.mustDial(bob).Local; got != addr {
			t.Errorf("%s, and had %s", got, addr)
		}
	})
}

// TestAddressOfAnother: an address that is made a user's own is taken from whoever else has
// it, and he is told; the user himself keeps what he has until he dials again.
func TestAddressOfAnother(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		alice, bobs := w.client(nil), w.client(nil)
		first, second := alice.mustDial(), bobs.mustDial(bob)
		own := fmt.Sprintf("    leases: {alice: %s}", second.Local)
		w.apply(pooled("10.100.1.0/24", own))
		<-second.Done()
		w.wantLog("session-down", "reason", whyOwner)
		alice.wantPing(first, "198.18.0.2")
		if got := w.client(nil).mustDial().Local; got != second.Local {
			t.Errorf("alice has %s, and %s is hers", got, second.Local)
		}
		if got := w.client(nil).mustDial(bob).Local; got == second.Local {
			t.Errorf("bob has the address of alice, %s", got)
		}
		alice.wantPing(first, "198.18.0.2")
		w.apply(testConfig) // what was hers may be anybody's, and she keeps it while she is there
		alice.wantPing(first, "198.18.0.2")
	})
}

// TestGatewayIsAnother: clients that were told a gateway that is none any more are told.
func TestGatewayIsAnother(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c := w.client(nil)
		conn := c.mustDial()
		w.apply(pooled("10.100.0.0/23"))
		<-conn.Done()
		w.wantLog("session-down", "reason", whyPool)
		again := c.mustDial()
		c.wantPing(again, "198.18.0.2")
		if got := again.Local.String(); got != conn.Local.String() {
			t.Errorf("%s, and had %s, which is of the pool still", got, conn.Local)
		}
		w.apply(testConfig)
		<-again.Done()
		time.Sleep(3 * time.Minute)
		w.wantEmpty()
	})
}

// TestPrefixesChange: IPv6 that a tenant gets, clients get who dial from then on; who has a
// prefix of a range that is gone keeps it, and where the tenant has no IPv6 any more, he is
// told.
func TestPrefixesChange(t *testing.T) {
	inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
		c, six := w.client(nil), w.client(nil)
		stop := c.stream(c.mustDial())
		w.apply(pooled("10.100.1.0/24, 2001:db8:1::/48"))
		conn := six.mustDial(withIPv6, bob)
		time.Sleep(time.Second)
		if _, prefix := w.ours(six.local); !prefix.IsValid() {
			t.Fatal("no prefix")
		}
		w.apply(pooled("10.100.1.0/24, 2001:db8:1::/48, 2001:db8:5::/48"))
		six.wantPing(conn, "198.18.0.2")
		if _, prefix := w.ours(six.local); !prefix.IsValid() {
			t.Error("the prefix is gone")
		}
		w.apply(pooled("10.100.1.0/24, 2001:db8:1::/60"))
		w.apply(pooled("10.100.1.0/24, 2001:db8:1::/48"))
		w.apply(testConfig)
		<-conn.Done()
		if lost, sent := stop(); lost > 0 {
			t.Errorf("who has no IPv6 lost %d of %d packets", lost, sent)
		}
	})
}
