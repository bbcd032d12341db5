package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/store"
)

// leftConfig has a tenant whose users log in by whatever there is, with few addresses and few
// sessions a user, and another one with the same key.
var leftConfig = strings.NewReplacer(
	"auth: {", "auth: {allow: [pap, chap, mschapv2, eap-mschapv2, eap-tls, xauth, ikev2-psk, certificate], ",
	"10.100.1.0/24", "10.100.1.0/27",
).Replace(testConfig)

// lazyUsers are those of a state store that takes its time.
type lazyUsers struct{}

func (u lazyUsers) User(_, name string) (store.User, error) {
	time.Sleep(time.Duration(len(name)%4) * 400 * time.Millisecond)
	if strings.HasPrefix(name, "kept") {
		return store.User{Name: name, Hash: store.HashPassword("right")}, nil
	}
	return store.User{}, store.ErrNotFound
}

// leftLogins is how many there are: CULVERT_LEFT_LOGINS, or some.
func leftLogins(t *testing.T) int {
	s := os.Getenv("CULVERT_LEFT_LOGINS")
	if s == "" {
		return 240
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestLoginsThatAreLeft: clients log in by every way, right and wrong, and vanish or hang up
// at any point of it, while others of them wait for a slow store or for the throttle: nothing
// of them is left, neither logins nor what is counted for them, addresses, sessions,
// goroutines or memory.
func TestLoginsThatAreLeft(t *testing.T) {
	a, lines := newRSAAuthority(t)
	server := lines[strings.Index(lines, "    certificate:"):]
	roads := a.roads()
	goroutines, heap := 0, 0
	inWorld(t, goodRoad, leftConfig+server+"    limits: {sessions_per_user: 3, login_failures: 3}\n", func(t *testing.T, w *world) {
		w.within(w.server.server.engine, func(time.Time) { w.server.logins.authority = access.NewLocal(lazyUsers{}) })
		seed := uint64(time.Now().UnixNano()) + uint64(os.Getpid())
		random := rand.New(rand.NewPCG(seed, 2))
		var mu sync.Mutex
		muted := make(map[netip.Addr]bool)
		w.net.Tap(func(from, _ netip.AddrPort, _ []byte) bool {
			mu.Lock()
			defer mu.Unlock()
			return !muted[from.Addr()]
		})
		in := 0
		for begun, rounds := 0, leftLogins(t); begun < rounds; begun += 24 {
			var all sync.WaitGroup
			for range 24 {
				c, r, cut, how := w.client(nil), roads[random.IntN(len(roads))], time.Duration(random.IntN(6000))*time.Millisecond, random.IntN(3)
				user := []string{"alice", "kept", "kept1", "kept22", "nobody"}[random.IntN(5)]
				password := []string{"right", "alicepw", "wrong"}[random.IntN(3)]
				if !r.password {
					user = "alice"
				}
				all.Go(func() {
					ended := make(chan bool, 1)
					go func() {
						_, err := r.dial(c, user, password)
						ended <- err == nil
					}()
					time.Sleep(cut)
					if how > 0 {
						mu.Lock()
						muted[c.local] = true
						mu.Unlock()
					}
					if how < 2 {
						c.close()
					}
					if <-ended {
						mu.Lock()
						in++
						mu.Unlock()
					}
					if how == 2 {
						c.close()
					}
				})
			}
			all.Wait()
			w.clients = nil
			w.log.TakeAll()
			time.Sleep(15 * time.Minute) // until the dead are known to be
			w.wantNothingAsked(seed)
			w.wantEmpty()
			if t.Failed() {
				return
			}
			if runtime.GC(); begun == 0 {
				goroutines, heap = runtime.NumGoroutine(), heapInUse()
			}
		}
		t.Logf("seed %d: %d got in; %d goroutines after the first, %d now; heap grown by %d KB", seed, in, goroutines, runtime.NumGoroutine(), (heapInUse()-heap)>>10)
		if in == 0 {
			t.Error("nobody got in")
		}
		if n := runtime.NumGoroutine(); n > goroutines+8 {
			t.Errorf("%d goroutines, there were %d", n, goroutines)
		}
		if grown := heapInUse() - heap; grown > 8<<20 {
			t.Errorf("%d MB are kept", grown>>20)
		}
	})
}

// wantNothingAsked fails the test if a login waits for anything, or is counted as one that
// does.
func (w *world) wantNothingAsked(seed uint64) {
	w.t.Helper()
	g := w.server
	err := g.server.engine.Work.Do(context.Background(), func(time.Time) {
		left := fmt.Sprint(len(g.logins.attempts), g.logins.held.Len(), g.logins.heldUp, inside(g.logins.throttle, "asking"), inside(g.logins.authority, "asked"))
		if left != "0 0 0 0 0" {
			w.t.Errorf("seed %d: left of logins, of those that wait, their number, those looked at, and asked about: %s", seed, left)
		}
		for _, t := range g.server.tenants {
			if n := len(t.sessions) + len(t.users); n != 0 {
				w.t.Errorf("seed %d: %d sessions and users of %s", seed, n, t.Name)
			}
		}
	})
	if err != nil {
		w.t.Error(err)
	}
	if n := g.server.engine.Figures().Waiting; n.InLine+n.AtWork != 0 {
		w.t.Errorf("seed %d: %d jobs in line, %d at work", seed, n.InLine, n.AtWork)
	}
}

// inside is how many things a map inside of something has.
func inside(of any, field string) int { return reflect.ValueOf(of).Elem().FieldByName(field).Len() }

// TestServersWordsAreLost: whichever word of the server is the last that a client hears before
// it gives up, and says so as far as it can: both sides are rid of the login soon, in whichever
// state that was.
func TestServersWordsAreLost(t *testing.T) {
	a, lines := newRSAAuthority(t)
	server := lines[strings.Index(lines, "    certificate:"):]
	for _, r := range a.roads() {
		t.Run(r.name, func(t *testing.T) {
			inWorld(t, goodRoad, leftConfig+server, func(t *testing.T, w *world) {
				for last := range 18 {
					c := w.client(nil)
					var mu sync.Mutex
					heard := 0
					w.net.Tap(func(_, to netip.AddrPort, _ []byte) bool {
						mu.Lock()
						defer mu.Unlock()
						if to.Addr() == c.local {
							heard++
						}
						return to.Addr() != c.local || heard <= last
					})
					go r.dial(c, "alice", "alicepw")
					time.Sleep(3 * time.Second)
					c.close()
				}
				w.clients = nil
				time.Sleep(5 * time.Minute)
				w.wantNothingAsked(0)
				w.wantEmpty()
			})
		})
	}
}
