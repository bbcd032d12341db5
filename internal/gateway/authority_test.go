package gateway

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/dialer"
	"github.com/culvert-vpn/culvert/internal/store"
)

// faulty is an authority with a fault of the program in one of its verbs, which it meets by
// a user called mallory, or, where the verb names none, while it is asked about him.
type faulty struct {
	access.Authority
	verb string
	on   map[uint64]bool
	due  time.Time
}

func (f *faulty) meets(verb string, here bool) {
	if verb == f.verb && here {
		panic("poison")
	}
}

func (f *faulty) Ask(now time.Time, id uint64, who access.Who, p access.Proof) {
	mallory := who.User == "mallory"
	f.meets("Ask", mallory)
	if f.on[id] = mallory; mallory {
		f.due = now.Add(time.Second)
	}
	if !mallory || f.verb == "Next" || f.verb == "Worked" {
		f.Authority.Ask(now, id, who, p)
	}
}

func (f *faulty) Worked(now time.Time, id uint64, j access.Judgement) {
	f.meets("Worked", f.on[id])
	f.Authority.Worked(now, id, j)
}

func (f *faulty) Next() (access.Event, bool) {
	e, ok := f.Authority.Next()
	if w, work := e.(access.Work); work {
		f.meets("Next", f.on[w.ID])
	}
	return e, ok
}

func (f *faulty) Deadline() time.Time {
	f.meets("Deadline", !f.due.IsZero())
	return f.due
}

func (f *faulty) Advance(time.Time) { f.meets("Advance", true) }

// TestAPanicOfAnAuthority: in whichever of its verbs, it costs the login that meets it, which
// is refused with a cause and counted, and told once; who is in notices nothing, and the next
// one gets in.
func TestAPanicOfAnAuthority(t *testing.T) {
	for _, verb := range []string{"Ask", "Worked", "Next", "Deadline", "Advance"} {
		t.Run(verb, func(t *testing.T) {
			inWorld(t, goodRoad, testConfig, func(t *testing.T, w *world) {
				w.within(w.server.server.engine, func(time.Time) {
					w.server.logins.authority = &faulty{Authority: w.server.logins.authority, verb: verb, on: make(map[uint64]bool)}
				})
				c := w.client(nil)
				conn := c.mustDial()
				w.client(nil).wantRefused(func(d *dialer.DialConfig) { d.User = "mallory" })
				w.wantRefusal(access.Fault.String(), "")
				if n, told := w.server.server.faults.Count(), w.log.FilterMessage("fault").Len(); n != 1 || told != 1 {
					t.Errorf("%d panics, told %d times", n, told)
				}
				w.within(w.server.server.engine, func(time.Time) {
					if n := len(w.server.logins.attempts); n != 0 {
						t.Errorf("%d logins wait for ever", n)
					}
					w.server.logins.authority.(*faulty).due = time.Time{}
				})
				c.wantPing(conn, "198.18.0.2")
				other := w.client(nil)
				other.wantPing(other.mustDial(func(d *dialer.DialConfig) { d.User, d.Password = "bob", "bobpw" }), "198.18.0.2")
			})
		})
	}
}

// remote is an authority that is elsewhere: it takes its time, and where the client has left it
// gives up at once.
type remote struct {
	takes time.Duration
	at    map[uint64]time.Time
	queue []access.Event
}

func (f *remote) Ask(now time.Time, id uint64, _ access.Who, p access.Proof) {
	p.Zero()
	f.at[id] = now.Add(f.takes)
}

func (f *remote) Worked(time.Time, uint64, access.Judgement) {}

func (f *remote) Forget(id uint64) {
	if _, ok := f.at[id]; ok {
		f.give(id, access.Judgement{Refusal: access.Busy, Err: errors.New("the client has left")})
	}
}

func (f *remote) give(id uint64, j access.Judgement) {
	delete(f.at, id)
	f.queue = append(f.queue, access.Answer{ID: id, Judgement: j})
}

func (f *remote) Advance(now time.Time) {
	for id, at := range f.at {
		if !now.Before(at) {
			f.give(id, access.Judgement{})
		}
	}
}

