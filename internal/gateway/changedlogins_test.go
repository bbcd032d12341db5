package gateway

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/store"
)

// vanishing is a user of a state store who is removed as soon as his password was compared.
type vanishing struct{ asked *atomic.Int32 }

func (u vanishing) User(_, name string) (store.User, error) {
	if u.asked.Add(1) > 1 {
		return store.User{}, store.ErrNotFound
	}
	return store.User{Name: name, Hash: store.HashPassword("right")}, nil
}

// TestUserRemovedMeanwhile: whoever has proved his password, and is removed before he asks
// what he gets, which he may put off, gets nothing.
func TestUserRemovedMeanwhile(t *testing.T) {
	a := newAuthority(t, "a")
	yaml := promisesConfig + a.server(vpn)
	for name, way := range map[string]func(*dialer.DialConfig){"IKEv2": a.trusts(vpn), "XAUTH": byXAUTH} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
				w.within(w.server.server.engine, func(time.Time) { w.server.logins.authority = access.NewLocal(vanishing{new(atomic.Int32)}) })
				w.client(nil).wantRefused(way, func(d *dialer.DialConfig) { d.User, d.Password = "carol", "right" })
				w.wantLog("login-refused", "cause", access.UnknownUser.String())
			})
		})
	}
}

// TestConfigurationChangesWhileALoginWaits: one that the throttle has wait is judged by the
// users that there are when it is looked at.
func TestConfigurationChangesWhileALoginWaits(t *testing.T) {
	yaml := strings.Replace(testConfig, "    pool:", "    limits: {login_failures: 1}\n    pool:", 1)
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		c := w.client(nil)
		for range 2 {
			c.wantRefused(func(d *dialer.DialConfig) { d.Password = "wrong" })
		}
		result := make(chan error, 1)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		go func() {
			_, err := c.dial(ctx)
			result <- err
		}()
		w.wantHeldUp(1)
		w.apply(strings.Replace(yaml, "{name: alice, password: alicepw}, ", "", 1))
		if <-result == nil {
			t.Error("who was removed while he waited is in")
		}
		w.wantLog("login-refused", "cause", access.UnknownUser.String())
	})
}

// TestWhoLeavesWaitsNoMore: a login that the throttle has wait takes no place among those that
// may, once its client has left.
func TestWhoLeavesWaitsNoMore(t *testing.T) {
	yaml := strings.Replace(testConfig, "    pool:", "    limits: {login_failures: 1}\n    pool:", 1)
	inWorld(t, goodRoad, yaml, func(t *testing.T, w *world) {
		c := w.client(nil)
		for range 3 {
			c.wantRefused(func(d *dialer.DialConfig) { d.Password = "wrong" })
		}
		ended := make(chan error, 1)
		ctx, leave := context.WithCancel(context.Background())
		go func() {
			_, err := c.dial(ctx)
			ended <- err
		}()
		w.wantHeldUp(1)
		leave()
		<-ended
		time.Sleep(100 * time.Millisecond)
		w.within(w.server.server.engine, func(time.Time) {
			if g := w.server; g.logins.heldUp != 0 || g.logins.held.Len() != 0 {
				t.Errorf("%d logins wait whose clients have left, %d by their number", g.logins.held.Len(), g.logins.heldUp)
			}
		})
	})
}

// wantHeldUp waits until the throttle has so many logins wait.
func (w *world) wantHeldUp(want int) {
	w.t.Helper()
	got := -1
	for range 1000 {
		w.within(w.server.server.engine, func(time.Time) { got = w.server.logins.held.Len() })
		if got == want {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.t.Fatalf("%d logins wait, want %d", got, want)
}