func (f *remote) Deadline() (next time.Time) {
	for _, at := range f.at {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

func (f *remote) Next() (access.Event, bool) {
	if len(f.queue) == 0 {
		return nil, false
	}
	e := f.queue[0]
	f.queue = f.queue[1:]
	return e, true
}

// TestAnAuthorityElsewhere: one that is asked over a network is a machine with a deadline: a
// login waits for it in no goroutine, gets in when it answers, and is given up with its client.
func TestAnAuthorityElsewhere(t *testing.T) {
	inWorld(t, goodRoad, xauthConfig, func(t *testing.T, w *world) {
		elsewhere := &remote{takes: 5 * time.Second, at: make(map[uint64]time.Time)}
		w.within(w.server.server.engine, func(time.Time) { w.server.logins.authority = elsewhere })
		began := time.Now()
		in := w.client(nil)
		conn := in.mustDial(byXAUTH)
		if d := time.Since(began); d < 10*time.Second || d > 12*time.Second { // it is asked about the password, and whether he is locked out
			t.Errorf("in after %v", d)
		}
		in.wantPing(conn, "198.18.0.2")
		w.within(w.server.server.engine, func(time.Time) { elsewhere.takes = 24 * time.Hour })
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		c := w.client(nil)
		if _, err := c.dial(ctx, byXAUTH); err == nil {
			t.Error("in at once")
		}
		time.Sleep(2 * time.Minute)
		w.within(w.server.server.engine, func(time.Time) {
			if len(w.server.logins.attempts) != 0 || len(elsewhere.at) != 0 {
				t.Errorf("%d logins are asked about whose clients have left", len(elsewhere.at))
			}
		})
	})
}

// slowDisk is a state store that takes its time for some users.
type slowDisk struct {
	*store.Store
	slow map[string]bool
}

func (s slowDisk) User(tenant, name string) (store.User, error) {
	if s.slow[name] {
		time.Sleep(5 * time.Second)
	}
	return s.Store.User(tenant, name)
}

// TestTwoLoginsThatWaitDelayNoOthers: with two processors and the pools that belong to them,
// two logins wait five seconds each for a slow disk, and a hundred others, of the same tenant
// and by every protocol, are in long before.
func TestTwoLoginsThatWaitDelayNoOthers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	a := newAuthority(t, "a")
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	for _, name := range []string{"carol", "dave", "erin"} {
		if err := kept.AddUser("acme", store.User{Name: name, Hash: store.HashPassword("right")}); err != nil {
			t.Fatal(err)
		}
	}
	ways := []func(*dialer.DialConfig){func(*dialer.DialConfig) {}, byXAUTH, a.trusts(vpn)}
	inWorldWith(t, kept, goodRoad, promisesConfig+a.server(vpn)+"    limits: {sessions_per_user: 200}\n", func(t *testing.T, w *world) {
		w.within(w.server.server.engine, func(time.Time) {
			if n := runtime.GOMAXPROCS(0); n != 2 {
				t.Errorf("%d processors", n)
			}
			w.server.logins.authority = access.NewLocal(slowDisk{kept, map[string]bool{"carol": true, "dave": true}})
		})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		began := time.Now()
		var waiting, others sync.WaitGroup
		login := func(all *sync.WaitGroup, name string, way func(*dialer.DialConfig), check func(time.Duration) bool) {
			c := w.client(nil)
			all.Go(func() {
				if _, err := c.dial(ctx, func(d *dialer.DialConfig) { d.User, d.Password = name, "right" }, way); err != nil {
					t.Errorf("%s: %v", name, err)
				} else if d := time.Since(began); !check(d) {
					t.Errorf("%s is in after %v", name, d)
				}
			})
		}
		for _, name := range []string{"carol", "dave"} {
			login(&waiting, name, ways[0], func(d time.Duration) bool { return d >= 5*time.Second })
		}
		time.Sleep(time.Second)
		for n := range 100 {
			login(&others, "erin", ways[n%len(ways)], func(d time.Duration) bool { return d < 4*time.Second })
		}
		others.Wait()
		waiting.Wait()
	})
}
